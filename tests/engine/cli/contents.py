"""What lies in a folder, to tell whether anything of it has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def contents(place: Path, depth: int | None = None) -> dict[str, str]:
    """Hash of every file by its path below a folder, or of the file; folders are there with an empty one.

    Args:
        place: Folder or file.
        depth: 1 for the names in the folder itself alone.
    """
    paths = [place] if place.is_file() else sorted(place.glob("*") if depth == 1 else place.rglob("*"))
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in paths
    }
