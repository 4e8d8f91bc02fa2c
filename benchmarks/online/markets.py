"""The markets of the benchmark: pieces of generated bars end to end, each with a law whose optimum is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.types.blocks import BarBlock, Floats, Ints, concat
from engine.types.instruments import Fees, Instrument, load_instrument
from engine.types.timeframe import MINUTE_NS
from feeds.generators import START_NS, find_generator, generate_with_truth
from training.data.parts import Parts
from training.environment.market import Market
from training.suite.laws import law_of
from training.suite.markets import MOST, Proof, Scenario, best_policy

FEE = 1e-4
DAY = 1440
TREND = ("regime_drift", {"drift_bps": 0.6, "volatility_bps": 2.0, "mean_minutes": 480.0})
"""What the parent was trained on: trends that last hours, to be followed."""
REVERSION = ("mean_reversion", {"half_life_minutes": 60.0, "deviation_bps": 60.0})
"""The opposite: moves come back within an hour, and who follows them loses."""
WALK = ("random_walk", {"volatility": 0.2})

Kind = tuple[str, dict[str, float]]


class Days(NamedTuple):
    """How long markets are.

    Attributes:
        calm: Days of a market without a shift, and before one.
        shifted: After a shift.
        regime: Of one regime where they alternate.
        regimes: How many.
    """

    calm: int = 14
    shifted: int = 42
    regime: int = 10
    regimes: int = 20


def kinds(market: str, days: Days) -> list[tuple[Kind, int]]:
    """Pieces of a market: what each is, and its days."""
    if market == "stationary":
        return [(TREND, days.calm + days.shifted)]
    if market == "shift":
        return [(TREND, days.calm), (REVERSION, days.shifted)]
    if market == "random_walk":
        return [(WALK, days.calm + days.shifted)]
    # a first window of what is known, then the others by turns
    turns = [(REVERSION, TREND)[number % 2] for number in range(days.regimes)]
    return [(TREND, days.calm), *((kind, days.regime) for kind in turns)]


@dataclass(frozen=True)
class Piece:
    """Bars of one law.

    Attributes:
        kind: Its generator and parameters.
        start, stop: Rows of the whole.
        proof: Its market and law.
    """

    kind: Kind
    start: int
    stop: int
    proof: Proof


def instrument() -> Instrument:
    """GENERIC at a fee of 1 bp."""
    return load_instrument("GENERIC").model_copy(update={"fees": Fees(rate=FEE)})


def make(market: str, seed: int, days: Days) -> tuple[BarBlock, list[Piece]]:
    """Bars of a market, and its pieces; each goes on from the last price of the one before."""
    traded, blocks, pieces = instrument(), list[BarBlock](), list[Piece]()
    price, row = 100.0, 0
    for number, (kind, length) in enumerate(kinds(market, days)):
        name, parameters = kind
        generator = find_generator(name, {**parameters, "price": price})
        bars, begins = length * DAY, START_NS + row * MINUTE_NS
        origin = (int(np.random.SeedSequence((seed, number)).generate_state(1)[0]), begins)
        block = generate_with_truth(generator, traded, bars, *origin).bars
        law = law_of(generator, traded, origin)
        if law is None:
            raise AssertionError(f"the optimum of {name} is known")
        own = Market.build(traded, [(name, block)])
        pieces.append(Piece(kind, row, row + bars, Proof(own, Parts((), (), ()), (Scenario(generator, law, origin),))))
        blocks.append(BarBlock(block.symbols, row, *_columns(block)))
        price, row = float(block.close[-1, 0]), row + bars
    return concat(blocks), pieces


def best_sides(pieces: Sequence[Piece], rows: Ints) -> Ints:
    """Sides (-1, 0, 1) of the best policy that knows the law and sees what the strategic agent's window tells.

    Args:
        pieces: Of the market.
        rows: Of decisions, ascending, shape (n,).
    """
    found = []
    for piece in pieces:
        own = rows[(rows >= piece.start) & (rows < piece.stop)] - piece.start
        if len(own):
            law = piece.proof.scenarios[0].law
            policy = best_policy(law, FEE, MOST, "belief", law.resolution)
            found.append(np.sign(policy.follow(piece.proof.seen(own, "belief", law.resolution))))
    return np.concatenate(found).astype(np.int64)


def _columns(block: BarBlock) -> tuple[Ints, Floats, Floats, Floats, Floats, Floats, np.ndarray]:
    return block.ts_event, block.open, block.high, block.low, block.close, block.volume, block.present
