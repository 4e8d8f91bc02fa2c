"""Where the shipped data lies: `configs/` and `replays/`, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import importlib
from pathlib import Path


def shipped(package: str) -> Path:
    """The folder of a data package (`configs` or `replays`), which holds no code and so no `__init__.py`."""
    return Path(next(iter(importlib.import_module(package).__path__)))


def recordings() -> list[str]:
    """Names of the recordings that ship, which stand for their bars wherever a file of bars is asked for."""
    return sorted(path.parent.name for path in shipped("replays").glob("*/manifest.json"))
