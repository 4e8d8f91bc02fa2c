"""The folder of a trained generator network: `model.json` with what surrounds the network, `generator.onnx`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from engine.base.config import Config, parse
from engine.base.errors import ConfigError, DataError
from engine.base.files import sha256_file
from engine.base.replacing import OutputKind
from engine.types.blocks import Floats
from engine.types.instruments import Instrument, Positive
from feeds.fitting.model import Source

MODEL_FILE = "model.json"
GRAPH_FILE = "generator.onnx"
FOLDER = OutputKind("a trained generator network", frozenset({MODEL_FILE, GRAPH_FILE}))
CHUNK = 1024
"""Minutes of every call of the network: always as many, so that no answer depends on how many are wanted."""

Factors = Annotated[tuple[Positive, ...], Field(min_length=1)]


class GanModel(Config):
    """What surrounds the network.

    Attributes:
        version: Of the format.
        instrument: That it was trained on.
        data: Files with their hashes.
        first, last: Times of the bars, validation included.
        training_bars, validation_bars: How many.
        seed, steps, chosen: Of the training: seed, steps taken, and the step whose weights these are.
        score: Distance to the validation bars of the weights that were chosen; smaller is better.
        versions: Of the programs.
        graph_sha256: Of the ONNX file.
        receptive: Minutes that an output depends on, its own included.
        heaviness: Of the innovations.
        deviation: Of a minute's log return.
        price: Last close of the training bars.
        bounce: Share of a return's variance that lies between a close and the next open.
        volume_mean, volume_std: Of the logarithm of the volume over its season; null where volumes are not known.
        season, volume_season, missing: By minute of the session.
        nights: Log steps into the first minute of sessions.
    """

    version: Literal[1] = 1
    instrument: Instrument
    data: tuple[Source, ...] = ()
    first: str
    last: str
    training_bars: int
    validation_bars: int
    seed: int
    steps: int
    chosen: int
    score: float
    versions: dict[str, str]
    graph_sha256: str
    receptive: Annotated[int, Field(ge=1)]
    heaviness: Annotated[float, Field(ge=0, le=0.4)]
    deviation: Positive
    price: Positive
    bounce: Annotated[float, Field(ge=0, le=1)]
    volume_mean: float | None
    volume_std: Positive | None
    season: Factors
    volume_season: Factors
    missing: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)]
    nights: tuple[float, ...] = ()


class Network:
    """The generator network in ONNX Runtime, on one thread.

    Args:
        path: The ONNX file.
        receptive: Minutes that an output depends on.

    Raises:
        DataError: If it cannot be read or is no such network.
    """

    def __init__(self, path: Path, receptive: int) -> None:
        # before the import: the runtime would gather telemetry from then on, to send it to its makers
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # noqa: PLC0415 - takes a moment, and most generators do without it

        self.receptive, self._where = receptive, str(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise DataError("the network cannot be read", where=str(path), found=str(error)[:200]) from error

    def run(self, noise: Floats) -> Floats:
        """Scaled return, room above and below, and volume of each minute, shape (n, 4).

        Args:
            noise: Shape (n + receptive - 1, 8).

        Raises:
            DataError: If the network does not run, or answers with what is no number.
        """
        before = self.receptive - 1
        n = len(noise) - before
        calls = -(-n // CHUNK)
        padded = np.zeros((calls * CHUNK + before, noise.shape[1]), np.float32)
        padded[: len(noise)] = noise
        parts = []
        for first in range(0, calls * CHUNK, CHUNK):
            window = np.ascontiguousarray(padded[first : first + CHUNK + before].T[None])
            try:
                parts.append(self._session.run(["bars"], {"noise": window})[0][0].T)
            except Exception as error:
                raise DataError("the network does not run", where=self._where, found=str(error)[:200]) from error
        found = np.concatenate(parts)[:n].astype(np.float64)
        if not bool(np.isfinite(found).all()):
            raise DataError("the network answers with what is no number", where=self._where, hint="train it again")
        return found


def read_gan(folder: Path) -> tuple[GanModel, Network]:
    """A trained generator network.

    Raises:
        ConfigError: If the folder is missing, or its description is wrong.
        DataError: If the network is not the one that the description belongs to.
    """
    path = folder / MODEL_FILE
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "cannot read a trained generator network (`grandmodel data train-gan` makes one)",
            where=str(path),
            found=str(error),
            hint="make one with `grandmodel data train-gan`, and give its folder",
        ) from error
    model = parse(GanModel, tree, where=str(path))
    graph = folder / GRAPH_FILE
    if not graph.is_file() or sha256_file(graph) != model.graph_sha256:
        raise DataError(
            "the network is not the one that model.json describes",
            where=str(graph),
            expected=f"a file with sha256 {model.graph_sha256[:16]}",
            hint="copy the whole folder again, or train again",
        )
    return model, Network(graph, model.receptive)
