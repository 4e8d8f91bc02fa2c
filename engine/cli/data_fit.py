"""`grandmodel data fit`: a market fitted to bars, written to a file from which more of it can be generated."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.types.blocks import BarBlock
    from feeds.fitting.model import FittedModel, SymbolModel
    from feeds.replay import HistoricalReplay

EXAMPLE = "Example: grandmodel data fit bars.csv --instrument 6E --end 2024-01-20 --out euro.json"
ALL_ROWS = 1 << 24

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="1-minute bars, CSV or Parquet, or a recording.", show_default=False),
]
InstrumentName = Annotated[
    str, typer.Option("--instrument", metavar="NAME", help="Name or YAML file; auto goes by each symbol's name.")
]
Kind = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="garch|bootstrap",
        help="garch: season, jumps and GJR-GARCH with Student t shocks; bootstrap: whole sessions drawn again.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="File to write.  [default: FILE.MODEL.json, here]")
]


def fit(
    files: Files,
    model: Kind = "garch",
    out: Out = None,
    instrument: InstrumentName = "auto",
    starts: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Searches for parameters.")] = 4,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of their random starts.")] = 0,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    start: options.Start = None,
    end: options.End = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: options.Json = False,
) -> None:
    """Fit a market to bars and write it to a file, from which the generator `fitted` makes more.

    Fit only what a training may see: with --end, the validation part stays unseen.
    """
    from engine.base.errors import UsageError
    from engine.base.replacing import refuse_existing
    from feeds.fitting.fit import check_bars, fit_market
    from feeds.quarantine import Quarantine

    if model not in ("garch", "bootstrap"):
        raise UsageError("there is no such model", where="--model", expected="garch or bootstrap", found=model)
    target = out or Path(f"{files[0].name.partition('.')[0]}.{model}.json")
    refuse_existing(target, overwrite=overwrite)
    given = files
    files, instrument = recorded(files, instrument)
    quarantine = Quarantine()
    how = {"labels": labels, "timezone": timezone, "start": start, "end": end}
    symbol = str(given[0]) if len(given) == 1 and given != files else None
    replay = open_bars(files, instrument, how, quarantine, symbol)
    instruments = [instrument_of(instrument, name) for name in replay.symbols]
    check_bars(replay.timeframe_ns, instruments)
    fitted = fit_market(
        all_bars(replay), instruments, "garch" if model == "garch" else "bootstrap", target, files=files,
        bad_rows=quarantine.total, starts=starts, seed=seed, overwrite=overwrite,
    )  # fmt: skip
    _show(fitted, target, as_json=as_json)


def recorded(files: list[Path], instrument: str) -> tuple[list[Path], str]:
    """Files, with the bars of recordings in place of their names; and the instrument, with auto that of a recording."""
    from engine.base.paths import recordings, shipped

    known = recordings()
    found = [shipped("replays") / file / "bars.parquet" if str(file) in known else file for file in files]
    if instrument == "auto" and len(files) == 1 and found != files:
        instrument = instrument_of("auto", str(files[0])).name
    return found, instrument


def fitted_market(
    name: str, parameters: dict[str, float | str], instrument: str, bars: int, seed: int, start_ns: int
) -> BarBlock:
    """Bars of a generator that is read from a file: of all its symbols, or of the one that is named.

    Args:
        name: Of the generator.
        parameters: Its own.
        instrument: GENERIC for the instruments that the market was fitted for.
        bars: Rows.
    """
    from engine.types.instruments import load_instrument
    from feeds.fitting.generator import Fitted
    from feeds.gan.generator import Gan
    from feeds.generators import find_generator, generate_with_truth
    from feeds.generators_bars import Draws
    from feeds.synthetic import check_series

    check_series(bars, start_ns, seed)
    generator = find_generator(name, parameters, where="command line")
    if isinstance(generator, Gan) and instrument == "GENERIC":
        return generate_with_truth(generator, generator.trained.instrument, bars, seed, start_ns).bars
    if not isinstance(generator, Fitted):
        return generate_with_truth(generator, load_instrument(instrument), bars, seed, start_ns).bars
    own = list(generator.fitted.instruments)
    if len(own) > 1 and generator.symbol is None and instrument == "GENERIC":
        from dataclasses import replace

        block = generator.market(own, bars, start_ns, Draws(seed))
        return replace(block, symbols=generator.fitted.names)
    chosen = own[generator.number(own[0])] if instrument == "GENERIC" else load_instrument(instrument)
    return generate_with_truth(generator, chosen, bars, seed, start_ns).bars


def parameters_from(pairs: list[str]) -> dict[str, float | str]:
    """Parameters of a generator from KEY=VALUE; what reads as a number is one."""
    from engine.base.errors import UsageError

    found: dict[str, float | str] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.strip() or not text.strip():
            raise UsageError("cannot read a --parameter", expected="KEY=VALUE, such as drift_bps=1", found=pair)
        try:
            value = float(text)
        except ValueError:
            found[key.strip()] = text.strip()
        else:
            found[key.strip()] = value
    return found


def open_bars(
    files: list[Path], instrument: str, how: dict[str, str | None], quarantine: Any, symbol: str | None = None
) -> HistoricalReplay:
    """Files of bars, each with the instrument that its name or the option says; with a symbol, of that one alone."""
    from engine.base.config import parse
    from engine.cli.flags import option_names
    from feeds.replay import HistoricalReplay, ReplayConfig

    given = {key: value for key, value in how.items() if value is not None}
    config = parse(ReplayConfig, given, where="command line", names=option_names(given))
    return HistoricalReplay(files, lambda name: instrument_of(instrument, name), config, quarantine, symbol)


def instrument_of(option: str, symbol: str) -> Any:
    """The instrument that an option names, or for auto the one that a symbol's name begins with, or GENERIC."""
    from engine.types.instruments import find_instrument, known_beginning, load_instrument

    if option != "auto":
        return load_instrument(option)
    return find_instrument(known_beginning(symbol) or symbol) or load_instrument("GENERIC")


