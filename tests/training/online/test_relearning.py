"""Where a market turns, a candidate imitates a regression on what came since, and earns more than its parent."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.models.loading import load_ensemble
from engine.learning.job import Learned
from engine.types.blocks import BarBlock
from feeds.generators import generate
from tests.training.online.parents import INSTRUMENT, RUN, job_of, learning, write_parent
from training.environment.market import Market
from training.evaluation.policies import ServedPolicy
from training.online.job import run_job
from training.online.relearning import Relearned
from training.regression.decisions import stretches

ROWS = 9000
REVERSION = {"half_life_minutes": 60.0, "deviation_bps": 60.0}
ON: dict[str, Any] = {"relearn_errors": 2.0}


def bars(name: str, seed: int, rows: int = ROWS, **parameters: float) -> BarBlock:
    return generate(name, INSTRUMENT, rows, seed, parameters)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parent(tmp_path_factory.mktemp("parent") / "version")


@pytest.fixture(scope="module")
def turned(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Learned, Path]:
    out, block = tmp_path_factory.mktemp("job") / "candidate", bars("mean_reversion", 3, **REVERSION)
    return run_job(job_of(block, parent), block, parent, RUN, learning(**ON), out), out


def earned(version: Path, block: BarBlock) -> tuple[float, float]:
    """What the strategic network alone would earn a decision after costs, in basis points, and its standard error."""
    market = Market.build(INSTRUMENT, [("bars", block)])
    rows, ahead = next(stretches(market, (0, len(market))))
    windows = market.strategic_windows(market.strategic_end[rows])
    sides = np.array(ServedPolicy(load_ensemble(version)).strategic(windows)).ravel() - 1
    found = 1e4 * (sides * ahead - 1e-5 * np.abs(np.diff(sides, prepend=0)))
    return float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found))


def test_a_turned_market_gives_a_candidate_that_says_why(turned: tuple[Learned, Path]) -> None:
    learned, out = turned
    assert (learned.status, learned.reason) == ("candidate", None), learned.because
    assert learned.because.startswith("imitates a regression on the last")
    assert learned.sha256 == load_ensemble(out).sha256
    figures = learned.figures
    assert figures["regression_gain_bps"] >= 2.0 * figures["regression_error_bps"] > 0.0
    assert figures["agreement"] >= 0.85


def test_it_earns_on_bars_that_came_later_what_the_test_said(turned: tuple[Learned, Path], parent: Path) -> None:
    later = bars("mean_reversion", 99, 30_000, **REVERSION)
    ours, error = earned(turned[1], later)
    theirs, _ = earned(parent, later)
    said, doubt = (turned[0].figures[f"regression_{name}_bps"] for name in ("gain", "error"))
    assert ours - theirs > 3.0 * error
    assert abs(ours - theirs - said) < 3.0 * math.hypot(error, doubt)


def test_the_same_job_gives_the_same_bytes(turned: tuple[Learned, Path], parent: Path, tmp_path: Path) -> None:
    block = bars("mean_reversion", 3, **REVERSION)
    again = run_job(job_of(block, parent), block, parent, RUN, learning(**ON), tmp_path / "out")
    assert again.sha256 == turned[0].sha256 and again.figures == turned[0].figures


def test_where_nothing_can_be_earned_the_parents_network_goes_on(parent: Path, tmp_path: Path) -> None:
    taken = 0
    for seed in range(6):
        block = bars("random_walk", seed, volatility=0.2)
        settings = learning(**ON, episodes=8)
        learned = run_job(job_of(block, parent), block, parent, RUN, settings, tmp_path / str(seed))
        taken += "regression_gain_bps" in learned.figures
    assert taken <= 1


def test_its_evidence_reads_as_a_sentence() -> None:
    found = Relearned(12.345, 3.21, 84, 0.9876, 60)
    assert found.text() == (
        "imitates a regression on the last 84 decisions; it earns 12.35 ± 3.21 bp a decision more than its parent, "
        "and agrees with it in 98.8%"
    )
