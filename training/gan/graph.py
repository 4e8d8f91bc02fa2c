"""The generator network as an ONNX file, written node by node: same weights, same bytes. Needs `onnx`, not torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from feeds.gan.model import CHUNK
from feeds.gan.noise import COLUMNS

OPSET = 17
IR_VERSION = 8
FAR = np.iinfo(np.int64).max
Array = NDArray[Any]


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array([value], np.float32))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def part(self, source: str, axis: int, first: int, last: int = FAR) -> str:
        bounds = [self.constant(np.array([one], np.int64)) for one in (first, last, axis)]
        return self.node("Slice", source, *bounds)

    def conv(self, source: str, weights: Mapping[str, Array], name: str, dilation: int = 1) -> str:
        weight, bias = (self.constant(weights[f"{name}.{one}"].astype(np.float32)) for one in ("weight", "bias"))
        return self.node("Conv", source, weight, bias, dilations=[dilation])

    def leaky(self, source: str, slope: float) -> str:
        return self.node("LeakyRelu", source, alpha=slope)


def write_graph(
    path: Path, weights: Mapping[str, Array], dilations: Sequence[int], *, kernel: int, own: int, slope: float
) -> None:
    """Write the network of `training.gan.networks.Generator`.

    Args:
        path: File.
        weights: By name, as its state.
        dilations, kernel, own, slope: Its shape.
    """
    receptive = 2 + (kernel - 1) * sum(dilations)
    g = _Graph()
    before = g.part(g.part("noise", 1, 0, 1), 2, 0, -1)
    now = g.part(g.part("noise", 1, own), 2, 1)
    x = g.leaky(g.conv(g.node("Concat", before, now, axis=1), weights, "first"), slope)
    for number, dilation in enumerate(dilations):
        step = g.leaky(g.conv(x, weights, f"layers.{number}", dilation), slope)
        x = g.node("Add", g.part(x, 2, (kernel - 1) * dilation), step)
    mine = g.part(g.part("noise", 1, 0, own), 2, receptive - 1)
    state = g.conv(x, weights, "state")
    drift, log = g.part(state, 1, 0, 1), g.part(state, 1, 1, 2)
    bounded = g.node("Tanh", g.node("Mul", log, g.scalar(0.5)))
    volatility = g.node("Exp", g.node("Mul", bounded, g.scalar(2.0)))
    innovation = g.part(mine, 1, 0, 1)
    shift = g.node("Mul", g.node("Mul", g.node("Tanh", drift), g.scalar(0.2)), volatility)
    moved = g.node("Add", shift, g.node("Mul", volatility, innovation))
    change = g.node("Sub", moved, g.constant(weights["lean"].astype(np.float32)))
    seen = g.node("Concat", x, g.part(mine, 1, 1), g.node("Abs", innovation), log, axis=1)
    rest = g.conv(g.leaky(g.conv(seen, weights, "hidden"), slope), weights, "rest")
    room = g.node("Mul", g.node("Softplus", g.part(rest, 1, 0, 2)), volatility)
    joined = g.node("Concat", change, room, g.part(rest, 1, 2, 3), axis=1)
    g.nodes.append(helper.make_node("Identity", [joined], ["bars"]))
    inputs = [helper.make_tensor_value_info("noise", TensorProto.FLOAT, [1, COLUMNS, CHUNK + receptive - 1])]
    outputs = [helper.make_tensor_value_info("bars", TensorProto.FLOAT, [1, 4, CHUNK])]
    graph = helper.make_graph(g.nodes, "generator", inputs, outputs, g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
