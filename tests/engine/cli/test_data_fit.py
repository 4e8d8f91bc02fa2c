"""`grandmodel data fit` and `grandmodel data report`, as they are typed."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from engine.cli.main import main
from engine.types.instruments import load_instrument
from feeds.export import write_bars
from feeds.generators import generate
from tests.feeds.fitting.markets import bars, market

BARS = 9000


def called(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    given, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["grandmodel", "data", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as leaving:
        return int(leaving.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = given
    return 0, out.getvalue(), err.getvalue()


def run(*words: object) -> str:
    code, out, err = called(*words)
    assert code == 0, err
    return out


def refused(*words: object) -> str:
    code, out, err = called(*words)
    assert code == 2, out + err
    return err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    es = generate("monte_carlo", load_instrument("ES"), BARS, 2, {"missing": 0.01})
    write_bars(made / "es_2024.parquet", iter([es]))
    write_bars(made / "pair.parquet", iter([bars(market(("BTCUSDT", "ETHUSDT"), 0.6), BARS, 3)]))
    for kind in ("garch", "bootstrap"):
        run("fit", made / "es_2024.parquet", "--model", kind, "--out", made / f"{kind}.json")
    run("fit", made / "pair.parquet", "--instrument", "GENERIC", "--out", made / "pair.json")
    return made


def test_a_fit_shows_parameters_with_errors_and_writes_them(folder: Path, tmp_path: Path) -> None:
    shown = run("fit", folder / "es_2024.parquet", "--out", tmp_path / "m.json", "--starts", 3)
    assert "beta" in shown and "standard error" in shown and "of 3 searches" in shown
    tree = json.loads((tmp_path / "m.json").read_text())
    assert tree["symbols"][0]["instrument"]["name"] == "ES" and len(tree["data"][0]["sha256"]) == 64
    again = json.loads((folder / "garch.json").read_text())["symbols"][0]["parameters"]
    for name, parameter in tree["symbols"][0]["parameters"].items():
        assert parameter["value"] == pytest.approx(again[name]["value"], rel=0.02), name
    assert "exists" in refused("fit", folder / "es_2024.parquet", "--out", tmp_path / "m.json")
    printed = json.loads(run("fit", folder / "es_2024.parquet", "--out", tmp_path / "n.json", "--json"))
    assert printed["symbols"][0]["parameters"]["nu"]["error"] > 0.0


def test_symbols_that_move_together_are_shown(folder: Path, tmp_path: Path) -> None:
    shown = run("fit", folder / "pair.parquet", "--instrument", "GENERIC", "--out", tmp_path / "m.json")
    assert "correlation of shocks" in shown and "0.604 ± 0.008" in shown


def test_only_the_period_that_is_asked_for_is_fitted(folder: Path, tmp_path: Path) -> None:
    run("fit", folder / "es_2024.parquet", "--end", "2024-01-04", "--out", tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())["last"] <= "2024-01-05T00:00:00Z"


@pytest.mark.parametrize("kind", ["garch", "bootstrap"])
def test_more_of_a_fitted_market_is_synthesized(folder: Path, tmp_path: Path, kind: str) -> None:
    words = ("--generator", "fitted", "--parameter", f"model={folder / kind}.json", "--bars", 500)
    run("synthesize", "--out", tmp_path / "more.parquet", *words)
    frame = pl.read_parquet(tmp_path / "more.parquet")
    assert frame.height == 500 and "synthetic" in frame.columns
    assert float((frame["close"] / 0.25 % 1).max() or 0.0) == 0.0


def test_a_market_of_two_symbols_is_one_file_or_one_of_them(folder: Path, tmp_path: Path) -> None:
    words = ("--generator", "fitted", "--parameter", f"model={folder / 'pair.json'}", "--bars", 300)
    run("synthesize", "--out", tmp_path / "both.parquet", *words)
    frame = pl.read_parquet(tmp_path / "both.parquet")
    assert set(frame["symbol"].unique()) == {"BTCUSDT", "ETHUSDT"} and frame.height == 600
    run("synthesize", "--out", tmp_path / "one.parquet", *words, "--parameter", "symbol=ETHUSDT")
    one = pl.read_parquet(tmp_path / "one.parquet")
    assert one["close"].equals(frame.filter(pl.col("symbol") == "ETHUSDT")["close"])


def test_files_and_generators_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    ones = (
        folder / "es_2024.parquet",
        folder / "garch.json",
        f"fitted:model={folder / 'bootstrap.json'}",
        "random_walk",
    )
    shown = run("report", *ones, "--resamples", 40, "--out", tmp_path / "facts")
    assert "tail index of returns" in shown and "≠" in shown
    assert {path.name for path in (tmp_path / "facts").iterdir()} == {"facts.html", "facts.md"}
    assert "| tail index of returns | 2 to 5 |" in (tmp_path / "facts" / "facts.md").read_text()
    assert "--overwrite" in refused("report", "random_walk", "--bars", 2000, "--out", tmp_path / "facts")
    tree = json.loads(run("report", *ones, "--resamples", 40, "--json"))
    agreed = [pair and pair[0] / pair[1] for pair in tree["agreeing"]]
    assert agreed[0] is None and agreed[1] > 0.6 and agreed[2] > 0.6 > agreed[3]
    assert len(tree["markets"][0]["curves"]["size_acf"]["value"]) == 250


def test_every_symbol_of_a_file_has_a_column_and_recordings_have_names(folder: Path) -> None:
    words = ("--instrument", "GENERIC", "--resamples", 20, "--lags", 20, "--json")
    names = [one["name"] for one in json.loads(run("report", folder / "pair.parquet", *words))["markets"]]
    assert names == ["pair BTCUSDT", "pair ETHUSDT"]
    tree = json.loads(run("report", "es-synthetic", "--resamples", 20, "--lags", 20, "--json"))
    assert tree["markets"][0]["name"] == "es-synthetic" and tree["markets"][0]["left_out"] < 1000


def test_mistakes_are_explained(folder: Path, tmp_path: Path) -> None:
    assert "did you mean random_walk" in refused("report", "random_wal")
    assert "no such file" in refused("report", tmp_path / "none.json")
    assert "no such file" in refused("report", tmp_path / "none.csv")
    assert "KEY=VALUE" in refused("report", "random_walk:3")
    assert "garch or bootstrap" in refused("fit", folder / "es_2024.parquet", "--model", "gan")
    assert "1-minute" in refused("fit", daily(tmp_path))


def daily(folder: Path) -> Path:
    """A file of daily bars."""
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2023, 1, 1), eager=True).cast(pl.Datetime)
    frame = pl.DataFrame({"timestamp": days}).with_columns(
        *(pl.lit(value).alias(name) for name, value in (("open", 1.0), ("high", 2.0), ("low", 1.0), ("close", 2.0)))
    )
    frame.write_csv(folder / "daily.csv")
    return folder / "daily.csv"
