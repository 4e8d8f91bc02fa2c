"""Models whose parameters are known, and bars of them."""

from __future__ import annotations

import math

from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from feeds.fitting.generating import generate_market
from feeds.fitting.model import Dropped, FittedModel, Joint, Parameter, SymbolModel, Volume
from feeds.generators import START_NS
from feeds.generators_bars import Draws

GENERIC = load_instrument("GENERIC")
SEASON = tuple(1.0 + 0.4 * math.sin(2 * math.pi * minute / 1440) for minute in range(1440))
SCALE = math.sqrt(1.0 + 0.4**2 / 2)
TRUTH = {"omega": 1e-8 * 0.02, "alpha": 0.03, "gamma": 0.05, "beta": 0.925, "nu": 5.0, "jumps": 5e-4}
JUMPS = tuple((sign * size,) for sign in (-1.0, 1.0) for size in (9.0, 12.0, 15.0))
VOLUME = Volume(level=5.0, by_volatility=0.8, by_surprise=0.3, memory=0.4, deviation=0.5, season=(1.0,) * 1440)


def symbol(name: str = "GENERIC", missing: float = 0.0) -> SymbolModel:
    """One symbol with the parameters of TRUTH."""
    return SymbolModel(
        name=name, instrument=GENERIC.model_copy(update={"name": name}), price=100.0,
        parameters={key: Parameter(value=value) for key, value in TRUTH.items()},
        variance=1e-8, persistence=0.98, log_likelihood=0.0, starts=1, agreed=1, converged=True, threshold=5.2, found=0,
        expected=0.0, bounce=0.02, width=0.9, season=tuple(factor / SCALE for factor in SEASON),
        missing=(missing,) * 1440, volume=VOLUME,
    )  # fmt: skip


def market(names: tuple[str, ...] = ("GENERIC",), correlation: float = 0.0, missing: float = 0.0) -> FittedModel:
    """A model of some symbols, any two of which have that correlation."""
    k = len(names)
    rows = tuple(tuple(1.0 if i == j else correlation for j in range(k)) for i in range(k))
    joint = Joint(
        correlation=rows, errors=rows, freedom=5.0, jumps=tuple(row * k for row in JUMPS), gaps=((3.0,) * k, (5.0,) * k)
    )
    return FittedModel(
        model="garch", data=(), first="2024-01-01T00:01:00Z", last="2024-02-01T00:00:00Z", bars=1, sessions=1,
        dropped=Dropped(), symbols=tuple(symbol(name, missing) for name in names), joint=joint,
    )  # fmt: skip


def bars(model: FittedModel, count: int, seed: int) -> BarBlock:
    """Its bars from 1 January 2024 on."""
    prices = [one.price for one in model.symbols]
    return generate_market(model, {}, model.instruments, count, START_NS, Draws(seed), prices)
