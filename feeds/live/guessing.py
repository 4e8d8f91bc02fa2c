"""Guessing where the fields of a message are, for the operator to confirm: nothing is traded by a guess."""

from __future__ import annotations

from typing import Any

from feeds.live.checks import Refused
from feeds.live.fields import FieldsConfig
from feeds.live.mapped import MappedDecoder, leaves, number_of

# exchanges and vendors call them so; the first that is found counts
NAMES = {
    "symbol": ("symbol", "s", "sym", "S", "ticker", "T", "pair", "instrument", "product_id", "instId"),
    "open": ("open", "o", "Open", "open_price", "openPrice"),
    "high": ("high", "h", "High", "high_price", "highPrice"),
    "low": ("low", "l", "Low", "low_price", "lowPrice"),
    "close": ("close", "c", "Close", "close_price", "closePrice"),
    "volume": ("volume", "v", "Volume", "vol", "qty"),
    "timestamp": ("timestamp", "ts_event", "t", "time", "ts", "Timestamp", "start", "s", "datetime", "date", "e", "E"),
    "price": ("price", "p", "px", "last"),
    "size": ("size", "q", "qty", "quantity", "amount", "s"),
    "id": ("id", "trade_id", "i"),
    "bid": ("bid", "b", "bid_price", "bidPrice", "bp"),
    "ask": ("ask", "a", "ask_price", "askPrice", "ap"),
}
CLOSED = ("x", "closed", "is_closed", "isClosed", "final", "is_final", "confirm", "complete")
TYPES = {"bar": ("open", "high", "low", "close"), "quote": ("bid", "ask"), "trade": ("price", "size")}


def guess(tree: Any) -> dict[str, Any] | None:
    """Keys of FieldsConfig by which the first element of a message can be read; None if none are found.

    Args:
        tree: The message: dictionaries, lists, numbers and text.
    """
    for items, element in _elements(tree):
        found = dict(leaves(element, lists=False))
        places = sorted({path.rpartition(".")[0] for path in found}, key=lambda place: (place.count("."), place))
        for kind, needed in TYPES.items():
            for place in places:
                fields = _within(found, place, kind, needed)
                if fields is not None:
                    fields = {**({"items": items} if items else {}), **fields}
                    if _reads(fields, tree):
                        return fields
    return None


def _elements(tree: Any) -> list[tuple[str, Any]]:
    """Where the elements of a message may be, and the first of them."""
    if isinstance(tree, list):
        return [("", tree[0])] if tree and isinstance(tree[0], dict) else []
    if not isinstance(tree, dict):
        return []
    lists = [(key, value[0]) for key, value in tree.items() if isinstance(value, list) and value]
    return [("", tree), *((key, first) for key, first in lists if isinstance(first, dict) and "." not in key)]


def _within(found: dict[str, Any], place: str, kind: str, needed: tuple[str, ...]) -> dict[str, Any] | None:
    """The fields of one kind whose numbers lie side by side in one place of a message."""
    fields: dict[str, Any] = {} if kind == "bar" else {"type": kind}
    for name in needed:
        path = next((path for path in _paths(place, name) if number_of(found.get(path)) is not None), None)
        if path is None:
            return None
        fields[name] = path
    taken = set(fields.values())
    for name in ("symbol", "volume" if kind == "bar" else "id" if kind == "trade" else "", "timestamp"):
        path = next((path for path in _anywhere(found, place, name) if path not in taken), None) if name else None
        if path is not None:
            fields[name] = path
            taken.add(path)
    closed = next((path for key in CLOSED if isinstance(found.get(path := _join(place, key)), bool)), None)
    if closed is not None and kind == "bar":
        fields["only"] = {closed: True}
    return {name: path for name, path in fields.items() if name != path}


def _anywhere(found: dict[str, Any], place: str, name: str) -> list[str]:
    """Paths of a field beside the numbers, or at the top."""
    paths = [*_paths(place, name), *_paths("", name)]
    kind: type | tuple[type, ...] = str if name == "symbol" else (int, float, str)
    return [path for path in paths if isinstance(found.get(path), kind) and not isinstance(found[path], bool)]


def _paths(place: str, name: str) -> list[str]:
    return [_join(place, key) for key in NAMES[name]]


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _reads(fields: dict[str, Any], tree: Any) -> bool:
    decoder = MappedDecoder(FieldsConfig.model_validate(fields))
    try:
        decoder.element(decoder.elements(tree)[0])
    except (Refused, IndexError):
        return False
    return True
