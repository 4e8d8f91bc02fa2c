"""What an ONNX file may hold, seen before the runtime reads a byte of it: the operators of the networks that we export.

An ONNX file is a program: it may loop without end, and read weights from any file that the process can read, whose
bytes no hash of the model covers. So its parts are listed here, by the numbers that the ONNX format gives them
(onnx.proto; https://protobuf.dev/programming-guides/encoding), and what is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from agents.serving.onnx_sizes import WIDEST, oversize
from agents.serving.onnx_wire import Field, fields_of, text_of
from engine.base.errors import DataError

OPERATORS = (
    "Add",
    "ArgMax",
    "Clip",
    "Div",
    "Exp",
    "Flatten",
    "Gemm",
    "Max",
    "Min",
    "Mul",
    "Relu",
    "Softmax",
    "Sub",
    "Tanh",
)
MOST_NODES = 256
HINT = "export the networks with `grandmodel export`, or restore the file from its version"
_ORT_FORMAT = b"ORTM"  # at byte 4: another format, which the runtime would read in place of ONNX
_OP_TYPE, _DOMAIN, _DATA_LOCATION, _EXTERNAL_DATA = 4, 7, 14, 13


@dataclass(frozen=True)
class _Part:
    """One kind of message of the format: its fields that may be there, and the messages in some of them."""

    name: str
    fields: frozenset[int]
    inner: Mapping[int, str]


_PARTS = {
    "model": _Part("a model", frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14}), {7: "graph"}),
    "graph": _Part("a graph", frozenset({1, 2, 5, 10, 11, 12, 13}), {1: "node", 5: "tensor"}),
    "node": _Part("a node", frozenset({1, 2, 3, 4, 5, 6, 7}), {5: "attribute"}),
    # numbers only: no tensor, graph or text, in which anything could hide
    "attribute": _Part("an attribute", frozenset({1, 2, 3, 7, 8, 13, 20}), {}),
    "tensor": _Part("a tensor", frozenset({1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14}), {}),
}


def check_onnx(content: bytes, where: str) -> None:
    """Refuse a model that could do more than the networks that we export.

    Args:
        content: Of the file.
        where: What to call it in messages.

    Raises:
        DataError: If it is no ONNX model, keeps weights in other files, has an operator or a part that is not
            known, or could make values of any size.
    """
    if content[4:8] == _ORT_FORMAT:
        raise DataError("the model is in ONNX Runtime's own format", where=where, expected="an ONNX model", hint=HINT)
    _Check(where).run(memoryview(content))


class _Check:
    def __init__(self, where: str) -> None:
        self._where, self._nodes = where, 0
        self._of: Mapping[str, Callable[[Field], None]] = {"node": self._node, "tensor": self._tensor}

    def run(self, content: memoryview) -> None:
        try:
            self._message(content, "model")
            found = oversize(content)
        except (ValueError, IndexError) as error:
            raise DataError(
                f"the file is damaged or not an ONNX model: {error}", where=self._where, hint=HINT
            ) from error
        if found is not None:
            self._refuse(
                found, "values larger than those of exported networks", f"at most {WIDEST:,} on each of two axes"
            )

    def _message(self, content: memoryview, kind: str) -> None:
        """Every occurrence of every field: readers of the format may take the last of several, or all."""
        part, look = _PARTS[kind], self._of.get(kind)
        for number, value in fields_of(content):
            if number not in part.fields:
                self._refuse(f"field {number} of {part.name}", "a part that exported networks do not have")
            if number in part.inner:
                if isinstance(value, int):
                    raise ValueError(f"field {number} of {part.name} is a number")
                self._nodes += part.inner[number] == "node"
                if self._nodes > MOST_NODES:
                    self._refuse(f"more than {MOST_NODES} operations", "more operations than exported networks have")
                self._message(value, part.inner[number])
            elif look is not None:
                look((number, value))

    def _node(self, field: Field) -> None:
        number, value = field
        if number == _OP_TYPE and (name := text_of(value)) not in OPERATORS:
            self._refuse(f"operator {name}", "an operator that exported networks do not have", ", ".join(OPERATORS))
        if number == _DOMAIN and (name := text_of(value)):
            self._refuse(f"an operator of {name}", "an operator that exported networks do not have", "ONNX's own")

    def _tensor(self, field: Field) -> None:
        number, value = field
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            self._refuse("a tensor in another file", "weights outside of its file", "all weights in the file itself")

    def _refuse(self, found: str, what: str, expected: str | None = None) -> NoReturn:
        raise DataError(f"the model has {what}", where=self._where, expected=expected, found=found, hint=HINT)
