"""The pipeline: blocks in order, split at cuts, the hook called exactly at the declared rows."""

from __future__ import annotations

import numpy as np
import pytest

from agents.rules import SmaCross
from engine.base.errors import DataError
from engine.loop.cuts import EveryBars
from engine.loop.ledger_hash import LedgerHash
from engine.loop.pipeline import Pipeline
from engine.types.blocks import reblock
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars

ENDS = np.arange(1, 30, dtype=np.int64) * DAY_NS


def pipeline(cuts: EveryBars | None, seen: list[int]) -> Pipeline:
    agent, instrument = SmaCross(2, 5), Instrument(name="X")
    agent.bind(["X"], [instrument])
    return Pipeline(agent, Simulator(PortfolioConfig(), [instrument], ENDS), cuts, seen.append)


@pytest.mark.parametrize("sizes", [[1], [7, 50, 3], [1000]])
def test_cuts_fall_at_the_declared_rows_and_change_nothing(sizes: list[int]) -> None:
    block, hashes = random_bars(300), set()
    for cuts in (EveryBars(32), None):
        seen: list[int] = []
        line, digest = pipeline(cuts, seen), LedgerHash()
        for part in reblock([block], sizes):
            for step in line.process(part):
                digest.update(step)
        hashes.add(digest.hexdigest())
        assert seen == (list(range(32, 300, 32)) if cuts else [])
    assert len(hashes) == 1


def test_a_missing_block_is_noticed() -> None:
    block = random_bars(30)
    line = pipeline(None, [])
    list(line.process(block.slice(0, 10)))
    with pytest.raises(DataError, match="row 10"):
        list(line.process(block.slice(20, 30)))
