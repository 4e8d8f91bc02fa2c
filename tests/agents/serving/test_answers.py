"""Every answer of a network is looked at, not only the first one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from agents.serving.answers import WrongAnswer, check_answers
from agents.serving.onnx_model import OnnxModel
from agents.serving.outputs import outputs_of
from agents.serving.risk_network import ARRAYS, RiskNetwork
from agents.spec import AGENTS
from tests.agents.serving.networks import network, observations, risk_parts
from tests.agents.serving.sick import FEATURE, sick

CASES = [
    ("strategic", "nan", "probabilities", "numbers from 0 to 1"),
    ("strategic", "inf", "probabilities", "numbers from 0 to 1"),
    ("strategic", "range", "action", "a number from 0 to 2"),
    ("tactical", "nan", "action", "numbers within 0 to 1, 0.001 to 0.05, 0.1 to 2"),
    ("tactical", "inf", "action", "numbers within 0 to 1, 0.001 to 0.05, 0.1 to 2"),
]


@pytest.mark.parametrize(("seat", "how", "output", "expected"), CASES)
def test_a_wrong_answer_is_named_with_its_observation(seat: str, how: str, output: str, expected: str) -> None:
    rows = observations(seat, 1200)
    rows[:, -1, FEATURE[seat]] = 0.0
    rows[[700, 1100], -1, FEATURE[seat]] = 2.0
    healthy, model = OnnxModel(network(seat), seat), OnnxModel(sick(network(seat), seat, how, 1.0), seat, where="X")
    good = model.run(rows[:700])
    for name, values in healthy.run(rows[:700]).items():
        if (seat, how, name) != ("strategic", "range", "action"):
            assert values.tobytes() == good[name].tobytes()
    with pytest.raises(WrongAnswer, match=f"X, output {output} of observation 700") as caught:
        model.run(rows)
    assert caught.value.expected == expected
    assert np.flatnonzero(caught.value.wrong).tolist() == [700, 1100]
    assert {name: len(values) for name, values in caught.value.outputs.items()} == dict.fromkeys(good, 1200)
    with pytest.raises(WrongAnswer, match="observation 0"):
        model.run_one(rows[700])
    assert model.run_one(rows[699])[output].tobytes() == good[output][699:].tobytes()


@pytest.mark.parametrize("seat", list(AGENTS))
def test_every_number_of_every_output_counts(seat: str) -> None:
    spec = AGENTS[seat]
    good = OnnxModel(network(seat), seat).run(observations(seat, 7))
    check_answers(good, spec, "X")
    for name, out in outputs_of(spec).items():
        for place in np.ndindex(good[name].shape[1:]):
            bad = [np.nan, np.inf, -np.inf] if out.dtype.kind == "f" else []
            column = place[-1] if place else 0
            bad += [] if out.low is None else [out.low[column] - 1]
            bad += [] if out.high is None else [out.high[column] + 1]
            for number in bad:
                values = good[name].copy()
                values[(3, *place)] = number
                with pytest.raises(WrongAnswer, match=f"output {name} of observation 3"):
                    check_answers({**good, name: values}, spec, "X")


def test_rounding_beyond_the_bounds_is_no_fault() -> None:
    outputs = OnnxModel(network("tactical"), "tactical").run(observations("tactical", 2))
    outputs["action"][1] = np.nextafter(np.array([1.0, 0.05, 2.0], np.float32), np.float32(9))
    check_answers(outputs, AGENTS["tactical"], "X")


def test_the_compiled_risk_network_stays_finite_whatever_its_weights() -> None:
    """It computes in double precision on clipped inputs, so that the largest weights of its files cannot overflow."""
    most = np.finfo(np.float32).max
    from agents.models.graphs import risk_arrays

    arrays = risk_arrays(*risk_parts())
    for sign in (1.0, -1.0):
        extreme = {name: np.full_like(arrays[name], sign * most) for name in ARRAYS}
        extreme |= {"mean": arrays["mean"], "std": np.full_like(arrays["std"], np.float32(1e-45))}
        values = RiskNetwork(extreme).q_values(observations("risk", 50) * np.float32(1e30))
        assert np.isfinite(values).all()
