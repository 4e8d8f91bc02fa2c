from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agents.serving.outputs import confidence
from engine.base.errors import UsageError


def test_strategic_confidence_is_the_probability_of_the_choice() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], np.float32)
    outputs = {"action": np.array([1, 0]), "probabilities": probabilities}
    np.testing.assert_array_equal(confidence("strategic", outputs), np.float32([0.5, 0.7]).astype(np.float64))


@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(2**-10, 8, width=32)))
def test_tactical_confidence_is_the_chance_to_land_near(deviation: np.ndarray) -> None:
    found = confidence("tactical", {"action": np.zeros((4, 3), np.float32), "deviation": deviation})
    for value, row in zip(found, deviation, strict=True):
        bells = [NormalDist(0.0, float(d)) for d in row]
        assert value == pytest.approx(np.mean([bell.cdf(0.25) - bell.cdf(-0.25) for bell in bells]), abs=1e-9)


def test_a_policy_without_deviation_is_certain() -> None:
    zero = np.zeros((1, 3), np.float32)
    assert confidence("tactical", {"action": zero, "deviation": zero}).tolist() == [1.0]


@given(arrays.arrays(np.float32, (5, 5), elements=st.floats(-100, 100, width=32)), st.floats(-50, 50))
def test_risk_confidence_is_a_softmax_that_a_common_shift_does_not_change(values: np.ndarray, shift: float) -> None:
    action = values.argmax(axis=1)
    found = confidence("risk", {"action": action, "q_values": values})
    weights = np.exp(values.astype(np.float64) - values.max())
    np.testing.assert_allclose(found, (weights / weights.sum(axis=1, keepdims=True)).max(axis=1), rtol=1e-9, atol=1e-30)
    assert ((found >= 0.2 - 1e-12) & (found <= 1)).all()
    shifted = confidence("risk", {"action": action, "q_values": values + np.float32(shift)})
    np.testing.assert_allclose(shifted, found, atol=2e-4)


def test_large_values_do_not_overflow() -> None:
    values = np.array([[1e30, -1e30, 0, 0, 0]], np.float32)
    assert confidence("risk", {"action": np.array([0]), "q_values": values}).tolist() == [1.0]


def test_confidence_of_a_row_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    outputs = {"action": np.zeros((200, 3), np.float32), "deviation": rng.uniform(0.01, 2, (200, 3)).astype(np.float32)}
    whole = confidence("tactical", outputs)
    for i in range(200):
        assert confidence("tactical", {k: v[i : i + 1] for k, v in outputs.items()})[0] == whole[i]


def test_an_unknown_seat_is_refused() -> None:
    with pytest.raises(UsageError, match="strategic, tactical, risk"):
        confidence("macro", {})
