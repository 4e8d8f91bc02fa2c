"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

Source: Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting" (2017). The bars are cut into
blocks; every half of them is once in-sample, the other half out-of-sample. A choice overfits where the best in-sample
ranks below the median out-of-sample. Sums over the blocks are all that is needed, not the returns themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from engine.types.blocks import Floats, Ints
from portfolio.overfitting.kernels import judge_splits, subset_sums

BLOCKS = 16
"""Blocks of the bars: 12,870 splits."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What cross-validation says of choosing the best of many variants.

    Attributes:
        probability: Share of the splits in which the best in-sample ranks below the median out-of-sample.
        loss: Share of the splits in which the best in-sample loses money out-of-sample.
        variants: How many there were to choose from.
        splits: Splits judged.
        slope: Of the winner's Sharpe ratio out-of-sample on that in-sample, by least squares; None without variance.
    """

    probability: float
    loss: float
    variants: int
    splits: int
    slope: float | None


def overfitting(counts: Floats, sums: Floats, squares: Floats) -> Overfitting | None:
    """Judge the choice of the variant with the highest Sharpe ratio.

    Args:
        counts: Periods in each block, the same for all variants, shape (blocks,).
        sums: Sums of returns, shape (variants, blocks).
        squares: Sums of squared returns, likewise.

    Returns:
        None where there are fewer than two variants, or a block is empty.

    Raises:
        ValueError: If the number of blocks is odd, or above 20.
    """
    variants, blocks = sums.shape
    if blocks % 2 or not 2 <= blocks <= 20:
        raise ValueError(f"the number of blocks must be even, from 2 to 20: {blocks}")
    if variants < 2 or counts.min() < 1:
        return None
    splits = _splits(blocks)
    ranks, found = np.empty((len(splits), 2)), np.empty((len(splits), 2, 2))
    half = blocks // 2
    count_sums = np.ascontiguousarray(
        np.stack([_subsets(counts[None, :half])[:, 0], _subsets(counts[None, half:])[:, 0]])
    )
    judge_splits(
        splits,
        count_sums,
        (_subsets(sums[:, :half]), _subsets(sums[:, half:])),
        (_subsets(squares[:, :half]), _subsets(squares[:, half:])),
        np.empty((2, variants)),
        ranks,
        found,
    )
    inside, outside = found[..., 0].ravel(), found[..., 1].ravel()
    variance = float(np.var(inside))
    return Overfitting(
        float((ranks < (variants + 1) / 2).mean()),
        float((outside < 0).mean()),
        variants,
        2 * len(splits),
        float(np.mean((inside - inside.mean()) * outside)) / variance if variance > 0 else None,
    )


def block_sums(returns: Floats, blocks: int = BLOCKS) -> tuple[Ints, Floats, Floats]:
    """Periods, sums of returns and of squared returns in consecutive blocks of about equal length.

    Args:
        returns: Of each period, shape (periods,).

    Returns:
        Three arrays of shape (blocks,); the first blocks are one longer where the periods do not divide evenly.
    """
    parts = np.array_split(returns, blocks)
    return (
        np.array([len(part) for part in parts], np.int64),
        np.array([part.sum() for part in parts]),
        np.array([(part * part).sum() for part in parts]),
    )


def _subsets(blocks: Floats) -> Floats:
    out = np.empty((1 << blocks.shape[1], blocks.shape[0]))
    subset_sums(np.ascontiguousarray(blocks, np.float64), out)
    return out


def _splits(blocks: int) -> Ints:
    """Masks of every half that holds the first block; their complements are the other halves."""
    chosen = combinations(range(1, blocks), blocks // 2 - 1)
    return np.array([1 + sum(1 << place for place in places) for places in chosen], np.int64)
