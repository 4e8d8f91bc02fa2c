"""Combinatorially symmetric cross-validation from sums over blocks of returns."""

from __future__ import annotations

import math

from engine.base.compiled import kernel
from engine.types.blocks import Floats, Ints

FLAT = 1e-14  # of the mean square: a variance below it is what rounding leaves of none


@kernel
def subset_sums(blocks: Floats, out: Floats) -> None:
    """Sums of every subset of a few blocks.

    Args:
        blocks: Shape (variants, blocks).
        out: Shape (2 ** blocks, variants); row m is the sum over the blocks whose bit is set in m.
    """
    variants, width = blocks.shape
    for variant in range(variants):
        out[0, variant] = 0.0
    for mask in range(1, 1 << width):
        lowest = 0
        while not (mask >> lowest) & 1:
            lowest += 1
        rest = mask & (mask - 1)
        for variant in range(variants):
            out[mask, variant] = out[rest, variant] + blocks[variant, lowest]


@kernel
def sharpe_of_split(
    count: float, sum_low: Floats, sum_high: Floats, square_low: Floats, square_high: Floats, out: Floats
) -> None:
    """The Sharpe ratio of one period of every variant, with the sample deviation; 0 where returns do not vary."""
    for variant in range(len(out)):
        total = sum_low[variant] + sum_high[variant]
        square = square_low[variant] + square_high[variant]
        spread = square - total * total / count
        out[variant] = (
            total / count / math.sqrt(spread / (count - 1.0)) if spread > FLAT * square and count > 1.0 else 0.0
        )


@kernel
def first_best(values: Floats) -> int:
    """Place of the highest value, the first of equals."""
    best = 0
    for place in range(1, len(values)):
        if values[place] > values[best]:
            best = place
    return best


@kernel
def rank_of(values: Floats, place: int) -> float:
    """Rank of a value among all, 1 the lowest; equals share the mean of theirs."""
    below, equal, value = 0, 0, values[place]
    for other in range(len(values)):
        below += values[other] < value
        equal += values[other] == value
    return below + 0.5 * (equal + 1)


@kernel
def judge_splits(
    splits: Ints,
    counts: Floats,
    sums: tuple[Floats, Floats],
    squares: tuple[Floats, Floats],
    values: Floats,
    ranks: Floats,
    out: Floats,
) -> None:
    """For every split and its complement, how the best in-sample ranks out-of-sample.

    Args:
        splits: Masks of the blocks in-sample, one of each pair of complements, shape (pairs,).
        counts: Periods by subset of the low half and of the high half, shape (2, 2 ** (blocks / 2)).
        sums: From `subset_sums`, of the low half and of the high half of the blocks.
        squares: Likewise, of squared returns.
        values: Room for Sharpe ratios, shape (2, variants).
        ranks: Out: rank of the winner, 1 the lowest, shape (pairs, 2).
        out: Out: Sharpe ratio of the winner in-sample and out-of-sample, shape (pairs, 2, 2).
    """
    half = len(sums[0])
    for pair in range(len(splits)):
        for side in range(2):
            mask = splits[pair] if side == 0 else (half * half - 1) ^ splits[pair]
            low, high = mask & (half - 1), mask // half
            sharpe_of_split(
                counts[0, low] + counts[1, high], sums[0][low], sums[1][high], squares[0][low], squares[1][high],
                values[side],
            )  # fmt: skip
        for side in range(2):
            best = first_best(values[side])
            ranks[pair, side] = rank_of(values[1 - side], best)
            out[pair, side, 0], out[pair, side, 1] = values[side, best], values[1 - side, best]
