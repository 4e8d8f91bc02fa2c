"""`grandmodel data`: look at market data, check it, convert it, make some up."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import data_fit, data_gan, data_prepare, data_report, options

if TYPE_CHECKING:
    from engine.types.instruments import Instrument
    from feeds.quarantine import Quarantine
    from feeds.ticks.opening import Replay

app = typer.Typer(
    help="Inspect, validate, convert, prepare, fit, synthesize and compare market data.", no_args_is_help=True
)

BLOCK_ROWS = 65_536

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="File of bars, trades or quotes, CSV or Parquet.", show_default=False)
]
InstrumentName = Annotated[
    str,
    typer.Option(
        "--instrument",
        metavar="NAME",
        help="An instrument such as 6E or ES, or a YAML file; auto finds one by the file's name, or takes GENERIC.",
    ),
]
Symbol = Annotated[
    str | None, typer.Option("--symbol", metavar="NAME", help="Symbol to read, or what to call the bars.")
]
Labels = Annotated[
    str,
    typer.Option("--labels", metavar="auto|open|close", help="What the file's times mark: a bar's open or close."),
]
Timezone = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of times that name none, if not UTC.")
]
BarWidth = Annotated[
    str | None, typer.Option("--bar-width", metavar="1min", help="Length of the file's bars, if it cannot be found.")
]
KeepBad = Annotated[
    Path | None, typer.Option("--quarantine", metavar="FILE", help="Keep bad rows here, as JSON lines.")
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="FILE", help="File to write: .parquet, .csv or .csv.gz.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")]


@app.command(epilog="Example: grandmodel data inspect bars.csv --instrument 6E")
def inspect(
    file: File,
    instrument: InstrumentName = "auto",
    symbol: Symbol = None,
    labels: Labels = "auto",
    timezone: Timezone = None,
    format_: options.FileFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    bars: options.Bars = None,
    bar_width: BarWidth = None,
    as_json: options.Json = False,
) -> None:
    """Show what a file of market data holds and how it is read."""
    from engine.cli import data_view
    from feeds.quarantine import Quarantine
    from feeds.summary import BarSummary

    quarantine = Quarantine()
    how = _how(labels, timezone, bar_width, format_, columns, adjusted, date_order, bars)
    market, replay = _replay(file, instrument, quarantine, symbol, how)
    summary, edges = BarSummary(market, replay.timeframe_ns if replay.regular else 0), data_view.Edges()
    for block in replay.blocks(BLOCK_ROWS):
        summary.add(block)
        edges.add(block)
    facts = data_view.inspection(file, replay, summary, quarantine, edges)
    data_view.show(facts, data_view.print_inspection, as_json)


@app.command(epilog="Example: grandmodel data validate bars.csv --instrument ES --quarantine bad.jsonl")
def validate(
    file: File,
    instrument: InstrumentName = "auto",
    symbol: Symbol = None,
    labels: Labels = "auto",
    timezone: Timezone = None,
    format_: options.FileFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    bars: options.Bars = None,
    bar_width: BarWidth = None,
    strict: Strict = False,
    quarantine_file: KeepBad = None,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Check every row of a file.

    Exit code 0: clean. 1: some rows are bad. 2: the file cannot be read.
    """
    from engine.base.errors import DataError
    from engine.base.replacing import replaced_file
    from engine.cli import data_view
    from feeds.quarantine import Quarantine
    from feeds.summary import BarSummary

    broken: DataError | None = None
    kept = nullcontext() if quarantine_file is None else replaced_file(quarantine_file, overwrite=overwrite)
    with kept as part:
        quarantine = Quarantine(part)
        how = _how(labels, timezone, bar_width, format_, columns, adjusted, date_order, bars)
        market, replay = _replay(file, instrument, quarantine, symbol, how)
        summary = BarSummary(market, replay.timeframe_ns if replay.regular else 0)
        try:
            for block in replay.blocks(BLOCK_ROWS):
                summary.add(block)
                if strict and quarantine.total:
                    break
        except DataError as error:
            broken = error
    # where every row is bad there are no bars either, but the file was read and the reasons say more
    if broken is not None and (summary.rows or not quarantine.total):
        raise broken
    facts = data_view.validation(file, summary, quarantine, strict)
    data_view.show(facts, data_view.print_validation, as_json)
    if quarantine.total:
        raise typer.Exit(1)


