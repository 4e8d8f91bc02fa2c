"""Costs times a factor: other instruments and another configuration of the portfolio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.app.config import BacktestConfig
from engine.types.instruments import Instrument
from feeds.stress.costs import Fees, Participation, Spread
from feeds.stress.strike import CostOperator
from portfolio.config import Slippage

ONE_TICK = Slippage(ticks=1.0)
ONE_BASIS_POINT = Slippage(bps=1.0)


def costlier(
    config: BacktestConfig, instruments: Mapping[str, Instrument], operators: Sequence[CostOperator]
) -> tuple[BacktestConfig, dict[str, Instrument]]:
    """Configuration and instruments under cost operators."""
    traded = dict(instruments)
    execution = config.execution
    for one in operators:
        if isinstance(one, Spread):
            base = execution.slippage
            if not (base.ticks or base.bps or base.range):
                base = ONE_TICK if all(item.tick_size for item in traded.values()) else ONE_BASIS_POINT
            factors = {
                "ticks": base.ticks * one.factor,
                "bps": min(base.bps * one.factor, 9_999.0),
                "range": min(base.range * one.factor, 1.0),
            }
            execution = execution.model_copy(update={"slippage": Slippage(**factors)})
        elif isinstance(one, Fees):
            traded = {symbol: _dearer(item, one.factor) for symbol, item in traded.items()}
        elif isinstance(one, Participation):
            execution = execution.model_copy(update={"participation": min(execution.participation or 1.0, one.share)})
    return config.model_copy(update={"execution": execution}), traded


def _dearer(instrument: Instrument, factor: float) -> Instrument:
    fees = instrument.fees
    update = {"per_contract": fees.per_contract * factor, "rate": fees.rate * factor}
    return instrument.model_copy(update={"fees": fees.model_copy(update=update)})
