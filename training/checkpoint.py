"""Checkpoints: the whole state of a training in one file that is either whole and as it was written, or refused.

A checkpoint is a zip archive whose members are stored as they are:

    manifest.json       the format, and the sha256 of every other member
    note.json           a summary for readers and other programs: configuration, episode, last evaluation
    state.json          the tree of the state; an array stands in it as {"$array": "arrays/3.npy"}
    arrays/N.npy        an array each

The archive's comment, which is the end of the file, is the format and the sha256 of everything before it, so that a
change of any byte is noticed. Nothing is ever unpickled. A file is written under another name, flushed to the disk and
renamed: a process that is killed leaves the old file or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import CheckFailed, DataError
from engine.base.files import flush, in_numeric_order, open_regular
from training.randomness import State
from training.trees import decode, encode, leaves

FORMAT = 1
SUFFIX = ".ckpt"
ASIDE = ".old"
MANIFEST, NOTE, STATE = "manifest.json", "note.json", "state.json"
_SEAL = b"grandmodel checkpoint %d sha256 "
_SEALED = re.compile(rb"grandmodel checkpoint (\d{1,9}) sha256 ([0-9a-f]{64})\Z")
_SEAL_TAIL = 128
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


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


class _DamagedError(Exception):
    """What is wrong with the content of a file, and what was expected and found."""

    def __init__(self, what: str, expected: str | None = None, found: str | None = None) -> None:
        super().__init__(what)
        self.what, self.expected, self.found = what, expected, found


def save(path: Path, state: Mapping[str, Any], note: Mapping[str, Any]) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        path: Replaced if it exists; its folder is made if need be.
        state: Nested dictionaries with text keys, whose leaves are arrays, numbers, texts, truth values or None, or
            lists of these.
        note: Likewise, without arrays.

    Raises:
        TypeError: If a tree holds something else.
    """
    arrays: list[NDArray[Any]] = []
    tree = encode(state, arrays)
    held: list[NDArray[Any]] = []
    facts = encode(note, held)
    if held:
        raise TypeError("the note of a checkpoint holds an array")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w+b") as file:
            _write_archive(file, tree, facts, arrays)
            _seal(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
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
    try:
        return _load(path)
    except _DamagedError as damage:
        before = newest_good(path.parent, before=path)
        hint = (
            f"resume from {before.path}, the newest valid one before it"
            if before
            else "there is no valid one before it"
        )
        raise CheckFailed(
            damage.what, where=str(path), expected=damage.expected, found=damage.found, hint=hint
        ) from damage


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
            return _load(path)
        except (_DamagedError, DataError):
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
    for name, array in sorted(leaves(weights), key=lambda leaf: leaf[0]):
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write_archive(file: Any, tree: Any, facts: Any, arrays: list[NDArray[Any]]) -> None:
    members: dict[str, str] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def member(name: str, content: bytes | memoryview) -> None:
            members[name] = hashlib.sha256(content).hexdigest()
            _store(archive, name, content)

        member(NOTE, _json(facts))
        member(STATE, _json(tree))
        for number, array in enumerate(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            member(_member_name(number), buffer.getbuffer())
        _store(archive, MANIFEST, _json({"format": FORMAT, "members": members}))
        archive.comment = _SEAL % FORMAT + b"0" * 64


def _store(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    info = zipfile.ZipInfo(name, _ZIP_EPOCH)
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=len(content) >= zipfile.ZIP64_LIMIT) as stream:
        stream.write(content)


def _seal(file: Any) -> None:
    """Put the hash of all that is before it at the end of the file."""
    length = file.seek(0, os.SEEK_END) - 64
    digest = hashlib.sha256()
    file.seek(0)
    left = length
    while left:
        chunk = file.read(min(left, _CHUNK))
        digest.update(chunk)
        left -= len(chunk)
    file.seek(length)
    file.write(digest.hexdigest().encode())


def _load(path: Path) -> Checkpoint:
    try:
        with open_regular(path) as file:
            content = memoryview(file.read())
    except OSError as error:
        reason = "the checkpoint does not exist" if isinstance(error, FileNotFoundError) else f"cannot read: {error}"
        others = checkpoints(path.parent)
        raise DataError(
            reason, where=str(path), hint=f"the folder holds {others[-1].name}" if others else None
        ) from error
    _verify_seal(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _verify_members(archive, len(content))
            note = decode(json.loads(archive.read(NOTE)), _no_arrays)
            state = decode(json.loads(archive.read(STATE)), lambda name: _array(archive.read(name)))
    except _DamagedError:
        raise
    except Exception as error:  # a crafted archive can raise nearly anything
        raise _DamagedError(f"the checkpoint cannot be read: {error}") from error
    if not isinstance(state, dict) or not isinstance(note, dict):
        raise _DamagedError("the checkpoint holds no tree", "keys and values")
    return Checkpoint(state, note, path)


def _verify_seal(content: memoryview) -> None:
    seal = _SEALED.search(bytes(content[-_SEAL_TAIL:]))
    if seal is None:
        raise _DamagedError(
            "the file is not a checkpoint, or its end is missing", "a checkpoint that ends in its sha256"
        )
    expected, found = seal[2].decode(), hashlib.sha256(content[:-64]).hexdigest()
    if found != expected:
        raise _DamagedError(
            f"the checkpoint was changed after it was written{_culprit(content)}", f"sha256 {expected}", found
        )
    if int(seal[1]) != FORMAT:
        raise _DamagedError(
            "the checkpoint has a format that this program does not know", f"format {FORMAT}", seal[1].decode()
        )


def _verify_members(archive: zipfile.ZipFile, size: int) -> None:
    """Beyond the seal, which the author of a crafted file can compute too: the parts are what the manifest names."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise _DamagedError("the checkpoint is compressed, which checkpoints never are")
    if not _unpacks_to_itself(archive, size):
        raise _DamagedError("parts of the checkpoint overlap, so that it unpacks to more than it is")
    manifest = json.loads(archive.read(MANIFEST))
    if manifest["format"] != FORMAT:
        raise _DamagedError("the manifest has an unknown format", f"format {FORMAT}", str(manifest["format"]))
    names = archive.namelist()
    if sorted(names) != sorted([*manifest["members"], MANIFEST]):
        raise _DamagedError("the checkpoint does not hold what its manifest names")
    for name, expected in manifest["members"].items():
        found = hashlib.sha256(archive.read(name)).hexdigest()
        if found != expected:
            raise _DamagedError(f"{name} in the checkpoint is not what its manifest names", expected, found)


def _unpacks_to_itself(archive: zipfile.ZipFile, size: int) -> bool:
    """Whether reading all members reads no more than the file holds."""
    return sum(info.file_size for info in archive.infolist()) <= size


def _culprit(content: memoryview) -> str:
    """Which member of a damaged file has changed, if that can be found out."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            bad = archive.testzip() if _unpacks_to_itself(archive, len(content)) else None
    except Exception:  # a damaged archive can raise nearly anything
        return ""
    return f": {bad}" if bad else ""


def _array(content: bytes) -> NDArray[Any]:
    """A new array from the content of an .npy file; what would need unpickling is refused."""
    buffer = io.BytesIO(content)
    version = np.lib.format.read_magic(buffer)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise _DamagedError("an array has an unknown format", "1.0 or 2.0", ".".join(map(str, version)))
    shape, fortran, dtype = readers[version](buffer)
    if dtype.hasobject:
        raise _DamagedError("an array holds objects, which would run code when they are read", "numbers", str(dtype))
    # a bytearray can be written to; copying elements would lose the bytes between the fields of records
    flat = np.frombuffer(bytearray(memoryview(content)[buffer.tell() :]), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _no_arrays(name: str) -> NDArray[Any]:
    raise _DamagedError("the note names an array", found=name)


def _member_name(number: int) -> str:
    return f"arrays/{number}.npy"


def _json(tree: Any) -> bytes:
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()
