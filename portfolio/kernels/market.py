"""What orders meet: the exchangeable parts of the simulator, chosen by the type of the rows when it is compiled.

A fill model is a type of rows (`Bars`, `BookRows`) and three functions for them. The simulator's row calls those and
knows nothing of either; a model that is not used costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from engine.types.records import Bars, BookRows
from portfolio.kernels.book import Book
from portfolio.kernels.depth import any_taken, meet_book, pass_book
from portfolio.kernels.fills import meet_bar


def meet_market(book: Book, bars: Any, i: int, symbol: int) -> None:
    """Let every working order of a symbol meet what row i holds of it. Compiled only."""
    raise NotImplementedError


def pass_market(bars: Any, i: int) -> None:
    """A row in which no order works. Compiled only."""
    raise NotImplementedError


def holds_taken(bars: Any) -> bool:
    """Whether rows without orders change anything that later fills depend on. Compiled only."""
    raise NotImplementedError


def _meet_bar(book: Book, bars: Bars, i: int, symbol: int) -> None:
    ts = bars.ts_event[i]
    meet_bar(book, ts, symbol, bars.open[i, symbol], bars.high[i, symbol], bars.low[i, symbol], bars.volume[i, symbol])


def _meet_book(book: Book, bars: BookRows, i: int, symbol: int) -> None:
    meet_book(book, bars, i, symbol)


def _pass_bar(bars: Bars, i: int) -> None:
    pass


def _pass_book(bars: BookRows, i: int) -> None:
    pass_book(bars, i)


def _nothing_taken(bars: Bars) -> bool:
    return False


def _any_taken(bars: BookRows) -> bool:
    return any_taken(bars.taken)


# `strict=False`: the annotations of the parts differ from those of what is overloaded
MEETING: dict[type, Callable[..., None]] = {Bars: _meet_bar, BookRows: _meet_book}
PASSING: dict[type, Callable[..., None]] = {Bars: _pass_bar, BookRows: _pass_book}
TAKING: dict[type, Callable[..., bool]] = {Bars: _nothing_taken, BookRows: _any_taken}


@overload(meet_market, strict=False)
def _meeting(book: Any, bars: Any, i: Any, symbol: Any) -> Any:
    return MEETING[bars.instance_class]


@overload(pass_market, strict=False)
def _passing(bars: Any, i: Any) -> Any:
    return PASSING[bars.instance_class]


@overload(holds_taken, strict=False)
def _taking(bars: Any) -> Any:
    return TAKING[bars.instance_class]
