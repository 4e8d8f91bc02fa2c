"""The parent of a job: the version whose networks learn further, read back from what it serves.

What trades lies in the ONNX files and `risk_weights.npz`, so weights and statistics are read from there. Critics and
values, which are not served, come from the `.pth` files where the version has them; otherwise they begin anew.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from agents.models.graphs import Normaliser
from agents.models.loading import load_ensemble
from agents.models.metadata import RISK_WEIGHTS, SeatMetadata, metadata_file, model_file, read_seat
from agents.spec import AGENT_NAMES
from engine.base.errors import CheckFailed, DataError, UsageError
from training.config import Network
from training.export import LearnedNetwork, weights_file

Array = NDArray[np.float32]
Weights = dict[str, Array]


@dataclass(frozen=True)
class Parent:
    """A version with a network in every seat.

    Attributes:
        folder: Where it lies.
        sha256: That stands for all of its files.
        version: Its name.
        networks: By seat: what is served, and what the `.pth` file holds beside it.
        constants: Seats whose network always does the same, and what.
    """

    folder: Path
    sha256: str
    version: str
    networks: Mapping[str, LearnedNetwork]
    constants: Mapping[str, tuple[float, ...]]


def read_parent(folder: Path, sha256: str | None = None) -> Parent:
    """Verify a version and read its networks.

    Args:
        folder: Of the version.
        sha256: What it has to be; None takes what is there.

    Raises:
        DataError: If a file is missing, damaged or not what its seat needs.
        CheckFailed: If a file was changed, or it is another version.
        UsageError: If a seat has no network.
    """
    loaded = load_ensemble(folder)
    if sha256 is not None and loaded.sha256 != sha256:
        raise CheckFailed(
            "the parent of the job is another version", where=str(folder), expected=sha256, found=loaded.sha256
        )
    missing = [seat for seat in AGENT_NAMES if seat not in loaded.metadata.seats]
    if missing:
        raise UsageError(
            f"version {loaded.version} cannot learn further: it has no {missing[0]} network",
            where=str(folder),
            expected="a network in every seat",
            hint="train an ensemble (`grandmodel train`), or go on without learning",
        )
    facts = {seat: _metadata(folder, seat) for seat in AGENT_NAMES}
    networks = {seat: _network(folder, facts[seat]) for seat in AGENT_NAMES}
    constants = {seat: one.constant for seat, one in facts.items() if one.constant is not None}
    return Parent(folder, loaded.sha256, loaded.version, networks, constants)


def require_learnable(parent: Parent, seats: tuple[str, ...]) -> None:
    """Refuse seats that cannot learn further.

    Args:
        parent: The version.
        seats: Names of the agents that are to learn.

    Raises:
        UsageError: If a constant took one of them: a network that always answers the same has no gradient left.
    """
    constant = [seat for seat in seats if seat in parent.constants]
    if constant:
        action = ", ".join(f"{part:g}" for part in parent.constants[constant[0]])
        raise UsageError(
            f"the {constant[0]} agent of version {parent.version} cannot learn further: it always does the same",
            where=str(parent.folder),
            expected="a network that decides",
            found=f"the constant {action}, which took the seat in its training",
            hint=f"take {constant[0]}_agent out of learning.agents, or start from a version whose network decides",
        )


def _metadata(folder: Path, seat: str) -> SeatMetadata:
    path = folder / metadata_file(seat)
    return read_seat(path.read_bytes(), path, seat)


def _network(folder: Path, facts: SeatMetadata) -> LearnedNetwork:
    """A seat's network; dropout is no matter of a version, and left to whoever trains."""
    seat = facts.seat
    # the last number of the strategic network is half of the one before (`training.export`)
    hidden = facts.hidden_layers[:-1] if seat == "strategic" else facts.hidden_layers
    network = Network(hidden_layers=hidden, activation=facts.activation)
    read = _risk if seat == "risk" else _strategic if seat == "strategic" else _tactical
    try:
        weights, statistics = read(folder, len(hidden))
    except KeyError as error:
        raise DataError(
            f"the {seat} network cannot learn further: it has no {error}",
            where=str(folder / model_file(seat)),
            expected="the layers of an exported network",
            hint="export the version again with `grandmodel export`",
        ) from error
    kept = {name: values for name, values in _kept(folder / weights_file(seat)).items() if name not in weights}
    declared = facts.features.agent(seat, str(folder / metadata_file(seat))).declared
    return LearnedNetwork(seat, {**kept, **weights}, statistics, network, declared)


def _strategic(folder: Path, hidden: int) -> tuple[Weights, Normaliser]:
    arrays = _constants(folder / model_file("strategic"))
    shared = hidden - 1
    weights: Weights = {}
    for number in range(shared + 3):
        name = f"shared.{number}" if number < shared else f"policy.{number - shared}"
        weights |= _layer(arrays, f"layer{number + 1}", name)
    return weights, _statistics(arrays)


def _tactical(folder: Path, hidden: int) -> tuple[Weights, Normaliser]:
    arrays = _constants(folder / model_file("tactical"))
    weights: Weights = {}
    for number in range(hidden):
        weights |= _layer(arrays, f"layer{number + 1}", f"trunk.{number}")
    weights |= _layer(arrays, "mean_head", "mean.0") | _layer(arrays, "deviation_head", "log_deviation.0")
    return weights, _statistics(arrays)


def _risk(folder: Path, hidden: int) -> tuple[Weights, Normaliser]:
    del hidden  # always two: the compiled scan computes no others
    with np.load(folder / RISK_WEIGHTS, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    weights = {
        "trunk.0.weight": arrays["w1"].T,
        "trunk.0.bias": arrays["b1"],
        "trunk.1.weight": arrays["w2"].T,
        "trunk.1.bias": arrays["b2"],
        "value.0.weight": arrays["value_w"][None, :],
        "value.0.bias": arrays["value_b"],
        "advantage.0.weight": arrays["advantage_w"].T,
        "advantage.0.bias": arrays["advantage_b"],
    }
    return {name: np.ascontiguousarray(values) for name, values in weights.items()}, Normaliser(
        arrays["mean"], arrays["std"]
    )


def _constants(path: Path) -> Weights:
    """Weights and other constants of an ONNX file by name; the file was verified when the version was loaded."""
    model = onnx.load_model_from_string(path.read_bytes())
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def _layer(arrays: Weights, exported: str, name: str) -> Weights:
    """A layer by the learners' names: their matrices join inputs (columns) to outputs (rows)."""
    return {
        f"{name}.weight": np.ascontiguousarray(arrays[f"{exported}_weight"].T),
        f"{name}.bias": arrays[f"{exported}_bias"].copy(),
    }


def _statistics(arrays: Weights) -> Normaliser:
    """Of one bar's features: the graph repeats them for every bar of the window."""
    return Normaliser(arrays["mean"][0].copy(), arrays["std"][0].copy())


def _kept(path: Path) -> Weights:
    if not path.is_file():
        return {}
    named: Any = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    return {name: values.numpy() for name, values in named.items() if not name.startswith("statistics.")}
