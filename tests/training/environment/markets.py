"""Small markets for tests of the environment: bars of one or more sources, gaps and all."""

from __future__ import annotations

from collections.abc import Sequence

from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from tests.agents.ensemble.runs import without_rows
from tests.bars import random_bars
from training.environment.market import Market

WARM_UP = 2880  # minutes before the first complete strategic window

PLAIN = Instrument(name="PLAIN", tick_size=0.01, size_step=0.001, min_size=0.001)


def make_bars(
    rows: int,
    seed: int,
    instrument: Instrument = PLAIN,
    *,
    volatility: float = 1e-3,
    gaps: float = 0.0,
    start: float = 100.0,
) -> BarBlock:
    bars = random_bars(rows, seed, (instrument.name,), start=start, tick=instrument.tick_size, volatility=volatility)
    return without_rows(bars, gaps, seed) if gaps else bars


def make_market(blocks: Sequence[BarBlock], instrument: Instrument = PLAIN, cadence: str = "tactical") -> Market:
    return Market.build(instrument, [(f"source {k}", block) for k, block in enumerate(blocks)], cadence)
