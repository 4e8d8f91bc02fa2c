"""`grandmodel config`: what a run would use, and the schema of the configuration file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.base.config import Config

app = typer.Typer(no_args_is_help=True, help="Show the configuration and its schema.")


Training = Annotated[bool, typer.Option("--training", help="Of a training, as `train` and `evaluate` take it.")]
Live = Annotated[bool, typer.Option("--live", help="Of a live session, as `paper` takes it.")]


@app.command()
def show(
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
    training: Training = False,
    live: Live = False,
) -> None:
    """Print the configuration that these files and overrides give, every default filled in, as YAML.

    Example: grandmodel config show -c my.yaml --set limits.max_drawdown=0.2
    """
    import yaml

    from engine.base.config import load

    loaded = load(_model(training, live), config or [], set_ or [])
    text = yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    typer.echo(text, nl=False)


@app.command()
def schema(training: Training = False, live: Live = False) -> None:
    """Print the JSON schema of the configuration file, for editors.

    Example: grandmodel config schema --training > training.schema.json
    """
    typer.echo(json.dumps(_model(training, live).model_json_schema(), indent=2))


def _model(training: bool, live: bool) -> type[Config]:
    if training and live:
        from engine.base.errors import UsageError

        raise UsageError("a configuration is that of a training or of a live session", found="--training --live")
    if live:
        from engine.app.live.config import PaperConfig

        return PaperConfig
    if training:
        from training.config import TrainingConfig

        return TrainingConfig
    from engine.app.config import BacktestConfig

    return BacktestConfig
