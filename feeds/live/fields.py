"""How messages of somebody else's shape are read: where in them our fields are, and which of them count.

A path names a field, or one inside another: `c`, `k.c`; a number counts from 0 in a list: `data.0.c`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from engine.base.config import Config
from engine.base.yaml_text import read_yaml_text

Path = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^.]+(\.[^.]+)*$")]
Unit = Literal["auto", "s", "ms", "us", "ns"]
Scalar = bool | int | float | str
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "bar": ("timestamp", "open", "high", "low", "close"),
    "trade": ("timestamp", "price", "size"),
    "quote": ("timestamp", "bid", "ask"),
}
OPTIONAL: Final[Mapping[str, tuple[str, ...]]] = {
    "bar": ("symbol", "volume"),
    "trade": ("symbol", "id", "side"),
    "quote": ("symbol",),
}
MISSING: Final = object()


class FieldsConfig(Config):
    """Where the fields of a message are; one that is not named is called as in our own messages.

    Attributes:
        type: What every message holds.
        items: Path of the list whose elements are bars, trades or quotes; a message that is a list needs none.
        only: Values by path; an element in which one of them is another is left out, and counted.
        symbol, timestamp: As in our own messages.
        unit: Of a time that is a number; auto tells by its magnitude.
        open, high, low, close, volume: Of a bar.
        price, size, id, side: Of a trade; the side that took is buy or sell, or 1 or -1.
        bid, ask: Of a quote.
    """

    type: Literal["bar", "trade", "quote"] = "bar"
    items: Path | None = None
    only: dict[Path, Scalar] = Field(default_factory=dict)
    symbol: Path = "symbol"
    timestamp: Path = "timestamp"
    unit: Unit = "auto"
    open: Path = "open"
    high: Path = "high"
    low: Path = "low"
    close: Path = "close"
    volume: Path = "volume"
    price: Path = "price"
    size: Path = "size"
    id: Path = "id"
    side: Path = "side"
    bid: Path = "bid"
    ask: Path = "ask"

    @model_validator(mode="after")
    def _of_this_type(self) -> Self:
        own = {*NEEDED[self.type], *OPTIONAL[self.type], "type", "items", "only", "unit"}
        others = type(self).model_fields.keys() - own
        # a configuration that was written out names them all
        if foreign := sorted(name for name in others if getattr(self, name) != type(self).model_fields[name].default):
            raise ValueError(f"{foreign[0]} is no field of a {self.type}")
        return self

    @property
    def paths(self) -> dict[str, str]:
        """Paths by field, those of this type."""
        return {name: getattr(self, name) for name in (*OPTIONAL[self.type], *NEEDED[self.type])}


def from_query(values: Mapping[str, str]) -> dict[str, Any]:
    """Keys of FieldsConfig as the query of an address has them: `only` as `PATH:VALUE,PATH:VALUE`."""
    tree: dict[str, Any] = dict(values)
    if "only" in tree:
        pairs = (part.partition(":") for part in str(tree["only"]).split(","))
        tree["only"] = {path: read_yaml_text(value, f"fields.only, {path}") for path, _, value in pairs}
    return tree


def picker(path: str) -> Callable[[Any], Any]:
    """What follows a path into a message; gives MISSING where it leads nowhere."""
    steps = [(part, int(part) if part.isdecimal() else -1) for part in path.split(".")]
    if len(steps) == 1 and steps[0][1] < 0:
        name = path

        def direct(tree: Any) -> Any:
            return tree.get(name, MISSING) if isinstance(tree, dict) else MISSING

        return direct

    if len(steps) == 2 and max(steps[0][1], steps[1][1]) < 0:  # as in most nested messages
        outer, name = steps[0][0], steps[1][0]

        def nested(tree: Any) -> Any:
            inside = tree.get(outer) if isinstance(tree, dict) else None
            return inside.get(name, MISSING) if isinstance(inside, dict) else MISSING

        return nested

    def pick(tree: Any) -> Any:
        for name, place in steps:
            if isinstance(tree, dict):
                tree = tree.get(name, MISSING)
            elif isinstance(tree, list) and 0 <= place < len(tree):
                tree = tree[place]
            else:
                return MISSING
        return tree

    return pick


def matches(found: Any, wanted: Scalar) -> bool:
    """Whether a value is the one that `only` asks for; true and 1 are two things, 1 and 1.0 one."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted)
