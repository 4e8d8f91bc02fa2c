"""The whole loop: blocks mean nothing, the future is unknown, bad input is named, recordings keep their ledger."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.strategy import Context, Strategy
from engine.api.calls import backtest
from engine.app.backtest import FEWEST_ROWS, run_backtest
from engine.app.config import BacktestConfig
from engine.app.verify import read_manifest, verify
from engine.base.config import parse
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.log import configure_logging
from engine.base.paths import shipped
from engine.report.presentation import warnings
from engine.types.blocks import BarBlock
from engine.types.calendar import bars_per_year, sessions_for
from engine.types.instruments import load_instrument
from feeds.memory import MemorySource
from tests.bars import random_bars
from tests.real import BITCOIN, EURO_FX, needs_real_data

STRATEGY = Path(__file__).parents[2] / "agents" / "strategies" / "breakout.py"
RICH = {
    "execution": {"slippage": {"ticks": 1, "bps": 0.5}, "participation": 0.2},
    "sizing": {"mode": "volatility_target", "value": 0.5, "volatility_span": 50},
    "limits": {"max_leverage": 3, "max_drawdown": 0.3},
}


def run_hash(block: BarBlock, agent: str, rows: int) -> str:
    return backtest(MemorySource(block), "BTC-PERP", agent, block=rows, **RICH).ledger_sha256


@given(rows=st.integers(1, 300), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_any_blocking_gives_the_same_ledger(rows: int, seed: int) -> None:
    block = random_bars(300, seed=seed, symbols=("A", "B"), absent=0.1, start=40_000, tick=0.5)
    for agent in ("sma_cross:fast=3,slow=9", "random:hold=5", f"{STRATEGY}:CompiledBreakout:length=5"):
        assert run_hash(block, agent, rows) == run_hash(block, agent, 300)


@pytest.mark.parametrize("agent", ["sma_cross:fast=3,slow=9", "random:hold=5", f"{STRATEGY}:Breakout:length=5"])
def test_poisoned_future_changes_nothing_before_it(agent: str) -> None:
    block, cut = random_bars(400, seed=8, start=40_000, tick=0.5), 250
    other = random_bars(400, seed=9, start=70_000, tick=0.5)
    poisoned = replace(
        block,
        **{
            name: np.concatenate([getattr(block, name)[:cut], getattr(other, name)[cut:]])
            for name in ("open", "high", "low", "close", "volume")
        },
    )
    ledgers = []
    for bars in (block, poisoned):
        result = backtest(MemorySource(bars), "BTC-PERP", agent, **RICH)
        ledgers.append(result.polars("ledger")[:cut])
        assert result.metrics["fills"] != 0
    assert ledgers[0].equals(ledgers[1])


def test_recording_keeps_its_ledger() -> None:
    result = verify("es-synthetic")
    assert result.passed, f"expected {result.expected}, found {result.found}"
    assert read_manifest(shipped("replays") / "es-synthetic" / "manifest.json")["synthetic"] is True


def test_verify_refuses_other_data(tmp_path: Path) -> None:
    source = shipped("replays") / "es-synthetic"
    (tmp_path / "manifest.json").write_bytes((source / "manifest.json").read_bytes())
    damaged = bytearray((source / "bars.parquet").read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "bars.parquet").write_bytes(damaged)
    with pytest.raises(CheckFailed, match="not those of the manifest"):
        verify(str(tmp_path))
    with pytest.raises(UsageError, match="no manifest"):
        verify("nowhere")


def test_verify_notices_another_ledger(tmp_path: Path) -> None:
    manifest = read_manifest(shipped("replays") / "es-synthetic" / "manifest.json")
    manifest["config"]["execution"]["slippage"]["ticks"] = 2.0
    manifest["data"][0]["path"] = "es-synthetic"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert not verify(str(tmp_path)).passed


def test_run_folder_and_memory_hold_the_same(tmp_path: Path) -> None:
    bars = MemorySource(random_bars(2000, seed=2))
    kept, written = backtest(bars), backtest(bars, out=tmp_path / "run")
    assert kept.ledger_sha256 == written.ledger_sha256
    assert kept.metrics == written.metrics
    for table in ("ledger", "fills", "orders", "trades", "decisions"):
        assert kept.polars(table).equals(written.polars(table)), table
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"manifest.json", "metrics.json", "ledger.parquet", "fills.parquet", "trades.parquet"} <= names
    assert written.report().read_text().startswith("<!")


def test_frames_are_pandas_where_asked() -> None:
    result = backtest(MemorySource(random_bars(500)), agent="buy_and_hold")
    assert result.equity.iloc[-1] == result.metrics["final_equity"]
    with pytest.raises(UsageError, match="no table"):
        result.polars("legder")


def test_a_pandas_frame_is_a_source() -> None:
    block = random_bars(300, seed=3)
    frame = backtest(MemorySource(block)).pandas("chart")  # any frame with a time index will do
    frame = frame.assign(
        **{name.title(): getattr(block, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    )[["Open", "High", "Low", "Close", "Volume"]]
    assert backtest(frame).metrics["fills"] == backtest(MemorySource(block)).metrics["fills"]
    with pytest.raises(DataError, match=r"line 1: expected prices above 0, found close -1\.0"):
        backtest(frame.assign(Close=-1.0))


def test_no_data_is_explained() -> None:
    with pytest.raises(UsageError, match="no data"):
        backtest([])


def test_kill_switch_empties_the_book_within_one_bar() -> None:
    bars = random_bars(3000, seed=1, volatility=5e-3)
    result = backtest(MemorySource(bars), agent="random:hold=10,size=400", limits={"max_drawdown": 0.05})
    ledger, events = result.polars("ledger"), result.polars("orders")
    halted = events.filter(events["role"] == "kill_switch")
    assert len(halted) == 1
    tripped = ledger.with_row_index().filter(ledger["ts_event"] == halted["submitted"][0])["index"][0]
    gross = ledger["gross_exposure"].to_numpy()
    assert gross[tripped] > 0
    assert not gross[tripped + 1 :].any()


def test_bars_per_year_follows_the_calendar() -> None:
    first = 1_704_150_000_000_000_000  # 2024-01-01
    around_the_clock = bars_per_year(sessions_for([load_instrument("BTC-PERP")], first), 60_000_000_000)
    assert around_the_clock == pytest.approx(365.25 * 1440, rel=1e-3)
    future = bars_per_year(sessions_for([load_instrument("ES")], first), 60_000_000_000)
    assert future == pytest.approx(258 * 23 * 60, rel=0.02)
    day = 1440 * 60_000_000_000
    assert bars_per_year(sessions_for([load_instrument("ES")], first), day) == pytest.approx(252, rel=0.03)
    assert bars_per_year(sessions_for([load_instrument("BTC-PERP")], first), day) == pytest.approx(365.25, rel=0.01)
    for name in ("ES", "BTC-PERP"):
        assert bars_per_year(sessions_for([load_instrument(name)], first), 7 * day) == pytest.approx(52.18, rel=0.01)


@needs_real_data
def test_real_month_gives_one_ledger_for_every_block() -> None:
    hashes = {backtest(EURO_FX, "6E", "sma_cross", block=rows).ledger_sha256 for rows in (7, 512, 4096)}
    assert len(hashes) == 1


@needs_real_data
def test_several_symbols_merge_by_time() -> None:
    result = backtest(
        [EURO_FX, BITCOIN],
        {EURO_FX.name.removesuffix(".csv.gz"): "6E", BITCOIN.stem: "BTC-PERP"},
        "sma_cross",
        replay={"start": "2024-01-02", "end": "2024-01-03"},
    )
    assert result.metrics["fills"]


def test_verify_runs_other_blocks_and_so_catches_a_look_ahead(tmp_path: Path) -> None:
    strategy = tmp_path / "peeking.py"
    strategy.write_text(
        "import numpy as np\nfrom agents.base import MarketAgent\n\n\nclass Peeking(MarketAgent):\n"
        "    def reset(self):\n        pass\n\n    def targets(self, block):\n"
        "        later = np.vstack([block.close[1:], block.close[-1:]])\n"
        "        return np.sign(later - block.close)\n"
    )
    backtest("es-synthetic", "ES", f"{strategy}:Peeking", out=tmp_path / "run")
    assert not verify(str(tmp_path / "run")).passed
    backtest("es-synthetic", "ES", "sma_cross", out=tmp_path / "run", overwrite=True)
    assert verify(str(tmp_path / "run")).passed
    backtest("es-synthetic", "ES", f"{strategy}:Peeking", out=tmp_path / "run", overwrite=True)
    strategy.write_text(strategy.read_text() + "\n")
    with pytest.raises(CheckFailed, match="was changed"):
        verify(str(tmp_path / "run"))


def test_a_failed_run_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    backtest("es-synthetic", "ES", out=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for overwrite, error in ((False, UsageError), (True, DataError)):
        with pytest.raises(error, match="overwrite" if not overwrite else "too short"):
            backtest("es-synthetic", "ES", "ensemble", out=folder, overwrite=overwrite, replay={"end": "2024-01-02"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = backtest("es-synthetic", "ES", "buy_and_hold", out=folder, overwrite=True)
    assert again.folder == folder and len(again.polars("ledger")) and again.report().parent == folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        backtest("es-synthetic", "ES", out=folder, overwrite=True)


def test_the_configuration_decides_what_a_call_leaves_open(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: [es-synthetic]\ninstrument: ES\nagent: buy_and_hold\n")
    result = backtest(config=file)
    assert result.manifest["agent"] == "buy_and_hold"
    assert result.manifest["instruments"]["ES"]["multiplier"] == 50
    with pytest.raises(UsageError, match="as they are"):
        backtest(MemorySource(random_bars(10)), replay={"timeframe": "5min"})


class Counting(Strategy):
    """Trades by how many rows it has seen, so that a used object would trade otherwise."""

    def __init__(self) -> None:
        self.rows = 0

    def on_bar(self, context: Context) -> None:
        self.rows += 1
        if self.rows == 5:
            context.buy(1)


def test_an_agent_object_is_not_used_up() -> None:
    bars, agent = MemorySource(random_bars(50)), Counting()
    hashes = {backtest(bars, agent=agent).ledger_sha256 for _ in range(2)}
    assert len(hashes) == 1
    assert agent.rows == 0


class Failing(Strategy):
    """Fails in its third row."""

    def on_bar(self, context: Context) -> None:
        if context.seq == 2:
            raise KeyError("oops")


def test_a_strategy_that_fails_is_named_with_its_row() -> None:
    with pytest.raises(UsageError, match=r"KeyError.*(?s:.*)row 2"):
        backtest(MemorySource(random_bars(10)), agent=Failing())


def test_mostly_bad_data_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "shuffled.csv"
    rows = [f"2024-01-02 {h:02d}:{m:02d},100,101,99,100,1" for h in range(3) for m in range(60)]
    random.Random(3).shuffle(rows)
    file.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="more rows were quarantined") as caught:
        backtest(file, replay={"bar_width": "1min"})
    assert "time goes back (the first, line" in str(caught.value.found)


def test_an_account_that_cannot_trade_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    block = random_bars(50, start=1.08, tick=0.00005)
    configure_logging(form="json")
    sizing = {"sizing": {"mode": "equity_fraction", "value": 1.0}}
    assert len(backtest(MemorySource(block), "6E", "buy_and_hold", **sizing).polars("fills")) == 0
    said = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (said["event"], said["level"]) == ("nothing can be traded", "warning")
    assert said["to_do"] == "set sizing.value to 1.4 or more, or initial_capital to 140000"
    assert len(backtest(MemorySource(block), "6E", "buy_and_hold").polars("fills")) == 1
    assert "nothing can be traded" not in capsys.readouterr().err


def test_a_limit_that_cuts_every_position_to_nothing_is_named() -> None:
    bars = random_bars(60, seed=3, start=5_000, tick=0.25)
    cases: tuple[tuple[dict[str, float], tuple[str, ...]], ...] = (
        ({"max_leverage": 2}, ("limits.max_leverage", "set limits.max_leverage to 2.")),
        ({"max_position": 0.5}, ("limits.max_position", "set limits.max_position to 1 or more")),
    )
    for limits, named in cases:
        run = backtest(MemorySource(bars), "ES", "buy_and_hold", limits=limits, sizing={"value": 3})
        said = next(line for line in warnings(run.manifest, run.metrics) if "led to no fill" in line)
        assert all(one in said for one in named), said
        assert "sizing.value" not in said
    small = backtest(MemorySource(bars), "ES", "buy_and_hold", sizing={"value": 0.5})
    assert any("raise sizing.value" in line for line in warnings(small.manifest, small.metrics))
    cured = backtest(MemorySource(bars), "ES", "buy_and_hold", limits={"max_leverage": 4}, sizing={"value": 3})
    assert cured.metrics["fills"]


def test_a_plain_strategy_that_is_watched_shows_its_progress_and_gives_the_same_ledger(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from agents.strategy import Strategy\n\n\nclass Mine(Strategy):\n    def on_bar(self, context):\n"
        "        context.target(context.seq // 7 % 3 - 1)\n"
    )
    config = parse(
        BacktestConfig,
        {"data": ["es-synthetic"], "instrument": "ES", "agent": f"{file}:Mine", "replay": {"end": "2024-01-03"}},
        "test",
    )
    alone = run_backtest(config)
    for seconds, most in ((0.001, alone.timings.bars), (1.0, FEWEST_ROWS)):  # that pass between two looks at the clock
        ticks, rows = itertools.count(0.0, seconds), list[int]()
        watched = run_backtest(config, watch=lambda step, rows=rows: rows.append(len(step)), clock=ticks.__next__)
        assert FEWEST_ROWS <= max(rows) <= most
        assert sum(rows) == alone.timings.bars
        assert watched.manifest["ledger_sha256"] == alone.manifest["ledger_sha256"]
