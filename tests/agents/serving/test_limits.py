"""A small model file may ask for gigabytes, or for ever: it is refused in bounded time and memory."""

from __future__ import annotations

import io
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agents.serving import onnx_model, risk_network
from agents.serving.limits import MOST_BYTES, bounded_memory
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import ARRAYS, RiskNetwork
from engine.base.errors import DataError

onnx = pytest.importorskip("onnx")
helper, tensor = onnx.helper, onnx.TensorProto
WIDE = 60_000  # squared and in float32: 14 GB


def _model(nodes: list[object], initializers: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> bytes:
    """A strategic network that adds what the nodes leave in `cost` to its logits."""
    inputs = [helper.make_tensor_value_info("observation", tensor.FLOAT, ["batch", 48, 13])]
    outputs = [
        helper.make_tensor_value_info("action", tensor.INT64, ["batch"]),
        helper.make_tensor_value_info("probabilities", tensor.FLOAT, ["batch", 3]),
    ]
    ending = [
        helper.make_node("Slice", ["observation", "zero", "three", "two"], ["few"]),
        helper.make_node("ReduceMax", ["few"], ["rows"], axes=[1], keepdims=0),
        helper.make_node("Add", ["rows", "cost"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["action"], axis=1, keepdims=0),
    ]
    constants = {"zero": np.array([0]), "three": np.array([3]), "two": np.array([2]), **initializers}
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([*nodes, *ending], "bomb", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def _sized() -> bytes:
    shape = {"shape": np.array([WIDE, WIDE])}
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["all"]),
        helper.make_node("ReduceSum", ["all"], ["cost"], keepdims=0),
    ]
    return _model(nodes, shape)


def _outer() -> bytes:
    sides = {"side": np.ones((WIDE, 1), np.float32), "other": np.ones((1, WIDE), np.float32)}
    nodes = [
        helper.make_node("Add", ["side", "other"], ["all"]),
        helper.make_node("ReduceSum", ["all"], ["cost"], keepdims=0),
    ]
    return _model(nodes, sides)


def _endless() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["held"], ["kept"])],
        "body",
        [
            helper.make_tensor_value_info("turn", tensor.INT64, []),
            helper.make_tensor_value_info("go", tensor.BOOL, []),
            helper.make_tensor_value_info("held", tensor.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", tensor.BOOL, []),
            helper.make_tensor_value_info("kept", tensor.FLOAT, []),
        ],
    )
    loop = helper.make_node("Loop", ["", "yes", "start"], ["cost"], body=body)
    return _model([loop], {"yes": np.array(True), "start": np.array(0, np.float32)})


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_a_plain_model_of_the_kind_loads() -> None:
    assert OnnxModel(_model([], {"cost": np.array(0, np.float32)}), "strategic").seat.name == "strategic"


@pytest.mark.parametrize("bomb", [_sized, _outer, _endless])
def test_a_model_that_costs_too_much_is_refused(bomb: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(bomb)
    monkeypatch.setattr(onnx_model, "MOST_SECONDS", 1.0)
    content, before, limits = bomb(), _peak_mib(), resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(DataError, match=r"does not run|cannot load"):
        OnnxModel(content, "strategic")
    assert _peak_mib() - before < 2_500
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_weights_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load_from_string(_outer())
    weights = next(stored for stored in model.graph.initializer if stored.name == "side")
    (tmp_path / "weights.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = tensor.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(DataError):
        OnnxModel(model.SerializeToString(), "strategic")


def test_memory_is_bounded_within_the_block_only() -> None:
    with bounded_memory(64 << 20), pytest.raises(MemoryError):
        np.ones(1 << 27)
    assert len(np.empty(1 << 27)) == 1 << 27


def _archive(sizes: int, compression: int = zipfile.ZIP_DEFLATED, header: bytes | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in ARRAYS:
            buffer = io.BytesIO()
            np.save(buffer, np.zeros(sizes, np.float32))
            archive.writestr(f"{name}.npy", header or buffer.getvalue())
    return file.getvalue()


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked() -> None:
    content = _archive(4_000_000)
    assert len(content) < 1_000_000
    with pytest.raises(DataError, match="unpacks to 160,0"):
        RiskNetwork.load(content)


def test_a_header_that_promises_more_than_there_is_takes_no_memory() -> None:
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(buffer, header)  # type: ignore[arg-type]
    with bounded_memory(64 << 20), pytest.raises(DataError, match="not of the size"):
        RiskNetwork.load(_archive(0, header=buffer.getvalue()))


def test_a_file_of_any_size_is_read_no_further_than_the_bound(tmp_path: Path) -> None:
    file = tmp_path / "risk_weights.npz"
    with file.open("wb") as large:
        large.truncate(MOST_BYTES + 1)
    with pytest.raises(DataError, match="larger than"):
        OnnxModel(file, "risk")
    assert risk_network.MOST_UNPACKED < MOST_BYTES
