"""From configuration to market."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import ConfigError, DataError, UsageError
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from engine.types.timeframe import MINUTE_NS
from feeds.fitting.fit import Kind, fit_market
from feeds.generators import generate
from tests.bars import random_bars
from tests.training.data.configs import small, synthetic
from training.data.sources import (
    default_length,
    load_market,
    read_sources,
    require_first_tradable,
    require_room,
    require_tradable,
    scenario_seed,
    step_ns,
    training_instrument,
)


def write_csv(path: Path, block: BarBlock, symbols: tuple[str, ...] = ()) -> Path:
    """Bars as a CSV file labelled by close; with symbols, a column that names them."""
    lines = ["timestamp,open,high,low,close,volume" + (",symbol" if symbols else "")]
    for row in range(len(block)):
        values = [getattr(block, name)[row, 0] for name in ("open", "high", "low", "close", "volume")]
        stamp = str(np.datetime64(int(block.ts_event[row]), "ns"))[:19]
        line = f"{stamp},{','.join(f'{value:.4f}' for value in values)}"
        lines += [f"{line},{symbol}" for symbol in symbols] if symbols else [line]
    path.write_text("\n".join(lines) + "\n")
    return path


def history(path: Path, **more: object) -> dict[str, object]:
    return {"type": "historical", "path": str(path), "labels": "close", **more}


@pytest.mark.parametrize("market", ["GENERIC", "ES", "6E"])
@pytest.mark.parametrize("generator", ["monte_carlo", "random_walk"])
def test_the_default_length_holds_one_episode(market: str, generator: str) -> None:
    config = small([synthetic(generator, 6)], instrument=market, training_params={"episode_length": 500})
    built, parts = load_market(config, 7)
    assert {segment.stop - segment.start for segment in built.segments} == {default_length(500)}
    for part in (parts.training, parts.validation, parts.test):
        for one in part:
            assert len(built.starts(one, 500)) == 1


@pytest.mark.parametrize("kind", ["garch", "bootstrap"])
def test_a_fitted_market_is_a_source_like_any_other(tmp_path: Path, kind: Kind) -> None:
    es = load_instrument("ES")
    fit_market(generate("monte_carlo", es, 10_000, 1, {"price": 5000}), [es], kind, tmp_path / "m.json")
    source = synthetic("fitted", 6, parameters={"model": str(tmp_path / "m.json")})
    config = small([source], instrument="ES")
    built, _ = load_market(config, 1)
    assert len(built.segments) == 6 and built.digest == load_market(config, 1)[0].digest
    closes = [built.bars.close[segment.start + 5, 0] for segment in built.segments]
    assert len(set(closes)) > 2
    with pytest.raises(UsageError, match="other sessions"):
        load_market(small([source]), 1)
    with pytest.raises(UsageError, match="no such file of a fitted market"):
        load_market(small([synthetic("fitted", parameters={"model": "none.json"})]), 1)


def test_markets_follow_from_the_seed() -> None:
    config = small([synthetic(scenarios=3), synthetic("gap", scenarios=3)])
    first, again, other = (load_market(config, seed)[0] for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest
    closes = [first.bars.close[segment.start + 5, 0] for segment in first.segments]
    assert len(set(closes)) == len(closes)


def test_scenarios_start_at_different_half_hours() -> None:
    starts = {scenario_seed(1, 0, number)[1] for number in range(40)}
    assert len(starts) > 15
    assert all(start % (30 * MINUTE_NS) == 0 for start in starts)


def test_files_and_scenarios_lie_end_to_end(tmp_path: Path) -> None:
    block = random_bars(9000, seed=3, volatility=1e-4)
    path = write_csv(tmp_path / "x.csv", block)
    split = {"split": {"validation": 0.2, "test": 0.2, "embargo": 60}}
    config = small([history(path), synthetic(scenarios=2)], data=split)
    market, parts = load_market(config, 1)
    assert [segment.name for segment in market.segments] == ["x.csv", "random_walk 0", "random_walk 1"]
    assert np.allclose(market.bars.close[:9000], block.close, atol=5e-5)
    assert parts.validation == ((5340, 7140),)
    assert parts.test == ((7200, 9000),)
    assert len(parts.training) == 3
    assert "embargo" in parts.remarks[0]


def test_coarser_bars_make_coarser_steps(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", random_bars(20_000, seed=3, volatility=1e-4))
    source = history(path, timeframe=["5min", "30min"])
    split = {"split": {"validation": 0.2, "test": 0.2, "embargo": 60}}
    config = small([source, synthetic(scenarios=1)], data=split)
    assert step_ns(config) == 5 * MINUTE_NS
    market, parts = load_market(config, 1)
    assert set(np.diff(market.bars.ts_event[:4000]).tolist()) == {5 * MINUTE_NS}
    assert market.segments[1].stop - market.segments[1].start == default_length(200, 5 * MINUTE_NS)
    assert len(market.starts(parts.training[1], 200)) == 1


def test_transaction_costs_replace_the_fees_of_the_instrument() -> None:
    def fees(cost: float | None) -> tuple[float, float]:
        config = small([synthetic()], instrument="ES", reward_shaping={"transaction_cost": cost})
        found = training_instrument(config).fees
        return found.rate, found.per_contract

    assert fees(0.002) == (0.002, 0.0)
    assert fees(0.0) == (0.0, 0.0)
    assert fees(None) == (0.0, 2.25)


def test_a_recording_that_ships_is_found_by_its_name() -> None:
    loaded = read_sources(small([{"type": "historical", "path": "es-synthetic"}], instrument="ES"), 1)
    assert len(loaded[0].bars) == 50_000
    assert loaded[0].bars.symbols == ("ES",)


def test_what_cannot_be_read_is_named_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_sources(small([synthetic(), {"type": "historical", "path": "nowhere.csv"}]), 1)
    assert "data.sources.1.path" in str(caught.value)
    assert "--set data.sources.1.path=FILE" in str(caught.value)
    damaged = tmp_path / "bad.csv"
    damaged.write_text("timestamp,open\n2024-01-01,1\n")
    with pytest.raises(DataError, match=r"data\.sources\.0"):
        read_sources(small([history(damaged)]), 1)
    several = write_csv(tmp_path / "two.csv", random_bars(50), ("A", "B"))
    with pytest.raises(DataError, match="several symbols"):
        read_sources(small([history(several)]), 1)
    zone = small([{"type": "historical", "path": "es-synthetic", "timezone": "Mars"}])
    with pytest.raises(ConfigError, match="Mars"):
        read_sources(zone, 1)


def test_lengths_that_do_not_go_together_are_refused() -> None:
    def file(*timeframe: str) -> dict[str, object]:
        return {"type": "historical", "path": "es-synthetic", "timeframe": list(timeframe)}

    with pytest.raises(ConfigError, match=r"data\.sources\.0\.timeframe"):
        load_market(small([file("30min", "5min", "1min")]), 1)
    with pytest.raises(ConfigError, match="one length"):
        load_market(small([file("1min", "5min", "30min"), file("5min", "30min")]), 1)


def test_an_unknown_generator_is_named_by_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        load_market(small([synthetic("monte_karlo")]), 1)
    assert "data.sources.0" in str(caught.value)
    assert "did you mean monte_carlo" in str(caught.value)


def test_bad_rows_are_remarked(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", random_bars(9000, volatility=1e-4))
    lines = path.read_text().splitlines()
    lines[50] = lines[50].replace(lines[50].split(",")[4], "oops")
    path.write_text("\n".join(lines) + "\n")
    split = {"split": {"validation": 0.2, "test": 0.2, "embargo": 60}}
    _, parts = load_market(small([history(path)], data=split), 1)
    assert any("1 bad rows" in said for said in parts.remarks)


def test_bars_on_which_one_unit_cannot_be_bought_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "euro.csv", random_bars(500, start=1.09, tick=0.00005))
    unit = {"sizing": {"mode": "equity_fraction", "value": 0.8}}
    config = small([history(path), synthetic(scenarios=1)], instrument="6E", portfolio=unit)
    loaded = read_sources(config, 1)
    with pytest.raises(ConfigError) as error:
        require_first_tradable(config)
    assert error.value.where is not None and error.value.where.startswith("portfolio.sizing.value (for euro.csv)")
    lowest = float(np.nanmin(loaded[0].bars.close))
    needed = float(str(error.value.hint).split(" to ")[1].split(" or ")[0])
    assert needed - 0.1 < lowest * 125_000 / 100_000 <= needed
    able = {"sizing": {"mode": "equity_fraction", "value": 1.4}}
    require_first_tradable(small([history(path)], instrument="6E", portfolio=able))
    with pytest.raises(ConfigError, match="nothing can be traded"):
        require_tradable(config, loaded[1:])


@pytest.mark.parametrize(("share", "fits"), [(0.5, True), (0.51, False)])
def test_a_unit_that_leaves_no_room_for_the_largest_scale_is_refused(share: float, fits: bool) -> None:
    sizing = {"sizing": {"mode": "equity_fraction", "value": share}}
    config = small([synthetic("random_walk", 3)], portfolio=sizing)
    if fits:
        require_room(config)
        return
    with pytest.raises(ConfigError, match="position scales") as caught:
        require_room(config)
    assert caught.value.where == "portfolio.sizing.value" and str(caught.value.expected).startswith("at most 0.5")
    # an instrument with leverage has room for more
    require_room(config.model_copy(update={"instrument": "EURUSD"}))
