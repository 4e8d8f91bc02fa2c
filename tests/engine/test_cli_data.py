from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from engine.blocks import concat
from engine.cli.main import main
from engine.instruments import load_instrument
from engine.timeframe import MINUTE_NS
from feeds.synthetic import SyntheticBars

DATA = Path(__file__).parents[3] / "shared" / "data"
EURO = DATA / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
BITCOIN = DATA / "btc-perp-20211231-20220201_1m.csv"
POUND = DATA / "gbpusd-m1-bid-2012.csv"
real_data = pytest.mark.skipif(not EURO.exists(), reason="the market data are not here")


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def flat(self) -> str:
        """Output without the line breaks of tables and messages."""
        return " ".join((self.out + self.err).split())


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `grandmodel data ...` in this process, as a person would."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["grandmodel", "data", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def bars_csv(run: Run, tmp_path: Path) -> Path:
    """2,000 clean synthetic bars of 6E."""
    path = tmp_path / "bars.csv"
    assert run("synthesize", "--bars", 2000, "--seed", 3, "--instrument", "6E", "--out", path).code == 0
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")


# synthesize


def test_the_same_seed_writes_the_same_bytes(run: Run, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        result = run("synthesize", "--bars", 5000, "--seed", seed, "--instrument", "ES", "--out", path)
        assert result.code == 0
        assert result.out == ""
        assert "wrote 5,000 bars" in result.err
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other


def test_the_file_holds_what_the_generator_makes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    assert run(
        "synthesize", "--bars", 500, "--seed", 5, "--instrument", "6E", "--start", "2024-01-03T10:00", "--out", path
    )
    frame = pl.read_parquet(path)
    start = 1704276000 * 1_000_000_000
    bars = concat(list(SyntheticBars(load_instrument("6E"), 500, start, 5).blocks(100)))
    assert frame["timestamp"].to_physical().to_list() == bars.ts_event.tolist()
    assert frame["close"].to_list() == bars.close[:, 0].tolist()
    assert int(bars.ts_event[0]) == start + MINUTE_NS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bars", "0"], "needs bars"),
        (["--seed", "-1"], "seed cannot be negative"),
        (["--start", "yesterday"], "cannot read the date"),
        (["--start", "1950-01-01"], "out of range"),
        (["--instrument", "ESS"], "did you mean ES"),
        (["--price", "-3"], "price"),
        (["--volatility", "nan"], "volatility"),
        (["--missing", "0.9"], "missing"),
        (["--out", "bars.xlsx"], "cannot tell the format"),
        (["--out", "nowhere/bars.csv"], "cannot write"),
    ],
)
def test_synthesize_refuses_nonsense(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    result = run("synthesize", "--bars", 10, "--out", tmp_path / "bars.csv", *arguments)
    assert result.code == 2
    assert says in result.flat
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["inspect", "validate", "convert", "synthesize"])
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"Example: grandmodel data {command}" in result.flat
