"""`grandmodel config`: what a run would use, and the schema of the configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Show the configuration and its schema.")


@app.command()
def show(
    config: Annotated[list[Path] | None, typer.Option("--config", "-c", help="YAML file (repeatable).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override one key (repeatable).")] = None,
) -> None:
    """Print the configuration that these files and overrides give, every default filled in, as YAML.

    Example: grandmodel config show -c my.yaml --set limits.max_drawdown=0.2
    """
    import yaml

    from engine.app.config import BacktestConfig
    from engine.config import load

    loaded = load(BacktestConfig, config or [], set_ or [])
    typer.echo(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration file, for editors.

    Example: grandmodel config schema > backtest.schema.json
    """
    from engine.app.config import BacktestConfig

    typer.echo(json.dumps(BacktestConfig.model_json_schema(), indent=2))
