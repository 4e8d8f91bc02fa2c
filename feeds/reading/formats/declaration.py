"""What a declared format of market data says about its files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from feeds.reading.columns.names import Labels

Holds = Literal["bars", "trades", "quotes", "book"]
TimeOfDay = Literal["", "ms", "s"]
Volumes = Literal["any", "zero", "some"]
Prices = Literal["any", "whole", "point"]

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
INTEGER = r"[-+]?\d+"
EPOCH_S = r"\d{9,10}(?:\.\d+)?"
EPOCH_MS = r"\d{13}(?:\.\d+)?|\d{16}"  # milliseconds, and microseconds since exports changed to them
OF_DAY_MS = r"\d{1,8}"
OF_DAY_S = r"\d{1,5}(?:\.\d+)?"
YMD = r"(?:19|20)\d{6}"
FORMS = {
    "timestamp": r"\S.*",
    "symbol": r"[^\s\d].*",
    "side": r"\S+",
    "trades": INTEGER,
}
"""What a cell of a column looks like where its format does not say; other columns hold numbers."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    r"""One form in which somebody writes files. It is data: nothing is read differently for one vendor.

    Attributes:
        name: What `--format` calls it.
        family: A shorter name that stands for all formats of a vendor; the one of them that fits the file is taken.
        title: Vendor and kind, for messages.
        holds: What a row is: a bar, a trade, a quote (the best bid and ask), or an event or state of an order book.
        columns: Our names of its columns in order. Bars: timestamp (or date and time), open, high, low, close, volume,
            symbol. Trades: timestamp, price, size, side, id. Quotes: timestamp, bid, ask, bid_size, ask_size. Books:
            those and action, order_id, depth, flags. Columns that nothing reads have the vendor's name.
        header: What the file calls the same columns, in the same order; empty if it has no line of names. The file may
            have more columns and another order.
        delimiter: Between the cells of a file without a header; empty if any will do.
        optional: How many of the last columns may be missing.
        repeats: Whether its columns come again and again, once for each level of a book.
        forms: What cells look like, as regular expressions by our name, where that is not a number.
        time: Whether `timestamp` counts milliseconds or seconds from midnight of the day that the file's name tells.
        zone: IANA name of the zone of times without an offset; empty if the vendor leaves it to the user.
        date_order: Whether 01/02/2024 is in January or in February, where the vendor always writes one of them.
        labels: Whether bars are labelled by their open or close; None if the vendor does not say.
        divisor: What prices are divided by.
        divides: Always, or only if every price of the head is a whole number.
        file_name: Regular expression for the file's name, with the groups `symbol` and `date` where it tells them.
        volumes: Whether the volume of the head must be all zero or must not be.
        prices: Whether prices of the head must all be whole numbers, or some must have a decimal point.
        automatic: Whether it may be recognised without `--format`.
        by_name: Whether only a file whose name fits `file_name` may be recognised so.
    """

    name: str
    family: str
    title: str
    holds: Holds
    columns: tuple[str, ...]
    header: tuple[str, ...] = ()
    delimiter: str = ""
    optional: int = 0
    repeats: bool = False
    forms: dict[str, str] = field(default_factory=dict)
    time: TimeOfDay = ""
    zone: str = ""
    date_order: Literal["auto", "day_first", "month_first"] = "auto"
    labels: Labels | None = None
    divisor: float = 1.0
    divides: Literal["always", "whole"] = "always"
    file_name: str = ""
    volumes: Volumes = "any"
    prices: Prices = "any"
    automatic: bool = True
    by_name: bool = False

    def form(self, column: str) -> str:
        """Regular expression for the cells of a column."""
        return self.forms.get(column) or FORMS.get(column, NUMBER)

    def name_match(self, stem: str) -> re.Match[str] | None:
        """How a file's name (without suffix) fits, if this format says what names look like."""
        return re.match(self.file_name, stem) if self.file_name else None

    @property
    def described(self) -> str:
        """Its columns as `--columns` would name them."""
        return ",".join(self.columns)
