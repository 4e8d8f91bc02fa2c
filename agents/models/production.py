"""The production configuration: for each seat a network on the disk, or another agent in its place."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, model_validator

from agents.models.loading import check_schema, load_model, load_risk, verified_contents
from agents.models.metadata import (
    ENSEMBLE_FILE,
    RISK_WEIGHTS,
    metadata_file,
    read_bytes,
    read_ensemble,
    read_seat,
    required_files,
)
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import RiskNetwork
from agents.spec import find_agent
from engine.base.config import Config, parse, read_yaml
from engine.base.errors import UsageError

EXPORT_HINT = (
    "train and export the agents, which writes it; or give the seat an `agent`; or set `enabled: false` for it"
)


class SeatConfig(Config):
    """Who sits in one seat.

    Attributes:
        enabled: Whether anybody does.
        model_path: Weights that a later training starts from; not needed to serve.
        onnx_path: The network to serve; its metadata, and for risk `risk_weights.npz`, lie beside it.
        agent: Specification of a rule agent or FILE.py:CLASS in place of a network.
    """

    enabled: bool = True
    model_path: Path | None = None
    onnx_path: Path | None = None
    agent: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> SeatConfig:
        if self.agent is not None and (self.onnx_path or self.model_path):
            raise ValueError("a seat has either `agent` or `onnx_path` and `model_path`")
        if self.enabled and self.agent is None and self.onnx_path is None:
            raise ValueError("an enabled seat needs `onnx_path` or `agent`")
        return self


class SeatsOfProduction(Config):
    """The seats; one that is not named is empty."""

    strategic_agent: SeatConfig = SeatConfig(enabled=False)
    tactical_agent: SeatConfig = SeatConfig(enabled=False)
    risk_agent: SeatConfig = SeatConfig(enabled=False)


class ProductionConfig(Config):
    """A production configuration file."""

    models: SeatsOfProduction = Field(default=...)


def load_production(path: Path) -> dict[str, SeatConfig]:
    """Read a production configuration.

    Args:
        path: YAML file with the seats under `models`; paths in it are resolved beside it and then under the working
            directory.

    Returns:
        By seat (strategic, tactical, risk), with the paths that were found.

    Raises:
        ConfigError: If the file cannot be read, a key is not known or a seat is not complete.
        UsageError: If the network of an enabled seat does not exist.
    """
    models = parse(ProductionConfig, read_yaml(path), where=str(path)).models
    seats = {"strategic": models.strategic_agent, "tactical": models.tactical_agent, "risk": models.risk_agent}
    return {seat: _resolved(seat, config, path) for seat, config in seats.items()}


def load_seat(
    seat: str, config: SeatConfig, *, tile: int | None = None, check_batches: bool = False
) -> OnnxModel | RiskNetwork:
    """Verify and load the network of one seat; a `RiskNetwork` for risk, an `OnnxModel` for the others.

    Where `ensemble.json` lies beside it, the whole folder is verified against it; where not, the seat's metadata file
    tells which features it was made for.

    Raises:
        UsageError: If the configuration names no network.
        DataError: If a file is missing, damaged or not what the seat needs.
        DataError: If a file was changed, or the network was made for other features.
    """
    if config.onnx_path is None:
        raise UsageError(f"the {find_agent(seat).name} seat has no network", hint=EXPORT_HINT)
    path, folder = config.onnx_path, config.onnx_path.parent
    if os.path.lexists(folder / ENSEMBLE_FILE):  # whatever it is: what cannot be read must not pass for none
        verified_contents(folder, read_ensemble(folder)[0])
    hint = f"export writes {', '.join(required_files(seat))} together: keep them in one folder"
    content = read_bytes(path, hint)
    metadata_path = folder / metadata_file(seat)
    metadata = read_seat(read_bytes(metadata_path, hint), metadata_path, seat)
    spec = check_schema(seat, metadata.features, metadata_path)
    if seat == "risk":
        return load_risk(folder, content, read_bytes(folder / RISK_WEIGHTS, hint), onnx_name=path.name)
    return load_model(path, content, spec, tile, check_batches)


def _resolved(seat: str, config: SeatConfig, path: Path) -> SeatConfig:
    changes: dict[str, object] = {
        key: _found(value, path) for key in ("model_path", "onnx_path") if (value := getattr(config, key)) is not None
    }
    if config.agent is not None:
        head, separator, rest = config.agent.partition(":")
        if head.endswith(".py"):
            changes["agent"] = f"{_found(Path(head), path)}{separator}{rest}"
    resolved = config.model_copy(update=changes)
    if resolved.enabled and resolved.onnx_path is not None and not resolved.onnx_path.is_file():
        raise UsageError(
            f"the {seat} network does not exist",
            where=f"{path}, models.{seat}_agent.onnx_path",
            expected=f"{config.onnx_path} beside the configuration or under the working directory",
            found="no such file",
            hint=EXPORT_HINT,
        )
    return resolved


def _found(relative: Path, path: Path) -> Path:
    local = path.parent / relative
    return local if local.exists() else relative
