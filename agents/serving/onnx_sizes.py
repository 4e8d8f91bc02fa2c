"""How large the values of a network can become, seen in its file: a few bytes may ask for terabytes.

Values grow where axes of two of them are set against each other, and where axes are folded into one. So a network
has no more than this: constants of at most two axes, each of at most WIDEST; Flatten that leaves the batch alone;
ArgMax only at the end, for what lost an axis fits others in new ways. Then the observation keeps its shape until it is
flattened, and all else has two axes, each of at most WIDEST or the batch: 64 MiB for a value.
"""

from __future__ import annotations

from agents.serving.onnx_wire import fields_of, text_of, varint

WIDEST = 4096
"""Most numbers on an axis of a constant: inputs of a network, or units of a layer."""
_MOST_AXES = 2
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # fields of a model and of a graph
_INPUT, _OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_DIMS, _NAME, _INTEGER = 1, 8, 3  # of a tensor, and of an attribute


def oversize(content: memoryview) -> str | None:
    """What in a model could make values of any size; None if nothing does.

    Args:
        content: Of an ONNX model that has only known parts and operators.

    Raises:
        ValueError: If it is damaged.
        IndexError: If it is cut off.
    """
    read, ends = set[bytes](), set[bytes]()
    for graph in _messages(content, _GRAPH):
        for tensor in _messages(graph, _INITIALIZER):
            dims = _dims(tensor)
            if len(dims) > _MOST_AXES or any(size > WIDEST for size in dims):
                name = " ".join(text_of(value) for number, value in fields_of(tensor) if number == _NAME)
                return f"constant {name!r} of shape ({', '.join(map(str, dims[:8]))})"
        for node in _messages(graph, _NODE):
            kinds = {text_of(value) for number, value in fields_of(node) if number == _OP_TYPE}
            read.update(bytes(name) for name in _messages(node, _INPUT))
            if "Flatten" in kinds and not all(_is_one(attribute) for attribute in _messages(node, _ATTRIBUTE)):
                return "Flatten along another axis than 1"
            if "ArgMax" in kinds:
                ends.update(bytes(name) for name in _messages(node, _OUTPUT))
    return "an operation on what ArgMax answers" if read & ends else None


def _messages(content: memoryview, wanted: int) -> list[memoryview]:
    return [value for number, value in fields_of(content) if number == wanted and not isinstance(value, int)]


def _dims(tensor: memoryview) -> list[int]:
    """Lengths of the axes: numbers one by one, or packed into one field."""
    dims = list[int]()
    for number, value in fields_of(tensor):
        if number == _DIMS and isinstance(value, int):
            dims.append(value)
        elif number == _DIMS and not isinstance(value, int):
            at = 0
            while at < len(value) and len(dims) <= 8:
                size, at = varint(value, at)
                dims.append(size)
    return dims


def _is_one(attribute: memoryview) -> bool:
    """Whether an attribute is the number 1, which it is not where it is left out."""
    values = [value for number, value in fields_of(attribute) if number == _INTEGER]
    return bool(values) and all(value == 1 for value in values)
