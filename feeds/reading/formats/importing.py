"""What the user says about the form of files: a named format, the names of columns, or both left to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.base.errors import UsageError
from feeds.reading.columns.names import VALUE_NAMES, normalise
from feeds.reading.formats.table import named

TIMES = ("timestamp", "date", "time", "open_time", "close_time")
ROLES = (*TIMES, *VALUE_NAMES, "symbol")
TICK_ROLES = ("price", "size", "side", "is_buyer_maker", "bid", "ask")
"""What a column of bars, and one of trades and quotes, can be called on the left of `close=Settle`."""


@dataclass(frozen=True)
class Importing:
    """How files are to be understood, as the user says.

    Attributes:
        format: Name of a declared format or of a vendor; None leaves it to be found.
        columns: Names of all columns in order, in place of those of the file; or `close=Settle`, one of ours and the
            file's name for it. Empty leaves them to be found.
        adjusted: Take adjusted prices where the file has them.
    """

    format: str | None = None
    columns: tuple[str, ...] = ()
    adjusted: bool = False

    def __post_init__(self) -> None:
        """Check what needs no file.

        Raises:
            UsageError: If there is no such format, or the columns cannot be meant.
        """
        if self.format is not None:
            named(self.format)
        pairs = [text for text in self.columns if "=" in text]
        if pairs and len(pairs) < len(self.columns):
            raise UsageError(
                "--columns either names all columns in order or says which is which",
                expected="date,time,open,high,low,close,volume or close=Settle,volume=Vol",
                found=",".join(self.columns),
            )
        if self.format is not None and self.columns and not pairs:
            raise UsageError(
                "a format already names the columns",
                expected="either --format or all names in --columns",
                found=f"--format {self.format} and --columns {','.join(self.columns)}",
            )
        for text in pairs:
            role = text.partition("=")[0].strip()
            if role not in {*ROLES, *TICK_ROLES}:
                known = ", ".join((*ROLES, *TICK_ROLES))
                raise UsageError("unknown column in --columns", expected=f"one of {known}", found=text)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names of all columns in order; empty if the user names none or single ones."""
        return () if any("=" in text for text in self.columns) else self.columns

    @cached_property
    def pairs(self) -> Mapping[str, str]:
        """Our names of single columns to the file's."""
        found = (text.partition("=") for text in self.columns if "=" in text)
        return {role.strip(): name.strip() for role, _, name in found}

    def roles(self, names: Sequence[str], where: str) -> dict[str, int]:
        """Positions of the columns that the user says.

        Raises:
            UsageError: If the file has no column of that name.
        """
        plain = [normalise(name) for name in names]
        found = {}
        for role, name in self.pairs.items():
            if name not in names and normalise(name) not in plain:
                raise UsageError(
                    f"the file has no column {name!r}",
                    where=where,
                    expected="one of " + ", ".join(repr(one) for one in names),
                    found=f"--columns {role}={name}",
                )
            found[role] = names.index(name) if name in names else plain.index(normalise(name))
        return found


AS_FOUND = Importing()
