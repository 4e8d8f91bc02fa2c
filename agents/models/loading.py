"""From a version's folder to networks ready to serve; every byte is verified first, and what was verified is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.features.schema import difference
from agents.models.metadata import (
    ENSEMBLE_FILE,
    RESTORE,
    RISK_WEIGHTS,
    EnsembleMetadata,
    FeatureSchema,
    listing,
    metadata_file,
    model_file,
    read_bytes,
    read_ensemble,
    read_seat,
    required_files,
    sha256,
)
from agents.serving.onnx_model import OnnxModel, batch_invariant
from agents.serving.risk_network import RiskNetwork
from agents.spec import AGENTS, AgentSpec
from engine.base.errors import DataError
from engine.base.files import check_regular, sha256_file

FALLBACK_TILE = 32
RISK_TOLERANCE = 1e-4
"""How far the two files of the risk network may differ, relative to the greatest value."""


@dataclass(frozen=True)
class LoadedEnsemble:
    """Networks ready to serve; a seat without a network is None.

    Attributes:
        sha256: Of `ensemble.json`, which names the sha256 of everything else: it stands for the whole.
        metadata: What `ensemble.json` says.
    """

    folder: Path
    version: str
    sha256: str
    metadata: EnsembleMetadata
    strategic: OnnxModel | None
    tactical: OnnxModel | None
    risk: RiskNetwork | None


def load_ensemble(folder: Path, *, tile: int | None = None, check_batches: bool = False) -> LoadedEnsemble:
    """Verify a version and load its networks.

    Args:
        tile: As in `OnnxModel`.
        check_batches: Try whether answers depend on the batch here, and fall back to fixed tiles where they do.

    Raises:
        DataError: If a file is missing, damaged or not what its seat needs.
        DataError: If a file was changed or is not named in `ensemble.json`, the features differ from those that this
            program computes, or the two files of the risk network disagree.
    """
    metadata, whole = read_ensemble(folder)
    contents = verified_contents(folder, metadata)
    models: dict[str, OnnxModel] = {}
    risk: RiskNetwork | None = None
    for seat in metadata.seats:
        seat_metadata = read_seat(contents[metadata_file(seat)], folder / metadata_file(seat), seat)
        spec = check_schema(seat, seat_metadata.features, folder / metadata_file(seat))
        check_same(seat, seat_metadata.features, metadata.schemas[seat], folder / ENSEMBLE_FILE)
        if seat == "risk":
            risk = load_risk(folder, contents[model_file(seat)], contents[RISK_WEIGHTS])
        else:
            path = folder / model_file(seat)
            models[seat] = load_model(path, contents[model_file(seat)], spec, tile, check_batches)
    return LoadedEnsemble(
        folder, metadata.version, whole, metadata, models.get("strategic"), models.get("tactical"), risk
    )


def verified_contents(folder: Path, metadata: EnsembleMetadata) -> dict[str, bytes]:
    """Contents of the files to be loaded; every file of the folder is verified, also those that are not loaded.

    Raises:
        DataError: If a file is missing or a seat is not known.
        DataError: If a file was changed or is not named in `ensemble.json`.
    """
    where = str(folder / ENSEMBLE_FILE)
    unknown = [seat for seat in metadata.schemas if seat not in AGENTS]
    if unknown or not metadata.schemas:
        raise DataError(
            "the ensemble has seats that this program does not know" if unknown else "the ensemble has no seats",
            where=where,
            expected=", ".join(AGENTS),
            found=", ".join(unknown),
        )
    loaded = {name for seat in metadata.seats for name in required_files(seat)}
    unnamed = sorted(loaded - set(metadata.files))
    if unnamed:
        raise DataError(f"the ensemble does not name {unnamed[0]}", where=where, hint=RESTORE)
    extra = sorted(set(listing(folder)) - set(metadata.files) - {ENSEMBLE_FILE})
    if extra:
        raise DataError(
            "the folder holds a file that its ensemble.json does not name",
            where=str(folder / extra[0]),
            expected=", ".join(sorted(metadata.files)),
            hint="move it away: a version is exactly what was written at once",
        )
    return {name: content for name, content in _verified(folder, metadata, loaded) if content is not None}


def _verified(folder: Path, metadata: EnsembleMetadata, loaded: set[str]) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    for name, expected in metadata.files.items():
        path = folder / name
        if Path(name).name != name or not os.path.lexists(path):
            raise DataError("a file of the ensemble is missing", where=str(path), hint=RESTORE)
        try:
            check_regular(path)
        except OSError as error:
            reason = f"cannot read the file: {error.strerror or error}"
            raise DataError(reason, where=str(path), hint=RESTORE) from error
        content = read_bytes(path, RESTORE) if name in loaded else None
        actual = sha256_file(path) if content is None else sha256(content)
        if actual != expected:
            raise DataError(
                "a file of the ensemble was changed after it was written",
                where=str(path),
                expected=f"sha256 {expected}",
                found=actual,
                hint=RESTORE,
            )
        found.append((name, content))
    return found


def check_schema(seat: str, found: FeatureSchema, path: Path) -> AgentSpec:
    """Refuse a network that was made for other features than this program computes; gives the agent that sees them.

    Raises:
        DataError: Naming the first difference.
    """
    spec = found.agent(seat, str(path))
    current = FeatureSchema.current(spec)
    check_same(seat, current, found, path)
    return spec


def check_same(seat: str, current: FeatureSchema, found: FeatureSchema, path: Path) -> None:
    """Refuse a network that was made for other features.

    Raises:
        DataError: Naming the first difference.
    """
    if found.sha256 == current.sha256:
        return
    raise DataError(
        f"the {seat} network was made for other features: {difference(current.content, found.content)}",
        where=str(path),
        expected=f"schema {current.sha256}",
        found=f"schema {found.sha256}",
        hint="train it again, or use it with the release of grandmodel that made it",
    )


def load_model(path: Path, content: bytes, seat: str | AgentSpec, tile: int | None, check_batches: bool) -> OnnxModel:
    """One ONNX model, in tiles if asked to check and its answers depend on the batch.

    Raises:
        DataError: If it is damaged or not what its seat needs.
    """
    model = OnnxModel(content, seat, tile, where=str(path))
    if not check_batches or batch_invariant(model):
        return model
    tiled = OnnxModel(content, seat, FALLBACK_TILE, where=str(path))
    return tiled if batch_invariant(tiled) else OnnxModel(content, seat, 1, where=str(path))


def load_risk(folder: Path, onnx: bytes, weights: bytes, onnx_name: str = model_file("risk")) -> RiskNetwork:
    """The risk network from its weights, held against its ONNX model.

    Args:
        weights: The content of `risk_weights.npz`.

    Raises:
        DataError: If one of them is damaged or not what the seat needs.
        DataError: If they are not the same network.
    """
    network = RiskNetwork.load(weights, where=str(folder / RISK_WEIGHTS))
    model = OnnxModel(onnx, "risk", where=str(folder / onnx_name))
    # fixed draws: the check says the same every time
    generator = np.random.Generator(np.random.PCG64(0))
    observations = generator.standard_normal((64, *AGENTS["risk"].observation)).astype(np.float32)
    ours, theirs = network.q_values(observations), model.run(observations)["q_values"]
    apart = float(np.abs(ours - theirs).max())
    allowed = RISK_TOLERANCE * max(1.0, float(np.abs(theirs).max()))
    if not apart <= allowed:
        raise DataError(
            "the two files of the risk network hold different networks",
            where=f"{folder / RISK_WEIGHTS} and {onnx_name}",
            expected=f"action values within {allowed:.1e}",
            found=f"{apart:.1e}",
            hint="export the risk agent again, which writes both",
        )
    return network
