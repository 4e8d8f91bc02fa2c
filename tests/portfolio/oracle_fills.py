"""How the oracle fills orders: the second half of docs/simulator.md, section by section."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from engine.types.instruments import Instrument
from engine.types.records import OrderEventKind, OrderType, Reason, Role, TimeInForce
from portfolio.config import PortfolioConfig
from tests.portfolio.oracle_records import (
    BASIS_POINT,
    FORCED,
    INFINITY,
    MICRO,
    NANO,
    SLIPPING,
    ZERO,
    Bar,
    Command,
    Contract,
    Event,
    Fill,
    Ledger,
    Order,
    Position,
    Rules,
    ceil,
    dec,
    floor,
    sign,
)


class OracleMarket:
    """The account, its working orders, and what a bar does to them."""

    def __init__(
        self,
        config: PortfolioConfig,
        instruments: Sequence[Instrument],
        session_ends: Sequence[int],
        bars_per_year: float,
    ) -> None:
        self.rules = Rules(config, dec(bars_per_year))
        self.contracts = [Contract(instrument) for instrument in instruments]
        self.session_ends = sorted(session_ends)
        self.positions = [Position() for _ in instruments]
        initial = dec(config.initial_capital)
        self.cash = self.equity = self.peak_equity = self.session_equity = initial
        self.realized = self.fees = ZERO
        self.session_end: float | None = None
        self.halted: int = Reason.NONE
        self.liquidating = self.paused = False
        self.next_id, self.seq, self.ts = 1, -1, 0
        self.phase, self.available = 0, ZERO
        self.working: dict[int, Order] = {}  # by id, which is the order of insertion
        self.legs: dict[tuple[int, int], Order] = {}  # by parent and role, done ones too
        self.fills: list[Fill] = []
        self.events: list[Event] = []
        self.ledger: list[Ledger] = []
        self.position_rows: list[list[Decimal]] = []
        self.decisions: list[Command] = []

    # Fills of one symbol in one row

    def _meet_bar(self, symbol: int, bar: Bar) -> None:
        participation = self.rules.participation
        if participation < INFINITY:
            self.available = ZERO if math.isnan(bar.volume) else participation * dec(bar.volume)
        else:
            self.available = INFINITY
        self.phase = 1
        for order in self._working(symbol):
            if order.id in self.working:
                self._try_open(order, bar)
        self.phase = 2
        for order in self._working_and_new(symbol):
            self._try_stop(order, bar)
        self.phase = 3
        for order in self._working_and_new(symbol):
            self._try_limit(order, bar)
        self.phase = 4
        for order in self._working_and_new(symbol):
            if order.attached_in == 3:
                self._try_stop(order, bar)
        for order in self._working(symbol):
            if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
                self._end(order, OrderEventKind.CANCELLED, Reason.TIME_IN_FORCE)

    def _try_open(self, order: Order, bar: Bar) -> None:
        reached = order.side * bar.open >= order.side * order.stop
        if order.type == OrderType.MARKET or (order.is_stop and reached):
            self._fill(order, bar.open, bar)
            order.type = OrderType.MARKET
            return
        if order.type == OrderType.STOP_LIMIT and not order.triggered and reached:
            self._trigger(order)
        if order.is_limit and self._marketable(order, bar):
            self._fill(order, bar.open, bar)

    def _marketable(self, order: Order, bar: Bar) -> bool:
        better = order.side * (order.limit - bar.open)
        return better > 0 or (better == 0 and not self.rules.through)

    def _trigger(self, order: Order) -> None:
        order.triggered, order.triggered_in = True, self.phase
        self._report(order, OrderEventKind.TRIGGERED, Reason.NONE)

    def _try_stop(self, order: Order, bar: Bar) -> None:
        far = bar.high if order.side > 0 else bar.low
        if order.side * far < order.side * order.stop:
            return
        if order.is_stop:
            base = order.parent_fill if order.inside_bar else bar.open
            beyond = order.side * base >= order.side * order.stop
            self._fill(order, base if beyond else order.stop, bar)
            order.type = OrderType.MARKET
        elif order.type == OrderType.STOP_LIMIT and not order.triggered:
            self._trigger(order)
            if order.side * order.limit >= order.side * order.stop:
                self._fill(order, order.stop, bar)

    def _try_limit(self, order: Order, bar: Bar) -> None:
        if not order.is_limit or order.inside_bar or order.triggered_in == 2:
            return
        far = bar.low if order.side > 0 else bar.high
        room = order.side * (order.limit - far)
        if room > 0 or (room == 0 and not self.rules.through):
            self._fill(order, bar.open if self._marketable(order, bar) else order.limit, bar)

    # Price

    def _slip(self, order: Order, price: Decimal, bar: Bar) -> Decimal:
        rules, tick = self.rules, self.contracts[order.symbol].tick
        if order.type not in SLIPPING or not (rules.slippage_ticks or rules.slippage_bps or rules.slippage_range):
            return price
        away = rules.slippage_ticks * tick + rules.slippage_bps * BASIS_POINT * price
        away += rules.slippage_range * (bar.high - bar.low)
        slipped = max(price + order.side * away, ZERO)
        if not tick:
            return slipped
        ticks = slipped / tick
        return (ceil(ticks - MICRO) if order.side > 0 else floor(ticks + MICRO)) * tick

    # Size

    def _fill(self, order: Order, price: Decimal, bar: Bar) -> None:
        contract, position = self.contracts[order.symbol], self.positions[order.symbol]
        price = self._slip(order, price, bar)
        opposite = max(-order.side * position.quantity, ZERO)
        size = order.left
        if order.reduce_only:
            size = min(size, opposite)
            if size == 0:
                self._end(order, OrderEventKind.CANCELLED, Reason.REDUCE_ONLY)
                return
        if order.role not in FORCED:
            size = min(size, max(contract.floor_step(self.available), ZERO))
        if order.tif == TimeInForce.FOK and size < order.left:
            self._end(order, OrderEventKind.CANCELLED, Reason.TIME_IN_FORCE)
            return
        if size == 0:
            return
        closing = min(size, opposite)
        wanted = size - closing
        opening, reason = self._limit_opening(order, price, closing, wanted)
        if closing + opening == 0:
            self._end(order, OrderEventKind.REJECTED, reason)
            return
        self._book(order, price, closing, opening, reason)

    def _limit_opening(self, order: Order, price: Decimal, closing: Decimal, wanted: Decimal) -> tuple[Decimal, Reason]:
        opening, reason = wanted, Reason.NONE
        if opening == 0:
            return opening, reason
        symbol, rules = order.symbol, self.rules
        contract, position = self.contracts[symbol], self.positions[symbol]
        after_closing = abs(position.quantity + order.side * closing)
        equity = self.cash + self._unrealized() - self._open_profit(symbol) + self._open_profit(symbol, price)
        if rules.max_position < INFINITY:
            room = max(contract.floor_step(rules.max_position - after_closing), ZERO)
            if opening > room:
                opening, reason = room, Reason.MAX_POSITION
        if rules.max_leverage < INFINITY:
            value = contract.value(price)
            fits = self._fits(rules.max_leverage * equity - self._gross(but=symbol) - after_closing * value, value)
            if opening > fits + NANO:
                opening, reason = max(contract.floor_step(fits), ZERO), Reason.MAX_LEVERAGE
        margin, fee = contract.initial(price), contract.fee(price)
        left = equity - self._margin(but=symbol) - after_closing * margin - closing * fee
        fits = self._fits(left, margin + fee)
        if opening > fits + NANO:
            shortened = max(contract.floor_step(fits), ZERO)
            opening, reason = shortened if order.clip else ZERO, Reason.INSUFFICIENT_MARGIN
        if opening < wanted and opening < contract.min_size:
            opening = ZERO
        return opening, reason

    @staticmethod
    def _fits(left: Decimal, per_contract: Decimal) -> Decimal:
        """Contracts that an amount of money allows."""
        if per_contract:
            return left / per_contract
        return INFINITY if left >= 0 else ZERO

    # Books

    def _book(self, order: Order, price: Decimal, closing: Decimal, opening: Decimal, reason: Reason) -> None:
        contract, position = self.contracts[order.symbol], self.positions[order.symbol]
        size, before = closing + opening, position.quantity
        fee = contract.fee(price) * size
        realized = closing * (price - position.avg_price) * sign(before) * contract.multiplier
        self.cash += realized - fee
        self.realized += realized
        self.fees += fee
        self.available -= size
        held = abs(before + order.side * closing)
        if opening:
            position.avg_price = (held * position.avg_price + opening * price) / (held + opening)
        position.quantity += order.side * size
        if position.quantity == 0:
            position.avg_price = ZERO
        order.filled += size
        if order.left == 0:
            del self.working[order.id]
        self._report_fill(order, size, price, fee, realized, reason)
        if reason:
            self._end(order, OrderEventKind.CANCELLED, reason)
        self._afterwards(order, price, size, opening, sign(before))

    # Afterwards

    def _afterwards(self, order: Order, price: Decimal, size: Decimal, opening: Decimal, sign_before: int) -> None:
        if order.is_leg:
            other = Role.TAKE_PROFIT if order.role == Role.STOP_LOSS else Role.STOP_LOSS
            sibling = self.legs.get((order.parent, other))
            if sibling is not None and sibling.id in self.working:
                sibling.quantity = max(sibling.quantity - size, sibling.filled)
                if sibling.left == 0:
                    self._end(sibling, OrderEventKind.CANCELLED, Reason.OCO)
        sign_now = sign(self.positions[order.symbol].quantity)
        if sign_before and sign_now != sign_before:
            for leg in self._working(order.symbol):
                if leg.is_leg:
                    self._end(leg, OrderEventKind.CANCELLED, Reason.POSITION_CLOSED)
        if order.role == Role.ENTRY and opening:
            self._protect(order, price, opening)

    def _protect(self, order: Order, price: Decimal, opening: Decimal) -> None:
        made = [leg for role in (Role.STOP_LOSS, Role.TAKE_PROFIT) if (leg := self.legs.get((order.id, role)))]
        for leg in made:
            if leg.id in self.working:
                leg.quantity += opening
        if not made:
            self._attach_stop(order, price, opening)
            self._attach_target(order, price, opening)

    def _attach_stop(self, order: Order, price: Decimal, opening: Decimal) -> None:
        nearest_tick = self.contracts[order.symbol].nearest_tick
        loss = order.stop_loss
        if not loss and order.stop_distance:
            loss = price * (1 - order.side * order.stop_distance)
        if order.trail_distance:
            trail = order.trail_distance * price
            starts = ([loss] if order.stop_loss or order.stop_distance else []) + [price - order.side * trail]
            start = min(starts, key=lambda stop: abs(stop - price))
            leg = self._leg(order, opening, Role.STOP_LOSS, OrderType.TRAILING_STOP, price)
            leg.trail, leg.stop = trail, nearest_tick(start)
        elif order.stop_loss or order.stop_distance:
            leg = self._leg(order, opening, Role.STOP_LOSS, OrderType.STOP, price)
            leg.stop = nearest_tick(loss)
        else:
            return
        self._work(leg)

    def _attach_target(self, order: Order, price: Decimal, opening: Decimal) -> None:
        if order.take_profit or order.target_distance:
            leg = self._leg(order, opening, Role.TAKE_PROFIT, OrderType.LIMIT, price)
            target = order.take_profit or price * (1 + order.side * order.target_distance)
            leg.limit = self.contracts[order.symbol].nearest_tick(target)
            self._work(leg)

    def _leg(self, order: Order, size: Decimal, role: Role, kind: OrderType, price: Decimal) -> Order:
        leg = Order(self._new_id(), order.symbol, -order.side, size, kind, reduce_only=True, role=role, tag=order.tag)
        leg.parent, leg.attached_in, leg.parent_fill = order.id, self.phase, price
        self.legs[order.id, role] = leg
        return leg

    # Sums over symbols

    def _unrealized(self) -> Decimal:
        return sum((self._open_profit(symbol) for symbol in range(len(self.positions))), ZERO)

    def _open_profit(self, symbol: int, price: Decimal | None = None) -> Decimal:
        position = self.positions[symbol]
        at = position.mark if price is None else price
        return position.quantity * (at - position.avg_price) * self.contracts[symbol].multiplier

    def _gross(self, but: int = -1) -> Decimal:
        held = zip(self.positions, self.contracts, strict=True)
        return sum((abs(p.quantity) * c.value(p.mark) for i, (p, c) in enumerate(held) if i != but), ZERO)

    def _margin(self, but: int = -1) -> Decimal:
        held = zip(self.positions, self.contracts, strict=True)
        return sum((abs(p.quantity) * c.initial(p.mark) for i, (p, c) in enumerate(held) if i != but), ZERO)

    # Orders and reports

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _working(self, symbol: int) -> list[Order]:
        return [order for order in self.working.values() if order.symbol == symbol]

    def _working_and_new(self, symbol: int) -> Iterator[Order]:
        """Working orders in order of id, those that appear on the way included."""
        last = 0
        while batch := [order for order in self._working(symbol) if order.id > last]:
            for order in batch:
                last = order.id
                if order.id in self.working:
                    yield order

    def _work(self, order: Order) -> None:
        self.working[order.id] = order
        self._report(order, OrderEventKind.SUBMITTED, Reason.NONE)

    def _end_orders(self, concerned: Callable[[Order], bool], kind: OrderEventKind, reason: Reason) -> None:
        for order in list(self.working.values()):
            if concerned(order):
                self._end(order, kind, reason)

    def _end(self, order: Order, kind: OrderEventKind, reason: Reason) -> None:
        if self.working.pop(order.id, None) is not None:
            self._report(order, kind, reason)

    def _report(self, order: Order, kind: OrderEventKind, reason: Reason, fill: Fill | None = None) -> None:
        quantity, price = (fill.quantity, fill.price) if fill else (order.quantity, order.working_price)
        price = order.stop if kind == OrderEventKind.TRIGGERED else price
        who = (order.side, order.type, order.role, order.parent, order.tag)
        self.events.append(Event(quantity, price, order.left, self.ts, order.id, order.symbol, kind, reason, *who))

    def _report_fill(
        self, order: Order, size: Decimal, price: Decimal, fee: Decimal, realized: Decimal, reason: Reason
    ) -> None:
        position = self.positions[order.symbol]
        fill = Fill(
            size, price, fee, realized, position.quantity, position.avg_price, self.ts, self.seq, order.id,
            order.symbol, order.side, order.role, reason, order.tag,
        )  # fmt: skip
        self.fills.append(fill)
        self._report(order, OrderEventKind.FILLED, reason, fill)

    def _submit_closing(self, symbol: int, role: Role, tag: int) -> int:
        quantity = self.positions[symbol].quantity
        order = Order(self._new_id(), symbol, -sign(quantity), abs(quantity), reduce_only=True, role=role, tag=tag)
        self._work(order)
        return order.id
