"""Shell completion: the script that a shell loads, and what may stand in an option. Nothing heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.commands import COMPLETING

AGENTS = ("flat", "buy_and_hold", "sma_cross", "random", "ensemble")
STRATEGY = re.compile(r"^class (\w+)\(.*(?:Strategy|MarketAgent)\b", re.MULTILINE)
MOST_FILES = 50
LARGEST = 1 << 20


class Shell(StrEnum):
    """Shells that a script exists for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to write the script for.")]) -> None:
    """Print the script that makes a shell complete commands, options, agents, instruments and recordings.

    Example: grandmodel completion bash > ~/.local/share/bash-completion/completions/grandmodel
    """
    script = _typer().get_completion_script(prog_name="grandmodel", complete_var=COMPLETING, shell=shell.value)
    typer.echo(script)


def answer_shells() -> None:
    """Let the command answer a shell that asks; called before the command is."""
    _typer().completion_init()


def _typer() -> Any:
    # typed as private there, though documented for programs
    return import_module("typer.completion")


def data_files(incomplete: str) -> list[str]:
    """Recordings that ship, and files."""
    from engine.base.paths import recordings

    return [*_beginning(incomplete, recordings()), *_paths(incomplete)]


def agents(incomplete: str) -> list[str]:
    """Agents that ship, and the strategy classes of Python files."""
    found = _beginning(incomplete, AGENTS)
    head, colon, _ = incomplete.partition(":")
    files = [Path(head)] if colon else [Path(path) for path in _paths(incomplete) if path.endswith(".py")]
    specs = [f"{file}:{name}" for file in files[:MOST_FILES] for name in _classes(file)]
    folders = [path for path in _paths(incomplete) if path.endswith("/")]
    return [*found, *_beginning(incomplete, specs), *folders]


def instruments(incomplete: str) -> list[str]:
    """Instruments that ship, and YAML files; after `SYMBOL=` too."""
    from engine.base.paths import shipped

    symbol, separator, begun = incomplete.rpartition("=")
    known = sorted(path.stem for path in (shipped("configs") / "instruments").glob("*.yaml"))
    files = [path for path in _paths(begun) if path.endswith((".yaml", ".yml", "/"))]
    return [f"{symbol}{separator}{name}" for name in (*_beginning(begun, known), *files)]


def _beginning(text: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(text)]


def _paths(incomplete: str) -> list[str]:
    folder, slash, begun = incomplete.rpartition("/")
    try:
        inside = sorted(Path(f"{folder}{slash}" or ".").iterdir())
        names = [f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in inside]
    except OSError:
        return []
    return [
        name for name in names if name.startswith(incomplete) and (begun or not name.rpartition("/")[2].startswith("."))
    ]


def _classes(file: Path) -> list[str]:
    """Strategy classes of a file by their names, without running it."""
    try:
        if not file.is_file() or file.stat().st_size > LARGEST:
            return []
        return STRATEGY.findall(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []
