"""Raw files into training data: what is written, what the card tells, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.app.preparation.outliers import Outliers
from engine.base.files import sha256_file
from engine.cli.main import main
from engine.types.blocks import BarBlock, reblock
from engine.types.instruments import load_instrument
from engine.types.timeframe import DAY_NS
from feeds.export import write_bars
from feeds.generators import generate

ES = load_instrument("ES")


def made(rows: int = 9_000, **changes: object) -> BarBlock:
    return replace(generate("conditions", ES, rows, 5, {}), **changes)  # type: ignore[arg-type]


def prepare(*arguments: str) -> tuple[int, str]:
    said, code = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        patch.setattr("sys.argv", ["grandmodel", "data", "prepare", *arguments])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, " ".join(said.getvalue().split())


def prepared(*arguments: str) -> str:
    code, said = prepare(*arguments)
    assert code == 0, said
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prepare")
    write_bars(place / "ES.csv", [made()])
    prepared(str(place / "ES.csv"), "--out", str(place / "out"), "--episode-length", "500", "--embargo", "0")
    return place


def test_the_card_holds_what_was_found(folder: Path) -> None:
    card = json.loads((folder / "out" / "card.json").read_text())
    assert (card["name"], card["instrument"], card["licence"]) == ("ES", "ES", "unknown")
    assert card["sources"] == [
        {
            "file": "ES.csv",
            "bytes": (folder / "ES.csv").stat().st_size,
            "sha256": sha256_file(folder / "ES.csv"),
        }
    ]
    assert card["rows"] == {"bars": 9_000, "quarantined": 0, "reasons": {}}
    assert card["reading"]["labels"]["ES.csv"].startswith("close times")
    assert [part["name"] for part in card["parts"]] == ["training", "validation", "test"]
    assert sum(part["rows"] for part in card["parts"]) == 9_000
    assert all(sha256_file(folder / "out" / name) == digest for name, digest in card["files"].items())


def test_episodes_lie_in_their_parts(folder: Path) -> None:
    episodes = pl.read_parquet(folder / "out" / "episodes.parquet")
    bars = pl.read_parquet(folder / "out" / "bars.parquet")
    card = json.loads((folder / "out" / "card.json").read_text())
    assert len(bars) == 9_000
    for part in card["parts"]:
        own = episodes.filter(pl.col("part") == part["name"])
        assert len(own) == part["episodes"]
        assert own["first_row"].min() >= part["first_row"]
        assert own["last_row"].max() < part["first_row"] + part["rows"]


def test_pages_tell_the_same(folder: Path) -> None:
    text, page = ((folder / "out" / name).read_text() for name in ("card.md", "card.html"))
    for word in ("Coverage of the calendar", "9,000", "reported, none is cut", "unknown"):
        assert word in text and word in page


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    arguments = ("--out", str(tmp_path / "again"), "--episode-length", "500", "--embargo", "0")
    prepared(str(folder / "ES.csv"), *arguments)
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert all((folder / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_contracts_are_joined(tmp_path: Path) -> None:
    whole = generate("conditions", ES, 14_000, 5, {})
    first, second = whole.slice(0, 9_000), whole.slice(6_000, 14_000)
    dearer = replace(second, **{name: getattr(second, name) + 10.0 for name in ("open", "high", "low", "close")})
    quiet = replace(dearer, volume=np.where(np.arange(8_000)[:, None] < 1_500, 1.0, 1e6))
    write_bars(tmp_path / "ESH4.csv", [first])
    write_bars(tmp_path / "ESM4.csv", [quiet])
    files = (str(tmp_path / "ESH4.csv"), str(tmp_path / "ESM4.csv"))
    options = ("--roll", "volume", "--adjust", "difference", "--instrument", "ES", "--episode-length", "500")
    said = prepared(*files, *options, "--embargo", "0", "--out", str(tmp_path / "out"))
    assert "roll from ESH4 to ESM4" in said and "gap 10" in said
    joined = pl.read_parquet(tmp_path / "out" / "bars.parquet")
    expected = whole.close[:, 0] + 10.0
    np.testing.assert_allclose(joined["close"].to_numpy(), expected, atol=1e-9)
    (roll,) = json.loads((tmp_path / "out" / "card.json").read_text())["contracts"]["rolls"]
    assert roll["gap"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--roll", "soon"), "cannot read the dates of the rolls"),
        (("--roll", "volume"), "there is nothing to roll"),
        (("--adjust", "both"), "unknown adjustment"),
        (("--validation", "0.6", "--test", "0.5"), "nothing to train on"),
    ],
)
def test_wrong_usage_is_explained(folder: Path, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    code, found = prepare(str(folder / "ES.csv"), "--out", str(tmp_path / "out"), *options)
    assert code == 2 and said in found
    assert not (tmp_path / "out").exists()


def test_outliers_are_counted_and_the_same_in_any_blocks() -> None:
    block = made(3_000)
    close = block.close.copy()
    close[2_000] *= 1.2
    spiked = replace(block, close=close)
    one, other = Outliers(), Outliers()
    one.add(spiked)
    for part in reblock([spiked], [7, 1, 500]):
        other.add(part)
    count, largest = one.found()
    assert count >= 2 and (count, largest) == other.found()
    assert {item.ts_event for item in largest[:2]} == {int(block.ts_event[2_000]), int(block.ts_event[2_001])}
    assert largest[0].deviations > 10.0 and int(block.ts_event[0]) > DAY_NS
