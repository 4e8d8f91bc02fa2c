"""Whether bars come from a market or were made up; whatever is earned on the latter must say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.base.errors import GrandModelError
from engine.base.files import read_json
from feeds.reading.columns.names import SYNTHETIC
from feeds.reading.files.bar_file import BarFile

SYNTHETIC_COUNT = "synthetic."
"""Begins the name of the count by which a live session remembers a file of made-up bars."""


def synthetic_files(files: Sequence[BarFile], paths: Sequence[Path]) -> list[str]:
    """Names of the files that hold made-up bars.

    Args:
        files: Open files or frames; those that `grandmodel data synthesize` wrote have a column that says so.
        paths: Of the same files, empty for frames; a recording has a manifest beside it that says so.
    """
    found = [Path(file.source).name for file in files if SYNTHETIC in file.names]
    return [*found, *(path.parent.name for path in paths if _recorded(path))]


def synthetic_names(counters: Mapping[str, int]) -> list[str]:
    """The files of made-up bars that a live session traded, as their publishers called them."""
    return sorted(name.removeprefix(SYNTHETIC_COUNT) for name in counters if name.startswith(SYNTHETIC_COUNT))


def _recorded(path: Path) -> bool:
    """Whether the recording that the file belongs to calls itself synthetic."""
    try:
        tree = read_json(path.parent / "manifest.json")
    except (OSError, ValueError, GrandModelError):
        return False
    if not isinstance(tree, dict) or not tree.get("synthetic"):
        return False
    entries = tree.get("data") or ()
    return any(isinstance(entry, dict) and Path(str(entry.get("path"))).name == path.name for entry in entries)
