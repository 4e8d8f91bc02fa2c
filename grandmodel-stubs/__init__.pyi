# What type checkers see of grandmodel.py: a single module cannot carry the marker py.typed.

from agents.base import CompiledStrategy as CompiledStrategy
from agents.base import MarketAgent as MarketAgent
from agents.strategy import Bar as Bar
from agents.strategy import Context as Context
from agents.strategy import Position as Position
from agents.strategy import Strategy as Strategy
from agents.strategy import WorkingOrder as WorkingOrder
from engine.api.backtest import BacktestResult as BacktestResult
from engine.api.calls import backtest as backtest
from engine.api.calls import compare as compare
from engine.api.calls import evaluate as evaluate
from engine.api.calls import load as load
from engine.api.calls import train as train
from engine.api.training import EvaluationResult as EvaluationResult
from engine.api.training import SeedsResult as SeedsResult
from engine.api.training import TrainingResult as TrainingResult
from engine.base.errors import CheckFailed as CheckFailed
from engine.base.errors import ConfigError as ConfigError
from engine.base.errors import DataError as DataError
from engine.base.errors import GrandModelError as GrandModelError
from engine.base.errors import UsageError as UsageError
from engine.types.instruments import Instrument as Instrument
from portfolio.config import Execution as Execution
from portfolio.config import Limits as Limits
from portfolio.config import SizingConfig as SizingConfig
from portfolio.config import Slippage as Slippage

__version__: str
