"""The risk network as one flat array, so that it can run inside a compiled scan without ONNX Runtime."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.serving.checks import as_observations
from agents.serving.kernels import risk_rows
from agents.serving.limits import read_model_file
from agents.serving.outputs import Outputs, outputs_of
from agents.spec import AGENTS
from engine.base.errors import DataError
from engine.types.blocks import Floats

Array = NDArray[np.float32]

ARRAYS: Mapping[str, str] = {
    "mean": "N",
    "std": "N",
    "w1": "N H1",
    "b1": "H1",
    "w2": "H1 H2",
    "b2": "H2",
    "value_w": "H2",
    "value_b": "1",
    "advantage_w": "H2 A",
    "advantage_b": "A",
}
"""Arrays of `risk_weights.npz`, all float32, and their shapes; matrices join inputs (rows) to outputs (columns)."""

MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes of all arrays together."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of archives; NumPy writes no others."""
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class RiskNetwork:
    """A dueling network of two hidden layers, for plain calls and for compiled scans.

    Attributes:
        params: The flat array that `agents.serving.kernels.risk_q_values` reads, float64.
        scratch_size: Elements of float64 scratch memory that it needs.

    Args:
        arrays: What `ARRAYS` lists, float32.
        where: File name for messages.

    Raises:
        DataError: If an array is missing, has another shape or type, or holds a number that is not finite.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], where: str = "risk_weights.npz") -> None:
        sizes = _check(arrays, where)
        inputs, first, second, actions = (sizes[name] for name in ("N", "H1", "H2", "A"))
        header = np.array([inputs, first, second, actions], dtype=np.float64)
        self.params: Floats = np.concatenate([header, *(arrays[name].ravel().astype(np.float64) for name in ARRAYS)])
        self.params.flags.writeable = False
        self.scratch_size = inputs + first + second
        self.inputs, self.actions = inputs, actions

    @classmethod
    def load(cls, source: Path | bytes, where: str | None = None) -> RiskNetwork:
        """Read `risk_weights.npz`; nothing in it is ever unpickled.

        Raises:
            DataError: If it cannot be read or does not hold the network.
        """
        where = where or (str(source) if isinstance(source, Path) else "risk_weights.npz")
        try:
            content = read_model_file(source) if isinstance(source, Path) else source
            arrays = _unpacked(content)
        except Exception as error:  # a damaged archive can raise nearly anything
            raise DataError(
                f"cannot read the risk network: {error}", where=where, expected="an archive of NumPy arrays"
            ) from error
        return cls(arrays, where)

    def q_values(self, observations: NDArray[np.float32]) -> Floats:
        """Action values, shape (B, A), of raw observations, shape (B, N) float32.

        Raises:
            DataError: If the observations have another shape or type, or one is not finite.
        """
        return self._compute(observations)[0]

    def run(self, observations: NDArray[np.float32]) -> Outputs:
        """`action` int64 (B,) and `q_values` float32 (B, A), as the ONNX model of this seat answers.

        Raises:
            DataError: As `q_values`.
        """
        values, actions = self._compute(observations)
        return {"action": actions, "q_values": values.astype(np.float32)}

    def _compute(self, observations: NDArray[np.float32]) -> tuple[Floats, NDArray[np.int64]]:
        rows = as_observations(observations, AGENTS["risk"])
        values = np.empty((len(rows), self.actions))
        actions = np.empty(len(rows), dtype=np.int64)
        risk_rows(self.params, rows, np.empty(self.scratch_size), values, actions)
        return values, actions


def _unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, whose sizes are checked before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if len(sizes) != len(archive.infolist()) or set(sizes) != {f"{name}.npy" for name in ARRAYS}:
            raise ValueError(f"it does not hold the arrays {', '.join(ARRAYS)}")
        if sum(sizes.values()) > MOST_UNPACKED:
            raise ValueError(f"it unpacks to {sum(sizes.values()):,} bytes, more than {MOST_UNPACKED:,}")
        return {name: _array(_member(archive, f"{name}.npy")) for name in ARRAYS}


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """What a member holds; no more is unpacked than its declared size, which may be wrong."""
    info = archive.getinfo(name)
    if info.compress_type not in COMPRESSIONS:  # the others are unpacked whole, whatever is asked for
        raise ValueError(f"{name} is neither stored nor deflated")
    with archive.open(info) as member:
        return member.read(info.file_size)


def _array(content: bytes) -> NDArray[Any]:
    """An array, whose header is checked before memory is allocated for it; nothing is ever unpickled."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = reader(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError("an array is not of the size that its header says")
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def write_risk_weights(path: Path, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write `risk_weights.npz`: same arrays, same bytes.

    Raises:
        DataError: If the arrays are not a risk network.
    """
    _check(arrays, str(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in ARRAYS:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), buffer.getvalue())


def _check(arrays: Mapping[str, NDArray[Any]], where: str) -> dict[str, int]:
    if set(arrays) != set(ARRAYS):
        raise DataError(
            "the arrays are not those of a risk network",
            where=where,
            expected=", ".join(ARRAYS),
            found=", ".join(sorted(arrays)) or "none",
        )
    seat = AGENTS["risk"]
    sizes = {"1": 1, "N": seat.observation[0], "A": outputs_of(seat)["q_values"].shape[0]}
    for name, letters in ARRAYS.items():
        array = arrays[name]
        axes = letters.split()
        if array.ndim == len(axes):
            for axis, length in zip(axes, array.shape, strict=True):
                sizes.setdefault(axis, length)
        shape = tuple(sizes.get(axis, -1) for axis in axes)
        if array.shape != shape or array.dtype != np.float32:
            raise DataError(
                f"array {name} does not fit",
                where=where,
                expected=f"float32 of shape {shape}",
                found=f"{array.dtype} of shape {array.shape}",
            )
        if not np.isfinite(array).all() or (name == "std" and not (array > 0).all()):
            raise DataError(f"array {name} holds numbers that are not finite, or a deviation of 0", where=where)
    return sizes
