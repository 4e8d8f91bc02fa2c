"""Folders beside an output, in which it is written before it takes its place.

The process that writes holds a lock on its folder, which the system lets go of however the process ends; a folder
without a holder was left by a process that was killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.base.errors import UsageError

_ENDING = r"\.\d+-\d+\.part(\.old)?"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


def is_leftover(name: str) -> bool:
    """Whether a file of this name is written beside its place, or was left there by a killed process."""
    return re.fullmatch(rf"\..+{_ENDING}", name) is not None


def part_of(target: Path) -> tuple[Path, int]:
    """A new folder beside the target, and a lock that tells others that it is being written to.

    Raises:
        OSError: If it cannot be made.
    """
    for number in itertools.count():
        part = target.with_name(f".{target.name}.{os.getpid()}-{number}.part")
        try:
            part.mkdir()
        except FileExistsError:
            continue
        lock = _locked(part)
        if lock is not None:
            return part, lock
    raise AssertionError  # the count has no end


def sweep(target: Path) -> None:
    """Remove what processes that were killed left beside the target; put an old folder back that was on its way out.

    Raises:
        OSError: If the folder around the target cannot be read.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}{_ENDING}")
    for path in sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name)):
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.suffix == ".old" and not target.exists():
                    path.rename(target)
                else:
                    shutil.rmtree(path)
            finally:
                os.close(lock)


def sweep_within(folder: Path) -> None:
    """Remove what killed processes left of single files in a folder."""
    with contextlib.suppress(OSError):
        for name in {re.sub(rf"{_ENDING}\Z", "", path.name[1:]) for path in folder.iterdir() if is_leftover(path.name)}:
            sweep(folder / name)


@contextmanager
def held_folder(folder: Path, what: str) -> Iterator[None]:
    """Keep others that write to a folder bit by bit out of it; the folder is made if need be, and removed if empty.

    Args:
        folder: Where output goes.
        what: What is written there, for the message: "a training".

    Raises:
        UsageError: If another process holds it, or it cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(folder)) from error
    try:
        if not _taken(lock):
            raise UsageError(
                f"{what} is being written to this folder by another process",
                where=str(folder),
                hint="wait for its end, or choose another folder (--out)",
            )
        sweep_within(folder)
        yield
    finally:
        os.close(lock)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def _locked(part: Path) -> int | None:
    """The lock of a folder that was just made; None if another process that sweeps took it for a leftover."""
    try:
        lock = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    if _taken(lock) and _is_there(part, lock):
        return lock
    os.close(lock)
    return None


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD  # some network file systems know no locks
    return True


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
