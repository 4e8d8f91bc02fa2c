"""From a specification on the command line to the agent: `sma_cross:fast=10,slow=30`, `path/to/file.py:Class`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from agents.base import CompiledStrategy, MarketAgent
from agents.grid import refuse_range, split_parameters, split_spec, unknown_parameter
from agents.rules import BuyAndHold, Flat, Random, SmaCross
from agents.strategy import Strategy
from engine.base.errors import GrandModelError, UsageError
from engine.base.nearest import did_you_mean, nearest_path
from engine.base.quoting import quoted, shortened
from engine.base.yaml_text import read_yaml_text
from engine.types.contracts import Agent

RULES: dict[str, type[MarketAgent]] = {
    "flat": Flat,
    "buy_and_hold": BuyAndHold,
    "sma_cross": SmaCross,
    "random": Random,
}


def make_agent(spec: str, seed: int | None = None) -> Agent:
    """Build an agent from its specification.

    Args:
        spec: `NAME[:key=value,...]` for a rule agent, or `FILE.py:CLASS[:key=value,...]`.
        seed: For agents that take a `seed` and are given none in their specification.

    Raises:
        UsageError: If the name, the file, the class or a parameter is not known.
    """
    refuse_range(spec)
    parameters = {
        key: read_yaml_text(value, f"agent {shortened(spec)}, parameter {shortened(key)}")
        for key, value in split_parameters(spec, split_spec(spec)[1])
    }
    return construct(spec, factory_of(spec), parameters, seed)


def check_exists(spec: str) -> None:
    """Refuse an agent whose name or file is not there, before anything is read, compiled or run.

    Raises:
        UsageError: If the name or the file is not known, naming the nearest.
    """
    head = split_spec(spec)[0].partition(":")[0]
    if head.endswith(".py"):
        _check_file(Path(head))
    elif head != "ensemble":
        _rule(head)


def factory_of(spec: str) -> type[Any]:
    """The class of a specification.

    Raises:
        UsageError: If the name, the file or the class is not known.
    """
    head, _, tail = spec.partition(":")
    return _load_class(Path(head), tail.partition(":")[0]) if head.endswith(".py") else _rule(head)


def check_parameters(spec: str, factory: type[Any], names: Iterable[str]) -> None:
    """Refuse a parameter that a class does not take.

    Raises:
        UsageError: If there is one, naming the nearest that it takes.
    """
    signature = inspect.signature(factory).parameters.values()
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in signature):
        return
    known = [parameter.name for parameter in signature if parameter.kind != parameter.VAR_POSITIONAL]
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise unknown_parameter(spec, unknown, known)


def _check_kinds(spec: str, factory: type[Any], parameters: Mapping[str, Any]) -> None:
    """Refuse a text where a class takes a number, and a fraction where it says that it takes whole ones.

    Raises:
        UsageError: If there is one.
    """
    known = inspect.signature(factory).parameters
    for name, value in parameters.items():
        if name not in known or value is None:
            continue
        default, wanted = known[name].default, known[name].annotation
        plain = wanted in (int, float, "int", "float", inspect.Parameter.empty)
        number = plain and isinstance(default, int | float) and not isinstance(default, bool)
        if number and not isinstance(value, int | float):
            expected = f"a number, for example {name}={default}"
        elif wanted in (int, "int") and isinstance(value, float) and not value.is_integer():
            expected = "a whole number"
        else:
            continue
        raise UsageError(
            f"agent {shortened(spec)}: the parameter {quoted(name)} does not fit", expected=expected, found=str(value)
        )


def make_market_agent(spec: str) -> MarketAgent:
    """Build an agent that depends only on the market, for a seat of the ensemble.

    Raises:
        UsageError: If the specification is wrong, or names another kind of agent.
    """
    agent = make_agent(spec)
    if not isinstance(agent, MarketAgent):
        raise UsageError(
            f"agent {shortened(spec)} cannot take a seat of the ensemble",
            expected="one that depends only on the market: a rule agent, or a subclass of agents.base.MarketAgent",
        )
    return agent


def _rule(name: str) -> type[Any]:
    if name in RULES:
        return RULES[name]
    raise UsageError(
        f"no agent is called {quoted(name)}",
        expected=f"one of {', '.join(RULES)}, ensemble, or path/to/file.py:ClassName",
        hint=did_you_mean(name, [*RULES, "ensemble"]),
    )


def construct(spec: str, factory: type[Any], parameters: dict[str, Any], seed: int | None = None) -> Agent:
    """Build an agent from its class.

    Args:
        spec: How it is called in messages.
        seed: For a class that takes a `seed` and is given none.

    Raises:
        UsageError: If a parameter is not known, or the class refuses.
    """
    check_parameters(spec, factory, parameters)
    _check_kinds(spec, factory, parameters)
    if seed is not None and "seed" in inspect.signature(factory).parameters:
        parameters = {"seed": seed, **parameters}
    try:
        agent: Agent = factory(**parameters)
    except GrandModelError:
        raise
    except Exception as error:  # a user's class may raise anything
        raise UsageError(
            f"agent {shortened(spec)} cannot be built: {type(error).__name__}: {shortened(str(error), 400)}"
        ) from error
    return agent


def _load_class(path: Path, class_name: str) -> type[Any]:
    module = _load_module(path)
    bases = (MarketAgent, CompiledStrategy, Strategy)
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, bases) and value not in bases
    }
    if class_name in found:
        return found[class_name]
    raise UsageError(
        f"{path} has no strategy class {class_name!r}" if class_name else f"{path}: which class?",
        expected=f"{path}:ClassName, a subclass of Strategy, CompiledStrategy or MarketAgent (docs/strategies.md)",
        found=", ".join(found) or "no such class in the file",
        hint=did_you_mean(class_name, found) if class_name else None,
    )


class _SourceLoader(SourceFileLoader):
    """Executes the file itself, whose hash runs record, never the bytecode that may lie beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            "the strategy file does not exist",
            where=str(path),
            hint=nearest_path(path, lambda entry: entry.suffix == ".py"),
        )


def _load_module(path: Path) -> ModuleType:
    _check_file(path)
    name = f"strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise UsageError("the strategy file is not a Python module", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its classes can be found by name, as Numba's cache does
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"the strategy file fails to import: {type(error).__name__}: {error}", where=str(path)
        ) from error
    return module
