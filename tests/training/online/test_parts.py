"""Windows, screening, sampling and divergence: the parts of a job."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, concat
from engine.types.timeframe import MINUTE_NS
from feeds.generators import GENERATORS, generate
from tests.training.online.parents import INSTRUMENT, RUN, easy_bars, spoilt, write_parent
from training.experience import Observations
from training.export import LearnedNetwork
from training.online.continuing import LEAST_ENTROPY, shrunk, softened
from training.online.divergence import Policies
from training.online.judging import Comparison, Gain, judge_candidate
from training.online.parent import Parent, read_parent, require_learnable
from training.online.run import require_learnable_run
from training.online.sampling import MixedSampler
from training.online.screening import find_poison
from training.online.windows import PURGED_MINUTES, TooFewBars, build, series_of

LENGTH = 240
WHOLE = easy_bars(12_000)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Parent:
    return read_parent(write_parent(tmp_path_factory.mktemp("parts") / "version"))


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(0, 8000), rows=st.integers(3000, 12_000), joined=st.booleans())
def test_parts_of_a_window_keep_their_distance(cut: int, rows: int, joined: bool) -> None:
    cut = min(cut, rows - 1)
    bars, older = WHOLE.slice(cut, rows), [WHOLE.slice(0, cut)] if joined and cut else []
    try:
        market, windows = build(INSTRUMENT, series_of(bars, older), "tactical", MINUTE_NS, LENGTH)
    except TooFewBars:
        assert rows - (0 if older else cut) < 2880 + 10 * LENGTH or rows - cut < 10 * LENGTH
        return
    named = {name: getattr(windows, name) for name in ("judged_older", "older", "recent", "judged")}
    ranges = sorted((one, name) for name, found in named.items() for one in found)
    assert all(len(market.starts(one, LENGTH)) for one, _ in ranges)
    for (before, first), (after, second) in itertools.pairwise(ranges):
        apart = 0 if (first, second) == ("older", "recent") else PURGED_MINUTES
        assert after[0] - before[1] >= apart
    begins = cut if older else 0
    assert all(start >= begins for (start, _), name in ranges if name in {"recent", "judged"})
    assert all(stop <= begins for (_, stop), name in ranges if name in {"older", "judged_older"})
    assert windows.judged[-1][1] == len(market)


def test_symbols_and_gaps_become_series_of_their_own() -> None:
    present = np.ones((len(WHOLE), 2), np.bool_)
    present[5:9, 1] = False
    columns = {
        name: np.where(present, np.repeat(getattr(WHOLE, name), 2, axis=1), np.nan)
        for name in ("open", "high", "low", "close", "volume")
    }
    two = BarBlock(("A", "B"), 0, WHOLE.ts_event, present=present, **columns)
    found = series_of(two.slice(6000, 12_000), [two.slice(0, 6000)])
    assert [(one.name, len(one.bars), one.recent) for one in found] == [("A", 12_000, 6000), ("B", 11_996, 5996)]
    assert np.array_equal(found[0].bars.close, WHOLE.close)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_markets_as_they_are_hold_no_poison(name: str) -> None:
    assert find_poison(generate(name, INSTRUMENT, 20_000, seed=11)) is None


@given(row=st.integers(1, 2998), size=st.floats(0.05, 0.15), up=st.booleans())
def test_a_spike_that_comes_back_is_poison(row: int, size: float, up: bool) -> None:
    bars = WHOLE.slice(0, 3000)
    close = float(bars.close[row, 0])
    bar = {"high": close * (1 + size)} if up else {"low": close * (1 - size)}
    found = find_poison(spoilt(bars, row, **bar))
    assert found is not None and found.row == row and "spike" in found.what


def test_a_fall_that_stays_is_none() -> None:
    bars = WHOLE.slice(0, 3000)
    factor = np.where(np.arange(3000) < 1500, 1.0, 0.9)[:, None]
    columns = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    fallen = BarBlock(bars.symbols, 0, bars.ts_event, volume=bars.volume, present=bars.present, **columns)
    assert find_poison(fallen) is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_the_share_of_recent_episodes_holds_however_they_are_dealt(counts: list[int], share: float) -> None:
    recent, older = np.arange(7), np.arange(100, 111)
    at_once = MixedSampler(recent, older, share, seed=1).deal(sum(counts))
    parts, sampler = [], MixedSampler(recent, older, share, seed=1)
    for count in counts:
        state = sampler.snapshot()
        sampler = MixedSampler(recent, older, share, seed=2)
        sampler.restore(state)
        parts.append(sampler.deal(count))
    assert np.array_equal(np.concatenate(parts), at_once)
    assert abs((at_once < 100).sum() - share * len(at_once)) < 1.0 + 1e-6


def test_without_older_bars_all_episodes_are_recent() -> None:
    assert (MixedSampler(np.arange(5), np.empty(0, np.int64), 0.5, seed=1).deal(20) < 5).all()


def _seen(count: int = 40) -> Observations:
    return np.random.Generator(np.random.PCG64(1)).standard_normal((count, 48, 13)).astype(np.float32)


def test_divergence_is_that_of_the_probabilities(parent: Parent) -> None:
    network = parent.networks["strategic"]
    policies = Policies(network, _seen())
    assert policies.divergence(dict(network.weights)) == 0.0
    moved = dict(network.weights)
    moved["policy.2.bias"] = moved["policy.2.bias"] + np.array([0.0, 0.0, 1.0], np.float32)
    # the first weights of the last layer are tiny: all probabilities are nearly 1/3
    ours = np.exp([0.0, 0.0, 1.0]) / np.exp([0.0, 0.0, 1.0]).sum()
    assert policies.divergence(moved) == pytest.approx(float((ours * np.log(3 * ours)).sum()), rel=0.05)


def test_a_softer_policy_decides_the_same(parent: Parent) -> None:
    network = parent.networks["strategic"]
    sure = {
        name: values * np.float32(300.0 if name == "policy.2.weight" else 1.0)
        for name, values in network.weights.items()
    }
    policies = Policies(LearnedNetwork("strategic", sure, network.statistics, network.network), _seen())
    soft = softened(policies, sure)
    assert policies.entropy(sure) < LEAST_ENTROPY <= policies.entropy(soft) < LEAST_ENTROPY + 0.01
    assert np.array_equal(policies._said(sure).argmax(1), policies._said(soft).argmax(1))
    assert softened(policies, soft) is soft


def test_shrinking_moves_weights_towards_fresh_ones() -> None:
    found = shrunk({"a": np.array([10.0], np.float32)}, {"a": np.array([1.0], np.float32)}, 0.9, 0.1)
    assert found["a"] == pytest.approx([9.1]) and found["a"].dtype == np.float32
    kept = shrunk({"a": np.array([10.0], np.float32)}, {"a": np.array([1.0], np.float32)}, 1.0, 0.0)
    assert kept["a"].tolist() == [10.0]


def test_all_weights_come_back_from_a_version(parent: Parent, tmp_path: Path) -> None:
    """From what is served alone, and with what the .pth files hold beside it."""
    bare = write_parent(tmp_path / "bare")
    for seat, network in parent.networks.items():
        served = set(network.served())
        assert set(network.weights) > served if seat != "risk" else set(network.weights) == served
        assert all(network.weights[name].shape == shape for name, shape in network.served().items())
    again = read_parent(bare).networks["strategic"]
    for name, values in parent.networks["strategic"].weights.items():
        assert np.array_equal(values, again.weights[name])


def test_constants_are_named_as_unable_to_learn(parent: Parent) -> None:
    require_learnable(parent, ("strategic",))
    with pytest.raises(UsageError, match="tactical agent of version parent cannot learn further") as caught:
        require_learnable(parent, ("strategic", "tactical"))
    assert caught.value.found is not None and "1, 0.05, 1" in caught.value.found


def test_runs_that_cannot_learn_are_refused() -> None:
    require_learnable_run(RUN)
    other = INSTRUMENT.model_copy(update={"name": "B", "tick_size": 0.5})
    with pytest.raises(UsageError, match="different instruments"):
        require_learnable_run(RUN._replace(instruments=(INSTRUMENT, other)))
    require_learnable_run(RUN._replace(instruments=(INSTRUMENT, INSTRUMENT.model_copy(update={"name": "B"}))))
    seats = RUN.ensemble.model_copy(update={"seats": RUN.ensemble.seats.model_copy(update={"risk": "level:2"})})
    with pytest.raises(UsageError, match="rule agent"):
        require_learnable_run(RUN._replace(ensemble=seats))


def _compared(mean: float, error: float) -> Comparison:
    return Comparison(Gain(mean, error, 1.8, 12), (), ())


@pytest.mark.parametrize(
    ("recent", "older", "reason"),
    [
        ((1.0, 0.2), None, None),
        ((1.0, 0.6), None, "gate"),
        ((0.0, 0.0), None, "gate"),
        ((1.0, 0.2), (-0.9, 0.2), None),
        ((1.0, 0.2), (-3.0, 0.2), "gate"),
        ((1.0, 0.2), (-3.0, 2.0), None),
    ],
)
def test_better_on_recent_bars_and_not_worse_on_the_whole(
    recent: tuple[float, float], older: tuple[float, float] | None, reason: str | None
) -> None:
    found = judge_candidate(_compared(*recent), None if older is None else _compared(*older), 0.5)
    assert found.reason == reason
    assert all(math.isfinite(value) for value in found.figures.values())


def test_blocks_that_adjoin_are_joined_whatever_they_are_called() -> None:
    parts = [WHOLE.slice(0, 4000), WHOLE.slice(4000, 9000)]
    (found,) = series_of(WHOLE.slice(9000, 12_000), [concat(parts)])
    assert (len(found.bars), found.recent) == (12_000, 9000)
