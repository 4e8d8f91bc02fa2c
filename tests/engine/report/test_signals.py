from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grandmodel as gm
from engine.report.html import write_report
from engine.report.payload import contents
from tests.engine.report.test_html import unpacked


class Plotting(gm.Strategy):
    def on_bar(self, context: gm.Context) -> None:
        context.plot("price", float(context.history("close", 1)[-1]))
        if context.seq % 10 == 0:
            context.plot("row", float(context.seq), panel="rows")


def test_what_a_strategy_plots_stands_at_its_bars(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    gm.backtest("es-synthetic", "ES", Plotting, end="2024-01-02 01:00", out=folder)
    data = contents(folder, {}, {}).data
    price, rows = data["plots"]
    assert (price["name"], price["panel"], price["symbol"]) == ("price", None, 0)
    assert (rows["name"], rows["panel"], rows["symbol"]) == ("row", "rows", 0)
    close = unpacked(data["symbols"][0]["close"])
    np.testing.assert_array_equal(unpacked(price["values"]), close[unpacked(price["at"])])
    np.testing.assert_array_equal(unpacked(rows["values"]), unpacked(rows["at"]))


def test_what_the_agents_of_an_ensemble_said_is_in_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    gm.backtest("es-drift", "ES", "ensemble", end="2024-01-08", out=folder)
    table = pl.read_parquet(folder / "agents.parquet").with_columns(pl.col(pl.Categorical).cast(pl.String))
    said = {one["seat"]: one for one in contents(folder, {}, {}).data["agents"]}
    assert set(said) == set(table["seat"].unique()) == {"strategic", "tactical", "risk"}
    for seat, one in said.items():
        own = table.filter(pl.col("seat") == seat)
        value = "action_2" if seat == "tactical" else "action_0"
        np.testing.assert_array_equal(unpacked(one["values"]), own[value].cast(pl.Float32).to_numpy())
        assert one["symbol"] == (-1 if seat == "risk" else 0)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_synthetic_data_say_so_in_every_view(tmp_path: Path, suffix: str) -> None:
    from engine.app.provenance import synthetic_files
    from engine.types.instruments import load_instrument
    from feeds.export import write_bars
    from feeds.generators import generate
    from feeds.reading.files.open_file import open_file

    bars = generate("regime_drift", load_instrument("ES"), 300, seed=1)
    made, plain = tmp_path / f"made.{suffix}", tmp_path / f"plain.{suffix}"
    write_bars(made, iter([bars]), synthetic=True)
    write_bars(plain, iter([bars]))
    assert synthetic_files([open_file(made), open_file(plain)], [made, plain]) == [made.name]
    run = gm.backtest(made, "ES", "buy_and_hold", out=tmp_path / "run")
    sentence = "what is earned on it says nothing about real markets"
    assert sentence in " ".join(str(run).replace("│", " ").split()) and "synthetic data" in str(run).splitlines()[0]
    write_report(tmp_path / "run")
    variants = gm.compare(made, "ES", ["buy_and_hold"], out=tmp_path / "compared")
    assert sentence in (tmp_path / "compared" / "compare.html").read_text(encoding="utf-8") and variants is not None
    assert sentence in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