@app.command(epilog="Example: grandmodel data convert bars.csv --out bars.parquet --timeframe 5min --instrument 6E")
def convert(
    file: File,
    out: Out,
    timeframe: Annotated[str | None, typer.Option(metavar="5min", help="Aggregate to this timeframe.")] = None,
    instrument: InstrumentName = "auto",
    symbol: Symbol = None,
    labels: Labels = "auto",
    timezone: Timezone = None,
    format_: options.FileFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    bars: options.Bars = None,
    bar_width: BarWidth = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First date or time to keep.")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="Last date or time to keep.")] = None,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Also write a last bar that is not complete.")
    ] = False,
    strict: Strict = False,
    quarantine_file: KeepBad = None,
    overwrite: Overwrite = False,
) -> None:
    """Write bars to a Parquet or CSV file, labelled by their close in UTC.

    Bad rows are left out and kept in OUT.quarantine.jsonl, or where --quarantine says.
    """
    from engine.app.provenance import synthetic_files
    from engine.base.replacing import refuse_existing, replaced_file
    from engine.cli.progress import counted
    from feeds.export import check_suffix, write_bars
    from feeds.quarantine import Quarantine
    from feeds.reading.files.open_file import open_file

    check_suffix(out)
    _refuse_same(file, out)
    kept = quarantine_file or out.with_name(f"{out.name}.quarantine.jsonl")
    for path in (out, *filter(None, [quarantine_file])):
        refuse_existing(path, overwrite=overwrite)
    with replaced_file(kept) as part:
        quarantine = Quarantine(part, strict=strict)
        how = _how(labels, timezone, bar_width, format_, columns, adjusted, date_order, bars) | {
            "start": start,
            "end": end,
        }
        market, replay = _replay(file, instrument, quarantine, symbol, how)
        blocks = replay.blocks(BLOCK_ROWS)
        if timeframe is not None:
            from engine.loop.aggregate import aggregated

            width = replay.timeframe_ns if replay.regular else 1
            blocks = aggregated(blocks, _larger(timeframe, width), market, keep_partial=keep_partial)
        made_up = bool(synthetic_files([open_file(file, replay.config.importing)], [file]))
        with counted(blocks, "convert", replay.total_rows if timeframe is None else None) as watched:
            lines = write_bars(
                out, watched, volume="volume" in replay.column_map, synthetic=made_up, overwrite=overwrite
            )
    _report_written(out, lines)
    _report_bad(quarantine, kept)


@app.command(epilog="Example: grandmodel data synthesize --bars 50000 --seed 7 --instrument ES --out es.parquet")
def synthesize(
    out: Out,
    bars: Annotated[int, typer.Option(metavar="N", help="Number of 1-minute bars.")] = 30_000,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bars.")] = 0,
    instrument: InstrumentName = "GENERIC",
    start: Annotated[str, typer.Option(metavar="DATE", help="Date or time (UTC) from which on.")] = "2024-01-02",
    price: Annotated[float | None, typer.Option(metavar="P", help="First price, if not 20,000 ticks.")] = None,
    volatility: Annotated[float, typer.Option(metavar="V", help="Yearly, as a fraction.")] = 0.2,
    missing: Annotated[float, typer.Option(metavar="F", help="Share of minutes without a bar.")] = 0.005,
    generator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another market: fitted, regime_drift, flash_crash, ...")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the generator (repeatable).")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make up realistic 1-minute bars on the sessions and ticks of an instrument.

    Volatility changes by regime and time of day, volume follows it, and a few minutes are missing. With --generator,
    the bars are those of a named generator, and --price, --volatility and --missing are not read; the generators
    fitted and gan take the sessions and ticks of the instrument of their data.
    """
    from engine.base.config import parse
    from engine.base.replacing import refuse_existing
    from engine.types.instruments import load_instrument
    from feeds.export import check_suffix, write_bars
    from feeds.synthetic import SyntheticBars, SyntheticConfig

    check_suffix(out)
    refuse_existing(out, overwrite=overwrite)
    if generator is not None:
        from engine.cli.data_fit import fitted_market, parameters_from
        from feeds.generators import FROM_FILES, generate

        given = parameters_from(parameter or [])
        if generator in FROM_FILES:
            made = fitted_market(generator, given, instrument, bars, seed, _moment(start))
        else:
            made = generate(generator, load_instrument(instrument), bars, seed, given, start_ns=_moment(start))
        _report_written(out, write_bars(out, iter([made]), synthetic=True, overwrite=overwrite))
        return
    settings = {"price": price, "volatility": volatility, "missing": missing}
    config = parse(SyntheticConfig, settings, where="command line")
    source = SyntheticBars(load_instrument(instrument), bars, _moment(start), seed, config)
    _report_written(out, write_bars(out, source.blocks(BLOCK_ROWS), synthetic=True, overwrite=overwrite))


def _how(
    labels: str,
    timezone: str | None,
    bar_width: str | None,
    format_: str | None,
    columns: str | None,
    adjusted: bool,
    date_order: str | None,
    bars: str | None,
) -> dict[str, object]:
    """How to read a file, as keys of `replay`."""
    form = {"format": format_, "columns": columns, "adjusted": adjusted or None, "date_order": date_order, "bars": bars}
    return {"labels": labels, "timezone": timezone, "bar_width": bar_width, **form}


def _market(instrument: str, known_as: str, symbol: str | None) -> Instrument:
    """The instrument that is named, or that the symbol or the beginning of the file's name tells."""
    from engine.types.instruments import find_instrument, known_beginning, load_instrument

    if instrument != "auto":
        return load_instrument(instrument)
    known = symbol or known_beginning(known_as) or ""
    return find_instrument(known) or load_instrument("GENERIC")


