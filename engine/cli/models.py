"""`grandmodel models`: versions of the ensemble, their roles, and whether their files are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import model_roles, options
from engine.cli.model_roles import Note, Store, Version, check_stress, store_at, warn_of_doubts

if TYPE_CHECKING:
    from rich.text import Text

    from agents.models.store import ModelStore

app = typer.Typer(
    help="List, verify and add versions of the models; challenge, promote and roll back.", no_args_is_help=True
)

LED = frozenset({"activate", "promote", "rollback"})
"""Events after which a version leads."""
Spec = Annotated[
    str | None,
    typer.Argument(metavar="[VERSION|FOLDER]", help="Name of a version, or a folder; else the active one."),
]


StressRun = Annotated[
    Path | None, typer.Option("--stress", metavar="RUN", help="Run with the stress test.  [default: latest in runs]")
]
DespiteStress = Annotated[bool, typer.Option("--despite-stress", help="Activate even if a bound was broken in it.")]


@app.command("list", epilog="Example: grandmodel models list")
def list_(store: Store = None, as_json: options.Json = False) -> None:
    """List all versions and their roles; the champion, which is the active one, is marked."""
    models = store_at(store)
    active, roles = models.active(), models.roles()
    rows = [_row(models, version, active, roles.get(version, "")) for version in models.versions()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("role", "version", "seats", "evaluation", "activated (UTC)", "sha256"):
        table.add_column(title, no_wrap=title != "version", overflow="fold")
    for row in rows:
        role = Text(row["role"], style="bold green" if row["active"] else "")
        since = (row["activated"] or "")[:16].replace("T", " ")
        table.add_row(role, Text(row["version"]), _seats(row), _evaluated(row), since, (row["sha256"] or "")[:8])
    out().print(table)
    for row in rows:
        if row["error"]:
            note(f"{row['version']} is damaged: {row['error']}; `grandmodel models verify {row['version']}` says where")


@app.command(epilog="Example: grandmodel models show untrained-2")
def show(version: Spec = None, store: Store = None, as_json: options.Json = False) -> None:
    """Show what one version is: who made it, from what, and its files."""
    from agents.models.metadata import doubts, read_ensemble
    from agents.models.store import resolve_ensemble

    folder = resolve_ensemble(version, store_at(store))
    metadata, digest = read_ensemble(folder)
    if as_json:
        facts = {"folder": str(folder), "sha256": digest, **metadata.model_dump(mode="json")}
        typer.echo(json.dumps(facts, indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import out

    lines = {
        "version": metadata.version + (" (untrained: its decisions mean nothing)" if metadata.untrained else ""),
        "folder": str(folder),
        "sha256": digest,
        "created by": metadata.created_by,
        "seed": "" if metadata.seed is None else str(metadata.seed),
        "training data": "\n".join(metadata.training_data) or "none",
        "warning": doubts(metadata) or "",
        "metrics": _pairs({name: "-" if value is None else f"{value:g}" for name, value in metadata.metrics.items()}),
        "versions": _pairs(metadata.versions),
        "features": _pairs({seat: metadata.schemas[seat].sha256[:16] for seat in metadata.seats}),
        "files": "\n".join(f"{sha[:16]}  {name}" for name, sha in metadata.files.items()),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in lines.items():
        if text:
            table.add_row(label, Text(text))
    out().print(table)


@app.command(epilog="Example: grandmodel models verify")
def verify(version: Spec = None, store: Store = None) -> None:
    """Check every byte of a version, load its networks and try whether batches change their answers.

    Exit code 0: whole. 1: something is missing, was changed or does not fit. 2: there is no such version.
    """
    from agents.models.loading import load_ensemble
    from agents.models.store import resolve_ensemble
    from engine.base.errors import CheckFailed, DataError, recast
    from engine.cli.console import note, out

    folder = resolve_ensemble(version, store_at(store))
    try:
        loaded = load_ensemble(folder, check_batches=True)
    except DataError as error:  # damage is what this looks for, so that finding it is its result
        raise recast(error, CheckFailed) from error
    for model in (loaded.strategic, loaded.tactical):
        if model is not None and model.tile is not None:
            note(f"answers of the {model.name} network depend on the batch here: it is served in tiles of {model.tile}")
    files = len(loaded.metadata.files) + 1
    out().print(f"{loaded.version}: {files} files are whole, sha256 {loaded.sha256}", soft_wrap=True, highlight=False)


@app.command(epilog="Example: grandmodel models activate 2026-05-nightly --note 'better on May'")
def activate(
    version: Version,
    note: Note = "",
    store: Store = None,
    stress: StressRun = None,
    despite_stress: DespiteStress = False,
) -> None:
    """Make a version the active one, after verifying it; warns if its recorded evaluation did not pay.

    The latest stress test of the version (`grandmodel stress`) in `runs` counts: if a bound was broken in it, the
    version is refused, with exit code 1. Without a test there is a warning.
    """
    models = store_at(store)
    from engine.app.roles import now

    check_stress(models, version, stress, despite=despite_stress)
    entry = models.activate(version, now(), note)
    warn_of_doubts(models, entry.version)
    typer.echo(f"{entry.version} is active since {entry.activated}")


@app.command(epilog="Example: grandmodel models add models/production")
def add(folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)], store: Store = None) -> None:
    """Verify a version and copy it into the store; it is not active before it is activated."""
    models = store_at(store)
    version = models.add(folder)
    typer.echo(f"{version} is in {models.root}; `grandmodel models activate {version}` makes it the active one")


for _name, _command, _example in (
    ("challenge", model_roles.challenge, "grandmodel models challenge 2026-05-nightly --note 'trained on May'"),
    ("promote", model_roles.promote, "grandmodel models promote 2026-05-nightly --run runs/live"),
    ("retire", model_roles.retire, "grandmodel models retire 2026-05-nightly"),
    ("rollback", model_roles.rollback, "grandmodel models rollback --note 'too many trades'"),
    ("history", model_roles.history, "grandmodel models history"),
):
    app.command(_name, epilog=f"Example: {_example}")(_command)


def _row(models: ModelStore, version: str, active: str, role: str) -> dict[str, Any]:
    from agents.models.metadata import doubts, read_ensemble
    from engine.base.errors import GrandModelError

    times = [entry.activated for entry in models.history() if entry.version == version and entry.event in LED]
    row: dict[str, Any] = {
        "version": version,
        "active": version == active,
        "role": role,
        "activated": times[-1] if times else None,
        "seats": [],
        "untrained": None,
        "mean_return": None,
        "doubts": None,
        "sha256": None,
        "error": None,
    }
    try:
        metadata, digest = read_ensemble(models.path(version))
    except GrandModelError as error:
        return {**row, "error": error.what}
    return {
        **row,
        "seats": list(metadata.seats),
        "untrained": metadata.untrained,
        "mean_return": metadata.metrics.get("mean_return"),
        "doubts": doubts(metadata),
        "sha256": digest,
    }


def _seats(row: dict[str, Any]) -> str:
    """The seats that have networks, in few characters."""
    from agents.spec import AGENTS

    return "all" if len(row["seats"]) == len(AGENTS) else ", ".join(row["seats"])


def _evaluated(row: dict[str, Any]) -> Text:
    """The mean return of an episode of the recorded evaluation, or why there is none to count on."""
    from rich.text import Text

    earned = row["mean_return"]
    if row["error"]:
        return Text("damaged", style="red")
    if row["untrained"]:
        return Text("untrained", style="yellow")
    if earned is None:
        return Text("none", style="yellow")
    return Text(f"{earned:+.2%}", style="yellow" if row["doubts"] else "")


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
