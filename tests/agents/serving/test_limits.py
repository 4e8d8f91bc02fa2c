"""A small model file may ask for gigabytes, or for ever: it is refused in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.models.metadata import model_file
from agents.models.store import BUNDLED_VERSION, SHIPPED, SHIPPED_VERSIONS
from agents.serving import onnx_model, risk_network
from agents.serving.limits import MOST_BYTES, bounded_memory
from agents.serving.onnx_file import OPERATORS, check_onnx
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import ARRAYS, RiskNetwork
from agents.spec import AGENTS
from engine.base.errors import DataError
from tests.agents.serving.networks import network

onnx = pytest.importorskip("onnx")
helper, tensor = onnx.helper, onnx.TensorProto
WIDE = 60_000  # squared and in float32: 14 GB


def _model(
    nodes: list[object],
    initializers: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    **parts: object,
) -> bytes:
    """A strategic network that adds what the nodes leave in `cost` to its logits."""
    inputs = [helper.make_tensor_value_info("observation", tensor.FLOAT, ["batch", 48, 13])]
    outputs = [
        helper.make_tensor_value_info("action", tensor.INT64, ["batch"]),
        helper.make_tensor_value_info("probabilities", tensor.FLOAT, ["batch", 3]),
    ]
    ending = [
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight"], ["rows"]),
        helper.make_node("Add", ["rows", "cost"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["action"], axis=1, keepdims=0),
    ]
    constants = {"weight": np.zeros((624, 3), np.float32), **initializers}
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([*nodes, *ending], "bomb", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **parts)
    content: bytes = model.SerializeToString()
    return content


FREE = {"cost": np.zeros(3, np.float32)}


def _outer() -> bytes:
    sides = {"side": np.ones((WIDE, 1), np.float32), "other": np.ones((1, WIDE), np.float32)}
    weights = {"three": np.ones((WIDE, 3), np.float32), "ones": np.ones((1, WIDE), np.float32)}
    nodes = [
        helper.make_node("Add", ["side", "other"], ["all"]),
        helper.make_node("Gemm", ["all", "three"], ["sums"]),
        helper.make_node("Gemm", ["ones", "sums"], ["cost"]),
    ]
    return _model(nodes, {**sides, **weights})


def _loop(outer: str = "") -> list[object]:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["held"], ["kept"])],
        "body",
        [
            helper.make_tensor_value_info("turn", tensor.INT64, []),
            helper.make_tensor_value_info("go", tensor.BOOL, []),
            helper.make_tensor_value_info("held", tensor.FLOAT, [3]),
        ],
        [
            helper.make_tensor_value_info("go_on", tensor.BOOL, []),
            helper.make_tensor_value_info("kept", tensor.FLOAT, [3]),
        ],
    )
    return [helper.make_node("Loop", [outer, "yes", "start"], ["cost"], body=body)]


def _endless() -> bytes:
    return _model(_loop(), {"yes": np.array(True), "start": np.zeros(3, np.float32)})


def _very_long() -> bytes:
    starts = {"yes": np.array(True), "start": np.zeros(3, np.float32), "rounds": np.array(1 << 62)}
    return _model(_loop("rounds"), starts)


def _hidden_in_a_function() -> bytes:
    function = helper.make_function("mine", "Free", ["x"], ["y"], _loop(), [helper.make_opsetid("", 17)])
    return _model([], FREE, functions=[function])


def _foreign() -> bytes:
    return _model([helper.make_node("Relu", ["observation"], ["unused"], domain="com.microsoft")], FREE)


def _tensor_in_an_attribute() -> bytes:
    value = onnx.numpy_helper.from_array(np.zeros(3, np.float32))
    return _model([helper.make_node("Add", ["observation", "observation"], ["unused"], value=value)], FREE)


def _many() -> bytes:
    return _model([helper.make_node("Relu", ["observation"], [f"unused{k}"]) for k in range(300)], FREE)


def _twice() -> bytes:
    """The runtime takes the last of two values of a field; each of them is looked at."""
    node = helper.make_node("Relu", ["observation"], ["unused"]).SerializeToString() + b"\x22\x04Loop"
    graph = onnx.GraphProto.FromString(b"\x0a" + bytes([len(node)]) + node)
    return _model([], FREE) + b"\x3a" + bytes([graph.ByteSize()]) + graph.SerializeToString()


def _folded() -> bytes:
    """Axes folded into one twice over: from two of 1,000 to one of a million, set against itself."""
    nodes = [
        helper.make_node("Add", ["side", "other"], ["square"]),
        helper.make_node("Flatten", ["square"], ["long"], axis=0),
        helper.make_node("Gemm", ["long", "long"], ["all"], transA=1),
    ]
    return _model(nodes, {**FREE, "side": np.ones((1000, 1), np.float32), "other": np.ones((1, 1000), np.float32)})


def _lost_axis() -> bytes:
    nodes = [
        helper.make_node("ArgMax", ["observation"], ["least"], axis=1, keepdims=1),
        helper.make_node("Add", ["least", "least"], ["unused"]),
    ]
    return _model(nodes, FREE)


def _deep() -> bytes:
    return _model([], {**FREE, "unused": np.ones((2, 2, 2), np.float32)})


def _of_the_runtime() -> bytes:
    return b"\x12\x06\x00\x00ORTM" + _model([], FREE)


def test_a_plain_model_of_the_kind_loads() -> None:
    assert OnnxModel(_model([], FREE), "strategic").seat.name == "strategic"


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (_endless, "operator Loop"),
        (_very_long, "operator Loop"),
        (_hidden_in_a_function, "field 25 of a model"),
        (_foreign, "an operator of com.microsoft"),
        (_tensor_in_an_attribute, "field 5 of an attribute"),
        (_many, "more than 256 operations"),
        (_twice, "operator Loop"),
        (_of_the_runtime, "own format"),
        (_outer, "larger than those of exported networks"),
        (_folded, "Flatten along another axis than 1"),
        (_lost_axis, "an operation on what ArgMax answers"),
        (_deep, r"constant 'unused' of shape \(2, 2, 2\)"),
    ],
)
def test_what_exported_networks_do_not_hold_is_refused_before_the_runtime_sees_it(
    program: object, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen(*_: object, **__: object) -> None:
        raise AssertionError("the runtime has seen it")

    monkeypatch.setattr(onnx_model._runtime(), "InferenceSession", unseen)
    assert callable(program)
    with pytest.raises(DataError, match=found):
        OnnxModel(program(), "strategic")


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_bytes_of_any_kind_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(DataError):
        check_onnx(content, "X")


@given(cut=st.integers(0, 2000), value=st.integers(0, 255))
@settings(max_examples=200)
def test_a_changed_byte_is_read_or_refused(cut: int, value: int) -> None:
    content = bytearray(network("risk"))
    content[cut] = value
    with contextlib.suppress(DataError):
        check_onnx(bytes(content), "X")


@pytest.mark.parametrize("version", SHIPPED_VERSIONS)
def test_every_operator_that_is_allowed_is_one_that_we_export(version: str) -> None:
    used = {node.op_type for seat in AGENTS for node in onnx.load(SHIPPED / version / model_file(seat)).graph.node}
    assert used <= set(OPERATORS)
    if version == BUNDLED_VERSION:
        assert used == set(OPERATORS)


def test_weights_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a file that would fit: no hash of the version covers it."""
    monkeypatch.chdir(tmp_path)
    model = onnx.load_from_string(_model([], {**FREE, "side": np.ones((10, 1), np.float32)}))
    weights = next(stored for stored in model.graph.initializer if stored.name == "side")
    (tmp_path / "weights.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = tensor.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    with pytest.raises(DataError, match="weights outside of its file"):
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


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_lies_about_its_sizes_is_not_unpacked(compression: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", bytes(300_000_000 if name == "mean" else 100))
    content = file.getvalue().replace(struct.pack("<I", 300_000_000), struct.pack("<I", 1000))
    with bounded_memory(64 << 20), pytest.raises(DataError, match=r"Bad CRC|neither stored nor deflated"):
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
