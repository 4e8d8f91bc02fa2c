"""The windows of bars that a job learns from."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import BarBlock
from training.online.windows import _one_symbol


def test_the_bars_of_one_symbol_keep_their_extra_columns() -> None:
    """So that what is learned from has the features of the loop that brought it."""
    close = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0]])
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    spread = np.arange(6.0).reshape(3, 2)
    block = BarBlock.from_columns(("A", "B"), np.arange(1, 4), columns, extra={"spread": spread})
    assert _one_symbol(block, 1).extra["spread"][:, 0].tolist() == [3.0, 5.0]
