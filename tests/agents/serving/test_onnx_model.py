from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agents.serving.onnx_model import OnnxModel, batch_invariant
from agents.serving.outputs import outputs_of
from agents.spec import AGENTS
from engine.base.errors import DataError, UsageError
from tests.agents.serving.networks import by_hand, network, observations

SEAT_NAMES = list(AGENTS)
POWERS = [2**k + d for k in range(6, 13) for d in (-1, 0, 1) if 2**k + d <= 4096]
SIZES = sorted({*range(1, 65), *POWERS})


@pytest.fixture(scope="module", params=SEAT_NAMES)
def model(request: pytest.FixtureRequest) -> OnnxModel:
    return OnnxModel(network(request.param), request.param)


def test_answers_are_those_of_plain_arithmetic(model: OnnxModel) -> None:
    rows = observations(model.name, 500) * 4  # far enough out for the clip to bind
    answers, oracle = model.run(rows), by_hand(model.name, rows)
    for name, expected in oracle.items():
        np.testing.assert_allclose(answers[name], expected, rtol=1e-4, atol=2e-6)
    if model.name != "tactical":
        (values,) = oracle.values()
        ranked = np.sort(values, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > 1e-4
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(answers["action"][clear], values.argmax(axis=1)[clear])
    for name, out in outputs_of(model.seat).items():
        assert answers[name].dtype == out.dtype and answers[name].shape == (500, *out.shape)


def test_bits_of_a_row_do_not_depend_on_the_batch(model: OnnxModel) -> None:
    rows = observations(model.name, 4096, seed=1)
    alone = [model.run(rows[i : i + 1]) for i in range(len(rows))]
    whole = {name: np.concatenate([one[name] for one in alone]) for name in outputs_of(model.seat)}
    for size in SIZES:
        for start in {0, (len(rows) - size) // 2}:
            answers = model.run(rows[start : start + size])
            for name, expected in whole.items():
                assert answers[name].tobytes() == expected[start : start + size].tobytes(), (size, start, name)


def test_bits_of_a_row_do_not_depend_on_its_neighbours(model: OnnxModel) -> None:
    rows = observations(model.name, 257, seed=2)
    answers = model.run(rows)
    order = np.random.default_rng(3).permutation(len(rows))
    wild = rows[order].copy()
    wild[1::2] = 1e30
    shuffled = model.run(wild)
    for name in answers:
        assert shuffled[name][::2].tobytes() == answers[name][order][::2].tobytes()


def test_one_row_the_fast_way_gives_the_same_bits(model: OnnxModel) -> None:
    rows = observations(model.name, 50, seed=4)
    kept = [model.run_one(row) for row in rows]  # kept: a later call may not change an earlier answer
    answers = model.run(rows)
    for name, expected in answers.items():
        assert np.concatenate([one[name] for one in kept]).tobytes() == expected.tobytes()


def test_batches_beyond_the_limit_are_cut(model: OnnxModel) -> None:
    rows = observations(model.name, 4100, seed=5)
    answers, tail = model.run(rows), model.run(rows[4000:])
    for name in answers:
        assert len(answers[name]) == 4100 and answers[name][4000:].tobytes() == tail[name].tobytes()


def test_no_rows_give_no_answers(model: OnnxModel) -> None:
    answers = model.run(observations(model.name, 0))
    assert {name: (a.shape, a.dtype) for name, a in answers.items()} == {
        name: ((0, *out.shape), out.dtype) for name, out in outputs_of(model.seat).items()
    }


def test_views_are_read_as_what_they_show(model: OnnxModel) -> None:
    rows = observations(model.name, 20)
    answers, backward = model.run(rows), model.run(rows[::-1])
    for name in answers:
        assert backward[name][::-1].tobytes() == answers[name].tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named(bad: float) -> None:
    model = OnnxModel(network("strategic"), "strategic")
    rows = observations("strategic", 6)
    rows[4, 47, 3] = bad
    with pytest.raises(DataError, match=r"row 4, bar 47 of its window, feature 3 \(atr_14\)"):
        model.run(rows)
    with pytest.raises(DataError, match=r"row 0, bar 47 of its window, feature 3 \(atr_14\)"):
        model.run_one(rows[4])
    rows[4, 47, 3] = 3e38  # large but finite
    assert np.isfinite(model.run(rows)["probabilities"]).all()


@pytest.mark.parametrize("shape", [(48, 13), (2, 13, 48), (2, 47, 13), (2, 48, 13, 1), (624,)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    model = OnnxModel(network("strategic"), "strategic")
    with pytest.raises(DataError) as caught:
        model.run(np.zeros(shape, np.float32))
    assert "(B, 48, 13)" in str(caught.value) and str(shape) in str(caught.value)


def test_another_type_is_refused() -> None:
    model = OnnxModel(network("risk"), "risk")
    for call, rows in ((model.run, np.zeros((1, 10))), (model.run_one, np.zeros(10))):
        with pytest.raises(DataError, match="float64"):
            call(rows)  # type: ignore[arg-type] # the mistake under test
    with pytest.raises(DataError, match=r"\(10,\)"):
        model.run_one(np.zeros((1, 10), np.float32))


class Provider:
    """A session whose answers depend on how many rows it is given, as some providers' do; keeps the sizes."""

    def __init__(self, model: OnnxModel) -> None:
        self.inner: Any = model._session
        self.sizes: set[int] = set()
        self.model = model
        model._session = self

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        rows = feeds["observation"]
        self.sizes.add(len(rows))
        return [
            a * np.float32(1 + len(rows) * 1e-6) if a.dtype == np.float32 else a for a in self.inner.run(names, feeds)
        ]

    def run_with_iobinding(self, binding: Any) -> None:
        self.inner.run_with_iobinding(binding)
        self.sizes.add(len(self.model._one_in))
        for array in self.model._one_out.values():
            if array.dtype == np.float32:
                np.multiply(array, np.float32(1 + len(array) * 1e-6), out=array)


@pytest.mark.parametrize("tile", [1, 8])
def test_tiles_hide_what_a_provider_makes_of_batch_sizes(tile: int) -> None:
    free, tiled = OnnxModel(network("tactical"), "tactical"), OnnxModel(network("tactical"), "tactical", tile)
    assert batch_invariant(free) and batch_invariant(tiled)
    Provider(free)
    provider = Provider(tiled)
    assert not batch_invariant(free)
    assert batch_invariant(tiled)
    rows = observations("tactical", 43)
    answers = tiled.run(rows)
    for size in range(1, 44):
        part = tiled.run(rows[:size])
        assert all(part[name].tobytes() == answers[name][:size].tobytes() for name in part)
    assert provider.sizes == {tile}


def test_a_tile_is_a_number_of_rows() -> None:
    for tile in (0, -1, 5000):
        with pytest.raises(UsageError, match="tile"):
            OnnxModel(network("risk"), "risk", tile)


def test_an_unknown_seat_is_refused() -> None:
    with pytest.raises(UsageError, match="'macro'"):
        OnnxModel(network("risk"), "macro")


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "risk_model.onnx"
    path.write_bytes(network("risk"))
    rows = observations("risk", 3)
    assert OnnxModel(path, "risk").run(rows)["q_values"].shape == (3, 5)
    path.write_bytes(network("risk")[:2000])
    with pytest.raises(DataError, match=r"risk_model\.onnx"):
        OnnxModel(path, "risk")
    with pytest.raises(DataError, match="cannot read the model"):
        OnnxModel(tmp_path / "none.onnx", "risk")


@pytest.mark.parametrize("content", [b"", b"not a model", network("strategic")[:100_000]])
def test_a_damaged_model_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"cannot load|not an ONNX model"):
        OnnxModel(content, "strategic")


def test_the_network_of_another_seat_is_refused() -> None:
    with pytest.raises(DataError, match="observation") as caught:
        OnnxModel(network("tactical"), "strategic")
    assert "(any batch, 48, 13)" in str(caught.value) and "60, 7" in str(caught.value)


def _edited(edit: Any) -> bytes:
    proto = onnx.load_from_string(network("risk"))
    edit(proto)
    content: bytes = proto.SerializeToString()
    return content


def _rename_output(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        node.output[:] = ["values" if name == "q_values" else name for name in node.output]
        node.input[:] = ["values" if name == "q_values" else name for name in node.input]
    proto.graph.output[1].name = "values"


def _fix_batch(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _float_action(proto: onnx.ModelProto) -> None:
    """The values of greatest action, where its number should be."""
    proto.graph.node.append(helper.make_node("Relu", ["q_values"], ["float_action"]))
    for node in proto.graph.node:
        swap = {"action": "whole", "float_action": "action"}
        node.output[:] = [swap.get(name, name) for name in node.output]
        node.input[:] = [swap.get(name, name) for name in node.input]
    del proto.graph.output[0]
    proto.graph.output.append(helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 5]))


def _only_by_two(proto: onnx.ModelProto) -> None:
    """Adds two rows of nothing: batches of two have the right shape, others none."""
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((2, 5), np.float32), "two"))
    for node in proto.graph.node:
        node.output[:] = ["before" if name == "q_values" else name for name in node.output]
        node.input[:] = ["before" if name == "q_values" else name for name in node.input]
    proto.graph.node.append(helper.make_node("Add", ["before", "two"], ["q_values"]))


def _not_a_number(proto: onnx.ModelProto) -> None:
    (bias,) = [item for item in proto.graph.initializer if item.name == "q_values_bias"]
    bias.raw_data = np.full(5, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_rename_output, "other outputs"),
        (_fix_batch, "'observation' does not fit"),
        (_float_action, "'action' does not fit"),
        (_only_by_two, "does not fit"),
        (_not_a_number, "answer that cannot be used"),
    ],
)
def test_a_model_that_answers_wrongly_is_refused(edit: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        OnnxModel(_edited(edit), "risk")


def test_further_outputs_do_no_harm() -> None:
    def keep_hidden(proto: onnx.ModelProto) -> None:
        proto.graph.output.append(helper.make_tensor_value_info("layer1", TensorProto.FLOAT, ["batch", 64]))

    assert list(OnnxModel(_edited(keep_hidden), "risk").run(observations("risk", 1))) == ["action", "q_values"]


def test_the_runtime_keeps_nothing_and_tells_nobody(tmp_path: Path) -> None:
    """Left to itself, ONNX Runtime gathers telemetry in the home folder, to send it."""
    code = "from agents.models import loading, store; loading.load_ensemble(store.BUNDLED)"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path(__file__).parents[3])
    assert not list(tmp_path.rglob("*onnxruntime*"))
