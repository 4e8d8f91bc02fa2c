"""Small consistent runs for tests: random bars, random targets, the real simulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.loop.ledger_hash import LedgerHash
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock, reblock
from engine.types.instruments import Fees, Instrument, Margin
from engine.types.step import StepBlock
from portfolio.config import Execution, PortfolioConfig, Slippage
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

MINUTE = 60_000_000_000
START = 1_704_067_200_000_000_000  # 2024-01-01
CONFIG = PortfolioConfig(initial_capital=100_000.0, execution=Execution(slippage=Slippage(ticks=1)))


def instruments(count: int) -> list[Instrument]:
    return [
        Instrument(
            name=f"S{k}",
            tick_size=0.01,
            multiplier=10.0 * (k + 1),
            size_step=1.0,
            min_size=1.0,
            fees=Fees(per_contract=0.5, rate=0.0001),
            initial_margin=Margin(rate=0.1),
        )
        for k in range(count)
    ]


def random_bars(rows: int, symbols: int = 1, seed: int = 0, step: int = MINUTE, absent: float = 0.0) -> BarBlock:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.002, (rows, symbols)), axis=0))
    opened = np.vstack([np.full((1, symbols), 100.0), close[:-1]])
    spread = np.abs(rng.normal(0, 0.05, (2, rows, symbols)))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + spread[0],
        "low": np.minimum(opened, close) - spread[1],
        "close": close,
        "volume": rng.integers(1, 500, (rows, symbols)).astype(float),
    }
    present = rng.random((rows, symbols)) >= absent
    present[:, 0] |= ~present.any(axis=1)
    for values in columns.values():
        values[~present] = np.nan
    ts_event = START + step * (np.arange(rows, dtype=np.int64) + 1)
    return BarBlock.from_columns([f"S{k}" for k in range(symbols)], ts_event, columns, present)


def random_targets(rows: int, symbols: int, seed: int = 1, change: float = 0.1) -> np.ndarray:
    """Positions in units that change now and then, flips included."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(-3, 4, (rows, symbols)).astype(float)
    targets[rng.random((rows, symbols)) >= change] = np.nan
    return targets


def steps(
    bars: BarBlock, targets: np.ndarray, sizes: Iterable[int] = (4096,), config: PortfolioConfig = CONFIG
) -> list[StepBlock]:
    simulator = Simulator(config, instruments(len(bars.symbols)), np.array([2**62], dtype=np.int64))
    return [simulator.run_targets(b, targets[b.seq : b.seq + len(b)].copy()) for b in reblock([bars], sizes)]


def book(symbols: int) -> TradeBook:
    return TradeBook([item.multiplier for item in instruments(symbols)])


def record(
    blocks: Iterable[StepBlock], symbols: tuple[str, ...], folder: Path | None = None
) -> tuple[RunRecorder, Metrics]:
    trades = book(len(symbols))
    recorder = RunRecorder(folder, symbols, CONFIG.initial_capital, trades)
    for step in blocks:
        recorder.write(step)
    recorder.close()
    return recorder, compute_metrics(recorder.tallies, trades.stats, always_open=True)


def run_folder(folder: Path, rows: int = 3000, symbols: int = 1, step: int = MINUTE, change: float = 0.02) -> Path:
    """A whole run folder as the backtest leaves it, without the report."""
    bars = random_bars(rows, symbols, step=step)
    blocks = steps(bars, random_targets(rows, symbols, change=change))
    _, metrics = record(blocks, bars.symbols, folder)
    ledger = LedgerHash()
    for block in blocks:
        ledger.update(block)
    manifest = {
        "kind": "backtest",
        "created_by": "grandmodel 0.1.0",
        "symbols": list(bars.symbols),
        "agent": "random:seed=1",
        "instruments": {item.name: item.model_dump(mode="json") for item in instruments(symbols)},
        "config": CONFIG.model_dump(mode="json"),
        "ledger_sha256": ledger.hexdigest(),
        "timeframe_ns": step,
        "labels": "close",
        "quarantined": {"duplicate": 3},
        "gaps": 2,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, allow_nan=False))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
