"""The keyword arguments of the Python calls: typed, put into a configuration's tree, and answered when wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from engine.base.config import Config, Tree, merge, read_yaml
from engine.base.errors import GrandModelError, UsageError
from engine.base.nearest import nearest

Moment = str | date | datetime | None
P = ParamSpec("P")
R = TypeVar("R")
Files = str | Path | Sequence[str | Path]

OTHER_NAMES = {
    "cash": "initial_capital",
    "init_cash": "initial_capital",
    "initial_cash": "initial_capital",
    "starting_cash": "initial_capital",
    "capital": "initial_capital",
    "capital_base": "initial_capital",
    "balance": "initial_capital",
    "dry_run_wallet": "initial_capital",
    "commission": "fee",
    "commissions": "fee",
    "fees": "fee",
    "strategy": "agent",
    "strategies": "agent",
    "model": "agent",
    "strategy_params": "params",
    "parameters": "params",
    "kwargs": "params",
    "freq": "timeframe",
    "interval": "timeframe",
    "bar": "timeframe",
    "from_date": "start",
    "fromdate": "start",
    "start_date": "start",
    "to_date": "end",
    "todate": "end",
    "end_date": "end",
    "timerange": "start, end",
    "tz": "timezone",
    "symbol": "instrument",
    "ticker": "instrument",
    "df": "data",
    "bars": "data",
    "dataframe": "data",
    "random_state": "seed",
    "output": "out",
    "folder": "out",
    "leverage": "limits={'max_leverage': ...}",
    "margin": "limits={'max_leverage': 1 / margin}; margin itself is a matter of the instrument's file",
    "spread": "slippage={'bps': ...} (half the spread on each side)",
    "size": "sizing={'mode': 'fixed', 'value': ...}",
    "stake_amount": "sizing={'mode': 'fixed', 'value': ...}",
    "trade_on_close": "no argument: an order fills at the open of the next bar at the earliest",
    "exclusive_orders": "context.target(...), which asks for a position",
    "sl_stop": "context.buy(..., stop_distance=...) in the strategy",
    "tp_stop": "context.buy(..., target_distance=...) in the strategy",
}
"""What other programs call an argument, and what it is called here."""


def clean(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors that explain themselves end at the call: what is below it says nothing to its user."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GrandModelError as error:
            raise error.with_traceback(None) from error.__cause__

    return called


def refuse_unknown(call: str, unknown: Iterable[str], known: Iterable[str], nested: Mapping[str, str]) -> None:
    """Name the right argument for each one that does not exist.

    Args:
        call: Name of the function, for the message.
        nested: Keys that lie inside of another argument, and how to give them.

    Raises:
        UsageError: If there is an unknown argument.
    """
    names = list(known)
    for name in unknown:
        raise UsageError(
            f"{call} takes no argument {name!r}",
            where=f"{call}(..., {name}=...)",
            expected="one of " + ", ".join(names),
            hint=_advice(name, names, nested),
        )


def _advice(name: str, known: Sequence[str], nested: Mapping[str, str]) -> str | None:
    elsewhere = {**nested, **OTHER_NAMES}
    if name in elsewhere:
        return f"use {elsewhere[name]}"
    near = nearest(name, [*known, *elsewhere], cutoff=0.6)
    return f"did you mean {elsewhere.get(near, near)}?" if near else None


def argument_names(values: Mapping[str, Any]) -> dict[str, str]:
    """The arguments of a call, by the dotted keys of the configuration that they set, where the two differ."""
    places = {"slippage": "execution.slippage", **{key: f"replay.{key}" for key in READING}}
    return {place: key for key, place in places.items() if values.get(key) is not None}


def tree_of(files: Files) -> Tree:
    """YAML files as one tree, later ones over earlier ones."""
    tree: Tree = {}
    for file in [files] if isinstance(files, str | Path) else files:
        tree = merge(tree, read_yaml(Path(file)))
    return tree


def given(values: Mapping[str, Any]) -> Tree:
    """The arguments that were given, as a tree: those that are not None, as a configuration file would hold them."""
    return {key: plain(value) for key, value in values.items() if value is not None}


def plain(value: Any) -> Any:
    """A value as a configuration file would hold it."""
    if isinstance(value, Config):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


READING = ("start", "end", "timeframe", "labels", "timezone", "strict")
"""Arguments that are keys of `replay`."""


def run_tree(values: Mapping[str, Any]) -> Tree:
    """The arguments of a call that runs agents as a configuration's tree, reading and slippage in their places."""
    outer = {key: value for key, value in values.items() if key not in (*READING, "slippage")}
    inner = {key: values.get(key) for key in READING}
    return merge(
        given(outer), given({"execution": given({"slippage": values.get("slippage")}), "replay": given(inner)})
    )


def with_settings(tree: Tree, settings: Mapping[str, Any] | None) -> Tree:
    """Put values at dotted keys: `{"execution.limit_fill": "through"}`, last of all."""
    if not settings:
        return tree
    for key, value in settings.items():
        branch: Any = plain(value)
        for part in reversed(key.split(".")):
            branch = {part: branch}
        tree = merge(tree, branch)
    return tree
