"""From a model's bars to a fit and back to bars: promises of the generator, joint moves, files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import ConfigError, DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.calendar import sessions_between
from engine.types.instruments import load_instrument
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.fitting.fit import check_bars, fit_market
from feeds.fitting.fit_garch_model import fit_symbols
from feeds.fitting.model import FittedModel, read_model
from feeds.fitting.seasons import scale_season, season_of_days
from feeds.generators import START_NS, find_generator, generate
from feeds.replay import HistoricalReplay
from feeds.stylised.facts import apart, measure
from feeds.stylised.series import series_of
from tests.feeds.fitting.markets import GENERIC, SEASON, TRUTH, VOLUME, bars, market
from tests.real import BITCOIN, EURO_FX, needs_real_data

ES = load_instrument("ES")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of both kinds, of bars on the sessions of ES and of two symbols that move together."""
    made = tmp_path_factory.mktemp("fitted")
    block = generate("monte_carlo", ES, 15_000, 1, {"missing": 0.01, "price": 5000})
    pair = bars(market(("ONE", "TWO"), 0.7), 12_000, 5)
    for kind in ("garch", "bootstrap"):
        fit_market(block, [ES], kind, made / f"es.{kind}.json")  # type: ignore[arg-type]
        named = [one.instrument for one in market(("ONE", "TWO")).symbols]
        fit_market(pair, named, kind, made / f"pair.{kind}.json")  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("kind", ["garch", "bootstrap"])
def test_bars_are_plausible(folder: Path, kind: str) -> None:
    block = generate("fitted", ES, 5000, 3, {"model": str(folder / f"es.{kind}.json")})
    assert len(block) == 5000 and bool(block.present.all())
    assert bool((block.high >= np.maximum(block.open, block.close)).all())
    assert bool((block.low <= np.minimum(block.open, block.close)).all())
    assert all(bool(np.isfinite(getattr(block, column)).all()) for column in BAR_COLUMNS)
    assert bool((block.volume >= 1).all()) and np.array_equal(block.volume, np.round(block.volume))
    for column in ("open", "high", "low", "close"):
        ticks = getattr(block, column) / ES.tick_size
        assert np.array_equal(ticks, np.round(ticks))
    sessions = sessions_between(ES, int(block.ts_event[0]), int(block.ts_event[-1]))
    assert bool(sessions.is_open(block.ts_event).all())
    gaps = np.diff(block.ts_event) // MINUTE_NS
    assert 10 < np.count_nonzero((gaps > 1) & (gaps < 30)) < 150


@pytest.mark.parametrize("name", ["es", "pair"])
@pytest.mark.parametrize("kind", ["garch", "bootstrap"])
@pytest.mark.parametrize("start", [START_NS, START_NS + 11 * 60 * MINUTE_NS])
def test_a_longer_series_begins_with_the_shorter_and_seeds_differ(
    folder: Path, name: str, kind: str, start: int
) -> None:
    model = {"model": str(folder / f"{name}.{kind}.json")}
    instrument = ES if name == "es" else GENERIC
    long, short, other = (
        generate("fitted", instrument, n, seed, model, start) for n, seed in ((4000, 3), (1500, 3), (1500, 4))
    )
    for column in ("ts_event", *BAR_COLUMNS):
        assert np.array_equal(getattr(long, column)[:1500], getattr(short, column)), column
    assert not np.array_equal(short.close, other.close)


def test_a_fit_finds_the_parameters_of_its_own_bars_again() -> None:
    (found,), joint = fit_symbols(bars(market(missing=0.02), 25_000, 7), [GENERIC], 3, 0)
    model = found.model
    for name, parameter in model.parameters.items():
        assert parameter.error is not None
        assert abs(parameter.value - TRUTH[name]) < 4 * parameter.error, name
    season = np.array(model.season) * math.sqrt(1.08)
    assert np.corrcoef(season, SEASON)[0, 1] > 0.95
    assert model.volume is not None
    assert model.volume.by_volatility == pytest.approx(VOLUME.by_volatility, abs=0.1)
    assert model.volume.by_surprise == pytest.approx(VOLUME.by_surprise, abs=0.05)
    assert model.volume.memory == pytest.approx(VOLUME.memory, abs=0.05)
    assert model.width == pytest.approx(0.9, rel=0.05)
    assert model.bounce == pytest.approx(0.02, rel=0.2)
    assert np.mean(model.missing) == pytest.approx(0.02, abs=0.004)
    assert joint.correlation == ((1.0,),) and len(joint.gaps) == 17
    assert found.after_gaps == pytest.approx(500, rel=0.25)


