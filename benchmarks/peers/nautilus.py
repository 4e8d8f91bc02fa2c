"""NautilusTrader: BacktestEngine with a netting margin account, from a separate environment.

Its market orders fill at the last price, which at a bar's close is that close. It is therefore given the same bars
with every open set to the close before, where "the last close" and "the next open" are one price; the parent
compares it with the plain loop over the same bars.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve

PRICE_DECIMALS = 8


def instrument() -> Any:
    """One contract of one unit, quoted and settled in a currency with eight decimals."""
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.objects import Price, Quantity

    return CryptoPerpetual(
        instrument_id=InstrumentId.from_str("X.SIM"),
        raw_symbol=Symbol("X"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=PRICE_DECIMALS,
        size_precision=0,
        price_increment=Price(10.0**-PRICE_DECIMALS, PRICE_DECIMALS),
        size_increment=Quantity(1, 0),
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=Decimal(str(FEE)),
        taker_fee=Decimal(str(FEE)),
        ts_event=0,
        ts_init=0,
    )


def strategy(traded: Any, bar_type: Any, trading: bool) -> Any:
    """The strategy, with orders or only with its indicators."""
    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.trading.strategy import Strategy

    class SmaCross(Strategy):  # type: ignore[misc] # the library has no types
        def __init__(self) -> None:
            super().__init__()
            self.fast, self.slow = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW)
            self.side = 0
            self.flips = 0
            self.one, self.two = traded.make_qty(1), traded.make_qty(2)

        def on_start(self) -> None:
            self.register_indicator_for_bars(bar_type, self.fast)
            self.register_indicator_for_bars(bar_type, self.slow)
            self.subscribe_bars(bar_type)

        def on_bar(self, bar: Any) -> None:
            if not self.slow.initialized:
                return
            fast, slow = self.fast.value, self.slow.value
            if fast > slow:
                self.turn(1, OrderSide.BUY)
            elif fast < slow:
                self.turn(-1, OrderSide.SELL)

        def turn(self, side: int, order_side: Any) -> None:
            if side == self.side:
                return
            if trading:
                quantity = self.two if self.side else self.one
                self.submit_order(self.order_factory.market(traded.id, order_side, quantity))
            self.side = side
            self.flips += 1

    return SmaCross()


def engine(traded: Any, bars: list[Any]) -> Any:
    """A venue with an account and the data; logging, risk checks and closing statistics are off."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    built = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    built.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USDT,
        starting_balances=[Money(CAPITAL, USDT)],
    )
    built.add_instrument(traded)
    built.add_data(bars)
    return built


def prepare(bars: Bars, trading: bool) -> Callable[[], Run]:
    """Bars as Nautilus objects."""
    import pandas as pd
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.persistence.wranglers import BarDataWrangler

    traded = instrument()
    bar_type = BarType.from_str("X.SIM-1-MINUTE-LAST-EXTERNAL")
    index = pd.DatetimeIndex(bars.ts_event.astype("datetime64[ns]"), tz="UTC")
    columns = dict(bars.columns)
    columns["open"] = columns["close"].copy()
    columns["open"][1:] = columns["close"][:-1]
    columns["high"] = columns["high"].clip(min=columns["open"])
    columns["low"] = columns["low"].clip(max=columns["open"])
    wrangled = BarDataWrangler(bar_type, traded).process(pd.DataFrame(columns, index=index))
    last_price = traded.make_price(columns["close"][-1])

    def build() -> Run:
        venue_engine = engine(traded, wrangled)
        trader = strategy(traded, bar_type, trading)
        venue_engine.add_strategy(trader)

        def run() -> Callable[[], PeerOutcome]:
            venue_engine.run()

            def finish() -> PeerOutcome:
                fills, profit = trader.flips, None
                if trading:
                    balance = venue_engine.portfolio.account(Venue("SIM")).balance_total(USDT).as_double()
                    open_profit = sum(p.unrealized_pnl(last_price).as_double() for p in trader.cache.positions_open())
                    fills = sum(order.filled_qty > 0 for order in trader.cache.orders())
                    profit = balance + open_profit - CAPITAL
                venue_engine.dispose()
                return PeerOutcome(fills, profit)

            return finish

        return run

    return build


def connect() -> Peer:
    """Import it."""
    import nautilus_trader

    versions = {"nautilus_trader": nautilus_trader.__version__, "pandas": version("pandas")}
    note = "risk checks, logging off"
    return Peer(
        versions,
        {
            "nautilus": System(lambda bars: prepare(bars, trading=True), f"with orders; {note}"),
            "nautilus-indicators": System(lambda bars: prepare(bars, trading=False), f"no orders; {note}"),
        },
    )


if __name__ == "__main__":
    serve(connect)
