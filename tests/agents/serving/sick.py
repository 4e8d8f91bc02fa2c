"""Networks that answer as they should, except where one number of an observation is above a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.models.metadata import model_file, seal
from agents.models.untrained import write_untrained
from agents.spec import AGENTS
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.instruments import Instrument, load_instrument

FEATURE = {"strategic": 7, "tactical": 2}
"""Number of the feature that is looked at, in the last bar of the window."""


def threshold(bars: BarBlock, seat: str, rank: int, instrument: Instrument | None = None) -> float:
    """What FEATURE exceeds first in the decision number `rank`, counted from 0, of the seat's decisions."""
    found = seen(bars, seat, instrument)
    before, at = found[:rank].max(), found[rank]
    assert at > before + 1e-4, "choose a decision at which the feature is higher than ever before"
    return float(before + at) / 2


def peaks(bars: BarBlock, seat: str, instrument: Instrument | None = None) -> list[int]:
    """The decisions at which FEATURE is higher than at any before, the first one left out."""
    found = seen(bars, seat, instrument)
    return [k for k in range(1, len(found)) if found[k] > found[:k].max() + 1e-4]


def seen(bars: BarBlock, seat: str, instrument: Instrument | None = None) -> NDArray[np.float32]:
    """FEATURE at each decision of the seat, shape (n,)."""
    sessions = sessions_for([instrument or load_instrument("GENERIC")], int(bars.ts_event[0]))
    length, features = AGENTS[seat].observation
    windows = Windows(length, features, len(bars.symbols))
    return windows.push(FeatureStream(seat, bars.symbols, sessions).push(bars)).observations[:, -1, FEATURE[seat]]


def sick(healthy: bytes, seat: str, how: str, above: float) -> bytes:
    """The network with another ending.

    Args:
        healthy: Its ONNX file.
        how: nan, inf, or (of the strategic network) range: action 7.
        above: Threshold of FEATURE.
    """
    proto = onnx.load_from_string(healthy)
    graph = proto.graph
    bars, features = AGENTS[seat].observation
    pick = np.zeros((bars * features, 1), np.float32)
    pick[(bars - 1) * features + FEATURE[seat]] = 1.0
    _add(graph, "Flatten", ["observation"], "raw", axis=1)
    _add(graph, "Gemm", ["raw", _constant(graph, "pick", pick)], "looked_at")
    _add(graph, "Sub", ["looked_at", _constant(graph, "above", above)], "beyond")
    _add(graph, "Mul", ["beyond", _constant(graph, "steep", 1e9)], "far")
    _add(graph, "Exp", ["far"], "over")  # 0 below the threshold, infinite above
    if how == "range":
        _set_aside(graph, "action")
        _add(graph, "Clip", ["over", _constant(graph, "zero", 0.0), _constant(graph, "much", 9.0)], "shut")
        columns, bias = np.zeros((1, 8), np.float32), np.zeros(8, np.float32)
        columns[0, 7], bias[2] = 1.0, 0.5
        _add(graph, "Gemm", ["shut", _constant(graph, "columns", columns), _constant(graph, "bias", bias)], "eight")
        _add(graph, "ArgMax", ["eight"], "action", axis=1, keepdims=0)
    else:
        name = "probabilities" if seat == "strategic" else "action"
        _set_aside(graph, name)
        if how == "nan":
            _add(graph, "Sub", ["over", "over"], "odd")
        _add(graph, "Add", [f"healthy_{name}", "odd" if how == "nan" else "over"], name)
    content: bytes = proto.SerializeToString()
    return content


def write_sick(folder: Path, seat: str, how: str, above: float) -> Path:
    """A whole version with one such network, sealed as an honest one is."""
    write_untrained(folder, 0, folder.name)
    path = folder / model_file(seat)
    path.write_bytes(sick(path.read_bytes(), seat, how, above))
    seal(folder, folder.name, created_by="tests", untrained=True, seed=0)
    return folder


def _constant(graph: Any, name: str, value: Any) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    return name


def _add(graph: Any, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
    graph.node.append(helper.make_node(kind, inputs, [output], **attributes))


def _set_aside(graph: Any, output: str) -> None:
    for node in graph.node:
        node.output[:] = [f"healthy_{name}" if name == output else name for name in node.output]
        node.input[:] = [f"healthy_{name}" if name == output else name for name in node.input]
