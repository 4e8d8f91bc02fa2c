"""`grandmodel export`: from a checkpoint to a version of the models that can be served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from agents.models.metadata import EnsembleMetadata
    from training.checkpoint import Checkpoint

Source = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT|FOLDER",
        help="A checkpoint, or a folder of checkpoints (the newest valid one is used).",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the version in the folder, and the file of --production.")
]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="NAME", help="What to call it; else trained-EPISODE-HASH.", show_default=False),
]
Production = Annotated[
    Path | None,
    typer.Option("--production", metavar="FILE", help="Also write a production configuration.", show_default=False),
]
Add = Annotated[bool, typer.Option("--add", help="Also put the version into the store; see `grandmodel models`.")]
Last = Annotated[bool, typer.Option("--last", help="The networks trained last, not those that were evaluated best.")]


def export(
    source: Source,
    out: Out = Path("models") / "production",
    version: Version = None,
    production: Production = None,
    add: Add = False,
    last: Last = False,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Write the networks of a checkpoint as ONNX files and weights, verified and ready to serve.

    Example: grandmodel export models/checkpoints --production configs/production/marl_models.yaml
    """
    from engine.app.checkpoints import find
    from engine.app.extras import need_training
    from engine.cli.console import note

    need_training()
    from engine.base.replacing import refuse_existing
    from training.export import export as write
    from training.export import untrained_seats, write_production

    if production is not None:
        refuse_existing(production, overwrite=overwrite)
    checkpoint = find(source, note)
    metadata = write(checkpoint, out, version, last=last, overwrite=overwrite)
    if production is not None:
        write_production(production, out)
    store = _add(out) if add else None
    facts = _facts(checkpoint, metadata, out, production, store, untrained_seats(checkpoint, last=last))
    if as_json:
        typer.echo(json.dumps(facts, allow_nan=False))
    else:
        _show(facts)


def _add(folder: Path) -> str:
    from agents.models.store import ModelStore

    store = ModelStore()
    store.add(folder)
    return str(store.root)


def _facts(
    checkpoint: Checkpoint,
    metadata: EnsembleMetadata,
    folder: Path,
    production: Path | None,
    store: str | None,
    standing: Mapping[str, tuple[float, ...]],
) -> dict[str, Any]:
    from agents.models.metadata import ENSEMBLE_FILE
    from engine.base.files import sha256_file

    return {
        "version": metadata.version,
        "folder": str(folder),
        "sha256": sha256_file(folder / ENSEMBLE_FILE),
        "checkpoint": str(checkpoint.path),
        "episode": metadata.metrics.get("episode"),
        "metrics": metadata.metrics,
        "files": [*metadata.files, ENSEMBLE_FILE],
        "production": str(production) if production else None,
        "store": store,
        "stand_ins": standing,
    }


def _show(facts: dict[str, Any]) -> None:
    from engine.cli.console import note

    numbers = ", ".join(
        f"{name} {value:.6g}" for name, value in facts["metrics"].items() if name != "episode" and value is not None
    )
    episode = "" if facts["episode"] is None else f", networks of episode {facts['episode']:.0f}"
    typer.echo(f"{facts['version']}: {len(facts['files'])} files in {facts['folder']}, sha256 {facts['sha256']}")
    note(f"from   {facts['checkpoint']}{episode}{f': {numbers}' if numbers else ''}")
    for seat, action in facts["stand_ins"].items():
        values = ", ".join(f"{part:g}" for part in action)
        note(f"{seat}: its turn to learn had not come, so the seat holds its stand-in, always {values}")
    if facts["production"]:
        note(f"wrote  {facts['production']}")
    if facts["store"]:
        note(f"store  {facts['store']}; `grandmodel models activate {facts['version']}` makes it the active one")
