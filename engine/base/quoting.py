"""How messages quote what they were given: on one line and bounded in length, whatever it is."""

from __future__ import annotations

import reprlib

LIMIT = 120


def quoted(value: object, limit: int = LIMIT) -> str:
    """A value as a message shows it: its `repr`, cut in the middle.

    Args:
        value: Anything, however large or deep.
        limit: Characters of the result at most.
    """
    if isinstance(value, int) and value.bit_length() > 4 * limit:  # Python refuses to write thousands of digits
        return f"a whole number of {value.bit_length():,} bits"
    short = _Short(limit)
    try:
        text = short.repr(value)
    except Exception:  # a value from Python may have a `__repr__` that raises
        text = type(value).__name__
    return shortened(text, limit)


def shortened(text: str, limit: int = LIMIT) -> str:
    """A text on one line, cut in the middle, with what cannot be printed escaped."""
    if len(text) > limit:
        head = (limit - 3) * 2 // 3
        text = f"{text[:head]}...{text[len(text) - (limit - 3 - head) :]}"
    return printable(text, kept="")


def printable(text: str, kept: str = "\n") -> str:
    """A text in which everything that a terminal would obey is escaped.

    Args:
        text: From anywhere.
        kept: Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


class _Short(reprlib.Repr):
    """Looks at the first elements of a container and of what they hold, so that its work is bounded too."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = limit
