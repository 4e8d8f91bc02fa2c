"""Economic indicators in a whole run: strategies read them, blocks mean nothing, and the future changes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base import CompiledStrategy
from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble, Networks
from agents.features.declared import FeaturesConfig
from agents.kernels import target
from agents.spec import agents_seeing
from agents.strategy import Context, Strategy
from engine.app.backtest import BacktestRun, Watch, run_backtest
from engine.app.config import BacktestConfig
from engine.app.indicators import indicators_of
from engine.app.preparing import Prepared
from engine.app.verify import verify
from engine.base.config import parse
from engine.base.errors import CheckFailed, ConfigError, DataError, UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import Agent
from engine.types.instruments import Instrument
from engine.types.records import SeatName
from engine.types.step import StepBlock
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine
from tests.agents.ensemble.scripted import risk_network
from tests.engine.runs import MINUTE, START, random_bars
from tests.training.environment.served import Hashed, Noting

ROWS = 600


class Follower(Strategy):
    """Long while the growth is positive, in plain Python; keeps what it saw."""

    def on_start(self, context: Context) -> None:
        self.growth = context.indicator("growth")
        self.seen: list[tuple[float, float]] = []

    def on_bar(self, context: Context) -> None:
        larger = context.bars("5min").history("growth", 1)
        self.seen.append((self.growth.value, float(larger[0])))
        if self.growth.ready:
            assert context.history("growth", 1)[0] == self.growth.value
            context.target(1 if self.growth.value > 0 else -1)


class Compiled(CompiledStrategy):
    """The same, compiled."""

    columns = ("growth",)

    @staticmethod
    def decide(i, bars, signals, account, positions, orders, params, memory, commands):  # type: ignore[no-untyped-def]
        growth = signals[i, 0, 0]
        if growth > 0.0:
            target(commands[0], 0, 1.0)
            return 1
        if growth <= 0.0:
            target(commands[0], 0, -1.0)
            return 1
        return 0


def minutes(row: float) -> str:
    """A time so many minutes after the beginning of the bars, as a file writes it."""
    return str(np.datetime64(START + int(row * MINUTE), "ns").astype("datetime64[s]"))


def write(path: Path, events: list[tuple[float, int, float]]) -> Path:
    """A file of values: known so many minutes after the beginning, of which month, value."""
    rows = [
        {"period": f"{2020 + period // 12}-{period % 12 + 1:02d}", "value": value, "known_at": minutes(row)}
        for row, period, value in events
    ]
    pl.DataFrame(rows, schema={"period": pl.String, "value": pl.Float64, "known_at": pl.String}).write_csv(path)
    return path


def run(
    path: Path, agent: Agent | None, block: int = 4096, bars: BarBlock | None = None, watch: Watch | None = None
) -> BacktestRun:
    """A run over random bars with one indicator, the growth of what a file holds."""
    one = {"name": "growth", "path": str(path), "transform": "growth"}
    config = parse(BacktestConfig, {"indicators": [one], "block": block}, where="test")
    source = MemorySource(random_bars(ROWS, seed=3) if bars is None else bars)
    instruments = {name: Instrument(name=name, tick_size=0.01) for name in source.symbols}
    prepared = Prepared(
        config,
        source,
        Quarantine(None),
        instruments,
        MINUTE,
        "close",
        "",
        (),
        indicators=indicators_of(config.indicators),
    )
    return run_backtest(config, prepared=prepared, agent=agent, watch=watch)


EVENTS = [(30, 0, 100.0), (100.5, 1, 101.0), (240, 2, 99.0), (300, 1, 98.0), (400, 3, 120.0), (401, 4, 119.0)]


def test_strategies_see_growth_from_the_row_on_in_which_it_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", EVENTS)
    agent = Follower()
    python = run(path, agent)
    # by hand: row r closes r + 1 minutes after the beginning
    expected = np.full(ROWS, np.nan)
    steps = [(100.5, 101 / 100 - 1), (240, 99 / 101 - 1), (300, 99 / 98 - 1), (400, 120 / 99 - 1), (401, 119 / 120 - 1)]
    for known, value in steps:
        expected[math.ceil(known) - 1 :] = value
    seen = np.array(agent.seen)
    np.testing.assert_array_equal(seen[:, 0], expected)
    # a bar of five minutes holds what was known at its close
    np.testing.assert_array_equal(seen[4::5, 1], expected[4::5])
    assert python.metrics["trades"]
    compiled = run(path, Compiled())
    assert compiled.manifest["ledger_sha256"] == python.manifest["ledger_sha256"]
    for block in (1, 7, 101):
        other = Follower()
        assert run(path, other, block).manifest["ledger_sha256"] == python.manifest["ledger_sha256"]
        assert np.array_equal(np.array(other.seen), seen, equal_nan=True)


SEEING = agents_seeing(
    FeaturesConfig.model_validate(
        {"strategic": [{"column": "growth"}], "tactical": [{"column": "growth", "scale": 0.1}]}
    )
)


def networks() -> tuple[Ensemble, list[Noting]]:
    """An ensemble whose networks answer by a hash of what they see: one other bit, another answer."""
    seats = [Noting(Hashed(SEEING[name], 5)) for name in ("strategic", "tactical")]
    config = EnsembleConfig(rebalance=0.0)
    models = Networks("test", "0" * 64, strategic=seats[0], tactical=seats[1], risk=risk_network(5))  # type: ignore[arg-type] # what a seat needs of a network
    return Ensemble(models, config), seats


@settings(max_examples=4, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 4200), st.integers(0, 8), st.floats(1, 100)), min_size=2, max_size=20),
    others=st.lists(st.tuples(st.integers(0, 4200), st.integers(0, 8), st.floats(1, 100)), max_size=20),
    last=st.integers(3500, 4200),
)
def test_no_observation_decision_or_fill_of_an_ensemble_knows_the_future(
    events: list[tuple[int, int, float]],
    others: list[tuple[int, int, float]],
    last: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("ensemble")
    before = [(0, 0, 50.0), (2000, 1, 51.0), *(one for one in _unique(events) if one[0] <= last and one[0] > 2000)]
    after = [one for one in _unique(events) if one[0] > last]
    poison = [one for one in _unique(others) if one[0] > last]
    bars, found = random_bars(4200, seed=3), []
    until = START + last * MINUTE
    for later, block in ((after, 512), ([], 4096), (poison, 97)):
        agent, seats = networks()
        steps: list[StepBlock] = []
        run(write(folder / "x.csv", before + later), agent, block, bars, watch=steps.append)
        outputs = np.concatenate([step.outputs for step in steps])
        kept = outputs[outputs["seq"] < last]
        seen = [
            b"".join(window.tobytes() for window in seat.seen[: int((kept["seat"] == SeatName[name]).sum())])
            for seat, name in zip(seats, ("STRATEGIC", "TACTICAL"), strict=True)
        ]
        fills = np.concatenate([step.fills for step in steps])
        ledger = np.concatenate([step.ledger for step in steps])[:last]
        found.append((kept.tobytes(), *seen, fills[fills["ts_event"] <= until].tobytes(), ledger.tobytes()))
        assert len(kept) and len(seen[0])
    assert found[1] == found[0]
    assert found[2] == found[0]


EVENT = st.tuples(st.integers(0, ROWS), st.integers(0, 8), st.floats(1, 100))


def _unique(events: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return list({(row, period): (row, period, value) for row, period, value in events}.values())


@settings(max_examples=15, deadline=None)
@given(events=st.lists(EVENT, min_size=2, max_size=20), others=st.lists(EVENT, max_size=20), last=st.integers(10, ROWS))
def test_what_becomes_known_after_a_time_changes_nothing_before(
    events: list[tuple[int, int, float]],
    others: list[tuple[int, int, float]],
    last: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("future")
    before = [one for one in _unique(events) if one[0] <= last] or [(0, 0, 1.0)]
    after = [one for one in _unique(events) if one[0] > last]
    poison = [one for one in _unique(others) if one[0] > last]
    seen, tables = [], []
    for later in (after, [], poison):
        agent = Follower()
        found = run(write(folder / "x.csv", before + later), agent, 64)
        frames = found.recorder.frames()
        until = START + last * MINUTE
        seen.append(np.array(agent.seen[:last]))
        tables.append(
            {name: frames[name].filter(pl.col("ts_event").cast(pl.Int64) <= until) for name in ("ledger", "fills")}
        )
    for other, table in zip(seen[1:], tables[1:], strict=True):
        np.testing.assert_array_equal(other, seen[0])
        assert table["ledger"].equals(tables[0]["ledger"], null_equal=True)
        assert table["fills"].equals(tables[0]["fills"], null_equal=True)


def test_a_run_with_indicators_is_verified_and_their_file_with_it(tmp_path: Path) -> None:
    indicator = write(tmp_path / "x.csv", EVENTS)
    bars = random_bars(ROWS, seed=3)
    frame = pl.DataFrame({name: getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close", "volume")})
    frame.insert_column(0, pl.Series("timestamp", bars.ts_event).cast(pl.Datetime("ns"))).write_parquet(
        tmp_path / "b.parquet"
    )
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        "import grandmodel as gm\n\n\nclass Mine(gm.Strategy):\n    def on_bar(self, context):\n"
        "        if context.indicator('growth').ready:\n            context.target(1)\n"
    )
    tree = {
        "data": [str(tmp_path / "b.parquet")],
        "agent": f"{strategy}:Mine",
        "replay": {"labels": "close"},
        "indicators": [{"name": "growth", "path": str(indicator), "transform": "growth"}],
    }
    folder = tmp_path / "run"
    folder.mkdir()
    done = run_backtest(parse(BacktestConfig, tree, where="test"), folder)
    (entry,) = done.manifest["indicators"]
    assert (entry["name"], entry["values"]) == ("growth", len(EVENTS))
    assert verify(str(folder)).passed
    write(indicator, EVENTS[:-1])
    with pytest.raises(CheckFailed, match="not those of the manifest"):
        verify(str(folder))


def test_names_that_are_taken_or_missing_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", EVENTS)
    with pytest.raises(ConfigError, match="cannot be called sma"):
        indicators_of(
            parse(BacktestConfig, {"indicators": [{"name": "sma", "path": str(path)}]}, where="test").indicators
        )
    taken = random_bars(ROWS, seed=3)
    taken = BarBlock.from_columns(
        taken.symbols, taken.ts_event, {name: getattr(taken, name) for name in ("open", "high", "low", "close")},
        extra={"growth": taken.close},
    )  # fmt: skip
    with pytest.raises(UsageError, match="have a column 'growth' already"):
        run(path, Follower(), bars=taken)
    with pytest.raises(UsageError, match="no indicator is called 'growht'") as refused:
        run(path, Misspelt())
    assert "growth" in str(refused.value)
    with pytest.raises(UsageError, match="no column 'cpi'"):
        run(path, Missing())


class Misspelt(Strategy):
    """Asks for a column that is not there."""

    def on_start(self, context: Context) -> None:
        self.growth = context.indicator("growht")

    def on_bar(self, context: Context) -> None:
        """Nothing."""


class Missing(CompiledStrategy):
    """Wants a column that is not there."""

    columns = ("cpi",)

    @staticmethod
    def decide(i, bars, signals, account, positions, orders, params, memory, commands):  # type: ignore[no-untyped-def]
        return 0


def test_a_version_with_other_declared_features_cannot_take_over(tmp_path: Path) -> None:
    agent, _ = networks()
    plain = [Noting(Hashed(name, 5)) for name in ("strategic", "tactical")]
    other = Networks("plain", "1" * 64, strategic=plain[0], tactical=plain[1], risk=risk_network(5))  # type: ignore[arg-type] # likewise
    with pytest.raises(UsageError, match="version plain was made for other declared features of the strategic agent"):
        agent.swap(other)
    run(write(tmp_path / "x.csv", EVENTS), networks()[0], bars=random_bars(3400, seed=3))
    bare = parse(BacktestConfig, {}, where="test")
    source = MemorySource(random_bars(3400, seed=3))
    prepared = Prepared(bare, source, Quarantine(None), {"S0": Instrument(name="S0")}, MINUTE, "close", "", ())
    with pytest.raises(DataError, match="needs a column 'growth', which the bars lack"):
        run_backtest(bare, prepared=prepared, agent=networks()[0])
