"""Checkpoints: the whole state of a training in one file that is either whole and as it was written, or refused.

A checkpoint is the tree {"note": ..., "state": ...} as `engine.base.state` encodes it, digest included: the note is a
summary (configuration, episode, last evaluation), the state what `Trainer.snapshot` gives. No part of it is ever read
without the others, so it needs no container besides; exported models are what other programs read. A file is written
piece by piece under another name, so that buffers of hundreds of megabytes are not copied, flushed to the disk and
renamed: a process that is killed leaves the old file or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import CheckFailed, DataError
from engine.base.files import flush, in_numeric_order, open_regular
from engine.base.restoring import parts_of
from engine.base.state import State, chunks, decode

SUFFIX = ".ckpt"
ASIDE = ".old"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        state: The state of the training.
        note: Its summary: configuration, episode, evaluation and the like.
        path: Where it was read.
    """

    state: State
    note: dict[str, Any]
    path: Path


def save(path: Path, state: Mapping[str, Any], note: Mapping[str, Any]) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        path: Replaced if it exists; its folder is made if need be.
        state: A tree (`engine.base.state`).
        note: Likewise.

    Raises:
        UsageError: If a tree holds something that a state cannot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in chunks({"note": note, "state": state}):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)  # a disk that is full shall not stay so
        raise
    flush(path.parent)
    return path


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; every byte is verified before anything in it is believed.

    Raises:
        DataError: If there is no such file, or it cannot be read.
        CheckFailed: If it is damaged, no checkpoint, or of a format that this program does not know; the newest good
            one before it in the folder is named.
    """
    content = _content(path)
    try:
        return _decoded(path, content)
    except DataError as error:
        before = newest_good(path.parent, before=path)
        hint = f"resume from {before.path}, the newest valid one before it" if before else error.hint
        raise CheckFailed(
            "the checkpoint cannot be used: " + error.what,
            where=str(path),
            expected=error.expected,
            found=error.found,
            hint=hint,
        ) from error


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the oldest first: by the numbers in their names."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.glob(f"*{SUFFIX}") if path.is_file() and not path.name.startswith(".")),
        key=lambda path: in_numeric_order(path.name),
    )


def newest_good(folder: Path, before: Path | None = None) -> Checkpoint | None:
    """The newest checkpoint of a folder that is whole, or None.

    Args:
        folder: Where to look.
        before: Only those older than this one.
    """
    limit = in_numeric_order(before.name) if before is not None else None
    for path in reversed(checkpoints(folder)):
        if limit is not None and in_numeric_order(path.name) >= limit:
            continue
        try:
            return _decoded(path, _content(path))
        except DataError:
            continue
    return None


def set_aside_later(path: Path) -> list[Path]:
    """Rename the checkpoints of a folder that are later than one, so that none is taken for the newest any more.

    A training resumed from the middle writes its own later ones; those that an earlier run made of the same episodes
    stays beside them, under names that end in `.old`.

    Args:
        path: The one that a training resumes from.

    Returns:
        Their new paths.
    """
    later = [other for other in checkpoints(path.parent) if in_numeric_order(other.name) > in_numeric_order(path.name)]
    return [other.replace(other.with_name(f"{other.name}{ASIDE}")) for other in later]


def weights_sha256(weights: Mapping[str, Any]) -> str:
    """Hash of named arrays, however deep they lie: of their names, types, shapes and elements.

    Args:
        weights: A tree; leaves that are no arrays are left out.
    """
    digest = hashlib.sha256()
    for name, array in sorted(_leaves(weights), key=lambda leaf: leaf[0]):
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a tree and their paths, as "strategic/shared.0.weight"."""
    if isinstance(tree, np.ndarray):
        yield path, tree
    elif isinstance(tree, Mapping | list | tuple):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from _leaves(value, f"{path}/{key}" if path else str(key))


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        reason = "the checkpoint does not exist" if isinstance(error, FileNotFoundError) else f"cannot read: {error}"
        others = checkpoints(path.parent)
        raise DataError(
            reason, where=str(path), hint=f"the folder holds {others[-1].name}" if others else None
        ) from error


def _decoded(path: Path, content: bytes) -> Checkpoint:
    parts = parts_of(decode(content), ("note", "state"))
    if not all(isinstance(part, dict) for part in parts.values()):
        raise DataError("the checkpoint holds no state", expected="keys and values")
    return Checkpoint(parts["state"], parts["note"], path)
