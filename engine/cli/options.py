"""Options that several commands have, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.completing import agents, data_files
from engine.cli.completing import instruments as known_instruments

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="File of bars, trades or quotes: CSV (plain, .gz, .zst), Parquet or Feather. Repeat for several symbols.",
        autocompletion=data_files,
    ),
]
InstrumentName = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        help="Name or YAML file; SYMBOL=NAME (repeatable) where symbols differ.",
        autocompletion=known_instruments,
    ),
]
AgentSpec = Annotated[
    str | None,
    typer.Option(
        "--agent",
        help="flat, buy_and_hold, sma_cross:fast=10,slow=30,size=1, random:seed=1, ensemble[:FOLDER] or file.py:Class.",
        autocompletion=agents,
    ),
]
Challengers = Annotated[
    list[str] | None,
    typer.Option(
        "--challenger",
        metavar="AGENT",
        help="Agent that trades the same bars in a book of its own, such as ensemble:VERSION (repeatable).",
        autocompletion=agents,
    ),
]
Learn = Annotated[
    Path | None,
    typer.Option(
        "--learn", metavar="FILE", help="Learn while it runs: YAML file with the keys of `learning` (docs/online.md)."
    ),
]
ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", "-c", help="YAML file; later ones override earlier ones.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Override one key, such as seed=7 (repeatable).")]
Benchmark = Annotated[
    str | None,
    typer.Option(
        "--benchmark",
        help="File of bars, or a symbol of the run, to compare with.  [default: buy and hold of all symbols]",
        autocompletion=data_files,
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="First date or time (inclusive).")]
End = Annotated[str | None, typer.Option("--end", help="Last date (to its end) or time.")]
Capital = Annotated[float | None, typer.Option("--initial-capital", help="Account currency.  [default: 100000]")]
Fee = Annotated[
    float | None,
    typer.Option("--fee", help="Fraction of notional per fill, in place of the instrument's fees (GENERIC: 0.001)."),
]
Labels = Annotated[
    str | None, typer.Option("--labels", help="What bar times mean: open, close or auto.  [default: auto]")
]
Timezone = Annotated[str | None, typer.Option("--timezone", help="Of times without an offset.  [default: UTC]")]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Format of the files, such as mt5, histdata, kraken-ohlcvt or lean (docs/data.md).  [default: found]",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAMES",
        help="All columns in order (date,time,open,high,low,close,volume), or which is which (close=Settle).",
    ),
]
DateOrderName = Annotated[
    str | None,
    typer.Option("--date-order", metavar="auto|day_first|month_first", help="What 01/02/2024 means.  [default: auto]"),
]
Adjusted = Annotated[bool, typer.Option("--adjusted", help="Take prices adjusted for splits and dividends.")]
Bars = Annotated[
    str | None,
    typer.Option(
        "--bars",
        metavar="KIND:SIZE",
        help="Bars to make of trades or quotes: time:1min, tick:500, volume:1000, value:1e6, imbalance:tick:500 or "
        "renko:10 (docs/ticks.md).  [default: time:1min]",
    ),
]
Timeframe = Annotated[str | None, typer.Option("--timeframe", help="Aggregate the bars first: 5min, 1h, ...")]
Seed = Annotated[int | None, typer.Option("--seed", help="For agents that draw random numbers.  [default: 42]")]
Speed = Annotated[str | None, typer.Option("--speed", help="max, realtime or a factor such as 60.  [default: max]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what the folder of --out holds.")]
SessionFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Session folder.", file_okay=False, show_default=False)
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad row instead of quarantining it.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log more; -vv logs every block.")]
TrustCode = Annotated[
    bool,
    typer.Option("--trust-code", help="Execute the strategy file that the run names though its hash is not recorded."),
]
