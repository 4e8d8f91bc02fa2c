from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.serving.kernels import best_action, best_probability, risk_q_values
from agents.serving.onnx_model import OnnxModel
from agents.serving.outputs import confidence
from agents.serving.risk_network import ARRAYS, RiskNetwork, write_risk_weights
from engine.base.compiled import kernel
from engine.base.errors import DataError
from tests.agents.serving.networks import by_hand, network, observations, risk_weights


@kernel
def ask_in_a_scan(params: Any, rows: Any, memory: Any, values: Any, actions: Any, sure: Any) -> None:
    for i in range(rows.shape[0]):
        risk_q_values(params[3:], rows[i], values[i], memory[2:])
        actions[i] = best_action(values[i])
        sure[i] = best_probability(values[i])


def test_the_kernel_agrees_with_the_onnx_model() -> None:
    rows = observations("risk", 10_000) * 3
    ours, theirs = RiskNetwork(risk_weights()).run(rows), OnnxModel(network("risk"), "risk").run(rows)
    np.testing.assert_allclose(ours["q_values"], theirs["q_values"], atol=1e-5)
    ranked = np.sort(theirs["q_values"], axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(ours["action"][clear], theirs["action"][clear])
    assert len(np.unique(ours["action"])) == 5


def test_values_are_those_of_plain_arithmetic() -> None:
    rows = observations("risk", 500, seed=3) * 10
    np.testing.assert_allclose(
        RiskNetwork(risk_weights()).q_values(rows), by_hand("risk", rows)["q_values"], atol=1e-11
    )


def test_inside_a_scan_the_bits_are_the_same_wherever_the_parameters_lie() -> None:
    risk, rows = RiskNetwork(risk_weights()), observations("risk", 300, seed=4)
    params = np.concatenate([np.full(3, np.nan), risk.params, np.full(2, np.nan)])
    memory = np.full(2 + risk.scratch_size + 1, np.nan)
    values, actions, sure = np.full((300, 5), np.nan), np.empty(300, np.int64), np.empty(300)
    ask_in_a_scan(params, rows.astype(np.float64), memory, values, actions, sure)
    expected = risk.run(rows)
    assert values.tobytes() == risk.q_values(rows).tobytes()
    np.testing.assert_array_equal(actions, expected["action"])
    np.testing.assert_allclose(sure, confidence("risk", expected), atol=1e-6)
    assert np.isnan(memory[[0, 1, -1]]).all(), "only the scratch memory may be written"


def test_rows_do_not_depend_on_each_other() -> None:
    risk, rows = RiskNetwork(risk_weights()), observations("risk", 64, seed=5)
    whole = risk.q_values(rows)
    for i in range(64):
        assert risk.q_values(rows[i : i + 1]).tobytes() == whole[i : i + 1].tobytes()


def test_other_sizes_of_the_hidden_layers_are_read_from_the_array() -> None:
    arrays = risk_weights()
    small = {
        name: np.ascontiguousarray(a[tuple(slice(0, 7 if n in (64, 32) else n) for n in a.shape)])
        for name, a in arrays.items()
    }
    risk, rows = RiskNetwork(small), observations("risk", 20)
    hidden = np.clip((rows - small["mean"]) / small["std"], -10, 10).astype(np.float64)
    for number in "12":
        hidden = np.maximum(hidden @ small[f"w{number}"].astype(np.float64) + small[f"b{number}"], 0)
    gain = hidden @ small["advantage_w"] + small["advantage_b"]
    expected = (hidden @ small["value_w"])[:, None] + small["value_b"] + gain - gain.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(risk.q_values(rows), expected, atol=1e-6)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path, arrays = tmp_path / "risk_weights.npz", risk_weights(1)
    write_risk_weights(path, arrays)
    with np.load(path, allow_pickle=False) as file:  # any NumPy can read it
        assert sorted(file.files) == sorted(ARRAYS)
        for name in ARRAYS:
            np.testing.assert_array_equal(file[name], arrays[name])
    np.testing.assert_array_equal(RiskNetwork.load(path).params, RiskNetwork(arrays).params)
    first = path.read_bytes()
    write_risk_weights(path, arrays)
    assert path.read_bytes() == first


def test_equal_values_choose_the_first() -> None:
    arrays = risk_weights()
    arrays["advantage_w"] = np.zeros_like(arrays["advantage_w"])
    arrays["advantage_b"] = np.zeros_like(arrays["advantage_b"])
    assert RiskNetwork(arrays).run(observations("risk", 3))["action"].tolist() == [0, 0, 0]


def _changed(**changes: Any) -> dict[str, Any]:
    return {name: array for name, array in {**risk_weights(), **changes}.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (_changed(b2=None), "not those of a risk network"),
        (_changed(extra=np.zeros(1, np.float32)), "not those of a risk network"),
        (_changed(w1=np.zeros((64, 10), np.float32)), "array w1 does not fit"),
        (_changed(w2=np.zeros((64, 31), np.float32)), "array b2 does not fit"),
        (_changed(mean=np.zeros(10)), "array mean does not fit"),
        (_changed(advantage_w=np.zeros((32, 4), np.float32)), "array advantage_w does not fit"),
        (_changed(std=np.zeros(10, np.float32)), "array std"),
        (_changed(b1=np.full(64, np.nan, np.float32)), "array b1"),
    ],
)
def test_arrays_that_are_no_network_are_refused(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        RiskNetwork(arrays)
    with pytest.raises(DataError, match=words):
        write_risk_weights(tmp_path / "w.npz", arrays)


def test_damaged_files_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "risk_weights.npz"
    write_risk_weights(path, risk_weights())
    pickled = io.BytesIO()
    np.savez(pickled, mean=np.array([{"a": 1}], dtype=object))
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for content in (b"", b"PK", b"garbage", path.read_bytes()[:5000], pickled.getvalue(), single.getvalue()):
        with pytest.raises(DataError, match="cannot read the risk network"):
            RiskNetwork.load(content)
    with pytest.raises(DataError, match=r"none\.npz"):
        RiskNetwork.load(tmp_path / "none.npz")


def test_a_number_that_is_not_finite_is_named() -> None:
    rows = observations("risk", 4)
    rows[2, 7] = np.nan
    with pytest.raises(DataError, match=r"row 2, feature 7 \(sharpe\)"):
        RiskNetwork(risk_weights()).run(rows)
