"""The manifest of a run: what decides its result, so that the same manifest gives the same ledger hash."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.base.config import Config
from engine.base.files import sha256_file
from engine.base.replacing import write_text
from engine.loop.ledger_hash import FORM
from engine.types.instruments import Instrument
from feeds.reading.files.zip_member import zip_path

PACKAGES = ("grandmodel", "numpy", "numba", "llvmlite", "onnxruntime", "polars", "pyarrow")
HASH_FORM = "ledger_hash_form"
# These change how a run is driven and watched, never what comes out of it.
NEUTRAL_KEYS = ("block", "speed", "monitor")


def config_sha256(config: Config) -> str:
    """Hash of what in a configuration decides the result."""
    tree = config.model_dump(mode="json", exclude=set(NEUTRAL_KEYS))
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def data_entries(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Name, size and hash of every data file; of a file in a zip archive, those of the archive."""
    entries = []
    for path in paths:
        file, member = zip_path(path) or (path, None)
        entry = {
            "path": str(file),
            "absolute": str(file.resolve()),
            "bytes": file.stat().st_size,
            "sha256": sha256_file(file),
        }
        entries.append(entry if member is None else entry | {"member": member})
    return entries


def build_manifest(
    config: Config, instruments: Mapping[str, Instrument], data: list[dict[str, Any]], **facts: Any
) -> dict[str, Any]:
    """Assemble the manifest of a run.

    Args:
        instruments: By symbol, as used (fees replaced where configured).
        data: From `data_entries`.
        **facts: Further entries, among them `ledger_sha256`.
    """
    return {
        "kind": "backtest",
        "created_by": f"grandmodel {versions().get('grandmodel', 'from source')}",
        "symbols": list(instruments),
        "instruments": {symbol: item.model_dump(mode="json") for symbol, item in instruments.items()},
        "data": data,
        "config": config.model_dump(mode="json"),
        "config_sha256": config_sha256(config),
        "versions": versions(),
        HASH_FORM: FORM,
        **facts,
    }


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(tree, indent=2, allow_nan=False) + "\n")
