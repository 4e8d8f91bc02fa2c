"""Files of order books as a source of bars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, concat
from engine.types.instruments import load_instrument
from feeds.books.bars.builder import BookBars
from feeds.books.config import BookConfig
from feeds.books.databento import DatabentoFile
from feeds.quarantine import Quarantine
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from tests.feeds.books.streams import TICK, Row, market, messages
from tests.real import FOLDER

pytest.importorskip("databento_dbn")
from tests.feeds.books.test_databento import dbn_file

START = 1_700_000_040_000_000_000
ES = load_instrument("ES")


def written(path: Path, streams: dict[str, list[Row]], step_ns: int = 50_000_000) -> Path:
    """A file of several books, their messages in turns."""
    parts = []
    for number, rows in enumerate(streams.values(), 1):
        made = messages(rows, START + number, step_ns)
        made["instrument_id"] = number
        parts.append(made)
    whole = np.concatenate(parts)
    whole = whole[np.argsort(whole["ts_event"], kind="stable")]
    return dbn_file(path, [whole.tobytes()], {name: number for number, name in enumerate(streams, 1)})


def replay(path: Path, quarantine: Quarantine | None = None, **settings: object) -> object:
    config = ReplayConfig.model_validate({"bars": "time:1s", "book": {"levels": 2}, **settings})
    return open_replay(path, ES, config, quarantine)


def test_bars_of_two_books_are_those_of_each(tmp_path: Path) -> None:
    streams = {"AAA": market(1, 400), "BBB": market(2, 300)}
    source = replay(written(tmp_path / "two.dbn", streams))
    whole = concat(list(source.blocks(5)))
    assert whole.symbols == ("AAA", "BBB")
    for number, (name, rows) in enumerate(streams.items(), 1):
        alone = BookBars(name, 1_000_000_000, 2).push(messages(rows, START + number, 50_000_000))
        mine = whole.present[:, number - 1]
        np.testing.assert_array_equal(whole.ts_event[mine], alone.ts_event)
        for column in BAR_COLUMNS:
            np.testing.assert_array_equal(getattr(whole, column)[mine, number - 1], getattr(alone, column)[:, 0])
        for column, values in alone.extra.items():
            np.testing.assert_array_equal(whole.extra[column][mine, number - 1], values[:, 0])


def test_a_period_has_the_book_of_what_came_before(tmp_path: Path) -> None:
    path = written(tmp_path / "one.dbn", {"AAA": market(1, 600)})
    whole = concat(list(replay(path).blocks(100)))
    part = concat(list(replay(path, start="2023-11-14T22:14:15", end="2023-11-14T22:14:22").blocks(100)))
    at = int(np.searchsorted(whole.ts_event, part.ts_event[0]))
    assert len(part) == 7
    for name, values in part.extra.items():
        np.testing.assert_array_equal(values, whole.extra[name][at : at + len(part)])


def test_faults_are_told_once(tmp_path: Path) -> None:
    rows: list[Row] = [*market(1, 300), ("A", "B", 9000 * TICK, 1, 999, 128), ("C", "B", 9000 * TICK, 1, 999, 128)]
    path = written(tmp_path / "one.dbn", {"AAA": [*rows, ("C", "A", TICK, 1, 12345, 132), ("N", "N", 0, 0, 0, 128)]})
    kept = tmp_path / "bad.jsonl"
    quarantine = Quarantine(kept)
    source = replay(path, quarantine)
    for _ in range(2):
        list(source.blocks(100))
    assert quarantine.counts == {"crossed_book": 1, "lost_messages": 1, "unknown_order": 1}
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert "at most by" in lines[0]["found"]
    assert any("crossed after an event 1" in remark for remark in source.remarks)
    with pytest.raises(DataError, match="bad row: crossed_book"):
        list(replay(path, strict=True).blocks(100))


@pytest.mark.parametrize(
    ("settings", "message"), [({"bars": "tick:5"}, "cannot make"), ({"timeframe": "5s"}, "length")]
)
def test_what_a_book_cannot_make_is_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    path = written(tmp_path / "one.dbn", {"AAA": market(1, 300)})
    with pytest.raises(UsageError, match=message):
        replay(path, **settings)


def test_the_real_file_stands_for_as_long_as_it_is_known() -> None:
    path = FOLDER / "esh4-glbx-mdp3-20231224.mbo.dbn.zst"
    if not path.is_file():
        pytest.skip("the folder of real market data is not here")
    config = ReplayConfig(bars="time:1min", book=BookConfig(levels=1, stands="5min"))
    source = open_replay(DatabentoFile(path), ES, config)
    block = concat(list(source.blocks(2)))
    assert len(block) == 5
    assert block.close[:, 0].tolist() == [4799.25] * 5
    assert block.extra["bid_size"][:, 0].tolist() == [16.0] * 5
    assert block.extra["ask_size"][:, 0].tolist() == [23.0] * 5
