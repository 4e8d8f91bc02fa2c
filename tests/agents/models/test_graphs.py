from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from agents.serving.onnx_model import OnnxModel
from agents.serving.outputs import outputs_of
from agents.spec import AGENTS, TACTICAL_AGENT
from tests.agents.serving.networks import network, observations


@pytest.mark.parametrize("seat", list(AGENTS))
def test_the_runtime_agrees_with_the_reference_of_onnx(seat: str) -> None:
    rows = observations(seat, 64)
    model = OnnxModel(network(seat), seat)
    reference = ReferenceEvaluator(onnx.load_from_string(network(seat))).run(
        list(outputs_of(model.seat)), {"observation": rows}
    )
    for found, expected in zip(model.run(rows).values(), reference, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("seat", list(AGENTS))
def test_the_same_arrays_give_the_same_bytes(seat: str) -> None:
    assert network(seat) == network(seat)


@pytest.mark.parametrize("seat", list(AGENTS))
def test_statistics_come_first_and_travel_inside(seat: str) -> None:
    graph = onnx.load_from_string(network(seat)).graph
    assert [node.op_type for node in graph.node[:3]] == ["Sub", "Div", "Clip"]
    assert {"mean", "std"} <= {item.name for item in graph.initializer}
    dims = graph.input[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch" and tuple(d.dim_value for d in dims[1:]) == AGENTS[seat].observation


def test_tactical_actions_stay_in_the_box_whatever_is_observed() -> None:
    rows = observations("tactical", 2000) * np.float32(1e6)
    outputs = OnnxModel(network("tactical"), "tactical").run(rows)
    assert (outputs["action"] >= np.float32(TACTICAL_AGENT.low)).all() and (
        outputs["action"] <= np.float32(TACTICAL_AGENT.high)
    ).all()
    assert (outputs["deviation"] >= 0).all()
