"""Steps of a real simulator over random bars, in blocks of any size."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from engine.journal.digests import SEALED
from engine.journal.files import FILE
from engine.types.step import StepBlock
from tests.engine.runs import random_bars, random_targets, steps


def steps_of(rows: int, symbols: int = 1, sizes: Sequence[int] = (1,), seed: int = 0) -> list[StepBlock]:
    bars = random_bars(rows, symbols, seed=seed, absent=0.1)
    return steps(bars, random_targets(rows, symbols, seed=seed, change=0.5), sizes)


def make_old(folder: Path) -> None:
    """Make of a journal what the version before would have written: the same rows without digests."""
    db = sqlite3.connect(folder / FILE)
    for table in SEALED:
        db.execute(f"ALTER TABLE {table} DROP COLUMN digest")
    db.execute("DROP TABLE seal")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
