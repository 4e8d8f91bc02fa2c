"""Files of bars, trades, quotes or order books as one kind of source: which of them they are is found out here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from engine.base.errors import UsageError
from feeds.quarantine import Quarantine
from feeds.reading.files.bar_file import BarFile
from feeds.replay import HistoricalReplay, Instruments, ReplayConfig, opened_file
from feeds.ticks.columns import holds_ticks, require_ticks

if TYPE_CHECKING:
    from feeds.books.replay import BookReplay
    from feeds.ticks.replay import TickReplay

Replay: TypeAlias = "HistoricalReplay | TickReplay | BookReplay"


def open_replay(
    files: Path | str | BarFile | Sequence[Path | str | BarFile],
    instruments: Instruments,
    config: ReplayConfig | None = None,
    quarantine: Quarantine | None = None,
    symbol: str | None = None,
    order: Sequence[str] = (),
) -> Replay:
    """Open files or frames: bars as they are, trades, quotes and books as the bars that are asked for.

    Arguments and errors are those of `HistoricalReplay`, `TickReplay` and `BookReplay`.

    Raises:
        UsageError: If some hold bars and others ticks, or bars are to be made of bars.
    """
    config = config or ReplayConfig()
    given = files if isinstance(files, Sequence) and not isinstance(files, str) else [files]
    how = config.importing
    opened = [opened_file(file, how) for file in given]
    if any(file.holds_book for file in opened):
        from feeds.books.replay import BookReplay  # noqa: PLC0415 - most runs read no book, and should not wait for it

        return BookReplay(opened, instruments, config, quarantine, symbol, order)
    kinds = {holds_ticks(file, how): file for file in opened}
    if config.bars is not None:
        for file in opened:
            require_ticks(file, how)
    if len(kinds) > 1:
        raise UsageError(
            "some files hold bars and others trades or quotes",
            where=f"{kinds[False].source} and {kinds[True].source}",
            expected="one kind in a run",
            hint="make bars of the ticks first: grandmodel data convert FILE --bars time:1min --out bars.parquet",
        )
    if True in kinds:
        from feeds.ticks.replay import TickReplay  # noqa: PLC0415 - likewise

        return TickReplay(opened, instruments, config, quarantine, symbol, order)
    return HistoricalReplay(opened, instruments, config, quarantine, symbol, order)
