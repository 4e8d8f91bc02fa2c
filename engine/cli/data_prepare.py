"""`grandmodel data prepare`: from raw files to training episodes and a data card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from datetime import date

EXAMPLE = "Example: grandmodel data prepare ESH4.csv ESM4.csv --instrument ES --roll volume --adjust ratio --out es"

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Raw files of one symbol, or of contracts.", show_default=False)
]


def prepare(
    files: Files,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.", show_default=False)],
    instrument: Annotated[
        str, typer.Option("--instrument", metavar="NAME", help="Name or YAML file; auto goes by the first file's name.")
    ] = "auto",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of the series.")] = None,
    roll: Annotated[
        str | None,
        typer.Option(
            "--roll",
            metavar="volume|DATES",
            help="Join contracts after the first session in which the next one trades more, or after given dates "
            "(2024-03-11,2024-06-10).",
        ),
    ] = None,
    adjust: Annotated[
        str, typer.Option("--adjust", metavar="none|difference|ratio", help="Prices of contracts before a roll.")
    ] = "none",
    validation: Annotated[float, typer.Option(metavar="F", help="Share of the bars.")] = 0.15,
    test: Annotated[float, typer.Option(metavar="F", help="Share of the bars.")] = 0.15,
    embargo: Annotated[int, typer.Option(metavar="N", help="Bars left out between parts.")] = 1440,
    episode_length: Annotated[int, typer.Option(min=1, metavar="N", help="Bars of an episode.")] = 2000,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Of the data, for the card.")] = "unknown",
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    format_: options.FileFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    bars: options.Bars = None,
    start: options.Start = None,
    end: options.End = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Make training data of raw files: checked bars, normalised features, episodes, and a card that tells all of it.

    The folder's bars.parquet is a source of a training; features and episodes are those that this training would come
    to. Files may be larger than memory.
    """
    from engine.app.preparation.prepare import Preparation, prepare_data
    from engine.base.config import parse
    from engine.base.errors import UsageError
    from engine.cli.data_fit import instrument_of, recorded
    from engine.cli.flags import option_names
    from feeds.replay import ReplayConfig
    from training.config import Split

    if adjust not in ("none", "difference", "ratio"):
        raise UsageError("unknown adjustment", where="--adjust", expected="none, difference or ratio", found=adjust)
    reading: dict[str, Any] = {
        "labels": labels, "timezone": timezone, "format": format_, "columns": columns, "adjusted": adjusted or None,
        "date_order": date_order, "bars": bars, "start": start, "end": end,
    }  # fmt: skip
    given = {key: value for key, value in reading.items() if value is not None}
    files, instrument = recorded(files, instrument)
    wanted = Preparation(
        files=tuple(files),
        instrument=instrument_of(instrument, files[0].stem),
        reading=parse(ReplayConfig, given, where="command line", names=option_names(given)),
        name=name,
        roll=None if roll is None else "volume" if roll == "volume" else "date",
        dates=() if roll in (None, "volume") else _dates(roll or ""),
        adjust=adjust,  # type: ignore[arg-type] # seen above
        split=parse(Split, {"validation": validation, "test": test, "embargo": embargo}, where="command line"),
        length=episode_length,
        licence=licence,
    )
    card = prepare_data(wanted, out, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        _show(card, out)


def _dates(text: str) -> tuple[date, ...]:
    from datetime import date

    from engine.base.errors import UsageError

    try:
        return tuple(date.fromisoformat(one.strip()) for one in text.split(","))
    except ValueError:
        raise UsageError(
            "cannot read the dates of the rolls",
            where="--roll",
            expected="volume, or dates with commas, such as 2024-03-11,2024-06-10",
            found=text,
        ) from None


def _show(card: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    from engine.cli.console import note
    from engine.cli.console import out as console

    sheet = Table("part", "rows", "episodes")
    for part in card["parts"]:
        sheet.add_row(part["name"], f"{part['rows']:,}", f"{part['episodes']:,}")
    rows, coverage, outliers = card["rows"], card["coverage"], card["outliers"]
    span = card["span"]
    note(f"{rows['bars']:,} bars of {card['timeframe']}, {span['first_close']} to {span['last_close']}")
    note(f"{rows['quarantined']:,} bad rows; {coverage['missing_bars']:,} bars missing in {coverage['gaps']:,} gaps")
    note(f"{outliers['count']:,} outliers, reported and kept")
    for one in card["contracts"]["rolls"]:
        note(f"roll from {one['from']} to {one['to']} after {one['after']}, gap {one['gap']:g}")
    console().print(sheet)
    empty = [part["name"] for part in card["parts"] if not part["episodes"]]
    if empty:
        note(f"no episode fits into: {', '.join(empty)}")
    note(f"wrote {out}; read {out}/card.md, or train on {out}/bars.parquet")
