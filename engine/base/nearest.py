"""The nearest known name for one that was misspelt, so that every error can name it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

CUTOFF = 0.5
FOLDER_CUTOFF = 0.6
LONGEST = 60
"""Characters of a name that are compared: the comparison takes time by the square of the length."""
MOST_ENTRIES = 2_000
"""A folder with more entries is not searched further."""


def nearest(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """The known name most like `name`, whatever the case of its letters; None if none is alike."""
    by_folded: dict[str, str] = {}
    for one in known:
        by_folded.setdefault(one.casefold(), one)
    found = difflib.get_close_matches(name[:LONGEST].casefold(), list(by_folded), n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """The hint of an error about an unknown name; None if no known name is like it."""
    near = nearest(name, known, cutoff)
    return f"did you mean {near}?" if near else None


def nearest_path(path: Path, wanted: Callable[[Path], bool], more: Iterable[str] = ()) -> str | None:
    """The hint of an error about a path that does not exist; None if nothing is like it.

    Args:
        path: The missing file or folder; the entries beside it are compared with it.
        wanted: Whether an entry is of the kind asked for.
        more: Names that would have done too.
    """
    folder = path.parent
    if not folder.is_dir():
        found = _entry(folder, Path.is_dir) if folder.parent.is_dir() else None
        moved = found / path.name if found else None
        return f"did you mean {moved}?" if moved is not None and moved.exists() and wanted(moved) else None
    other = did_you_mean(str(path), more)
    found = _entry(path, wanted)
    if found is None:
        return other
    return f"did you mean {found}?" if other is None or _like(path, found) else other


def not_there(path: Path) -> str:
    """The hint of an error about a path that does not exist where nothing is like it: where it was looked for."""
    if path.parent.is_dir():
        return f"check the name; it was looked for in {path.parent.resolve()}"
    return f"check the path; there is no folder {path.parent}"


def nearest_folder(path: Path, holding: str) -> str | None:
    """The hint of an error about a folder that is not there, or holds no file `holding`: a folder nearby that does."""
    if (path / holding).is_file():
        return None
    inside = _first(path, lambda entry: (entry / holding).is_file()) if path.is_dir() else None
    if inside is not None:
        return f"did you mean {inside}?"
    return nearest_path(path, lambda entry: (entry / holding).is_file())


def _entry(path: Path, wanted: Callable[[Path], bool]) -> Path | None:
    names = {entry.name: entry for entry in _entries(path.parent)}
    near = difflib.get_close_matches(path.name[:LONGEST], list(names), n=5, cutoff=FOLDER_CUTOFF)
    same_stem = [name for name in names if name.split(".")[0] == path.name.split(".")[0] and name not in near]
    return next((path.parent / name for name in [*near, *same_stem] if name != path.name and wanted(names[name])), None)


def _like(path: Path, found: Path) -> bool:
    return difflib.SequenceMatcher(None, path.name[:LONGEST], found.name).ratio() >= CUTOFF


def _first(folder: Path, wanted: Callable[[Path], bool]) -> Path | None:
    return next((entry for entry in sorted(_entries(folder), reverse=True) if wanted(entry)), None)


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry, _ in zip(folder.iterdir(), range(MOST_ENTRIES), strict=False)]
    except OSError:
        return []