def test_symbols_move_together_as_much_as_they_did() -> None:
    block = bars(market(("ONE", "TWO"), 0.6), 20_000, 7)
    assert block.symbols == ("ONE", "TWO")
    named = [one.instrument for one in market(("ONE", "TWO")).symbols]
    _, joint = fit_symbols(block, named, 2, 0)
    assert joint.correlation[0][1] == pytest.approx(0.6, abs=0.02)
    assert joint.freedom in {4.0, 5.0, 7.0}
    both = [row for row in joint.jumps if row[0] is not None and row[1] is not None and abs(row[0]) > 8]
    alike = [first for first, second in both if first == pytest.approx(second, rel=0.5)]
    assert len(alike) >= 0.8 * len(both) >= 5  # large shocks of the t law come beside them


@pytest.mark.parametrize("kind", ["garch", "bootstrap"])
def test_one_symbol_of_a_pair_is_the_column_of_the_market(folder: Path, kind: str) -> None:
    file = str(folder / f"pair.{kind}.json")
    one, two = (generate("fitted", GENERIC, 3000, 5, {"model": file, "symbol": name}) for name in ("ONE", "TWO"))
    moves = [np.diff(np.log(block.close[:, 0])) for block in (one, two)]
    assert np.corrcoef(*moves)[0, 1] == pytest.approx(0.7, abs=0.1)
    with pytest.raises(ConfigError, match="no symbol THREE; it has ONE, TWO"):
        find_generator("fitted", {"model": file, "symbol": "THREE"})


def test_rows_of_sessions_are_those_of_the_data(tmp_path: Path) -> None:
    block = generate("random_walk", GENERIC, 12 * 1440, 1)
    fit_market(block, [GENERIC], "bootstrap", tmp_path / "m.json")
    made = generate("fitted", GENERIC, 5 * 1440, 3, {"model": str(tmp_path / "m.json")})
    steps = [np.log(b.close / b.open)[:, 0].reshape(-1, 1440) for b in (block, made)]
    for day in steps[1]:
        assert min(float(np.abs(day - known).max()) for known in steps[0]) < 1e-6
    # the drift of the data is taken out
    sampled = read_model(tmp_path / "m.json").sampled
    assert sampled is not None and sampled.sessions == 12
    whole = math.log(float(block.close[-1, 0] / block.open[0, 0])) / len(block)
    assert sampled.drift[0] == pytest.approx(whole, abs=1e-7)


def test_a_drift_is_added(folder: Path) -> None:
    for kind in ("garch", "bootstrap"):
        file = str(folder / f"pair.{kind}.json")
        calm, rising = (
            generate("fitted", GENERIC, 5000, 3, {"model": file, "drift": drift, "symbol": "ONE"})
            for drift in (0.0, 50.0)
        )
        grown = np.log(rising.close[-1, 0] / calm.close[-1, 0]) - np.log(rising.open[0, 0] / calm.open[0, 0])
        assert grown == pytest.approx(50.0 * 5000 / 525_960, rel=0.01)


def test_incomplete_sessions_are_left_out_and_counted(tmp_path: Path) -> None:
    block = generate("random_walk", GENERIC, 10 * 1440 + 300, 1)
    keep = np.ones(len(block), np.bool_)
    keep[3 * 1440 + 10 : 3 * 1440 + 700] = False
    columns = {name: getattr(block, name)[keep] for name in BAR_COLUMNS}
    cut = BarBlock.from_columns(block.symbols, block.ts_event[keep], columns)
    model = fit_market(cut, [GENERIC], "bootstrap", tmp_path / "m.json")
    assert model.dropped.sessions == 2 and model.sampled is not None and model.sampled.sessions == 9


