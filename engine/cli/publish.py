"""`grandmodel publish`: plays history into a live feed, to try out and test live sessions."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from engine.base.errors import GrandModelError, UsageError
from engine.cli import options
from engine.cli.flags import given, instruments, option_names

if TYPE_CHECKING:
    from rich.status import Status

    from engine.app.preparing import Prepared
    from feeds.live.address import FeedAddress
    from feeds.live.announcements import Announcement
    from feeds.live.outlet import Outlet
    from feeds.live.publishing import Plan, Published

Feed = Annotated[
    str, typer.Option("--feed", help="kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC or stdout.", show_default=False)
]
Format = Annotated[str, typer.Option("--format", metavar="json|msgpack", help="How bars are written.")]
PerMessage = Annotated[
    int, typer.Option("--per-message", help="Bars per message; more than one makes a list.", min=1, max=100_000)
]
Limit = Annotated[int | None, typer.Option("--limit", help="End after this many rows of bars.", min=1)]
Partitions = Annotated[
    int, typer.Option("--partitions", help="Partitions of the Kafka topic, if it has to be created.", min=1)
]
ConnectTimeout = Annotated[
    float, typer.Option("--connect-timeout", help="Seconds to wait for the first connection.", min=0.1)
]

REFRESH_S = 0.2
LAST_WAIT_S = 5.0


@dataclass(frozen=True)
class PublishOutcome:
    """How publishing ended."""

    published: Published
    expected: int
    unconfirmed: int
    interrupted: bool

    @property
    def whole(self) -> bool:
        """Whether every bar was sent and confirmed."""
        return self.published.bars == self.expected and not self.unconfirmed


DataFormat = Annotated[
    str | None,
    typer.Option("--data-format", metavar="NAME", help="Format of the files, such as mt5 or histdata (docs/data.md)."),
]
Start = Annotated[str | None, typer.Option("--start", help="First date or time (inclusive), of the open of a bar.")]


def publish(
    feed: Feed,
    data: options.Files = None,
    instrument: options.InstrumentName = None,
    speed: options.Speed = None,
    format_: Format = "json",
    per_message: PerMessage = 1,
    start: Start = None,
    end: options.End = None,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    data_format: DataFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    timeframe: options.Timeframe = None,
    limit: Limit = None,
    partitions: Partitions = 1,
    connect_timeout: ConnectTimeout = 30.0,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Play files of bars into a broker or a pipe, as fast as possible or at the speed of the market.

    Example: grandmodel publish --data es-drift --instrument ES --feed kafka://127.0.0.1:9092/bars --speed 60
    """
    from engine.app.extras import need_live
    from engine.base.log import configure_logging

    configure_logging(verbose)
    need_live()
    from feeds.live.address import parse_address
    from feeds.live.publishing import Plan, count_bars, open_outlet
    from feeds.pacing import parse_speed

    if format_ not in {"json", "msgpack"}:
        raise UsageError("bars cannot be written in this format", expected="--format json or msgpack", found=format_)
    written = cast("Literal['json', 'msgpack']", format_)
    address = parse_address(feed, publishing=True)
    if as_json and address.kind == "stdout":
        raise UsageError("--json and bars cannot both go to standard output", hint="leave --json out")
    pace = parse_speed(speed or "max")
    outlet = open_outlet(address, written, partitions, connect_timeout)
    replay = {"start": start, "end": end, "labels": labels, "timezone": timezone, "timeframe": timeframe}
    form = {"format": data_format, "columns": columns, "adjusted": adjusted or None, "date_order": date_order}
    flags = {"data": data, "instrument": instruments(instrument), "replay": {**replay, **form}}
    prepared = _prepared(flags)
    expected = count_bars(_prepared(flags).source, limit)  # in a separate pass, which quarantines nothing twice
    plan = Plan(written, per_message, pace, limit, _announcement(prepared, expected))
    outcome = asyncio.run(_run(prepared, outlet, plan, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(_result(prepared, address, outcome)))
    else:
        _show(prepared, address, outcome)
    if not outcome.whole:
        raise typer.Exit(1)


def _announcement(prepared: Prepared, expected: int) -> Announcement:
    from feeds.live.announcements import LONGEST_NAME, MOST_NAMES, Announcement

    names = tuple(name[:LONGEST_NAME] for name in prepared.synthetic[:MOST_NAMES])
    return Announcement(secrets.randbits(52) + 1, expected, synthetic=names)


def _prepared(flags: dict[str, Any]) -> Prepared:
    """The files as a backtest opens them, so that symbols are called the same."""
    from engine.app.config import BacktestConfig
    from engine.app.preparing import prepare
    from engine.base.config import parse
    from feeds.quarantine import Quarantine

    return prepare(parse(BacktestConfig, given(flags), where="command line", names=option_names(flags)), Quarantine())


async def _run(prepared: Prepared, outlet: Outlet, plan: Plan, quiet: bool) -> PublishOutcome:
    """Publish until the end or the first Ctrl-C, after which only what was taken is still confirmed."""
    from feeds.live.publishing import Published, publish

    published, interrupted = Published(), False
    loop = asyncio.get_running_loop()

    async def work() -> None:
        await outlet.open()
        await publish(prepared.source, outlet, plan, published)

    working = asyncio.ensure_future(work())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    try:
        with _progress(published, outlet, quiet):
            await asyncio.wait({working})
        interrupted = working.cancelled()
        if interrupted:
            with suppress(GrandModelError, TimeoutError):
                async with asyncio.timeout(LAST_WAIT_S):
                    await outlet.finish()
        else:
            working.result()
        expected = plan.announcement.bars if plan.announcement is not None else published.bars
        return PublishOutcome(published, expected, outlet.unconfirmed, interrupted)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        await outlet.close()


@contextmanager
def _progress(published: Published, outlet: Outlet, quiet: bool) -> Iterator[None]:
    """A line on standard error that says how far it is; if that is no terminal, only when the broker is away."""
    from engine.cli.console import err

    console = err()
    if quiet or not console.is_terminal:
        telling = asyncio.ensure_future(_tell(outlet))
        try:
            yield
        finally:
            telling.cancel()
        return
    with console.status("connecting") as line:
        refreshing = asyncio.ensure_future(_refresh(line, published, outlet))
        try:
            yield
        finally:
            refreshing.cancel()


async def _tell(outlet: Outlet) -> None:
    """Say when the broker is away, and when it is back."""
    from engine.cli.console import note

    away = False
    while True:
        await asyncio.sleep(REFRESH_S)
        if away != outlet.status.startswith("waiting"):
            away = not away
            note(f"messages wait: {outlet.status}" if away else "the broker is back")


async def _refresh(line: Status, published: Published, outlet: Outlet) -> None:
    from rich.text import Text

    while True:
        await asyncio.sleep(REFRESH_S)
        state = "" if outlet.status == "connected" else f", {outlet.status}"
        line.update(Text(f"{published.bars:,} bars in {published.messages:,} messages{state}"))


def _result(prepared: Prepared, address: FeedAddress, outcome: PublishOutcome) -> dict[str, Any]:
    """What `--json` prints."""
    published = outcome.published
    seconds = published.seconds
    return {
        "feed": address.shown,
        "symbols": list(prepared.source.symbols),
        "bars": published.bars,
        "expected": outcome.expected,
        "messages": published.messages,
        "unconfirmed": outcome.unconfirmed,
        "quarantined": prepared.quarantine.total,
        "interrupted": outcome.interrupted,
        "seconds": round(seconds, 6),
        "bars_per_second": round(published.bars / seconds) if seconds > 0 else None,
        "messages_per_second": round(published.messages / seconds) if seconds > 0 else None,
    }


def _show(prepared: Prepared, address: FeedAddress, outcome: PublishOutcome) -> None:
    from engine.cli.console import note, out

    published, seconds = outcome.published, outcome.published.seconds
    rate = (
        f" ({published.bars / seconds:,.0f} bars/s, {published.messages / seconds:,.0f} messages/s)" if seconds else ""
    )
    sent = f"{published.bars:,} bars in {published.messages:,} messages to {address.shown} in {seconds:.2f} s{rate}"
    if address.kind == "stdout":
        note(sent)
    else:
        out().print(sent, soft_wrap=True, highlight=False, markup=False)
    note(f"symbols {', '.join(prepared.source.symbols)}; labels in the file: {prepared.labels_reason}")
    for line in (*prepared.warnings, *prepared.assumptions):
        note(line)
    if outcome.published.bars < outcome.expected:
        note(f"stopped early: {outcome.published.bars:,} of {outcome.expected:,} bars were published")
    if outcome.unconfirmed:
        note(f"{outcome.unconfirmed:,} messages were not confirmed, and may or may not have arrived")
    if prepared.quarantine.total:
        note(f"{prepared.quarantine.total:,} bad rows were left out; `grandmodel data validate FILE` shows them")
