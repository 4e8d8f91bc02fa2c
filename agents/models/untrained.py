"""Networks that have learned nothing, for trying the system before anything is trained: same seed, same bytes.

    python -m agents.models.untrained --seed 0 --out FOLDER

Weights are small and drawn by PCG64. Each unit of the first layer of a windowed network has weights that add up to
zero over the bars of the window, for every feature: it answers to how a feature moves and not to its level, so that
decisions vary with the market. They mean nothing all the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from agents.models.metadata import (
    RISK_WEIGHTS,
    EnsembleMetadata,
    FeatureSchema,
    SeatMetadata,
    model_file,
    seal,
    write_seat,
)
from agents.models.store import UNTRAINED
from agents.serving.risk_network import write_risk_weights
from agents.spec import AGENTS

HEAD_GAIN = 0.5
LOG_DEVIATION_BIAS = -1.5
"""Deviation of exp(-1.5) = 0.22 of the half range: neither certain nor lost."""

ADVANTAGE_BIAS = (0.0, 0.05, 0.1, 0.15, 0.2)
"""Full exposure for a flat account: level 0 would keep it flat, and its metrics as they are, for ever."""


class _Weights:
    """Weights from one seed; only uniform draws, which are the same in every NumPy."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, shape: tuple[int, ...], bound: float) -> NDArray[np.float64]:
        return (2.0 * self._generator.random(shape) - 1.0) * bound

    def dense(self, inputs: int, outputs: int, activation: str = "", gain: float = 1.0) -> Dense:
        weight = self.uniform((inputs, outputs), gain * (6.0 / inputs) ** 0.5)
        # every unit sees the differences of its inputs: their common level would drown them
        weight -= weight.mean(axis=0)
        return _dense(weight, activation)

    def window(self, bars: int, features: int, outputs: int, activation: str) -> Dense:
        weight = self.uniform((bars, features, outputs), (6.0 / (bars * features)) ** 0.5)
        weight -= weight.mean(axis=0)
        return _dense(weight.reshape(bars * features, outputs), activation)


def _dense(weight: NDArray[np.float64], activation: str) -> Dense:
    return Dense(weight.astype(np.float32), np.zeros(weight.shape[1], np.float32), activation)


def _identity(features: int) -> Normaliser:
    return Normaliser(np.zeros(features, np.float32), np.ones(features, np.float32))


def write_untrained(folder: Path, seed: int, version: str = UNTRAINED.name) -> EnsembleMetadata:
    """Write a whole version of untrained networks.

    Args:
        folder: Made if need be; what it holds is described by its `ensemble.json` afterwards.
        seed: Same seed, same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draws = _Weights(seed)
    _write_strategic(folder, draws)
    _write_tactical(folder, draws)
    _write_risk(folder, draws)
    return seal(
        folder,
        version,
        created_by="agents.models.untrained",
        untrained=True,
        seed=seed,
        versions={"onnx_ir": str(IR_VERSION), "onnx_opset": str(OPSET)},
    )


def _write_strategic(folder: Path, draws: _Weights) -> None:
    bars, features = AGENTS["strategic"].observation
    layers = [
        draws.window(bars, features, 256, "Relu"),
        draws.dense(256, 128, "Relu"),
        draws.dense(128, 64, "Relu"),
        draws.dense(64, 32, "Relu"),
        draws.dense(32, 3, gain=HEAD_GAIN),
    ]
    (folder / model_file("strategic")).write_bytes(strategic_graph(_identity(features), layers))
    _describe(folder, "strategic", layers, (256, 128, 64, 32))


def _write_tactical(folder: Path, draws: _Weights) -> None:
    bars, features = AGENTS["tactical"].observation
    layers = [draws.window(bars, features, 128, "Tanh"), draws.dense(128, 64, "Tanh"), draws.dense(64, 32, "Tanh")]
    mean = draws.dense(32, 3, gain=HEAD_GAIN)
    spread = draws.dense(32, 3, gain=HEAD_GAIN)
    spread = spread._replace(bias=np.full(3, LOG_DEVIATION_BIAS, np.float32))
    (folder / model_file("tactical")).write_bytes(tactical_graph(_identity(features), layers, mean, spread))
    _describe(folder, "tactical", [*layers, mean, spread], (128, 64, 32))


def _write_risk(folder: Path, draws: _Weights) -> None:
    (features,) = AGENTS["risk"].observation
    layers = [draws.dense(features, 64, "Relu"), draws.dense(64, 32, "Relu")]
    value, advantage = draws.dense(32, 1, gain=HEAD_GAIN), draws.dense(32, 5, gain=HEAD_GAIN)
    advantage = advantage._replace(bias=np.array(ADVANTAGE_BIAS, np.float32))
    network = (_identity(features), layers, value, advantage)
    (folder / model_file("risk")).write_bytes(risk_graph(*network))
    write_risk_weights(folder / RISK_WEIGHTS, risk_arrays(*network))
    _describe(folder, "risk", [*layers, value, advantage], (64, 32))


def _describe(folder: Path, seat: str, layers: Sequence[Dense], hidden: tuple[int, ...]) -> None:
    metadata = SeatMetadata.model_validate(
        {
            "seat": seat,
            "algorithm": AGENTS[seat].algorithm,
            "hidden_layers": hidden,
            "activation": "tanh" if seat == "tactical" else "relu",
            "parameters": sum(layer.weight.size + layer.bias.size for layer in layers),
            "untrained": True,
            "features": FeatureSchema.current(seat),
        }
    )
    write_seat(folder, metadata)


def main() -> None:
    """Write the networks from the command line."""
    parser = argparse.ArgumentParser(prog="python -m agents.models.untrained", description=write_untrained.__doc__)
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--version", default=UNTRAINED.name, help="name of the version")
    arguments = parser.parse_args()
    metadata = write_untrained(arguments.out, arguments.seed, arguments.version)
    print(f"wrote version {metadata.version} to {arguments.out}: {', '.join(metadata.files)}")


if __name__ == "__main__":
    main()
