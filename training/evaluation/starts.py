"""Where evaluation episodes begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Ints
from training.environment.market import Market


def evaluation_starts(
    market: Market, ranges: Sequence[tuple[int, int]], length: int, count: int, seed: int | None = None
) -> Ints:
    """Rows where episodes may begin, overlapping by half; fewer than asked for where there are fewer.

    Where these are too few, every row is possible in which all agents decide, so that episodes overlap more; the
    summary counts them accordingly.

    Args:
        market: Tells where episodes may begin.
        ranges: First row and row after the last of each.
        length: Bars of an episode.
        count: How many are wanted.
        seed: Draws them at random; None spreads them evenly.

    Returns:
        Ascending, shape (at most count,).

    Raises:
        UsageError: If no episode fits.
    """
    possible = np.concatenate([np.empty(0, np.int64), *(market.starts(part, length) for part in ranges)])
    if len(possible) < count:
        every = [market.decision_rows(start, max(start, stop - length)) for start, stop in ranges]
        possible = np.concatenate([np.empty(0, np.int64), *every])
    if not len(possible):
        raise UsageError(
            "no episode fits into this part of the data",
            expected=f"{length:,} bars after the agents' warm-up",
            found=", ".join(f"{stop - start:,} bars" for start, stop in ranges) or "no bars",
            hint="lower training_params.episode_length, raise the part's share in data.split, or give more data",
        )
    if len(possible) <= count:
        return possible
    if seed is None:
        picked: Ints = possible[np.linspace(0, len(possible) - 1, count).round().astype(np.int64)]
        return picked
    drawn = np.random.Generator(np.random.PCG64(seed)).choice(len(possible), count, replace=False)
    return np.asarray(possible[np.sort(drawn)])
