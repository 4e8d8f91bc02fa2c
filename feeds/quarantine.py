"""Where bad rows go: counted, kept with what was expected and found, and never silently dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.base.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that could not be used.

    Attributes:
        source: File it came from.
        line: Number of the line in a text file, counted from 1 and including the header; of the row, from 1, elsewhere.
        reason: What is wrong, from a short fixed list.
        expected: What would have been right.
        found: What was there instead.
        raw: The row as it stands in the file.
    """

    source: str
    line: int
    reason: str
    expected: str
    found: str
    raw: str


@dataclass(frozen=True, slots=True)
class SessionGap:
    """Bars missing within a session, noted at the first bar after them; times in nanoseconds UTC."""

    source: str
    line: int
    symbol: str
    after_ns: int
    before_ns: int
    missing: int


class Quarantine:
    """Collects bad rows and gaps; a second reading of the same rows adds nothing.

    Args:
        path: JSON Lines file, one record a bad row; created (or replaced) when the first record comes. None
            counts only.
        strict: Stop at the first bad row instead of keeping it.

    Attributes:
        counts: Bad rows by reason.
        first: The first record of each reason.
        gaps: Gaps within sessions; bars on both sides are fine and none is invented.
        missing: Bars missing in all those gaps together.
        first_gap: The first of them.
    """

    def __init__(self, path: Path | None = None, strict: bool = False) -> None:
        self.path = path
        self.strict = strict
        self.counts: dict[str, int] = {}
        self.first: dict[str, BadRow] = {}
        self.gaps = 0
        self.missing = 0
        self.first_gap: SessionGap | None = None
        self._started = False
        self._seen: dict[str, int] = {}

    @property
    def total(self) -> int:
        """Number of bad rows."""
        return sum(self.counts.values())

    def explain(self) -> str:
        """How many rows are bad for which reason, with the first of each, for an error."""
        found = [
            f"{count:,} rows: {reason} (the first, line {row.line}: expected {row.expected}, found {row.found})"
            for reason, count in sorted(self.counts.items())
            for row in [self.first[reason]]
        ]
        return "; ".join(found) or "no bad rows"

    def admit(self, reading: str, through: int, bad: Sequence[BadRow], gaps: Sequence[SessionGap] = ()) -> None:
        """Take what one batch of rows brought.

        Args:
            reading: Which file and which part of it is being read; batches of one reading come in file order.
            through: Last line or row number of the batch. Up to here a later pass over the same reading is
                known already.

        Raises:
            DataError: In strict mode, for the first bad row.
            UsageError: If the file cannot be written.
        """
        if self.strict and bad:
            raise strict_error(bad[0])
        mark = self._seen.get(reading, 0)
        self._seen[reading] = max(mark, through)
        self._keep([row for row in bad if row.line > mark])
        for gap in gaps:
            if gap.line > mark:
                self.gaps += 1
                self.missing += gap.missing
                self.first_gap = self.first_gap or gap

    def admit_counted(self, reading: str, through: int, row: BadRow, count: int) -> None:
        """Take many rows with the same fault at once, of which one is kept.

        Args:
            reading: Which file and which part of it is being read.
            through: Last row number of the batch.
            row: Where they are and what is wrong with them.
            count: How many they are; 0 only notes how far the reading came.

        Raises:
            DataError: In strict mode.
            UsageError: If the file cannot be written.
        """
        if count and self.strict:
            raise strict_error(row)
        key = f"{reading} {row.reason}"
        mark = self._seen.get(key, 0)
        self._seen[key] = max(mark, through)
        if count and through > mark:
            self._keep([row])
            self.counts[row.reason] += count - 1

    def _keep(self, rows: Sequence[BadRow]) -> None:
        for row in rows:
            self.counts[row.reason] = self.counts.get(row.reason, 0) + 1
            self.first.setdefault(row.reason, row)
        if self.path is None or not rows:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a" if self._started else "w", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        except OSError as error:
            raise UsageError(
                f"cannot write the quarantine file: {error.strerror or error}",
                where=str(self.path),
                hint="name a file in a folder that can be written to",
            ) from error
        self._started = True


def strict_error(row: BadRow) -> DataError:
    """The error that a bad row becomes in strict mode."""
    return DataError(
        f"bad row: {row.reason}",
        where=f"{row.source}, line {row.line}: {row.raw}",
        expected=row.expected,
        found=row.found,
        hint="correct the line, or read without strict mode to quarantine such lines",
    )
