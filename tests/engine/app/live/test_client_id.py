"""A folder has a client id of its own, which stays with it and not with its copies."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.app.live.client_id import client_id_in, keep_client_id
from engine.app.live.deliveries import open_source
from engine.app.live.open_or_resume import open_session
from engine.base.errors import DataError
from tests.engine.app.live.sessions import case, live_bars

SHORT = case(live_bars(5))


def begun(folder: Path) -> str:
    """A session that has an id."""
    config = SHORT.config()
    client_id = client_id_in(folder)
    opened = open_session(folder, config, {"X": config.instrument_for("X")}, 60_000_000_000)
    with opened.journal as journal:
        keep_client_id(journal, folder, client_id)
    return client_id


def test_it_stays_over_starts_and_moves_and_is_not_copied(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    mine = begun(first)
    assert begun(other) != mine
    assert client_id_in(first) == mine
    shutil.copytree(first, tmp_path / "copy")
    assert client_id_in(tmp_path / "copy") not in {mine, client_id_in(other)}
    first.rename(tmp_path / "moved")
    assert client_id_in(tmp_path / "moved") == mine
    shutil.copytree(tmp_path / "moved", first)  # restored from a copy: a new folder in the old place
    assert client_id_in(first) == mine


def test_what_was_chosen_comes_first(tmp_path: Path) -> None:
    mine = begun(tmp_path)

    def client_of(address: str, **feed: str) -> object:
        config = SHORT.config(feed={"address": address, **feed})
        return open_source(config, tmp_path).client_id  # type: ignore[attr-defined]

    assert client_of("mqtt://h/bars") == mine
    assert client_of("mqtt://h/bars?client_id=chosen", session="named") == "chosen"
    named = client_of("mqtt://h/bars", session="named")
    assert named not in {mine, client_of("mqtt://h/other", session="named")}


def test_one_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    begun(tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        db.execute("UPDATE meta SET value = '[]' WHERE key = 'mqtt_client'")
    with pytest.raises(DataError, match="damaged"):
        client_id_in(tmp_path)
