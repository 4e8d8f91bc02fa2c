"""Finding finished runs: what lies in a folder, one row a run."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.base.errors import UsageError
from engine.base.files import read_json
from engine.base.nearest import did_you_mean, nearest_path

DEPTH = 4
LATEST = "latest"
"""Names, as the last part of a path, the run that ended last."""
COMPARISON = "comparison"
SHOWN = ("total_return", "sharpe", "max_drawdown", "mean_leverage", "trades", "fills", "final_equity")
NAMES = {
    "return": "total_return",
    "drawdown": "max_drawdown",
    "leverage": "mean_leverage",
    "equity": "final_equity",
}
"""Short names of metrics."""
TEXT_FIELDS = ("folder", "kind", "agent", "symbols", "ended", "start", "end")
_CONDITION = re.compile(r"^([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.+)$")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A finished run, or a comparison.

    Attributes:
        folder: Where it lies.
        kind: `backtest`, `paper`, `comparison` and so on.
        agent: Its specification; of a comparison, the winner's.
        symbols: What was traded.
        ended: When it was written, UTC.
        ledger_sha256: Hash of the ledger; None for a comparison.
        metrics: By name; of a comparison, the winner's on all bars.
    """

    folder: Path
    kind: str
    agent: str
    symbols: tuple[str, ...]
    ended: datetime
    ledger_sha256: str | None
    metrics: dict[str, Any]

    def value(self, name: str) -> Any:
        """A word or a metric by its name, full or short."""
        words = {
            "folder": str(self.folder),
            "kind": self.kind,
            "agent": self.agent,
            "symbols": ", ".join(self.symbols),
            "ended": self.ended.isoformat(timespec="seconds"),
        }
        return words[name] if name in words else self.metrics.get(NAMES.get(name, name))

    def tree(self) -> dict[str, Any]:
        """As JSON holds it."""
        words = {name: self.value(name) for name in TEXT_FIELDS} | {"symbols": list(self.symbols)}
        return {**words, "ledger_sha256": self.ledger_sha256, "metrics": self.metrics}


def find_runs(folder: Path) -> list[FoundRun]:
    """The runs in a folder and the folders within it, the latest first.

    A comparison is one row; its variants are listed where its own folder is given. Folders of runs that did not end,
    and files that cannot be read, are passed over.

    Raises:
        UsageError: If the folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(
            "no such folder of runs",
            where=str(folder),
            expected="a folder in which runs lie; `runs` by default",
            hint=nearest_path(folder, Path.is_dir) or "grandmodel backtest writes there, unless --out says otherwise",
        )
    found = [run for path in _candidates(folder, DEPTH) if (run := _read(path)) is not None]
    return sorted(found, key=lambda run: (run.ended, str(run.folder)), reverse=True)


def resolved(folder: Path) -> Path:
    """The folder itself; of `runs/latest`, unless there is one so named, the run in `runs` that ended last.

    Comparisons are passed over.

    Raises:
        UsageError: If there is no run to choose from.
    """
    if folder.name != LATEST or folder.exists() or not folder.parent.is_dir():
        return folder
    found = next((run for run in find_runs(folder.parent) if run.kind != COMPARISON), None)
    if found is None:
        raise UsageError(
            "no run has ended here",
            where=str(folder.parent),
            expected=f"a finished run, which {LATEST!r} would name",
            hint="grandmodel backtest writes into `runs`, unless --out says otherwise",
        )
    return found.folder


def _candidates(folder: Path, depth: int, top: bool = True) -> Iterator[Path]:
    names = {entry.name: entry for entry in os.scandir(folder)}
    if "manifest.json" in names or ("comparison.json" in names and not top):
        yield folder
        return
    if depth == 0:
        return
    for name in sorted(names):
        if names[name].is_dir(follow_symlinks=False) and not name.startswith("."):
            try:
                yield from _candidates(folder / name, depth - 1, top=False)
            except PermissionError:
                continue


def _read(folder: Path) -> FoundRun | None:
    try:
        if (folder / "manifest.json").is_file():
            return _run(folder)
        return _comparison(folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _ended(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _run(folder: Path) -> FoundRun:
    manifest = read_json(folder / "manifest.json")
    metrics = read_json(folder / "metrics.json")
    agent = manifest.get("agent") or manifest["config"].get("agent", "")
    return FoundRun(
        folder,
        str(manifest.get("kind", "run")),
        str(agent),
        tuple(map(str, manifest.get("symbols", ()))),
        _ended(folder / "manifest.json"),
        str(manifest["ledger_sha256"]),
        dict(metrics),
    )


def _comparison(folder: Path) -> FoundRun:
    tree = read_json(folder / "comparison.json")
    winner = tree["selection"]["winner"]
    best = {} if winner is None else tree["variants"][winner]["parts"]["all"]
    shown = "" if winner is None else f": best {tree['variants'][winner]['variant']}"
    return FoundRun(
        folder,
        COMPARISON,
        f"{len(tree['variants'])} variants{shown}",
        tuple(tree["symbols"]),
        _ended(folder / "comparison.json"),
        None,
        dict(best),
    )


def matching(runs: Sequence[FoundRun], conditions: Sequence[str]) -> list[FoundRun]:
    """The runs that meet every condition: `sharpe>1`, `kind=backtest`, or a word found in folder, agent or symbols.

    Raises:
        UsageError: If a condition compares a metric that no run has, or with what is no number.
    """
    left = list(runs)
    for condition in conditions:
        parsed = _CONDITION.match(condition)
        if parsed is None:
            word = condition.lower()
            left = [run for run in left if any(word in str(run.value(name)).lower() for name in TEXT_FIELDS[:4])]
            continue
        name, sign, text = parsed.groups()
        check_name(runs, name)
        wanted: Any = text if name in TEXT_FIELDS else _number(condition, text)
        left = [run for run in left if (value := run.value(name)) is not None and _OPERATORS[sign](value, wanted)]
    return left


def _number(condition: str, text: str) -> float:
    try:
        return float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise UsageError("cannot read a filter", where=condition, expected="a number, as in sharpe>1") from None


def check_name(runs: Sequence[FoundRun], name: str) -> None:
    """Refuse a column that no run has.

    Raises:
        UsageError: Naming the nearest.
    """
    known = dict.fromkeys([*TEXT_FIELDS, *NAMES, *(key for run in runs for key in run.metrics)])
    if not runs or name in known:
        return
    raise UsageError(
        f"runs have no {name!r}",
        expected=", ".join([*TEXT_FIELDS[:5], *NAMES, "sharpe", "trades"]) + ", or another metric of metrics.json",
        hint=did_you_mean(name, known),
    )


def ordered(runs: Sequence[FoundRun], key: str | None) -> list[FoundRun]:
    """Runs by a column, numbers and times largest first, words A first; those without a value last.

    Raises:
        UsageError: If no run has it.
    """
    if key is None:
        return list(runs)
    check_name(runs, key)
    known = [run for run in runs if run.value(key) is not None]
    words = key in TEXT_FIELDS and key not in {"ended", "start", "end"}
    return sorted(known, key=lambda run: run.value(key), reverse=not words) + [
        run for run in runs if run.value(key) is None
    ]
