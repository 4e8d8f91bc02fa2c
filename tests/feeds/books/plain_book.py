"""A plain, slow book from dictionaries and lists: the oracle of the compiled one. It shares no code with it."""

from __future__ import annotations

from dataclasses import dataclass, field

LAST, TOP, SNAPSHOT, MAYBE_BAD = 128, 64, 32, 4
NO_PRICE = 2**63 - 1


@dataclass
class PlainOrder:
    id: int | None
    side: str
    price: int
    size: int


@dataclass
class PlainBook:
    """Orders in order of priority; nothing else is kept."""

    orders: list[PlainOrder] = field(default_factory=list)
    in_snapshot: bool = False
    crossed: int = 0
    unknown: int = 0
    twice: int = 0

    def apply(self, action: str, side: str, price: int, size: int, order_id: int, flags: int) -> bool:
        if flags & SNAPSHOT:
            if not self.in_snapshot:
                self.orders = []
            self.in_snapshot = not flags & LAST
        if action == "R":
            self.orders = []
        elif action == "C":
            self._cancel(side, price, size, order_id)
        elif action in "AML" and side in "AB":
            getattr(self, {"A": "_add", "M": "_modify", "L": "_set"}[action])(side, price, size, order_id, flags)
        if flags & LAST:
            bids, asks = self.levels("B"), self.levels("A")
            self.crossed += bool(bids and asks and bids[0][0] >= asks[0][0])
        return bool(flags & LAST)

    def levels(self, side: str) -> list[tuple[int, int]]:
        """Prices and total sizes, best first."""
        totals: dict[int, int] = {}
        for order in self.orders:
            if order.side == side:
                totals[order.price] = totals.get(order.price, 0) + order.size
        return sorted(totals.items(), reverse=side == "B")

    def queue(self, side: str, price: int) -> list[tuple[int, int]]:
        return [(order.id or 0, order.size) for order in self.orders if (order.side, order.price) == (side, price)]

    def _find(self, order_id: int) -> PlainOrder | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def _add(self, side: str, price: int, size: int, order_id: int, flags: int) -> None:
        if flags & TOP:
            self.orders = [order for order in self.orders if order.side != side]
            if price != NO_PRICE and size:
                self.orders.append(PlainOrder(None, side, price, size))
            return
        if price == NO_PRICE or not size:
            return
        if (old := self._find(order_id)) is not None:
            self.twice += 1
            self.orders.remove(old)
        self.orders.append(PlainOrder(order_id, side, price, size))

    def _cancel(self, side: str, price: int, size: int, order_id: int) -> None:
        found = self._find(order_id)
        if found is None and side in "AB":
            there = [order for order in self.orders if (order.side, order.price) == (side, price)]
            found = there[0] if there and there[0].id is None else None
        if found is None:
            self.unknown += 1
            return
        found.size -= size
        if found.size <= 0:
            self.orders = [order for order in self.orders if order is not found]

    def _modify(self, side: str, price: int, size: int, order_id: int, flags: int) -> None:
        found = self._find(order_id)
        if found is None:
            self.unknown += 1
            self._add(side, price, size, order_id, flags)
            return
        if price == NO_PRICE or not size:
            return
        if (found.side, found.price) == (side, price) and size <= found.size:
            found.size = size
            return
        self.orders = [order for order in self.orders if order is not found]
        self.orders.append(PlainOrder(order_id, side, price, size))

    def _set(self, side: str, price: int, size: int, order_id: int, flags: int) -> None:
        if price == NO_PRICE:
            return
        there = [order for order in self.orders if (order.side, order.price) == (side, price)]
        if not there:
            if size:
                self.orders.append(PlainOrder(None, side, price, size))
        elif size:
            there[0].size = size
        else:
            self.orders = [order for order in self.orders if order is not there[0]]
