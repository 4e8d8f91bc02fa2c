"""What the oracle keeps and reports: orders, events, fills, rules; money, prices and sizes in Decimal.

Numbers enter by their shortest decimal text, so that 0.1 is a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from engine.types.instruments import Instrument, Margin
from engine.types.records import CommandKind, OrderType, Role, TimeInForce
from portfolio.config import PortfolioConfig

ZERO, ONE, HALF = Decimal(0), Decimal(1), Decimal("0.5")
INFINITY = Decimal("Infinity")
NANO, MICRO, BASIS_POINT = Decimal("1e-9"), Decimal("1e-6"), Decimal("1e-4")
FORCED = (Role.KILL_SWITCH, Role.LIQUIDATION, Role.FLATTEN)
SLIPPING = (OrderType.MARKET, OrderType.STOP, OrderType.TRAILING_STOP)


def dec(number: float) -> Decimal:
    return Decimal(repr(float(number)))


def or_infinity(number: float | None) -> Decimal:
    return INFINITY if number is None else dec(number)


def floor(number: Decimal) -> Decimal:
    return number.to_integral_value(ROUND_FLOOR)


def ceil(number: Decimal) -> Decimal:
    return number.to_integral_value(ROUND_CEILING)


def sign(number: Decimal) -> int:
    return (number > 0) - (number < 0)


@dataclass(frozen=True)
class Bar:
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: float


@dataclass
class Command:
    quantity: float = 0.0
    limit: float = 0.0
    stop: float = 0.0
    trail: float = 0.0
    stop_loss: float = 0.0
    take_profit: float = 0.0
    stop_distance: float = 0.0
    target_distance: float = 0.0
    trail_distance: float = 0.0
    ts_event: int = 0
    kind: int = CommandKind.ORDER
    symbol: int = 0
    type: int = OrderType.MARKET
    tif: int = TimeInForce.GTC
    expire_ts: int = 0
    reduce_only: int = 0
    order_id: int = 0
    tag: int = 0


@dataclass
class Order:
    id: int
    symbol: int
    side: int
    quantity: Decimal
    type: int = OrderType.MARKET
    limit: Decimal = ZERO
    stop: Decimal = ZERO
    trail: Decimal = ZERO
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    stop_distance: Decimal = ZERO
    target_distance: Decimal = ZERO
    trail_distance: Decimal = ZERO
    tif: int = TimeInForce.GTC
    expire_ts: int = 0
    reduce_only: bool = False
    role: int = Role.ENTRY
    parent: int = 0
    tag: int = 0
    clip: bool = False
    filled: Decimal = ZERO
    triggered: bool = False
    # Inside the bar at hand only:
    attached_in: int = 0  # the phase that attached this leg
    triggered_in: int = 0  # the phase that triggered this stop-limit
    parent_fill: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_leg(self) -> bool:
        return self.role in (Role.STOP_LOSS, Role.TAKE_PROFIT)

    @property
    def is_limit(self) -> bool:
        return self.type == OrderType.LIMIT or (self.type == OrderType.STOP_LIMIT and self.triggered)

    @property
    def is_stop(self) -> bool:
        return self.type in (OrderType.STOP, OrderType.TRAILING_STOP)

    @property
    def inside_bar(self) -> bool:
        return self.attached_in >= 2

    @property
    def working_price(self) -> Decimal:
        if self.type == OrderType.MARKET:
            return ZERO
        return self.limit if self.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else self.stop


@dataclass(frozen=True)
class Event:
    quantity: Decimal
    price: Decimal
    remaining: Decimal
    ts_event: int
    order_id: int
    symbol: int
    kind: int
    reason: int
    side: int
    type: int
    role: int
    parent: int
    tag: int


@dataclass(frozen=True)
class Fill:
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realized: Decimal
    position: Decimal
    avg_price: Decimal
    ts_event: int
    seq: int
    order_id: int
    symbol: int
    side: int
    role: int
    reason: int
    tag: int


@dataclass(frozen=True)
class Ledger:
    cash: Decimal
    equity: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    margin: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal


@dataclass
class Position:
    quantity: Decimal = ZERO
    avg_price: Decimal = ZERO
    mark: Decimal = ZERO
    variance: Decimal = ZERO
    seen: int = 0


class Contract:
    """One instrument in Decimal."""

    def __init__(self, instrument: Instrument) -> None:
        self.tick = dec(instrument.tick_size)
        self.multiplier = dec(instrument.multiplier) * dec(instrument.fx_rate)
        self.step, self.min_size = dec(instrument.size_step), dec(instrument.min_size)
        self.fee_per_contract, self.fee_rate = dec(instrument.fees.per_contract), dec(instrument.fees.rate)
        self._initial = self._pair(instrument.initial_margin)
        self._maintenance = self._pair(instrument.maintenance_margin)

    @staticmethod
    def _pair(margin: Margin) -> tuple[Decimal, Decimal]:
        return dec(margin.per_contract), dec(margin.rate)

    def floor_step(self, size: Decimal) -> Decimal:
        return floor(size / self.step + NANO) * self.step

    def value(self, price: Decimal) -> Decimal:
        return price * self.multiplier

    def fee(self, price: Decimal) -> Decimal:
        return self.fee_per_contract + self.fee_rate * self.value(price)

    def initial(self, price: Decimal) -> Decimal:
        return self._initial[0] + self._initial[1] * self.value(price)

    def maintenance(self, price: Decimal) -> Decimal:
        return self._maintenance[0] + self._maintenance[1] * self.value(price)

    def on_tick(self, price: Decimal, *, up: bool) -> Decimal:
        if not self.tick or not price.is_finite() or price <= 0:
            return price
        ticks = price / self.tick
        return (ceil(ticks - MICRO) if up else floor(ticks + MICRO)) * self.tick

    def nearest_tick(self, price: Decimal) -> Decimal:
        return floor(price / self.tick + HALF + NANO) * self.tick if self.tick else price


@dataclass
class Rules:
    """The configuration in Decimal."""

    config: PortfolioConfig
    bars_per_year: Decimal
    slippage_ticks: Decimal = field(init=False)
    slippage_bps: Decimal = field(init=False)
    slippage_range: Decimal = field(init=False)

    def __post_init__(self) -> None:
        execution, sizing, limits = self.config.execution, self.config.sizing, self.config.limits
        slippage = execution.slippage
        self.slippage_ticks, self.slippage_bps = dec(slippage.ticks), dec(slippage.bps)
        self.slippage_range = dec(slippage.range)
        self.through = execution.limit_fill == "through"
        self.participation = or_infinity(execution.participation)
        self.max_open_orders = execution.max_open_orders
        self.sizing, self.sizing_value = sizing.mode, dec(sizing.value)
        self.decay = ONE - Decimal(2) / (Decimal(sizing.volatility_span) + 1)
        self.max_position, self.max_leverage = (
            or_infinity(limits.max_position),
            or_infinity(limits.max_leverage),
        )
        self.max_daily_loss = or_infinity(limits.max_daily_loss)
        self.max_drawdown = or_infinity(limits.max_drawdown)
