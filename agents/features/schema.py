"""The schema of an agent's observation: a model is trained for one and refuses any other.

`schema_hash` is what a model remembers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agents.features.definitions import FORMULAS_VERSION
from agents.spec import AgentSpec, spec_of


def schema(agent: str | AgentSpec) -> dict[str, Any]:
    """What a model of an agent has to agree on, as plain JSON values.

    Raises:
        UsageError: If there is no such agent.
    """
    found = spec_of(agent)
    content = {
        "seat": found.name,
        "formulas_version": FORMULAS_VERSION,
        "timeframe": found.timeframe,
        "window": found.window,
        "features": [feature.name for feature in found.features],
    }
    # not there without them, so that the schema of other models stays what it is
    return content | ({"declared": [one.model_dump() for one in found.declared]} if found.declared else {})


def schema_hash(agent: str | AgentSpec) -> str:
    """SHA-256 of the schema's canonical JSON, hexadecimal.

    Raises:
        UsageError: If there is no such agent.
    """
    text = json.dumps(schema(agent), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Name in words what sets two schemas apart; empty if nothing does.

    Args:
        expected: The schema that is needed, from `schema`.
        found: The one that a model was made for, possibly from a file, so of any shape.
    """
    parts = [
        f"{key} is {_setting_text(found, key)} instead of {_setting_text(expected, key)}"
        for key in sorted({*expected, *found})
        if key != "features" and _setting_text(found, key) != _setting_text(expected, key)
    ]
    if found.get("features") != expected.get("features"):
        parts.append(_feature_difference(expected.get("features"), found.get("features")))
    return "; ".join(parts)


def _setting_text(tree: Mapping[str, Any], key: str) -> str:
    return json.dumps(tree[key], sort_keys=True, default=str) if key in tree else "missing"


def _feature_difference(expected: Any, found: Any) -> str:
    if not isinstance(expected, list) or not isinstance(found, list):
        return "features are not a list of names"
    for place, (wanted, name) in enumerate(zip(expected, found, strict=False), start=1):
        if wanted != name:
            return f"feature {place} is {name} instead of {wanted}"
    if len(found) < len(expected):
        return f"feature {len(found) + 1} ({expected[len(found)]}) is missing"
    return f"feature {len(expected) + 1} ({found[len(expected)]}) is too many"
