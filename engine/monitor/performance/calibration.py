"""Whether the strategic network's confidence says how often it is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.records import SeatName
from engine.types.step import StepBlock

BINS = 5
"""Equal parts of 0..1 by which decisions are counted."""


class Calibration:
    """Strategic decisions for a side, by confidence: how many, and how often the price then went that way.

    A decision is right if the close at the symbol's next strategic decision lies on its side of the close at its own.

    Args:
        symbols: Number of symbols.
    """

    def __init__(self, symbols: int) -> None:
        self._counts, self._sums = np.zeros((BINS, 2), np.int64), np.zeros(BINS)
        # side, confidence and close of the decision whose outcome is not known yet
        self._open = np.zeros((symbols, 3))

    def update(self, step: StepBlock) -> None:
        """Follow the rows of a step."""
        outputs = step.outputs
        if not len(outputs):
            return
        for decision in outputs[outputs["seat"] == SeatName.STRATEGIC]:
            symbol = int(decision["symbol"])
            close = float(step.bars.close[int(decision["seq"]) - step.bars.seq, symbol])
            if math.isnan(close):  # no bar of the symbol in this row
                continue
            side, confidence, before = self._open[symbol]
            if side:
                part = min(int(confidence * BINS), BINS - 1)
                self._counts[part] += 1, int((close - before) * side > 0.0)
                self._sums[part] += confidence
            self._open[symbol] = decision["action_0"], decision["confidence"], close

    def rows(self) -> list[dict[str, Any]]:
        """The parts that have decisions, JSON-able: their count, mean confidence and share that was right."""
        return [
            {
                "from": part / BINS,
                "to": (part + 1) / BINS,
                "decisions": int(count),
                "confidence": float(self._sums[part] / count),
                "right": float(right / count),
            }
            for part, (count, right) in enumerate(self._counts.tolist())
            if count
        ]

    def snapshot(self) -> State:
        """The carried state."""
        return snapshot_of({}, self._carried())

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of so many symbols.
        """
        found = arrays_of(state, {}, self._carried())
        self._counts, self._sums, self._open = found["counts"], found["sums"], found["open"]

    def _carried(self) -> dict[str, Any]:
        return {"counts": self._counts, "sums": self._sums, "open": self._open}