def all_bars(replay: HistoricalReplay) -> BarBlock:
    """Everything that a replay gives, as one block."""
    from engine.types.blocks import concat

    return concat(list(replay.blocks(ALL_ROWS)))


def _show(model: FittedModel, target: Path, *, as_json: bool) -> None:
    from engine.cli.console import note

    if as_json:
        tree = model.model_dump(
            mode="json",
            exclude={"joint": {"jumps", "gaps"}, "symbols": {"__all__": {"season", "missing", "instrument"}}},
        )
        typer.echo(json.dumps({"file": str(target), **tree}, indent=2))
    else:
        _draw(model)
    dropped = [f"{count:,} {words[count != 1]}" for words, count in _dropped(model).items() if count]
    note(f"wrote {target}" + (f"; left out: {', '.join(dropped)}" if dropped else ""))


def _dropped(model: FittedModel) -> dict[tuple[str, str], int]:
    """What was left out, as one and as several."""
    one = model.dropped
    return {
        ("bad row", "bad rows"): one.bad_rows,
        ("bar outside of sessions", "bars outside of sessions"): one.outside,
        ("return over missing bars", "returns over missing bars"): one.after_gaps,
        ("incomplete session", "incomplete sessions"): one.sessions,
    }


def _draw(model: FittedModel) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import out

    names = ", ".join(model.names[:4])
    title = f"{model.model} of {names}: {model.bars:,} bars, {model.sessions} sessions, {model.first} to {model.last}"
    out().print(Text(title, style="bold"))
    if model.sampled:
        run = f"{model.sampled.sessions} complete sessions of {model.sampled.minutes} minutes"
        out().print(f"{run}; {model.sampled.run:.2f} stay together on average (Politis & White, 2004)")
        return
    for one in model.symbols:
        table = Table(title=one.name if len(model.symbols) > 1 else None, title_justify="left")
        for heading in ("parameter", "value", "standard error"):
            table.add_column(heading, justify="left" if heading == "parameter" else "right")
        for name, parameter in one.parameters.items():
            error = "" if parameter.error is None else f"{parameter.error:.3g}"
            table.add_row(name, f"{parameter.value:.4g}", error)
        out().print(table)
        for line in _sentences(one):
            out().print(Text(line))
    if len(model.symbols) > 1 and model.joint:
        out().print(_correlations(model))


def _sentences(one: SymbolModel) -> list[str]:
    half = math.log(0.5) / math.log(one.persistence)
    deviation = f"A minute's deviation is {1e4 * math.sqrt(one.variance):.3g} bps"
    lines = [
        f"{deviation}; half of a shock to the variance is gone after {half:,.0f} minutes.",
        f"{one.found} returns exceed the bound of jumps; the t law alone would show {one.expected:.0f}.",
        f"{one.agreed} of {one.starts} searches ended at this maximum.",
    ]
    if not one.converged:
        lines.append("The best search did not converge: take the parameters with care, or try more --starts.")
    if any(one.parameters[name].error is None for name in ("omega", "alpha", "beta", "nu")):
        lines.append("A parameter lies on a boundary or the likelihood is flat there: it has no standard error.")
    return lines


def _correlations(model: FittedModel) -> Any:
    from rich.table import Table

    assert model.joint is not None  # noqa: S101 - the caller has seen it
    table = Table(
        title=f"correlation of shocks (t copula, {model.joint.freedom:g} degrees of freedom)", title_justify="left"
    )
    for heading in ("", *model.names):
        table.add_column(heading, justify="right" if heading else "left")
    for name, values, errors in zip(model.names, model.joint.correlation, model.joint.errors, strict=True):
        table.add_row(name, *(f"{v:.3f} ± {e:.3f}" if e else f"{v:.3f}" for v, e in zip(values, errors, strict=True)))
    return table
