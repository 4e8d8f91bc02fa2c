"""The client id by which an MQTT broker knows the session of a folder: drawn once, kept in its journal.

A folder that was copied is another reader and gets an id of its own; one that was moved, or restored to its place,
keeps it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.base.errors import DataError
from engine.journal.entries import Entry
from engine.journal.files import FILE
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader, has_begun
from feeds.live.client_ids import new_client_id

META = "mqtt_client"


def client_id_in(folder: Path) -> str:
    """The client id of the session in a folder; a new one if it has none, or that of another folder.

    Raises:
        DataError: If what the journal keeps of it cannot be read.
    """
    if not has_begun(folder):
        return new_client_id()
    with JournalReader(folder) as reader:
        text = reader.meta(META)
    if text is None:
        return new_client_id()
    try:
        kept = json.loads(text)
        client, path, inode = str(kept["client_id"]), kept["folder"], kept["inode"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "the journal is damaged",
            where=f"{folder / FILE}, table meta, row {META}",
            expected="a client id, and the folder that it belongs to",
            found=text[:100],
        ) from error
    here = _home(folder)
    return client if path == here["folder"] or inode == here["inode"] else new_client_id()


def keep_client_id(journal: Journal, folder: Path, client_id: str) -> None:
    """Let the folder's journal keep the id, before the broker hears of it.

    Raises:
        JournalError: If it cannot be written.
    """
    text = json.dumps({"client_id": client_id, **_home(folder)})
    with JournalReader(folder) as reader:
        known = reader.meta(META)
    if text != known:
        journal.commit(Entry(meta={META: text}))


def _home(folder: Path) -> dict[str, Any]:
    """What tells a folder from its copies: where it is, and what the file system calls it."""
    return {"folder": str(folder.resolve()), "inode": folder.stat().st_ino}
