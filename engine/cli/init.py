"""`grandmodel init`: a folder to begin a project in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="NAME", help="Folder of the project.", show_default=False)]


def init(name: Folder) -> None:
    """Create a project with a strategy, a configuration, a test and a notebook that run as they are.

    Example: grandmodel init first && cd first && grandmodel backtest -c config.yaml
    """
    from engine.app.project import make_project
    from engine.cli.console import note

    for path in make_project(name):
        typer.echo(str(path))
    note(f"next: cd {shlex.quote(str(name))} && grandmodel backtest -c config.yaml")
