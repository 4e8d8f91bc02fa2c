"""What lies beside the networks of an ensemble: `ensemble.json`, which names every byte, and one file for each seat.

A version is a folder:

    ensemble.json                                        what made it, its feature schemas, the sha256 of every file
    strategic_model.onnx, strategic_metadata.json        likewise tactical and risk
    risk_weights.npz                                     the risk network for compiled scans
    strategic_model.pth                                  after training only: what a later training starts from
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from agents.features.declared import declared_in
from agents.features.schema import schema, schema_hash
from agents.serving.limits import read_model_file
from agents.spec import AGENTS, AgentSpec, Algorithm, find_agent
from engine.base.config import Config
from engine.base.errors import DataError, UsageError
from engine.base.files import sha256_file

ENSEMBLE_FILE = "ensemble.json"
RISK_WEIGHTS = "risk_weights.npz"
VERSION_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
RESTORE = "restore the folder from where it came, or train or add the version again"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Tree = dict[str, Any]
C = TypeVar("C", bound=Config)


def model_file(seat: str) -> str:
    """Name of a seat's ONNX file."""
    return f"{seat}_model.onnx"


def metadata_file(seat: str) -> str:
    """Name of a seat's metadata file."""
    return f"{seat}_metadata.json"


def required_files(seat: str) -> tuple[str, ...]:
    """Files without which a seat cannot be served."""
    files = (model_file(seat), metadata_file(seat))
    return (*files, RISK_WEIGHTS) if seat == "risk" else files


def is_version_name(text: str) -> bool:
    """Whether a version may be called so: it is also the name of its folder."""
    return re.fullmatch(VERSION_NAME, text) is not None


class FeatureSchema(Config):
    """The features that a network was made for: their description and its hash."""

    sha256: str
    content: Tree

    @classmethod
    def current(cls, seat: str | AgentSpec) -> FeatureSchema:
        """The schema that this program computes for a seat, or for an agent with declared features."""
        # through JSON, so that it equals what a file holds
        return cls(sha256=schema_hash(seat), content=json.loads(json.dumps(schema(seat))))

    def agent(self, seat: str, where: str) -> AgentSpec:
        """The agent that sees these features.

        Args:
            where: The file that holds the schema, for messages.

        Raises:
            UsageError: If there is no such seat.
            DataError: If its declared features cannot be read.
        """
        return find_agent(seat).seeing(declared_in(self.content, where))


class SeatMetadata(Config):
    """`{seat}_metadata.json`: enough to serve one network without the rest of its ensemble.

    Attributes:
        seat: strategic, tactical or risk.
        algorithm: What trained it.
        hidden_layers, activation: Its architecture.
        parameters: How many weights are served.
        untrained: Whether it has never learned anything.
        features: What it reads.
        constant: What it always does, where a constant action took the seat; None if it decides.
    """

    seat: str
    algorithm: Algorithm
    hidden_layers: tuple[int, ...]
    activation: Literal["relu", "tanh"]
    parameters: int
    untrained: bool
    features: FeatureSchema
    constant: tuple[float, ...] | None = None


class EnsembleMetadata(Config):
    """`ensemble.json`.

    Attributes:
        format: Of this file.
        version: Name of the version.
        created_by: Program that wrote it.
        untrained: Whether its networks have never learned anything.
        seed: Of the training or of the initial weights.
        schemas: Features by seat; the seats of the ensemble are its keys.
        files: sha256 of every other file of the folder, by name.
        training_data: sha256 of the files it learned from.
        metrics: Of its last evaluation, by name.
        versions: Of the packages or formats that shaped the files.
        digest: sha256 of all the above, in the order and layout of the file.
    """

    format: Literal[1] = 1
    version: Annotated[str, Field(pattern=f"^{VERSION_NAME}$")]
    created_by: str
    untrained: bool
    seed: int | None = None
    schemas: dict[str, FeatureSchema]
    files: dict[str, Sha256]
    training_data: tuple[Sha256, ...] = ()
    metrics: dict[str, float | None] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    digest: str

    @property
    def seats(self) -> tuple[str, ...]:
        """Seats that have a network, in the order strategic, tactical, risk."""
        return tuple(seat for seat in AGENTS if seat in self.schemas)


def doubts(metadata: EnsembleMetadata) -> str | None:
    """Why a version should not trade, from the evaluation that is recorded with it; None if that paid."""
    if metadata.untrained:
        return "its networks have never learned anything"
    found = metadata.metrics.get("mean_return")
    if found is None:
        return "no evaluation is recorded with it"
    count, trades = metadata.metrics.get("episodes"), metadata.metrics.get("trades")
    over = "" if count is None else f" over {count:,.0f} validation episodes"
    # a position that is held throughout is no closed trade; versions of before say nothing of exposure
    if trades == 0 and not metadata.metrics.get("exposure", found):
        return f"it never traded{over}"
    return None if found > 0 else f"it did not pay: a mean return of {found:.2%} an episode{over}"


def render(tree: Mapping[str, Any]) -> str:
    """JSON in the one layout that these files have."""
    return json.dumps(tree, indent=2, allow_nan=False) + "\n"


