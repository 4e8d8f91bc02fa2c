"""Ensembles on bars, without the loop around them, and what they leave behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble, Models, Networks
from engine.app.config import BacktestConfig
from engine.types.blocks import BarBlock, Floats, reblock
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from engine.types.records import Records
from portfolio.simulator import Simulator
from tests.agents.ensemble import scripted
from tests.bars import MINUTE

FIVE = 5 * MINUTE
Bar = tuple[float, float, float] | None


class Outcome(NamedTuple):
    """Everything of a run, in order of happening."""

    ledger: Floats
    positions: Floats
    fills: Records
    events: Records
    decisions: Records
    outputs: Records


def seat(name: str, **parameters: Any) -> str:
    """Specification of a class of `scripted`."""
    return f"{scripted.HERE}:{name}:" + ",".join(f"{key}={value}" for key, value in parameters.items())


def networks(**models: Any) -> Networks:
    return Networks(version="test", sha256="0" * 64, **models)


def make_simulator(bars: BarBlock, instrument: str = "BTC-PERP", **settings: Any) -> Simulator:
    config = BacktestConfig.model_validate({"initial_capital": 1_000_000, **settings})
    instruments = [load_instrument(instrument)] * len(bars.symbols)
    return Simulator(config, instruments, sessions_for(instruments, int(bars.ts_event[0])).closes)


def bound(
    bars: BarBlock, models: Models | None, instrument: str = "BTC-PERP", timeframe_ns: int = MINUTE, **config: Any
) -> Ensemble:
    ensemble = Ensemble(models, EnsembleConfig.model_validate(config))
    ensemble.bind(bars.symbols, [load_instrument(instrument)] * len(bars.symbols), timeframe_ns)
    return ensemble


def play(ensemble: Ensemble, simulator: Simulator, blocks: Iterable[BarBlock]) -> Outcome:
    steps = [ensemble.step(simulator, block) for block in blocks]
    names = ("ledger", "positions", "fills", "events", "decisions", "outputs")
    return Outcome(*(np.concatenate([getattr(step, name) for step in steps]) for name in names))


def run(
    bars: BarBlock,
    models: Models | None = None,
    sizes: Iterable[int] = (4096,),
    settings: dict[str, Any] | None = None,
    **config: Any,
) -> Outcome:
    """A run of an ensemble with that configuration."""
    return play(bound(bars, models, **config), make_simulator(bars, **(settings or {})), reblock([bars], sizes))


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two runs are equal bit for bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def larger_bars(bars: BarBlock, symbol: int, length: int = FIVE) -> list[tuple[int, int, Bar]]:
    """Bars of a market that never closes: end, row at which it is known, (high, low, close) of the symbol or None."""
    found: list[tuple[int, int, Bar]] = []
    end, held, any_of_them = 0, [], False

    def complete(row: int) -> None:
        if any_of_them:
            highs, lows = [bars.high[k, symbol] for k in held], [bars.low[k, symbol] for k in held]
            bar = (float(max(highs)), float(min(lows)), float(bars.close[held[-1], symbol])) if held else None
            found.append((end, row, bar))

    for row, ts in enumerate(bars.ts_event.tolist()):
        own = -(-ts // length) * length
        if own != end:
            complete(row)
            end, held, any_of_them = own, [], False
        any_of_them |= bool(bars.present[row].any())
        if bars.present[row, symbol]:
            held.append(row)
        if ts == own:
            complete(row)
            held, any_of_them = [], False
    return found


def without_rows(bars: BarBlock, chance: float, seed: int) -> BarBlock:
    """The same bars with some rows missing altogether."""
    kept = np.random.default_rng(seed).random(len(bars)) >= chance
    columns = {name: getattr(bars, name)[kept] for name in ("open", "high", "low", "close", "volume")}
    return BarBlock.from_columns(bars.symbols, bars.ts_event[kept], columns, bars.present[kept])
