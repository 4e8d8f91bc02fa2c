"""`grandmodel data prepare`: from raw files to bars, normalised features, episodes and a card that tells all of it.

The files are read block by block, once, and twice more where contracts are joined, so that they may be larger than
memory; about 60 bytes a bar are held, for returns, features' rows and episodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from engine.app.preparation.card import Made, card_of
from engine.app.preparation.outliers import Outliers
from engine.app.preparation.pages import write_card
from engine.base.errors import UsageError
from engine.base.replacing import OutputKind, replaced_folder
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.instruments import Instrument
from engine.types.timeframe import format_timeframe, parse_timeframe
from feeds.contracts.continuous import Adjust, continuous
from feeds.contracts.rolls import Roll, find_rolls, in_order, session_sums
from feeds.export import write_bars
from feeds.quarantine import Quarantine
from feeds.replay import ReplayConfig
from feeds.summary import BarSummary
from feeds.ticks.opening import Replay, open_replay
from training.config import Split
from training.data.prepared import SEATS, FeatureRowsFile, Part, divide_rows

BLOCK_ROWS = 65_536
FILES = ("bars.parquet", "strategic.parquet", "tactical.parquet", "statistics.json", "episodes.parquet")
CARD = ("card.json", "card.md", "card.html")
FOLDER = OutputKind("prepared data", frozenset({*FILES, *CARD, "quarantine.jsonl"}))
LONGEST_NS = parse_timeframe("5min")


@dataclass(frozen=True)
class Preparation:
    """What to prepare, and how.

    Attributes:
        files: Raw files: one symbol, or the contracts of one future.
        instrument: What they are of.
        reading: How they are read.
        name: Of the series; the instrument's by default.
        roll: How contracts follow each other; None where there is but one.
        dates: Of rolls by date.
        adjust: Prices of earlier contracts.
        split: Into training, validation and test.
        length: Bars of an episode.
        licence: Of the data.
    """

    files: tuple[Path, ...]
    instrument: Instrument
    reading: ReplayConfig
    name: str | None = None
    roll: Literal["volume", "date"] | None = None
    dates: tuple[date, ...] = ()
    adjust: Adjust = "none"
    split: Split = field(default_factory=Split)
    length: int = 2000
    licence: str = "unknown"


def prepare_data(wanted: Preparation, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a folder of prepared data.

    Args:
        wanted: What to prepare.
        out: Folder to write.
        overwrite: Whether an earlier one may be replaced.

    Returns:
        The card.

    Raises:
        UsageError: If the files do not go together, or the folder is not to be replaced.
        DataError: If a file is damaged, or there are too few bars.
    """
    with replaced_folder(out, FOLDER, overwrite=overwrite) as folder:
        quarantine = Quarantine(folder / "quarantine.jsonl")
        replay = open_replay(list(wanted.files), wanted.instrument, wanted.reading, quarantine)
        _check(replay, wanted)
        name = wanted.name or wanted.instrument.name
        order, rolls = _rolls(replay, wanted)
        streamed = _Streamed(wanted, replay, name, folder)
        source = replay.blocks(BLOCK_ROWS)
        joined = continuous(source, order, rolls, wanted.adjust, name) if rolls else source
        write_bars(folder / FILES[0], streamed.watched(joined), volume="volume" in replay.column_map)
        parts = streamed.finish(folder)
        found = Made(wanted, replay, name, quarantine, streamed.summary, streamed.outliers.found(), order, rolls, parts)
        card = card_of(found, folder)
        write_card(card, folder)
    return card


class _Streamed:
    """What is made of each block of bars on its way into the file."""

    def __init__(self, wanted: Preparation, replay: Replay, name: str, folder: Path) -> None:
        self._wanted, self._name, self._folder = wanted, name, folder
        self.summary = BarSummary(wanted.instrument, replay.timeframe_ns if replay.regular else 0)
        self.outliers = Outliers()
        self._seats: dict[str, FeatureRowsFile] = {}

    def watched(self, blocks: Iterator[BarBlock]) -> Iterator[BarBlock]:
        """The same blocks; what they hold is noted."""
        for block in blocks:
            if not self._seats and len(block):
                first = int(block.ts_event[0])
                self._seats = {
                    seat: FeatureRowsFile(seat, self._wanted.instrument, block.symbols[0], first, self._raw(seat))
                    for seat in SEATS
                }
            self.summary.add(block)
            self.outliers.add(block)
            for seat in self._seats.values():
                seat.add(block)
            yield block

    def finish(self, folder: Path) -> list[Part]:
        """Write features, statistics and episodes."""
        for seat in self._seats.values():
            seat.close()
        parts = divide_rows(self.summary.rows, self._seats, self._wanted.split, self._wanted.length)
        statistics = {}
        for name, seat in self._seats.items():
            mean, deviation = seat.statistics(parts[0].stop)
            seat.normalise(mean, deviation, folder / f"{name}.parquet")
            self._raw(name).unlink()
            columns = zip(seat.names, mean.tolist(), deviation.tolist(), strict=True)
            statistics[name] = [{"feature": one, "mean": m, "deviation": d} for one, m, d in columns]
        (folder / "statistics.json").write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")
        _write_episodes(parts, self._wanted.length, folder / "episodes.parquet")
        return parts

    def _raw(self, seat: str) -> Path:
        return self._folder / f".{seat}.parquet"


def _check(replay: Replay, wanted: Preparation) -> None:
    if not replay.regular or LONGEST_NS % replay.output_timeframe_ns:
        raise UsageError(
            "the agents cannot see bars of this length",
            expected="bars whose length divides 5 minutes",
            found=format_timeframe(replay.output_timeframe_ns) if replay.regular else "bars of no fixed length",
            hint="make bars of a minute first: `grandmodel data convert`",
        )
    several = len(replay.symbols) > 1
    if several and wanted.roll is None:
        raise UsageError(
            "the files hold several symbols",
            expected="one symbol, or the contracts of one future with --roll volume or --roll date",
            found=", ".join(replay.symbols[:5]),
        )
    if wanted.roll is not None and not several:
        raise UsageError("there is nothing to roll", expected="files of two contracts or more", found=replay.symbols[0])


def _rolls(replay: Replay, wanted: Preparation) -> tuple[tuple[str, ...], list[Roll]]:
    if wanted.roll is None:
        return replay.symbols, []
    order = in_order(replay.blocks(BLOCK_ROWS))
    first = next(iter(replay.blocks(1)))
    sessions = sessions_for([wanted.instrument], int(first.ts_event[0]))
    return order, find_rolls(session_sums(replay.blocks(BLOCK_ROWS), order, sessions), order, wanted.roll, wanted.dates)


def _write_episodes(parts: Sequence[Part], length: int, path: Path) -> None:
    """Which rows of `bars.parquet` each episode begins at and ends with."""
    rows = np.concatenate([part.starts for part in parts])
    names = [part.name for part in parts for _ in part.starts]
    pl.DataFrame({"part": names, "first_row": rows, "last_row": rows + length}).write_parquet(path)
