"""The trial ledger: one append-only file for each data set, with everything that was ever tried on it.

A line is a JSON object. Lines are appended under a lock, so that several processes may write; one that was cut off
because its process was killed is reported and skipped. Nothing is ever removed.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from engine.base.errors import DataError, UsageError

Kind = Literal["variant", "trial", "fold", "seed", "backtest"]
Status = Literal["finished", "pruned", "failed"]
ENVIRONMENT = "GRANDMODEL_TRIALS"
"""Variable that names the folder of the ledgers, in place of `runs/trials`."""
KEPT = ("total_return", "sharpe", "max_drawdown", "trades", "returns", "skew", "kurtosis", "periods_per_year")
"""Metrics that a trial keeps of a backtest."""
_NAME = re.compile(r"[0-9a-f]{64}\.jsonl")


@dataclass(frozen=True, slots=True)
class BlockSums:
    """Sums over 16 consecutive blocks of the periods; enough for cross-validation.

    Attributes:
        n: Returns in each block.
        total: Sums of returns.
        square: Sums of squared returns.
    """

    n: tuple[int, ...]
    total: tuple[float, ...]
    square: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was tried.

    Attributes:
        kind: variant (of a comparison or a sweep), trial (of a tuning), fold, seed (a training) or backtest.
        name: Specification of the agent, or number of the trial.
        command: That tried it.
        status: finished, pruned or failed.
        config_sha256: Hash of its configuration.
        result_sha256: Hash of its result: of a ledger, or of weights. Trials with the same result are one trial.
        metrics: By name; those of KEPT where there are.
        blocks: Sums over the blocks of its returns; None if it has none.
        error: Why it failed.
        detail: What else the command wants to keep.
        at: When, as the command says.
    """

    kind: Kind
    name: str
    command: str
    status: Status = "finished"
    config_sha256: str | None = None
    result_sha256: str | None = None
    metrics: Mapping[str, float | int | None] = field(default_factory=dict)
    blocks: BlockSums | None = None
    error: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: str | None = None

    @property
    def identity(self) -> str:
        """The same for trials that are one: the same result, or the same configuration where there is no result."""
        return self.result_sha256 or self.config_sha256 or f"{self.kind} {self.name}"


_FIELDS = frozenset(one.name for one in fields(Trial))


@dataclass(frozen=True, slots=True)
class LedgerContents:
    """What a ledger holds.

    Attributes:
        about: The data set, as the first command that used it said.
        trials: In the order in which they were written.
        damaged: Numbers of lines that cannot be read.
    """

    about: Mapping[str, Any]
    trials: Sequence[Trial]
    damaged: Sequence[int]

    def distinct(self) -> list[Trial]:
        """Every trial once; where it was repeated, the latest."""
        return list({trial.identity: trial for trial in self.trials}.values())


@dataclass(frozen=True, slots=True)
class Recording:
    """Who records trials, and where.

    Attributes:
        command: Name of the command.
        at: The time, as the command says.
        folder: Holds the ledgers; None for `trials_folder()`.
    """

    command: str
    at: str | None = None
    folder: Path | None = None


def trials_folder() -> Path:
    """Where ledgers lie, unless a caller says otherwise."""
    return Path(os.environ.get(ENVIRONMENT) or Path("runs") / "trials")


class TrialLedger:
    """The ledger of one data set.

    Args:
        data_sha256: Hash of the data, 64 hexadecimal digits; see `engine.app.trials.data`.
        folder: Holds the ledgers; by default `trials_folder()`.
    """

    def __init__(self, data_sha256: str, folder: Path | None = None) -> None:
        self.data_sha256 = data_sha256
        self.path = (folder or trials_folder()) / f"{data_sha256}.jsonl"

    def append(self, trials: Iterable[Trial], about: Mapping[str, Any] | None = None) -> None:
        """Write trials behind those that are there; all of them, or after a kill a first part.

        Args:
            about: Describes the data set for people, written once: symbols, rows, files.

        Raises:
            UsageError: If the file cannot be written.
        """
        text = "".join(_line(asdict(trial)) for trial in trials)
        if not text:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # released with the file
                size = file.seek(0, os.SEEK_END)
                if not size:
                    text = _line({"kind": "data", "sha256": self.data_sha256, **(about or {})}) + text
                elif file.seek(size - 1) and file.read(1) != b"\n":
                    text = "\n" + text  # after a line that was cut off
                file.write(text.encode())
        except OSError as error:
            raise UsageError(
                f"cannot write the trial ledger: {error.strerror}",
                where=str(self.path),
                hint=f"{ENVIRONMENT} names another folder",
            ) from error

    def read(self) -> LedgerContents:
        """All that was ever tried; nothing if there is no ledger yet.

        Raises:
            DataError: If the file cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise DataError(f"cannot read the trial ledger: {error.strerror}", where=str(self.path)) from error
        about: dict[str, Any] = {}
        trials, damaged = [], []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                tree = json.loads(line)
                if tree["kind"] == "data":
                    about = tree
                else:
                    trials.append(_trial(tree))
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged.append(number)
        return LedgerContents(about, trials, damaged)


def ledgers(folder: Path | None = None) -> list[TrialLedger]:
    """All ledgers of a folder, ordered by the hash of their data."""
    place = folder or trials_folder()
    names = sorted(path.name for path in place.iterdir() if _NAME.fullmatch(path.name)) if place.is_dir() else []
    return [TrialLedger(name.removesuffix(".jsonl"), place) for name in names]


def _line(tree: Mapping[str, Any]) -> str:
    return json.dumps(_finite(tree), separators=(",", ":"), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same with null in place of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _trial(tree: Mapping[str, Any]) -> Trial:
    known = {key: value for key, value in tree.items() if key in _FIELDS}
    if (sums := known.get("blocks")) is not None:
        known["blocks"] = BlockSums(tuple(sums["n"]), tuple(sums["total"]), tuple(sums["square"]))
    return Trial(**known)
