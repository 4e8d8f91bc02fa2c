"""The simulator again: slow, plain Python, money in Decimal, written from docs/simulator.md alone.

Sections follow that page: the row and the commands here, the fills in `oracle_fills`. Nothing is shared with
the kernels but the names of the enumerations and the configuration. Prices are exact
here and compare exactly: the page's tolerance is for floats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from engine.types.records import CommandKind, Operation, OrderEventKind, OrderType, Reason, Role, TimeInForce
from tests.portfolio.oracle_fills import OracleMarket
from tests.portfolio.oracle_records import INFINITY, ZERO, Bar, Command, Ledger, Order, dec, sign

ACTING = (CommandKind.ORDER, CommandKind.TARGET, CommandKind.CLOSE, CommandKind.UP_TO)


class OracleSimulator(OracleMarket):
    """Call `row` (steps 1 to 6), `command` (step 7) and `operate`, row by row; read `fills`, `events` and `ledger`."""

    # A row

    def row(self, ts: int, bars: Sequence[Bar | None]) -> None:
        self.ts, self.seq = ts, self.seq + 1
        self._session()
        self._expire()
        for symbol, bar in enumerate(bars):
            if bar is not None:
                self._meet_bar(symbol, bar)
        for symbol, bar in enumerate(bars):
            if bar is not None:
                self._mark(symbol, bar)
        unrealized = self._unrealized()
        self.equity = self.cash + unrealized
        if all(position.quantity == 0 for position in self.positions):
            self.liquidating = False
        self._check_limits()
        self._write_ledger(unrealized)

    def _session(self) -> None:
        if self.session_end is None or self.ts > self.session_end:
            self.session_end = next((end for end in self.session_ends if end >= self.ts), math.inf)
            self._end_orders(lambda order: order.tif == TimeInForce.DAY, OrderEventKind.EXPIRED, Reason.SESSION_END)
            self.session_equity = self.equity

    def _expire(self) -> None:
        def is_over(order: Order) -> bool:
            return order.tif == TimeInForce.GTD and order.expire_ts < self.ts

        self._end_orders(is_over, OrderEventKind.EXPIRED, Reason.TIME_IN_FORCE)

    def _mark(self, symbol: int, bar: Bar) -> None:
        position = self.positions[symbol]
        if position.seen:
            square = (bar.close / position.mark).ln() ** 2
            decay = self.rules.decay
            position.variance = square if position.seen == 1 else decay * position.variance + (1 - decay) * square
        position.mark = bar.close
        position.seen += 1
        for order in self._working(symbol):
            if order.type == OrderType.TRAILING_STOP:
                if order.side < 0:
                    order.stop = max(order.stop, (bar.close if order.inside_bar else bar.high) - order.trail)
                else:
                    order.stop = min(order.stop, (bar.close if order.inside_bar else bar.low) + order.trail)
            order.attached_in = order.triggered_in = 0

    def _check_limits(self) -> None:
        if self.halted:
            return
        if self.equity <= 0:
            self._halt(Reason.BANKRUPT)
            return
        rules = self.rules
        self.peak_equity = max(self.peak_equity, self.equity)
        held = zip(self.positions, self.contracts, strict=True)
        maintenance = sum((abs(p.quantity) * c.maintenance(p.mark) for p, c in held), ZERO)
        if self.equity <= self.peak_equity * (1 - rules.max_drawdown):
            self._halt(Reason.MAX_DRAWDOWN)
        elif self.equity <= self.session_equity * (1 - rules.max_daily_loss):
            self._halt(Reason.MAX_DAILY_LOSS)
        elif not self.liquidating and self.equity < maintenance:
            self.liquidating = True
            self._flatten(Reason.MARGIN_CALL, Role.LIQUIDATION)

    def _halt(self, reason: Reason) -> None:
        self.halted = reason
        self._flatten(reason, Role.KILL_SWITCH)

    def _flatten(self, reason: Reason, role: Role) -> None:
        self._end_orders(lambda _: True, OrderEventKind.CANCELLED, reason)
        for symbol, position in enumerate(self.positions):
            if position.quantity:
                self._submit_closing(symbol, role, tag=0)

    def _write_ledger(self, unrealized: Decimal) -> None:
        held = zip(self.positions, self.contracts, strict=True)
        net = sum((p.quantity * c.value(p.mark) for p, c in held), ZERO)
        row = Ledger(
            self.cash,
            self.equity,
            self.realized,
            unrealized,
            self.fees,
            self._margin(),
            self._gross(),
            net,
        )
        self.ledger.append(row)
        self.position_rows.append([position.quantity for position in self.positions])

    # Commands

    def command(self, commands: Sequence[Command]) -> None:
        for command in commands:
            command.ts_event = self.ts
            self.decisions.append(command)
            kind = CommandKind(command.kind)
            if kind in ACTING:
                command.order_id = 0
            if self.halted or self.liquidating:
                if kind in ACTING:
                    self._refuse(command, Reason.HALTED if self.halted else Reason.MARGIN_CALL)
            elif kind in (CommandKind.ORDER, CommandKind.UP_TO):
                self._order(command)
            elif kind == CommandKind.TARGET:
                self._target(command)
            elif kind == CommandKind.CANCEL:
                self._cancel(command)
            else:
                self._cancel_all(command)
                if kind == CommandKind.CLOSE and self.positions[command.symbol].quantity:
                    command.order_id = self._submit_closing(command.symbol, Role.ENTRY, command.tag)

    def _order(self, command: Command) -> None:
        contract = self.contracts[command.symbol]
        size = contract.floor_step(abs(dec(command.quantity)))
        side = 1 if command.quantity >= 0 else -1
        if self._refused_by_pause(command, side, size):
            self._refuse(command, Reason.PAUSED)
            return
        reduces = command.reduce_only or self.paused
        small = not size.is_finite() or size <= 0 or (size < contract.min_size and not reduces)
        reason = Reason.NONE
        if not self.positions[command.symbol].seen:
            reason = Reason.NO_MARKET
        elif small:
            reason = Reason.BELOW_MIN_SIZE
        reason = reason or self._fault(command, side)
        self._submit(command, size, side, reason, clip=command.kind == CommandKind.UP_TO)

    def _fault(self, command: Command, side: int) -> Reason:
        needed = {
            OrderType.MARKET: (),
            OrderType.LIMIT: (command.limit,),
            OrderType.STOP: (command.stop,),
            OrderType.STOP_LIMIT: (command.limit, command.stop),
            OrderType.TRAILING_STOP: (command.trail,),
        }[OrderType(command.type)]
        prices = (command.stop_loss, command.take_profit)
        bracket = (*prices, command.stop_distance, command.target_distance, command.trail_distance)
        if not all(math.isfinite(price) and price > 0 for price in needed):
            return Reason.BAD_PRICE
        if not all(math.isfinite(number) and number >= 0 for number in bracket):
            return Reason.BAD_PRICE
        draft = self._draft(command, ZERO, side, 0)
        asked = (*needed, *(price for price in prices if price))
        rounded = (draft.limit, draft.stop, draft.trail, draft.stop_loss, draft.take_profit)
        trailing = command.type == OrderType.TRAILING_STOP  # its stop is not asked for
        if sum(price > 0 for price in rounded) - trailing * (draft.stop > 0) < len(asked):  # one came to nothing
            return Reason.BAD_PRICE
        working = sum(order.symbol == command.symbol for order in self.working.values())
        return Reason.TOO_MANY_ORDERS if working >= self.rules.max_open_orders else Reason.NONE

    def _submit(self, command: Command, size: Decimal, side: int, reason: Reason, *, clip: bool) -> None:
        order = self._draft(command, size, side, self._new_id())
        command.order_id, order.clip = order.id, clip
        if reason:
            self._report(order, OrderEventKind.REJECTED, reason)
        else:
            self._work(order)

    def _draft(self, command: Command, size: Decimal, side: int, order_id: int) -> Order:
        order = Order(order_id, command.symbol, side, size, command.type, tag=command.tag)
        on_tick = self.contracts[command.symbol].on_tick
        order.tif, order.expire_ts = command.tif, command.expire_ts
        order.reduce_only = bool(command.reduce_only) or self.paused
        if command.type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            order.limit = on_tick(dec(command.limit), up=side < 0)
        if command.type in (OrderType.STOP, OrderType.STOP_LIMIT):
            order.stop = on_tick(dec(command.stop), up=side > 0)
        if command.type == OrderType.TRAILING_STOP:
            order.trail = on_tick(dec(command.trail), up=True)
            order.stop = self.positions[command.symbol].mark + side * order.trail
        order.stop_loss = on_tick(dec(command.stop_loss), up=side < 0)
        order.take_profit = on_tick(dec(command.take_profit), up=side > 0)
        order.stop_distance, order.target_distance = dec(command.stop_distance), dec(command.target_distance)
        order.trail_distance = dec(command.trail_distance)
        return order

    def _refuse(self, command: Command, reason: Reason, order_id: int = 0) -> None:
        """Reject a command that never became an order."""
        side = 1 if command.quantity >= 0 else -1
        draft = self._draft(command, abs(dec(command.quantity)), side, order_id)
        self._report(draft, OrderEventKind.REJECTED, reason)

    def _target(self, command: Command) -> None:
        contract, position = self.contracts[command.symbol], self.positions[command.symbol]
        if not math.isfinite(command.quantity) or not position.seen:
            reason = Reason.NO_MARKET if math.isfinite(command.quantity) else Reason.BAD_PRICE
            self._refuse(command, reason)
            return

        units = dec(command.quantity)
        target = sign(units) * self._limited(
            command.symbol, contract.floor_step(abs(units) * self._unit(command.symbol))
        )
        change = target - position.quantity
        if abs(change) >= contract.step / 2 and self._refused_by_pause(command, sign(change), abs(change)):
            self._refuse(command, Reason.PAUSED)
            return

        def is_entry(order: Order) -> bool:
            return order.symbol == command.symbol and order.role == Role.ENTRY

        self._end_orders(is_entry, OrderEventKind.CANCELLED, Reason.REPLACED)
        if abs(change) < contract.step / 2:
            return
        shrinks = sign(target) == sign(position.quantity) and abs(target) < abs(position.quantity)
        reason = self._fault(command, sign(change))
        if abs(change) < contract.min_size and not (shrinks or target == 0):
            reason = Reason.BELOW_MIN_SIZE
        self._submit(command, abs(change), sign(change), reason, clip=True)

    def _unit(self, symbol: int) -> Decimal:
        rules, position = self.rules, self.positions[symbol]
        if rules.sizing == "fixed":
            return rules.sizing_value
        unit = rules.sizing_value * self.equity / self.contracts[symbol].value(position.mark)
        if rules.sizing == "volatility_target":
            yearly = (position.variance * rules.bars_per_year).sqrt()
            unit = unit / yearly if yearly else ZERO
        return max(unit, ZERO)

    def _limited(self, symbol: int, size: Decimal) -> Decimal:
        contract, rules = self.contracts[symbol], self.rules
        if rules.max_position < INFINITY:
            size = min(size, contract.floor_step(rules.max_position))
        if rules.max_leverage < INFINITY:
            room = rules.max_leverage * self.equity - self._gross(but=symbol)
            size = min(size, max(contract.floor_step(room / contract.value(self.positions[symbol].mark)), ZERO))
        return size

    def _cancel(self, command: Command) -> None:
        order = self.working.get(command.order_id)
        if order is None or order.role == Role.FLATTEN:
            self._refuse(command, Reason.NO_SUCH_ORDER, command.order_id)
        else:
            self._end(order, OrderEventKind.CANCELLED, Reason.BY_AGENT)

    def _cancel_all(self, command: Command) -> None:
        def concerned(order: Order) -> bool:
            return order.symbol == command.symbol and order.role != Role.FLATTEN

        self._end_orders(concerned, OrderEventKind.CANCELLED, Reason.BY_AGENT)

    # An operator's orders

    def operate(self, kind: Operation, ts: int) -> bool:
        """Returns whether the order was allowed."""
        self.ts = ts
        match kind:
            case Operation.PAUSE:
                self._pause()
            case Operation.RESUME:
                self.paused = False
            case Operation.FLATTEN:
                self.paused = True
                self._flatten(Reason.BY_OPERATOR, Role.FLATTEN)
            case Operation.HALT:
                if not self.halted:
                    self._halt(Reason.BY_OPERATOR)
            case Operation.RESET_HALT:
                return self._reset_halt()
            case Operation.HAND_OVER:
                # what protects a position stays, whoever decides
                self._end_orders(lambda order: order.role == Role.ENTRY, OrderEventKind.CANCELLED, Reason.REPLACED)
            case Operation.PROMOTE | Operation.ROLLBACK:
                pass  # of who decides, not of the account
        return True

    def _refused_by_pause(self, command: Command, side: int, size: Decimal) -> bool:
        held = self.positions[command.symbol].quantity
        reduces = size.is_finite() and side == -sign(held) and size <= abs(held)
        return self.paused and not command.reduce_only and not reduces

    def _pause(self) -> None:
        self.paused = True
        for order in list(self.working.values()):
            if order.role == Role.ENTRY and not order.reduce_only:
                if order.side == -sign(self.positions[order.symbol].quantity):
                    order.reduce_only = True
                else:
                    self._end(order, OrderEventKind.CANCELLED, Reason.PAUSED)

    def _reset_halt(self) -> bool:
        open_book = bool(self.working) or any(position.quantity for position in self.positions)
        if not self.halted or open_book or self.equity <= 0:
            return False
        self.halted, self.liquidating = Reason.NONE, False
        self.peak_equity = self.session_equity = self.equity
        return True