def test_a_model_is_a_file_that_can_be_read_again(folder: Path, tmp_path: Path) -> None:
    text = (folder / "es.garch.json").read_text()
    model = read_model(folder / "es.garch.json")
    assert isinstance(model, FittedModel) and model.symbols[0].parameters["nu"].error is not None
    assert max(map(len, text.splitlines()[:40])) < 40_000 and json.loads(text)["version"] == 1
    with pytest.raises(UsageError, match="exists"):
        fit_market(generate("random_walk", GENERIC, 3000, 1), [GENERIC], "garch", folder / "es.garch.json")
    with pytest.raises(UsageError, match="no such file of a fitted market"):
        find_generator("fitted", {"model": str(tmp_path / "none.json")})
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="no fitted market"):
        find_generator("fitted", {"model": str(tmp_path / "other.json")})
    (tmp_path / "damaged.json").write_text(text.replace('"version": 1', '"version": 7'))
    with pytest.raises(DataError, match="damaged"):
        find_generator("fitted", {"model": str(tmp_path / "damaged.json")})
    with pytest.raises(ConfigError, match="model"):
        find_generator("fitted")


def test_sessions_that_were_exchanged_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes((folder / "es.bootstrap.json").read_bytes())
    (tmp_path / "es.bootstrap.npz").write_bytes((folder / "pair.bootstrap.npz").read_bytes())
    with pytest.raises(DataError, match="not those that were fitted"):
        generate("fitted", ES, 100, 1, {"model": str(tmp_path / "m.json")})


def test_an_instrument_with_other_sessions_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="other sessions"):
        generate("fitted", GENERIC, 100, 1, {"model": str(folder / "es.garch.json")})


def test_bars_that_cannot_be_fitted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few bars"):
        fit_market(generate("random_walk", GENERIC, 500, 1), [GENERIC], "garch", tmp_path / "a.json")
    with pytest.raises(DataError, match="never moves"):
        fit_market(generate("constant_price", GENERIC, 5000, 1), [GENERIC], "garch", tmp_path / "a.json")
    with pytest.raises(DataError, match="too few complete sessions"):
        fit_market(generate("random_walk", GENERIC, 4 * 1440, 1), [GENERIC], "bootstrap", tmp_path / "a.json")
    with pytest.raises(DataError, match="1-minute"):
        check_bars(DAY_NS, [GENERIC])
    with pytest.raises(DataError, match="different sessions"):
        check_bars(MINUTE_NS, [GENERIC, ES])
    assert not list(tmp_path.iterdir())


@needs_real_data
@pytest.mark.parametrize(("file", "name"), [(EURO_FX, "6E"), (BITCOIN, "BTC-PERP")])
def test_generated_bars_are_like_those_of_a_real_market(tmp_path: Path, file: Path, name: str) -> None:
    instrument = load_instrument(name)
    block = concat(list(HistoricalReplay([file], instrument).blocks(1 << 24)))
    (series,) = series_of(block, instrument)
    real = measure(series, resamples=200)
    for kind, least in (("garch", 13), ("bootstrap", 17)):
        fit_market(block, [instrument], kind, tmp_path / f"{kind}.json")  # type: ignore[arg-type]
        made = generate("fitted", instrument, len(block), 3, {"model": str(tmp_path / f"{kind}.json")})
        (again,) = series_of(made, instrument)
        facts = measure(again, resamples=200)
        verdicts = [apart(real.figures[key], facts.figures[key]) for key in real.figures]
        assert verdicts.count(False) >= least, kind
        assert again.returns.std() == pytest.approx(series.returns.std(), rel=0.15)
        assert made.volume.mean() == pytest.approx(block.volume.mean(), rel=0.25)
        ranges = [np.log(b.high / b.low).mean() for b in (block, made)]
        assert ranges[1] == pytest.approx(ranges[0], rel=0.15)


def test_a_season_without_half_of_each_day_leaves_bursts_as_they_are() -> None:
    # log volatility of 14 days: waves of two hours that are the same in no two days, on a season that is
    rng, days = np.random.default_rng(1), 14
    logs = np.repeat(rng.normal(0.0, 0.4, (days, 12)), 120, axis=1)
    season = np.log(1.0 + 0.5 * np.sin(2 * np.pi * np.arange(1440) / 1440))
    sizes = np.exp(logs + season).reshape(-1)
    session, slots = np.repeat(np.arange(days), 1440), np.tile(np.arange(1440), days)
    plain = np.log(sizes / scale_season(sizes, slots, 1440)[slots]).reshape(days, 12, 120).mean(axis=2)
    halved = np.log(sizes / season_of_days(sizes, session, slots, 1440)).reshape(days, 12, 120).mean(axis=2)
    truth = float(np.var(logs[:, ::120], axis=0).mean()) * days / (days - 1)
    assert float((plain**2).mean()) < 0.96 * truth
    assert float(((halved - halved.mean()) ** 2).mean()) == pytest.approx(truth, rel=0.04)