def _replay(
    file: Path, instrument: str, quarantine: Quarantine, symbol: str | None, how: Mapping[str, object]
) -> tuple[Instrument, Replay]:
    """The file, open, and its instrument."""
    from engine.base.config import parse
    from engine.cli.flags import option_names
    from feeds.reading.files.open_file import open_file
    from feeds.replay import ReplayConfig
    from feeds.ticks.opening import open_replay

    given = {key: value for key, value in how.items() if value is not None}
    config = parse(ReplayConfig, given, where="command line", names=option_names(given))
    opened = open_file(file, config.importing)
    market = _market(instrument, opened.symbol, symbol)
    return market, open_replay([opened], market, config, quarantine, symbol=symbol)


def _larger(text: str, source_ns: int) -> int:
    """The timeframe asked for, which must be made of whole source bars.

    Raises:
        UsageError: If it is not.
    """
    from engine.base.errors import UsageError
    from engine.types.timeframe import format_timeframe, parse_timeframe

    wanted = parse_timeframe(text)
    if wanted < source_ns or wanted % source_ns:
        raise UsageError(
            "these bars cannot be put together into that timeframe",
            expected=f"a whole multiple of {format_timeframe(source_ns)}",
            found=text,
        )
    return wanted


def _moment(text: str) -> int:
    """A date or time in ISO 8601, UTC if it names no zone, in nanoseconds.

    Raises:
        UsageError: If it is none.
    """
    from datetime import UTC, datetime

    from engine.base.errors import UsageError

    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError("cannot read the date", expected="2024-01-02 or 2024-01-02T14:30", found=repr(text)) from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9


def _refuse_same(file: Path, out: Path) -> None:
    from engine.base.errors import UsageError

    if out.exists() and file.exists() and out.samefile(file):
        raise UsageError("the output would replace the input", where=str(out), hint="name another file with --out")


def _report_written(out: Path, lines: int) -> None:
    from engine.base.files import sha256_file
    from engine.cli.console import note

    note(f"wrote {lines:,} bars, labelled by their close, to {out} (sha256 {sha256_file(out)[:16]})")


def _report_bad(quarantine: Quarantine, kept: Path) -> None:
    from engine.cli.console import note

    if quarantine.total:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in quarantine.counts.items())
        note(f"left out {quarantine.total:,} bad rows ({reasons}); they are kept in {kept}")


app.command("fit", epilog=data_fit.EXAMPLE)(data_fit.fit)
app.command("train-gan", epilog=data_gan.EXAMPLE)(data_gan.train_gan)
app.command("report", epilog=data_report.EXAMPLE)(data_report.report)
app.command("prepare", epilog=data_prepare.EXAMPLE)(data_prepare.prepare)
