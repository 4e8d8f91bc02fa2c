"""From a checkpoint to a version of the ensemble that can be served.

A version's folder is described in `agents.models.metadata`. Dropout is a matter of training and is left out;
statistics become the first step of each network. Needs nothing but the checkpoint.
"""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.features.declared import DeclaredFeature, FeaturesConfig
from agents.models.graphs import (
    IR_VERSION,
    OPSET,
    Dense,
    Normaliser,
    risk_arrays,
    risk_graph,
    strategic_graph,
    tactical_graph,
)
from agents.models.loading import load_ensemble
from agents.models.metadata import (
    ENSEMBLE_FILE,
    RISK_WEIGHTS,
    EnsembleMetadata,
    FeatureSchema,
    SeatMetadata,
    metadata_file,
    model_file,
    required_files,
    seal,
    write_seat,
)
from agents.serving.risk_network import write_risk_weights
from agents.spec import AGENTS, AgentSpec, agents_seeing
from engine.base.config import parse
from engine.base.errors import DataError
from engine.base.replacing import OutputKind, replaced_folder, write_text
from training.checkpoint import Checkpoint, weights_sha256
from training.config import AgentsConfig, Network
from training.learners.constant import Action, constant_of, constant_weights

Array = NDArray[np.float32]
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


@dataclass(frozen=True)
class LearnedNetwork:
    """One seat's network as it was learned.

    Attributes:
        seat: Its name.
        weights: By name, float32; matrices join inputs (columns) to outputs (rows).
        statistics: Of the features, each of shape (K,).
        network: Its configuration.
        declared: Extra columns of the bars that it sees.
    """

    seat: str
    weights: Mapping[str, Array]
    statistics: Normaliser
    network: Network
    declared: tuple[DeclaredFeature, ...] = ()

    @property
    def agent(self) -> AgentSpec:
        """What it sees and does."""
        return AGENTS[self.seat].seeing(self.declared)

    def stack(self, name: str, *, activated: bool | Literal["hidden"]) -> list[Dense]:
        """The layers called `name.0`, `name.1`, ...

        Args:
            name: Of the stack.
            activated: Whether each is followed by the activation; "hidden" leaves the last one without.
        """
        count = sum(1 for key in self.weights if key.startswith(f"{name}.") and key.endswith(".weight"))
        kind = ACTIVATIONS[self.network.activation]
        layers = []
        for number in range(count):
            last = number == count - 1
            active = activated is True or (activated == "hidden" and not last)
            weight = np.ascontiguousarray(self.weights[f"{name}.{number}.weight"].T, dtype=np.float32)
            bias = np.asarray(self.weights[f"{name}.{number}.bias"], dtype=np.float32)
            layers.append(Dense(weight, bias, kind if active else ""))
        return layers

    def served(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that are served; others are only kept in the .pth file."""
        inputs, hidden = math.prod(self.agent.observation), self.network.hidden_layers
        if self.seat == "strategic":
            shared = [inputs, *hidden[:-1]]
            stacks = {"shared": shared, "policy": [shared[-1], hidden[-1], hidden[-1] // 2, 3]}
        elif self.seat == "tactical":
            stacks = {"trunk": [inputs, *hidden], "mean": [hidden[-1], 3], "log_deviation": [hidden[-1], 3]}
        else:
            stacks = {"trunk": [inputs, *hidden], "value": [hidden[-1], 1], "advantage": [hidden[-1], 5]}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, sizes in stacks.items():
            for number, (before, after) in enumerate(itertools.pairwise(sizes)):
                shapes[f"{name}.{number}.weight"] = (after, before)
                shapes[f"{name}.{number}.bias"] = (after,)
        return shapes


def untrained_seats(checkpoint: Checkpoint, *, last: bool = False) -> dict[str, Action]:
    """Agents of a training in turns whose turn had not come, and the actions that are exported for them.

    Args:
        checkpoint: Of a training.
        last: As in `learned`.
    """
    turns: Any = checkpoint.state.get("turns")
    if not isinstance(turns, Mapping) or _holds_best(checkpoint, last=last):
        return {}
    learned_by = {turns["agent"], *(verdict["agent"] for verdict in turns["verdicts"])}
    return {seat: tuple(turns["constants"][seat]) for seat in AGENTS if seat not in learned_by}


def learned(checkpoint: Checkpoint, *, last: bool = False) -> dict[str, LearnedNetwork]:
    """The networks of a checkpoint by seat: those of the best evaluation so far.

    A network that has not learned, since its agent's turn had not come, is replaced by one that always does what stood
    in for it.

    Args:
        checkpoint: Of a training.
        last: Take those that were trained last, however they were evaluated.

    Raises:
        DataError: If the checkpoint does not hold three networks that fit their seats, or a weight is not finite.
    """
    kept: Any = checkpoint.state.get("kept")
    best = _holds_best(checkpoint, last=last)
    try:
        states = kept["weights"] if best else {seat: checkpoint.state["learners"][seat]["weights"] for seat in AGENTS}
        standing = untrained_seats(checkpoint, last=last)
        weights = {
            seat: constant_weights(seat, states[seat], standing[seat]) if seat in standing else states[seat]
            for seat in AGENTS
        }
        features = parse(FeaturesConfig, checkpoint.note["config"].get("features", {}), where=str(checkpoint.path))
        seeing = agents_seeing(features)
        agents = parse(AgentsConfig, checkpoint.note["config"]["agents"], where=str(checkpoint.path))
        networks = {seat: getattr(agents, f"{seat}_agent").network_architecture for seat in AGENTS}
        found = {
            seat: LearnedNetwork(
                seat,
                weights[seat],
                Normaliser(
                    *(np.asarray(checkpoint.state["statistics"][seat][name], np.float32) for name in ("mean", "std"))
                ),
                networks[seat],
                seeing[seat].declared,
            )
            for seat in AGENTS
        }
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the checkpoint is not that of a training: {error} is missing",
            where=str(checkpoint.path),
            expected="the weights and statistics of three agents, and the configuration",
        ) from error
    for one in found.values():
        _check(one, str(checkpoint.path))
    return found


def _holds_best(checkpoint: Checkpoint, *, last: bool) -> bool:
    """Whether networks were evaluated that are wanted rather than the last ones."""
    kept: Any = checkpoint.state.get("kept")
    return not last and isinstance(kept, Mapping) and kept.get("evaluation") is not None


def evaluation_of(checkpoint: Checkpoint, *, last: bool = False) -> Mapping[str, Any]:
    """What is known of how the exported networks do; nothing of the last ones where others were better."""
    kept = checkpoint.state.get("kept")
    if isinstance(kept, Mapping) and kept.get("evaluation") is not None and not last:
        return {"episode": kept["episode"], **kept["evaluation"]}
    if isinstance(kept, Mapping) and last:
        return {"episode": checkpoint.note.get("episode")}
    return {"episode": checkpoint.note.get("episode"), **(checkpoint.note.get("evaluation") or {})}


def version_name(checkpoint: Checkpoint, *, last: bool = False) -> str:
    """The default name of a version: the episode, and the first digits of the hash of its weights."""
    digest = weights_sha256({seat: dict(one.weights) for seat, one in learned(checkpoint, last=last).items()})
    return f"trained-{int(evaluation_of(checkpoint, last=last).get('episode') or 0)}-{digest[:8]}"


def export(
    checkpoint: Checkpoint, folder: Path, version: str | None = None, *, last: bool = False, overwrite: bool = False
) -> EnsembleMetadata:
    """Write a version of the ensemble; the same checkpoint gives the same bytes.

    The folder is written beside its place, verified as it will be when it is served, and moved there.

    Args:
        checkpoint: Of a training.
        folder: Made if need be.
        version: What to call it; see `version_name`.
        last: As in `learned`.
        overwrite: Replace the version that lies in the folder.

    Raises:
        UsageError: If the folder holds a version that is not to be replaced, or other files, or the version cannot be
            called so.
        DataError: As `learned`.
    """
    networks = learned(checkpoint, last=last)
    with replaced_folder(folder, VERSION, overwrite=overwrite) as part:
        for one in networks.values():
            write_network(one, part)
        found = _sealed(checkpoint, part, version or version_name(checkpoint, last=last), last=last)
        load_ensemble(part)
    return found


def write_learned(
    networks: Mapping[str, LearnedNetwork],
    parent: Path,
    folder: Path,
    version: str,
    *,
    created_by: str,
    seed: int,
    training_data: Sequence[str],
) -> EnsembleMetadata:
    """Write a version in which some networks have learned on; the others are the parent's, byte for byte.

    Args:
        networks: By seat, those that have learned.
        parent: Folder of the version that they come from.
        folder: Made if need be.
        version: What to call it.
        created_by: Program that made the networks.
        seed: Of their training.
        training_data: sha256 of what they learned from.

    Raises:
        UsageError, DataError: As `export`.
    """
    with replaced_folder(folder, VERSION, overwrite=True) as part:
        for seat in AGENTS:
            if seat in networks:
                _check(networks[seat], str(folder))
                write_network(networks[seat], part)
                continue
            for name in (*required_files(seat), weights_file(seat)):
                if (parent / name).is_file():
                    (part / name).write_bytes((parent / name).read_bytes())
        found = seal(
            part,
            version,
            created_by=created_by,
            untrained=False,
            seed=seed,
            training_data=training_data,
            versions=_versions(),
        )
        load_ensemble(part)
    return found


def write_network(one: LearnedNetwork, folder: Path) -> None:
    """Write all files of one seat: .onnx, .pth and metadata, and for risk the arrays of compiled scans."""
    (folder / model_file(one.seat)).write_bytes(_graph(one))
    if one.seat == "risk":
        write_risk_weights(folder / RISK_WEIGHTS, risk_arrays(one.statistics, *_risk_layers(one)))
    (folder / weights_file(one.seat)).write_bytes(_pth(one))
    hidden = one.network.hidden_layers
    facts = SeatMetadata(
        seat=one.seat,
        algorithm=AGENTS[one.seat].algorithm,
        hidden_layers=(*hidden, hidden[-1] // 2) if one.seat == "strategic" else hidden,
        activation=one.network.activation,
        parameters=sum(math.prod(shape) for shape in one.served().values()),
        untrained=False,
        features=FeatureSchema.current(one.agent),
        constant=constant_of(one.seat, one.weights),
    )
    write_seat(folder, facts)


def weights_file(seat: str) -> str:
    """Name of a seat's file of weights, which torch loads with `weights_only=True`."""
    return f"{seat}_model.pth"


VERSION = OutputKind(
    "a version of the models",
    frozenset(
        {
            ENSEMBLE_FILE,
            RISK_WEIGHTS,
            *(name(seat) for seat in AGENTS for name in (model_file, metadata_file, weights_file)),
        }
    ),
)


def write_production(path: Path, folder: Path) -> None:
    """Write a production configuration that names the networks of a folder.

    Args:
        path: YAML file, replaced.
        folder: Folder of a version. A relative path is resolved beside the file, then in the working directory.
    """
    lines = [
        "# Which networks decide when the ensemble trades; written by `grandmodel export`. Paths are resolved beside",
        "# this file and then under the working directory. `enabled: false` leaves a seat empty.",
        "models:",
    ]
    for seat in AGENTS:
        lines += [
            f"  {seat}_agent:",
            "    enabled: true",
            # JSON's texts are YAML's too, whatever a path is called
            f"    model_path: {json.dumps(str(folder / weights_file(seat)), ensure_ascii=False)}",
            f"    onnx_path: {json.dumps(str(folder / model_file(seat)), ensure_ascii=False)}",
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")


def _check(one: LearnedNetwork, where: str) -> None:
    features = one.agent.observation[-1]
    for name, values in (("mean", one.statistics.mean), ("std", one.statistics.std)):
        good = values.shape == (features,) and np.isfinite(values).all() and (name == "mean" or (values > 0).all())
        if not good:
            raise DataError(
                f"the {name} of the {one.seat} features does not fit",
                where=where,
                expected=f"{features} finite numbers" + (" above 0" if name == "std" else ""),
                found=f"shape {values.shape}",
            )
    for name, shape in one.served().items():
        found = one.weights[name].shape if name in one.weights else None
        if found != shape:
            raise DataError(
                f"the {one.seat} weights do not fit the network that the configuration describes",
                where=f"{where}, {name}",
                expected=f"shape {shape}",
                found="nothing" if found is None else f"shape {found}",
            )
    for name, array in one.weights.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise DataError(
                f"the {one.seat} weights are not finite numbers of float32",
                where=f"{where}, {name}",
                hint="export an earlier checkpoint: this training has diverged",
            )


def _graph(one: LearnedNetwork) -> bytes:
    if one.seat == "strategic":
        layers = [*one.stack("shared", activated=True), *one.stack("policy", activated="hidden")]
        return strategic_graph(one.statistics, layers)
    if one.seat == "tactical":
        (mean,), (deviation,) = one.stack("mean", activated=False), one.stack("log_deviation", activated=False)
        return tactical_graph(one.statistics, one.stack("trunk", activated=True), mean, deviation)
    return risk_graph(one.statistics, *_risk_layers(one))


def _risk_layers(one: LearnedNetwork) -> tuple[list[Dense], Dense, Dense]:
    (value,), (advantage,) = one.stack("value", activated=False), one.stack("advantage", activated=False)
    return one.stack("trunk", activated=True), value, advantage


def _pth(one: LearnedNetwork) -> bytes:
    import torch  # noqa: PLC0415 - takes seconds, and only exporting needs it

    named = {**one.weights, "statistics.mean": one.statistics.mean, "statistics.std": one.statistics.std}
    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in named.items()}, buffer)
    return buffer.getvalue()


def _sealed(checkpoint: Checkpoint, folder: Path, version: str, *, last: bool) -> EnsembleMetadata:
    numbers = {
        name: (float(value) if math.isfinite(value) else None)
        for name, value in evaluation_of(checkpoint, last=last).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return seal(
        folder,
        version,
        created_by="grandmodel export",
        untrained=False,
        seed=checkpoint.note.get("seed"),
        training_data=tuple(checkpoint.note.get("training_data") or ()),
        metrics=numbers,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    """Of what shapes the files."""
    versions = {name: packages.version(name) for name in ("grandmodel", "torch", "onnx", "numpy")}
    return {**versions, "onnx_ir": str(IR_VERSION), "onnx_opset": str(OPSET)}
