"""`grandmodel data report`: the stylised facts of files and generators, side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.types.blocks import BarBlock
    from engine.types.instruments import Instrument
    from feeds.stylised.facts import Facts

EXAMPLE = "Example: grandmodel data report bars.csv fitted:model=euro.json random_walk --instrument 6E --out facts"

Ones = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|GENERATOR...",
        help="Files or recordings of bars, files of fitted markets, or generators such as random_walk:volatility=0.3.",
        show_default=False,
    ),
]


def report(
    ones: Ones,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write facts.html and facts.md there.")
    ] = None,
    instrument: Annotated[
        str, typer.Option("--instrument", metavar="NAME", help="Of all of them; auto goes by the names of the files.")
    ] = "auto",
    bars: Annotated[
        int | None,
        typer.Option(min=1000, metavar="N", help="Of each generator.  [default: as many as the first file has]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of generators and resamples.")] = 0,
    lags: Annotated[int, typer.Option(min=10, max=2000, metavar="N", help="Of autocorrelations, in bars.")] = 250,
    resamples: Annotated[int, typer.Option(min=20, max=20_000, metavar="N", help="For the intervals.")] = 500,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    start: options.Start = None,
    end: options.End = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Hold markets beside each other: the facts that real returns have (Cont, 2001), with 95 % intervals.

    Figures whose interval does not meet that of the first one are marked.
    """
    from engine.base.replacing import check_output
    from engine.cli.console import note
    from engine.cli.console import out as console
    from engine.report.facts.page import FOLDER, write_pages
    from engine.report.facts.terminal import as_table, as_tree

    if out is not None:
        check_output(out, FOLDER, overwrite=overwrite)
    how = {"labels": labels, "timezone": timezone, "start": start, "end": end}
    found = _all_facts(ones, instrument, bars, seed, how, lags, resamples)
    if as_json:
        typer.echo(json.dumps(as_tree(found), indent=2))
    else:
        console().print(as_table(found))
    if out is not None:
        write_pages(out, found, overwrite=overwrite)
        note(f"wrote {out / 'facts.html'} and {out / 'facts.md'}")


def _all_facts(
    ones: list[str], instrument: str, bars: int | None, seed: int, how: dict[str, str | None], lags: int,
    resamples: int,
) -> list[Facts]:  # fmt: skip
    """Files first, since generators are as long as the first of them and have its sessions."""
    files = {text: path for text in ones if (path := _file(text)) is not None}
    found: dict[str, list[Facts]] = {}
    length, market = bars, None
    for text, path in files.items():
        facts, rows, traded = _facts_of_file(text, path, instrument, how, (lags, resamples, seed))
        found[text], length, market = facts, length or rows, market or traded
    for text in ones:
        if text not in files:
            found[text] = _facts_of_generator(text, instrument, market, length or 30_000, (lags, resamples, seed))
    return [one for text in dict.fromkeys(ones) for one in found[text]]


def _file(text: str) -> Path | None:
    """The file that is named, or the bars of a recording that ships; None of a generator."""
    from engine.base.paths import recordings, shipped

    if text in recordings():
        return shipped("replays") / text / "bars.parquet"
    path = Path(text)
    if path.suffix == ".json":
        return None
    is_one = path.is_file() or "/" in text.partition(":")[0] or path.suffix in {".csv", ".parquet", ".gz", ".zst"}
    return path if is_one and not text.startswith("fitted:") else None


def _facts_of_file(
    text: str, path: Path, instrument: str, how: dict[str, str | None], settings: tuple[int, int, int]
) -> tuple[list[Facts], int, Instrument]:
    from engine.cli.data_fit import all_bars, instrument_of, open_bars, recorded
    from feeds.quarantine import Quarantine

    name = text if path.parent.name == text else None
    _, chosen = recorded([Path(text)], instrument)
    replay = open_bars([path], chosen, how, Quarantine())
    traded = instrument_of(chosen, replay.symbols[0])
    block = all_bars(replay)
    short = name or re.sub(r"(\.csv|\.parquet|\.feather)?(\.gz|\.zst)?$", "", path.name)
    names = [short] if len(block.symbols) == 1 else [f"{short} {symbol}" for symbol in block.symbols]
    return _measured(block, traded, replay.timeframe_ns, names, settings), len(block), traded


def _facts_of_generator(
    text: str, instrument: str, market: Instrument | None, bars: int, settings: tuple[int, int, int]
) -> list[Facts]:
    from engine.base.errors import UsageError
    from engine.cli.data_fit import fitted_market, parameters_from
    from engine.types.instruments import load_instrument
    from engine.types.timeframe import MINUTE_NS
    from feeds.generators import FROM_FILES, START_NS, find_generator, generate

    name, _, given = text.partition(":")
    if Path(text).suffix == ".json" and not name.startswith("fitted"):
        name, given = "fitted", f"model={text}"
    parameters = parameters_from(given.split(",") if given else [])
    if name in FROM_FILES:
        from feeds.fitting.generator import Fitted
        from feeds.gan.generator import Gan

        generator = find_generator(name, parameters, where=text)
        block = fitted_market(
            name, parameters, instrument if instrument != "auto" else "GENERIC", bars, settings[2], START_NS
        )
        if isinstance(generator, Fitted):
            traded = generator.fitted.instruments[0]
        else:
            traded = generator.trained.instrument if isinstance(generator, Gan) else load_instrument("GENERIC")
    else:
        traded = market or load_instrument("GENERIC" if instrument == "auto" else instrument)
        try:
            find_generator(name, parameters, where=text)
        except UsageError as error:
            if Path(text).suffix or "/" in text:
                raise UsageError("there is no such file", where=text) from None
            raise error from None
        block = generate(name, traded, bars, settings[2], parameters)
    names = [text] if len(block.symbols) == 1 else [f"{text} {symbol}" for symbol in block.symbols]
    return _measured(block, traded, MINUTE_NS, names, settings)


def _measured(
    block: BarBlock, instrument: Instrument, timeframe_ns: int, names: list[str], settings: tuple[int, int, int]
) -> list[Facts]:
    from feeds.stylised.facts import measure
    from feeds.stylised.series import series_of

    lags, resamples, seed = settings
    return [
        measure(series._replace(name=name), lags, resamples, seed)
        for series, name in zip(series_of(block, instrument, timeframe_ns), names, strict=True)
    ]
