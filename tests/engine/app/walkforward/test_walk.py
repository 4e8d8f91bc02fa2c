"""Each fold is chosen by what lies before it, and is what a backtest of the same bars gives."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.app.comparison.comparison import variants_of
from engine.app.comparison.evaluation import evaluate
from engine.app.comparison.parts import IN_SAMPLE, OUT_OF_SAMPLE
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared, prepare
from engine.app.trials.ledger import Recording
from engine.app.walkforward.pages import as_markdown, as_page
from engine.app.walkforward.walk import TRAINED, Walk, _setting, walk_forward
from engine.app.walkforward.windows import Plan, windows_of
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from feeds.export import write_bars
from feeds.generators import generate
from feeds.quarantine import Quarantine

ES = load_instrument("ES")
BARS = generate("conditions", ES, 20_000, 5, {})
GRID = ("sma_cross:fast=5|20,slow=60|240", "flat")
PLAN = Plan(folds=3, train=0.5, purge=30, embargo=20)


def prepared_with(bars: BarBlock, folder: Path) -> Prepared:
    path = folder / "ES.parquet"
    write_bars(path, [bars])
    return prepare(BacktestConfig(data=(str(path),)), Quarantine(None))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared_with(BARS, tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def walk(prepared: Prepared) -> Walk:
    return walk_forward(prepared, variants_of(GRID), PLAN, workers=1)


@settings(deadline=None, derandomize=True)
@given(
    rows=st.integers(40, 5000),
    folds=st.integers(1, 6),
    kind=st.sampled_from(["anchored", "rolling"]),
    train=st.floats(0.2, 0.8),
    purge=st.integers(0, 40),
    embargo=st.integers(0, 40),
)
def test_windows_never_overlap_what_they_must_not(
    rows: int, folds: int, kind: str, train: float, purge: int, embargo: int
) -> None:
    plan = Plan(folds, kind, train, purge, embargo)  # type: ignore[arg-type]
    try:
        windows = windows_of(rows, plan)
    except UsageError:
        return
    assert len(windows) == folds and windows[-1].stop == rows
    for before, after in itertools.pairwise(windows):
        assert before.stop == after.test
        assert after.train_stop <= after.test - purge - embargo
    for window in windows:
        assert 0 <= window.start < window.train_stop <= window.test - purge < window.stop
        assert kind == "rolling" or window.start == 0
        assert window.test - window.start <= round(rows * train) or kind == "anchored"


def test_every_fold_is_what_its_own_backtest_gives(walk: Walk, prepared: Prepared) -> None:
    assert len(walk.folds) == 3
    for fold in walk.folds:
        window = fold.window
        outcome = evaluate(_setting(prepared, window), BARS.slice(window.start, window.stop), fold.winner)
        assert outcome.parts is not None
        for name in ("total_return", "sharpe", "max_drawdown"):
            assert fold.train[name] == outcome.parts[IN_SAMPLE][name]
            nothing = 0.0 if name == "total_return" else None
            assert fold.test[name] == (outcome.parts[OUT_OF_SAMPLE][name] or nothing)
        assert fold.tried >= 4
    grown = np.prod([1.0 + fold.test["total_return"] for fold in walk.folds]) - 1.0
    assert walk.total_return == pytest.approx(grown)


def test_the_chosen_one_was_the_best_before(walk: Walk, prepared: Prepared) -> None:
    window = walk.folds[1].window
    ratios = {}
    for one in variants_of(GRID):
        outcome = evaluate(_setting(prepared, window), BARS.slice(window.start, window.stop), one.variant.spec)
        ratio = (outcome.parts or {})[IN_SAMPLE]["sharpe"]
        ratios[one.variant.spec] = -np.inf if ratio is None else ratio
    assert walk.folds[1].winner == max(ratios, key=lambda spec: ratios[spec])


def test_what_comes_after_changes_no_choice(walk: Walk, tmp_path: Path) -> None:
    """Everything from the purged bars of the second fold on is another market."""
    cut = walk.folds[1].window.train_stop
    other = generate("trend", ES, 20_000, 77, {})
    factor = BARS.close[cut - 1, 0] / other.close[cut - 1, 0]
    columns = {
        name: np.concatenate([getattr(BARS, name)[:cut], np.round(getattr(other, name)[cut:] * factor * 4) / 4])
        for name in ("open", "high", "low", "close")
    }
    poisoned = replace(BARS, **columns)
    found = walk_forward(prepared_with(poisoned, tmp_path), variants_of(GRID), PLAN, workers=1)
    for one, other_fold in zip(walk.folds[:2], found.folds[:2], strict=True):
        assert (one.winner, one.train) == (other_fold.winner, other_fold.train)
    assert walk.folds[1].test != found.folds[1].test


def test_what_is_trained_in_each_fold_sees_its_own_bars_alone(prepared: Prepared) -> None:
    seen = []

    def retrain(window: object, bars: BarBlock) -> str:
        seen.append((len(bars), int(bars.ts_event[-1])))
        return "buy_and_hold"

    found = walk_forward(prepared, [], PLAN, retrain=retrain, workers=1)
    windows = windows_of(len(BARS), PLAN)
    assert seen == [(w.train_stop - w.start, int(BARS.ts_event[w.train_stop - 1])) for w in windows]
    assert [fold.winner for fold in found.folds] == ["buy_and_hold"] * 3


def test_folds_are_recorded_as_trials(prepared: Prepared, tmp_path: Path) -> None:
    recording = Recording("test", "now", tmp_path)
    retrain = lambda window, bars: "buy_and_hold"  # noqa: E731 - stands for a training
    walk_forward(prepared, variants_of(["flat"]), PLAN, retrain=retrain, workers=1, recording=recording)
    (file,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = [(line["detail"]["fold"], line["name"]) for line in lines if line["kind"] == "fold"]
    assert found == [(fold, name) for fold in (1, 2, 3) for name in ("flat", TRAINED)]


def test_pages_show_every_fold(walk: Walk) -> None:
    text, page = as_markdown(walk.tree()), as_page(walk.tree())
    json.dumps(walk.tree(), allow_nan=False)
    for fold in walk.folds:
        assert fold.winner in text and fold.winner in page
    assert "30 bars are purged, and 20 are left out" in text and "polyline" in page


def test_plans_that_do_not_fit_are_refused(prepared: Prepared) -> None:
    with pytest.raises(UsageError, match="fold 1 has no bars to train on"):
        walk_forward(prepared, variants_of(["flat"]), Plan(purge=15_000), workers=1)
    with pytest.raises(UsageError, match="nothing to choose from"):
        walk_forward(prepared, [], Plan())