def write_seat(folder: Path, metadata: SeatMetadata) -> None:
    """Write a seat's metadata file."""
    # what is not there is left out, so that a version of an earlier release is written with the same bytes
    tree = metadata.model_dump(mode="json", exclude_none=True)
    (folder / metadata_file(metadata.seat)).write_text(render(tree), encoding="utf-8")


def seal(
    folder: Path,
    version: str,
    *,
    created_by: str,
    untrained: bool,
    seed: int | None = None,
    training_data: Sequence[str] = (),
    metrics: Mapping[str, float | None] | None = None,
    versions: Mapping[str, str] | None = None,
) -> EnsembleMetadata:
    """Write `ensemble.json` over the files that lie in a folder; the same files and facts give the same bytes.

    Args:
        folder: Holds the networks and their metadata files; hidden files are left out.
        created_by: Program that made the networks.
        untrained: Whether they have never learned anything.
        seed: Of the training.
        training_data: sha256 of the files it learned from.
        metrics: Of its last evaluation.
        versions: Of the packages that shaped it.

    Raises:
        UsageError: If the version cannot be called so, or the folder holds no network.
    """
    if not is_version_name(version):
        raise UsageError(
            "a version cannot be called that", expected="letters, digits, dots, dashes, underscores", found=version
        )
    names = sorted(name for name in listing(folder) if name != ENSEMBLE_FILE)
    seats = [seat for seat in AGENTS if model_file(seat) in names]
    if not seats:
        raise UsageError("the folder holds no network", where=str(folder), expected="strategic_model.onnx or another")
    facts = EnsembleMetadata(
        version=version,
        created_by=created_by,
        untrained=untrained,
        seed=seed,
        schemas={seat: _described(folder, seat) for seat in seats},
        files={name: sha256_file(folder / name) for name in names},
        training_data=tuple(training_data),
        metrics=dict(metrics or {}),
        versions=dict(versions or {}),
        digest="",
    )
    tree = facts.model_dump(mode="json")
    tree["digest"] = _digest(tree)
    part = folder / f".{ENSEMBLE_FILE}.part"
    part.write_text(render(tree), encoding="utf-8")
    part.replace(folder / ENSEMBLE_FILE)
    return EnsembleMetadata.model_validate(tree)


def read_ensemble(folder: Path) -> tuple[EnsembleMetadata, str]:
    """Read and check `ensemble.json`.

    Returns:
        What it says, and the sha256 of its bytes, which stands for the whole version.

    Raises:
        DataError: If it is missing, is not JSON or does not fit.
        DataError: If it was changed after it was written.
    """
    path = folder / ENSEMBLE_FILE
    content = read_bytes(path, "every ensemble's folder has one")
    tree = _tree(content, path)
    metadata = _parsed(EnsembleMetadata, tree, path)
    if metadata.digest != _digest(tree) or content != render(tree).encode():
        raise DataError(
            "the description of the ensemble was changed after it was written",
            where=str(path),
            expected=f"digest {_digest(tree)}",
            found=metadata.digest if metadata.digest != _digest(tree) else "another layout",
            hint=RESTORE,
        )
    return metadata, sha256(content)


def read_seat(content: bytes, path: Path, seat: str) -> SeatMetadata:
    """Read `{seat}_metadata.json`.

    Raises:
        DataError: If it is not JSON, does not fit, or is that of another seat.
    """
    metadata = _parsed(SeatMetadata, _tree(content, path), path)
    if find_agent(seat).name != metadata.seat:
        raise DataError("the metadata are those of another seat", where=str(path), expected=seat, found=metadata.seat)
    return metadata


def listing(folder: Path) -> list[str]:
    """Names of what lies in a folder, sorted, hidden entries left out."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def read_bytes(path: Path, hint: str) -> bytes:
    """A file's content.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return read_model_file(path)
    except OSError as error:
        reason = f"cannot read the file: {error.strerror or error}"
        if isinstance(error, FileNotFoundError):
            reason = "the file is missing"
        raise DataError(reason, where=str(path), hint=hint) from error


def sha256(content: bytes) -> str:
    """Hash of bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _described(folder: Path, seat: str) -> FeatureSchema:
    """The features that a network was made for, from its metadata file."""
    path = folder / metadata_file(seat)
    return read_seat(read_bytes(path, RESTORE), path, seat).features


def _digest(tree: Mapping[str, Any]) -> str:
    return sha256(render({key: value for key, value in tree.items() if key != "digest"}).encode())


def _tree(content: bytes, path: Path) -> Tree:
    try:
        tree = json.loads(content)
        json.dumps(tree, allow_nan=False)
    except (ValueError, RecursionError) as error:  # also what is not UTF-8, or no finite number
        raise DataError(f"not valid JSON: {error}", where=str(path), hint=RESTORE) from error
    if not isinstance(tree, dict):
        raise DataError("the top level must be keys and values", where=str(path), found=type(tree).__name__)
    return tree


def _parsed(model: type[C], tree: Tree, path: Path) -> C:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise DataError(
            f"the file does not fit: {problems}",
            where=str(path),
            expected=f"the keys {', '.join(model.model_fields)}",
            hint=RESTORE,
        ) from error
