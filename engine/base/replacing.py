"""Output that appears whole or not at all: written beside its place, put there at the end.

A folder that lies there already is exchanged in one step of the file system, so that a process that fails or is
killed at any moment leaves either the old one or the new one, never a mixture and never nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.base.aside import is_leftover, part_of, sweep
from engine.base.errors import GrandModelError, UsageError
from engine.base.files import flush

HINT = "--overwrite (overwrite=True from Python) replaces it; or choose another place (--out)"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class OutputKind:
    """What a command writes into a folder.

    Attributes:
        what: Its name in messages, with an article: "a run".
        names: Every name that may lie in such a folder; with anything else in it, it is not replaced.
    """

    what: str
    names: frozenset[str]


def check_output(folder: Path, kind: OutputKind, *, overwrite: bool) -> None:
    """Refuse a folder that holds other things, or an earlier output that is not to be replaced.

    Raises:
        UsageError: If so.
    """
    if not folder.is_dir():
        if os.path.lexists(folder) and not folder.is_symlink():
            raise UsageError("the output goes into a folder, and this is a file", where=str(folder))
        return
    found = sorted(path.name for path in folder.iterdir() if not is_leftover(path.name))
    foreign = [name for name in found if name not in kind.names]
    if foreign:
        raise UsageError(
            f"the folder holds other files than those of {kind.what}",
            where=str(folder),
            expected=f"a new or empty folder, or that of {kind.what}, which --overwrite replaces",
            found=", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else ""),
            hint="choose another folder (--out)",
        )
    if found and not overwrite:
        raise _already(folder, kind)
    if found and (os.path.ismount(folder) or Path.cwd().is_relative_to(folder.resolve())):
        raise UsageError(
            "the folder cannot be replaced: it is a mount point, or the working directory",
            where=str(folder),
            hint="name a folder inside of it",
        )


@contextmanager
def replaced_folder(folder: Path, kind: OutputKind, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write to in place of `folder`, which it becomes when the block ends well.

    What lies at `folder` stays whole until then; after an error the new folder is removed. What a killed process left
    is removed by the next one that writes to the same place.

    Args:
        folder: Where the output is wanted; parents are made.
        kind: What is written.
        overwrite: Whether an earlier output may be replaced.

    Raises:
        UsageError: If it holds something that is not to be replaced, or cannot be made.
    """
    target = Path(os.path.realpath(folder))
    with contextlib.suppress(OSError):
        sweep(target)
    check_output(folder, kind, overwrite=overwrite)
    made = [path for path in target.parents if not path.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part, lock = part_of(target)
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(folder)) from error
    try:
        yield part
        check_output(folder, kind, overwrite=overwrite)
        _put(part, target, folder, kind, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    finally:
        os.close(lock)


def new_folder(folder: Path) -> Path:
    """The folder, or one with a number behind its name if it exists."""
    others = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], others) if not path.exists())


@contextmanager
def replaced_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A file name to write to in place of `path`, which it becomes when the block ends well.

    Where the block writes nothing, nothing lies at `path` afterwards. What a killed process left is removed by the
    next one that writes to the same place.

    Args:
        path: Where the file is wanted.
        overwrite: Whether one that lies there is replaced.

    Raises:
        UsageError: If one lies there that is not to be replaced, even if it came while the block was writing; or if
            nothing can be written there.
        OSError: If the disk refuses later.
    """
    target = Path(os.path.realpath(path))
    if not overwrite:
        refuse_existing(path, overwrite=False)
    try:
        sweep(target)
        folder, lock = part_of(target)
    except OSError as error:
        raise UsageError(f"cannot write the file: {error.strerror}", where=str(path)) from error
    part = folder / target.name
    try:
        yield part
        if not part.exists():
            target.unlink(missing_ok=True)
        elif overwrite:
            if target.exists():
                _flush(part)
            part.replace(target)
        else:
            _link(part, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all."""
    with replaced_file(path) as part:
        part.write_text(text, encoding="utf-8")


def refuse_existing(path: Path, *, overwrite: bool, hint: str = HINT) -> None:
    """Refuse to write over a file unless that is wanted, and over anything that is no file at all.

    Args:
        path: Where the file is wanted.
        overwrite: Whether one that lies there is replaced.
        hint: What to do, where the option that names the file is not `--out`.

    Raises:
        UsageError: If so.
    """
    if path.exists() and not path.is_file():
        raise UsageError("the output is a file, and something else lies there", where=str(path))
    if path.exists() and not overwrite:
        raise UsageError("the file exists already", where=str(path), hint=hint)


def _already(folder: Path, kind: OutputKind) -> UsageError:
    return UsageError(f"the folder holds {kind.what} already", where=str(folder), hint=HINT)


def _put(part: Path, target: Path, folder: Path, kind: OutputKind, *, overwrite: bool) -> None:
    """Move the finished folder to its place; what lay there is removed."""
    try:
        if not overwrite or not (target.exists() and any(target.iterdir())):
            part.rename(target)  # onto nothing or an empty folder, and onto nothing else
            return
        _flush(part)
        old = part
        if not _exchanged(part, target):
            # two steps, for file systems that cannot exchange; `sweep` mends what a kill between them leaves
            old = part.with_name(f"{part.name}.old")
            target.rename(old)
            part.rename(target)
        _removed(old)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker
            raise _already(folder, kind) from error
        raise GrandModelError(f"cannot put the output in its place: {error.strerror}", where=str(target)) from error


def _link(part: Path, target: Path) -> None:
    """Give a file its name, unless another process was quicker."""
    try:
        os.link(part, target)
    except FileExistsError:
        refuse_existing(target, overwrite=False)
        raise
    except OSError:  # some file systems know no second name
        refuse_existing(target, overwrite=False)
        part.rename(target)


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _flush(output: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk, before the old one is given up."""
    for path in [*(path for path in output.rglob("*") if path.is_file()), output]:
        flush(path)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system can."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    done: int = exchange(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return done == 0
