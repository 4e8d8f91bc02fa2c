"""GrandModel from Python: backtest, train, evaluate, and the classes that strategies are made of.

    import grandmodel as gm

    result = gm.backtest("bars.csv.gz", "ES", "sma_cross:fast=10,slow=30", fee=0.0005)
    print(result)

`python -m grandmodel` is the command. What is named here is imported when it is first used, so that the import itself
costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.base import CompiledStrategy, MarketAgent
    from agents.strategy import Bar, Context, Position, Strategy, WorkingOrder
    from engine.api.backtest import BacktestResult
    from engine.api.calls import backtest, compare, evaluate, load, train
    from engine.api.training import EvaluationResult, SeedsResult, TrainingResult
    from engine.base.errors import CheckFailed, ConfigError, DataError, GrandModelError, UsageError
    from engine.types.instruments import Instrument
    from portfolio.config import Execution, Limits, SizingConfig, Slippage

    __version__: str

__all__ = [
    "BacktestResult",
    "Bar",
    "CheckFailed",
    "CompiledStrategy",
    "ConfigError",
    "Context",
    "DataError",
    "EvaluationResult",
    "Execution",
    "GrandModelError",
    "Instrument",
    "Limits",
    "MarketAgent",
    "Position",
    "SeedsResult",
    "SizingConfig",
    "Slippage",
    "Strategy",
    "TrainingResult",
    "UsageError",
    "WorkingOrder",
    "backtest",
    "compare",
    "evaluate",
    "load",
    "train",
]

_HOMES = {
    "agents.base": ("CompiledStrategy", "MarketAgent"),
    "agents.strategy": ("Bar", "Context", "Position", "Strategy", "WorkingOrder"),
    "engine.api.calls": ("backtest", "compare", "evaluate", "load", "train"),
    "engine.base.errors": ("CheckFailed", "ConfigError", "DataError", "GrandModelError", "UsageError"),
    "engine.types.instruments": ("Instrument",),
    "engine.api.backtest": ("BacktestResult",),
    "engine.api.training": ("EvaluationResult", "SeedsResult", "TrainingResult"),
    "portfolio.config": ("Execution", "Limits", "SizingConfig", "Slippage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - seldom asked for

        return version("grandmodel")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'grandmodel' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, "__version__"})


if __name__ == "__main__":
    from engine.cli.main import main

    main()
