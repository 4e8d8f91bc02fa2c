"""The compiled loop of an e-process; `engine.monitor.evidence` says what it is."""

from __future__ import annotations

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats


@inlined
def octave_of(number: int) -> int:
    """The largest e for which 2^e is not above a number, which is 1 at least."""
    octave = 0
    while number >> (octave + 1) > 0:
        octave += 1
    return octave


@inlined
def stake_of(number: int, any_start: bool) -> float:
    """What is laid on every bet before an observation, counted from 1."""
    if not any_start:
        return 1.0 if number == 1 else 0.0
    octave = octave_of(number)
    stake: float = 0.5**octave / ((octave + 1) * (octave + 2))
    return stake


@inlined
def unspent_after(count: int, any_start: bool) -> float:
    """What has not been laid on any bet after so many observations."""
    if not any_start:
        return 0.0
    octave = octave_of(count)
    left = 1.0 - (count + 1 - 2**octave) * 0.5**octave
    unspent: float = 1.0 / (octave + 2) + left / ((octave + 1) * (octave + 2))
    return unspent


@kernel
def bet(
    values: Floats,
    threshold: float,
    bets: Floats,
    most: float,
    any_start: bool,
    count: int,
    capital: Floats,
    read: Floats,
) -> None:
    """Bet on observations, one after the other.

    Args:
        values: Observations.
        threshold: Of their mean.
        bets: Sizes of the bets, shape (K,).
        most: Capital that a bet keeps.
        any_start: Whether stakes are laid down over time.
        count: Observations before these.
        capital: Of every bet, shape (K,); state.
        read: The e-value, and the largest so far, shape (2,); state.
    """
    for i in range(values.shape[0]):
        count += 1
        stake = stake_of(count, any_start)
        total = 0.0
        for k in range(capital.shape[0]):
            won = (capital[k] + stake) * (1.0 + bets[k] * (threshold - values[i]))
            capital[k] = min(won, most)
            total += capital[k]
        read[0] = total / capital.shape[0] + unspent_after(count, any_start)
        read[1] = max(read[1], read[0])
