"""Markets whose parameters are known: models as `grandmodel data fit` writes them, with figures of real markets."""

from __future__ import annotations

import math
from typing import NamedTuple

from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument, load_instrument
from feeds.fitting.generating import generate_market
from feeds.fitting.model import Dropped, FittedModel, Joint, Parameter, SymbolModel, Volume
from feeds.generators import START_NS
from feeds.generators_bars import Draws

MINUTES = 1440
JUMPS = (-15.0, -11.0, -8.0, 8.0, 11.0, 15.0)
PRICE = 100.0


class Truth(NamedTuple):
    """Parameters of a market.

    Attributes:
        deviation_bps: Of a minute.
        alpha, gamma, beta, nu: Of the volatility.
        jumps: A minute.
        season: The busiest minute's deviation over the mean, less 1.
        correlation: Of two symbols; None for one symbol alone.
    """

    deviation_bps: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    jumps: float
    season: float
    correlation: float | None = None

    @property
    def parameters(self) -> dict[str, float]:
        """By the names of a fit."""
        rest = 1.0 - self.alpha - 0.5 * self.gamma - self.beta
        omega = (1e-4 * self.deviation_bps) ** 2 * rest
        return {"omega": omega, "alpha": self.alpha, "gamma": self.gamma, "beta": self.beta, "nu": self.nu,
                "jumps": self.jumps}  # fmt: skip


TRUTHS = {
    "a currency future": Truth(1.1, 0.029, 0.002, 0.959, 7.4, 0.0002, 0.8),
    "a bitcoin perpetual": Truth(9.0, 0.037, 0.02, 0.949, 5.8, 0.0015, 0.4),
    "strong leverage, heavy tails": Truth(5.0, 0.02, 0.08, 0.92, 4.0, 0.0005, 0.6),
    "two symbols": Truth(5.0, 0.04, 0.03, 0.93, 5.0, 0.0005, 0.5, correlation=0.7),
}
"""The first two are near what is fitted to real bars (docs/scenarios.md)."""


def model_of(truth: Truth) -> FittedModel:
    """The model with these parameters, on a market that never closes."""
    generic = load_instrument("GENERIC")
    names = ("GENERIC",) if truth.correlation is None else ("ONE", "TWO")
    off = truth.correlation or 0.0
    rows = tuple(tuple(1.0 if i == j else off for j in range(len(names))) for i in range(len(names)))
    joint = Joint(
        correlation=rows, errors=rows, freedom=5.0, jumps=tuple((size,) * len(names) for size in JUMPS), gaps=()
    )
    return FittedModel(
        model="garch", data=(), first="", last="", bars=1, sessions=1, dropped=Dropped(),
        symbols=tuple(_symbol(truth, generic.model_copy(update={"name": name})) for name in names), joint=joint,
    )  # fmt: skip


def bars_of(model: FittedModel, bars: int, seed: int) -> BarBlock:
    """Bars of a model from 1 January 2024 on."""
    return generate_market(model, {}, model.instruments, bars, START_NS, Draws(seed), [PRICE] * len(model.symbols))


def _symbol(truth: Truth, instrument: Instrument) -> SymbolModel:
    waves = [1.0 + truth.season * math.sin(2.0 * math.pi * minute / MINUTES) for minute in range(MINUTES)]
    scale = math.sqrt(1.0 + truth.season**2 / 2.0)
    volume = Volume(level=5.0, by_volatility=1.0, by_surprise=0.3, memory=0.4, deviation=0.6, season=(1.0,) * MINUTES)
    return SymbolModel(
        name=instrument.name, instrument=instrument, price=PRICE,
        parameters={key: Parameter(value=value) for key, value in truth.parameters.items()},
        variance=(1e-4 * truth.deviation_bps) ** 2, persistence=truth.alpha + 0.5 * truth.gamma + truth.beta,
        log_likelihood=0.0, starts=1, agreed=1, converged=True, threshold=5.1, found=0, expected=0.0, bounce=0.02,
        width=0.9, season=tuple(wave / scale for wave in waves), missing=(0.01,) * MINUTES, volume=volume,
    )  # fmt: skip
