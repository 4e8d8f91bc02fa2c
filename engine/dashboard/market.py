"""The market and what the agents want of it, as far as a screen shows them: the last closes, the last wishes."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats
from engine.types.records import Records
from engine.types.step import StepBlock

CLOSES_KEPT = 240
"""Rows whose closes are kept for a small chart."""
LOOKED_AT = 256
"""Records of a step that are searched for the last of each symbol."""


class MarketRows:
    """What the last rows held.

    Args:
        symbols: How many there are.

    Attributes:
        closes: The last CLOSES_KEPT closes that were seen, NaN where a symbol had no bar, shape (rows, S).
        commands: Last COMMAND record of each symbol that had one.
        outputs: Last AGENT_OUTPUT record by seat and symbol; -1 for the whole book.
    """

    def __init__(self, symbols: int) -> None:
        self.closes: Floats = np.empty((0, symbols))
        self.commands: dict[int, np.void] = {}
        self.outputs: dict[tuple[int, int], np.void] = {}

    def follow(self, step: StepBlock) -> None:
        """Take in a step; its memory is not kept, and rows before it may be missing."""
        fresh = np.where(step.bars.present[-CLOSES_KEPT:], step.bars.close[-CLOSES_KEPT:], np.nan)
        self.closes = np.concatenate([self.closes, fresh])[-CLOSES_KEPT:]
        self.commands.update({int(one["symbol"]): one for one in _newest_last(step.decisions)})
        for seat in np.unique(step.outputs["seat"]).tolist():
            own = step.outputs[step.outputs["seat"] == seat]
            self.outputs.update({(seat, int(one["symbol"])): one for one in _newest_last(own)})

    def course(self, symbol: int) -> Floats:
        """The closes of one symbol that were kept, shape (n,)."""
        closes: Floats = self.closes[:, symbol]
        return closes[~np.isnan(closes)]


def _newest_last(records: Records) -> list[np.void]:
    return [record.copy() for record in records[-LOOKED_AT:]]
