"""ONNX files of the three networks from plain arrays: same arrays, same bytes.

Each graph begins with (observation - mean) / std clipped to +-10, so that the statistics travel inside the model, and
ends in the outputs that `agents.serving.seats` lists. Needs the `onnx` package (extra `train`); serving does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agents.serving.kernels import CLIP
from agents.serving.outputs import outputs_of
from agents.spec import AGENTS, SQUASHED_EDGE, TACTICAL_AGENT, AgentSpec

OPSET = 17
IR_VERSION = 8
LOG_DEVIATION = (-5.0, 2.0)
"""Bounds of the tactical policy's log deviation."""

Array = NDArray[np.float32]


class Normaliser(NamedTuple):
    """Statistics of the features, each of the shape of one bar's features, (K,)."""

    mean: Array
    std: Array


class Dense(NamedTuple):
    """A layer: values @ weight + bias, then an activation (`Relu`, `Tanh` or none); weight (inputs, outputs)."""

    weight: Array
    bias: Array
    activation: str = ""


class _Graph:
    """Nodes and constants under names, in the order of writing."""

    def __init__(self, seat: AgentSpec) -> None:
        self.seat, self.shape = seat, seat.observation
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        # asarray, not ascontiguousarray: the bounds of Clip have to stay scalars
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{output}_node", **attributes))
        return output

    def normalised(self, statistics: Normaliser) -> str:
        # spread over the whole window: ONNX Runtime is slow where it must repeat an inner axis of 7 or 13
        shape = (*self.seat.observation[:-1], len(statistics.mean))
        mean, std = (np.broadcast_to(values, shape) for values in (statistics.mean, statistics.std))
        self.shape = shape
        centred = self.node("Sub", ["observation", self.constant("mean", np.ascontiguousarray(mean))], "centred")
        scaled = self.node("Div", [centred, self.constant("std", np.ascontiguousarray(std))], "scaled")
        bounds = [self.constant("clip_low", -CLIP), self.constant("clip_high", CLIP)]
        clipped = self.node("Clip", [scaled, *bounds], "normalised")
        return self.node("Flatten", [clipped], "flat", axis=1)

    def dense(self, source: str, name: str, layer: Dense) -> str:
        weight = self.constant(f"{name}_weight", layer.weight)
        bias = self.constant(f"{name}_bias", layer.bias)
        out = self.node("Gemm", [source, weight, bias], name)
        return self.node(layer.activation, [out], f"{name}_active") if layer.activation else out

    def trunk(self, source: str, layers: Sequence[Dense]) -> str:
        for number, layer in enumerate(layers, 1):
            source = self.dense(source, f"layer{number}", layer)
        return source

    def serialized(self) -> bytes:
        observation = helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", *self.shape])
        outputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(output.dtype), ["batch", *output.shape])
            for name, output in outputs_of(self.seat).items()
        ]
        graph = helper.make_graph(self.nodes, self.seat.name, [observation], outputs, self.constants)
        model = helper.make_model(
            graph, producer_name="grandmodel", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def strategic_graph(statistics: Normaliser, layers: Sequence[Dense]) -> bytes:
    """The strategic policy: layers over the flattened window, the last one gives 3 logits."""
    graph = _Graph(AGENTS["strategic"])
    logits = graph.trunk(graph.normalised(statistics), layers)
    graph.node("Softmax", [logits], "probabilities", axis=1)
    graph.node("ArgMax", [logits], "action", axis=1, keepdims=0)
    return graph.serialized()


def tactical_graph(statistics: Normaliser, layers: Sequence[Dense], mean: Dense, log_deviation: Dense) -> bytes:
    """The tactical policy: squashed mean scaled to the box and cut off there, and the squashed policy's deviation."""
    graph = _Graph(AGENTS["tactical"])
    hidden = graph.trunk(graph.normalised(statistics), layers)
    squashed = graph.node("Tanh", [graph.dense(hidden, "mean_head", mean)], "squashed")
    low, high = np.array(TACTICAL_AGENT.low), np.array(TACTICAL_AGENT.high)
    half = graph.node("Mul", [squashed, graph.constant("half_range", (high - low) / (2 * SQUASHED_EDGE))], "half")
    free = graph.node("Add", [half, graph.constant("middle", (high + low) / 2)], "unbounded")
    raised = graph.node("Max", [free, graph.constant("box_low", low)], "raised")
    graph.node("Min", [raised, graph.constant("box_high", high)], "action")
    bounds = [graph.constant("log_low", LOG_DEVIATION[0]), graph.constant("log_high", LOG_DEVIATION[1])]
    log = graph.node("Clip", [graph.dense(hidden, "deviation_head", log_deviation), *bounds], "log_deviation")
    square = graph.node("Mul", [squashed, squashed], "square")
    slope = graph.node("Sub", [graph.constant("one", 1.0), square], "slope")
    graph.node("Mul", [graph.node("Exp", [log], "free_deviation"), slope], "deviation")
    return graph.serialized()


def risk_graph(statistics: Normaliser, layers: Sequence[Dense], value: Dense, advantage: Dense) -> bytes:
    """The dueling risk network: value plus advantage less the mean advantage.

    Both heads are linear, so they are folded into one layer. ONNX Runtime's ReduceMean, which would do the same, sums
    a single row in another order than rows of a batch, and bits would depend on the batch.
    """
    graph = _Graph(AGENTS["risk"])
    hidden = graph.trunk(graph.normalised(statistics), layers)
    weight, bias = advantage.weight.astype(np.float64), advantage.bias.astype(np.float64)
    folded = Dense(
        (value.weight + weight - weight.mean(axis=1, keepdims=True)).astype(np.float32),
        (value.bias + bias - bias.mean()).astype(np.float32),
    )
    q_values = graph.dense(hidden, "q_values", folded)
    graph.node("ArgMax", [q_values], "action", axis=1, keepdims=0)
    return graph.serialized()


def risk_arrays(statistics: Normaliser, layers: Sequence[Dense], value: Dense, advantage: Dense) -> Mapping[str, Array]:
    """The same network as the arrays of `risk_weights.npz`."""
    first, second = layers
    return {
        "mean": statistics.mean,
        "std": statistics.std,
        "w1": first.weight,
        "b1": first.bias,
        "w2": second.weight,
        "b2": second.bias,
        "value_w": value.weight[:, 0],
        "value_b": value.bias,
        "advantage_w": advantage.weight,
        "advantage_b": advantage.bias,
    }
