"""What an ONNX file may hold, seen before the runtime reads a byte of it: the operators of the networks that we export.

An ONNX file is a program: it may loop without end, and read weights from any file that the process can read, whose
bytes no hash of the model covers. So its parts are listed here, by the numbers that the ONNX format gives them
(onnx.proto; https://protobuf.dev/programming-guides/encoding), and what is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

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
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_OP_TYPE, _DOMAIN, _DATA_LOCATION, _EXTERNAL_DATA = 4, 7, 14, 13
Field = tuple[int, int | memoryview]


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
        DataError: If it is no ONNX model, keeps weights in other files, or has an operator or a part that is not known.
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
        except (ValueError, IndexError) as error:
            raise DataError(
                f"the file is damaged or not an ONNX model: {error}", where=self._where, hint=HINT
            ) from error

    def _message(self, content: memoryview, kind: str) -> None:
        """Every occurrence of every field: readers of the format may take the last of several, or all."""
        part, look = _PARTS[kind], self._of.get(kind)
        for number, value in _fields(content):
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
        if number == _OP_TYPE and (name := _text(value)) not in OPERATORS:
            self._refuse(f"operator {name}", "an operator that exported networks do not have", ", ".join(OPERATORS))
        if number == _DOMAIN and (name := _text(value)):
            self._refuse(f"an operator of {name}", "an operator that exported networks do not have", "ONNX's own")

    def _tensor(self, field: Field) -> None:
        number, value = field
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            self._refuse("a tensor in another file", "weights outside of its file", "all weights in the file itself")

    def _refuse(self, found: str, what: str, expected: str | None = None) -> NoReturn:
        raise DataError(f"the model has {what}", where=self._where, expected=expected, found=found, hint=HINT)


def _text(value: int | memoryview) -> str:
    return "a number" if isinstance(value, int) else bytes(value[:64]).decode("utf-8", "replace")


def _fields(content: memoryview) -> Iterator[Field]:
    """Number and value of each field of a message; fixed numbers as their bytes."""
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(content, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"a field has wire type {wire}")
        if at + size > end:
            raise ValueError("a field is cut off")
        yield number, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a number has no end")
