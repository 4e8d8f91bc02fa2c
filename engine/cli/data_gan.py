"""`grandmodel data train-gan`: a generator network trained on bars, written to a folder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options

EXAMPLE = "Example: grandmodel data train-gan bars.csv --instrument 6E --end 2024-01-20 --out euro-gan"


def train_gan(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="1-minute bars, CSV or Parquet, or a recording.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to write.  [default: FILE.gan, here]")
    ] = None,
    instrument: Annotated[
        str, typer.Option("--instrument", metavar="NAME", help="Name or YAML file; auto goes by the symbol's name.")
    ] = "auto",
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most steps.  [default: 1200]")] = None,
    width: Annotated[
        int | None, typer.Option(min=4, max=256, metavar="N", help="Channels of the networks.  [default: 20]")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Looks without a better score that end it.  [default: 8]")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the sessions, at the end, to choose by.  [default: 0.2]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of weights, windows and noise.")] = 0,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    start: options.Start = None,
    end: options.End = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder of an earlier training.")] = False,
    as_json: options.Json = False,
) -> None:
    """Train a generative adversarial network on bars, from which the generator `gan` makes more.

    The last sessions are not trained on: the step of the training is chosen by them. Needs the extra `train`;
    generating does not.
    """
    from engine.base.config import parse
    from engine.base.errors import UsageError
    from engine.base.replacing import check_output
    from engine.cli.console import note
    from engine.cli.data_fit import all_bars, instrument_of, open_bars, recorded
    from engine.cli.flags import option_names
    from feeds.fitting.fit import check_bars
    from feeds.gan.model import FOLDER
    from feeds.quarantine import Quarantine
    from training.gan.config import GanConfig

    if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx")):
        raise UsageError(
            "training needs PyTorch and onnx, which are not installed", hint="pip install 'grandmodel[train]'"
        )
    target = out or Path(f"{file.name.partition('.')[0]}.gan")
    check_output(target, FOLDER, overwrite=overwrite)
    given = {"steps": steps, "width": width, "patience": patience, "validation": validation, "seed": seed}
    given = {key: value for key, value in given.items() if value is not None}
    config = parse(GanConfig, given, where="command line", names=option_names(given))
    files, chosen = recorded([file], instrument)
    quarantine = Quarantine()
    how = {"labels": labels, "timezone": timezone, "start": start, "end": end}
    replay = open_bars(files, chosen, how, quarantine, str(file) if files != [file] else None)
    instruments = [instrument_of(chosen, name) for name in replay.symbols]
    check_bars(replay.timeframe_ns, instruments)

    from training.gan.train import Look
    from training.gan.train import train_gan as train

    def look(one: Look) -> None:
        note(f"step {one.step:,}: score on validation {one.score:.3f}" + (", the best so far" if one.best else ""))

    model = train(all_bars(replay), instruments[0], target, config, files=files, overwrite=overwrite, on_look=look)
    if as_json:
        tree = model.model_dump(mode="json", exclude={"season", "volume_season", "missing", "nights", "instrument"})
        typer.echo(json.dumps({"folder": str(target), **tree}, indent=2))
    bad = f"; left out: {quarantine.total:,} bad rows" if quarantine.total else ""
    note(f"wrote {target}: the weights of step {model.chosen:,} of {model.steps:,}, score {model.score:.3f}{bad}")
