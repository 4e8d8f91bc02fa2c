"""Finding the checkpoint that is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.base.errors import CheckFailed, DataError, UsageError, recast
from training.checkpoint import SUFFIX, Checkpoint, checkpoints, load, newest_good

CHECKPOINT_FOLDERS = (".", "checkpoints")


def find(source: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The checkpoint that is meant, verified.

    Args:
        source: A checkpoint, or a folder: the newest of its that is whole.
        warn: Told if a newer one is damaged.

    Raises:
        UsageError: If a folder holds none.
        DataError: If there is no such file, it is damaged, or all of a folder are.
    """
    if not source.is_dir():
        return _loaded(source)
    folders = [source / name for name in CHECKPOINT_FOLDERS if checkpoints(source / name)]
    if not folders:
        raise UsageError(
            "the folder holds no checkpoint",
            where=str(source),
            expected=f"files that end in {SUFFIX}, there or in its folder checkpoints",
            hint="`grandmodel train` writes them",
        )
    newest = checkpoints(folders[0])[-1]
    found = newest_good(folders[0])
    if found is None:
        return _loaded(newest)  # says what is wrong with it
    if found.path != newest:
        warn(f"{newest.name} is damaged; {found.path.name} is the newest that is whole")
    return found


def _loaded(path: Path) -> Checkpoint:
    try:
        return load(path)
    except CheckFailed as error:  # here it is what a command was given to go on from, and not what it checks
        raise recast(error, DataError) from error
