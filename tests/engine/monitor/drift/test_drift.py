"""The drift detector: its row work against plain definitions, run lengths that hold, shifts that are found."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.base.state import decode, encode
from engine.monitor.drift.detector import DriftDetector
from engine.monitor.drift.kernels import FEATURES, add_score, normal_quantile, rank_of
from engine.monitor.drift.reference import (
    Reference,
    block_length,
    build_reference,
    limit_for,
    read_reference,
    slow_block,
)
from engine.monitor.drift.streams import Observations, Streams, joined, stream_names
from engine.types.records import ORDER_EVENT, OrderEventKind, OrderType, Role
from tests.engine.monitor.performance.test_following import BARS, OUTPUTS, STEP, cut
from tests.engine.runs import MINUTE, random_bars

SYMBOLS = BARS.symbols
RUN_LENGTH = 400.0


def autoregressive(rng: np.random.Generator, count: int, tied: float) -> np.ndarray:
    values = rng.normal(size=count)
    for at in range(1, count):
        values[at] += tied * values[at - 1]
    return values


def observations(values: np.ndarray) -> Observations:
    count = len(values)
    return Observations(np.zeros(count, np.int64), np.arange(count, dtype=np.int64) * MINUTE, values)


def detector(reference: Reference) -> DriftDetector:
    return DriftDetector(reference, ("X",), MINUTE)


def reference_of(values: np.ndarray, run_length: float = RUN_LENGTH) -> Reference:
    return build_reference(stream_names(("X",)), MINUTE, observations(values), run_length)


@given(st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=50, deadline=None)
def test_the_normal_quantile_is_that_of_the_standard_library(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), abs=1e-7)


def test_ranks_take_the_middle_of_ties() -> None:
    quantiles = np.array([0.0, 0.0, 0.0, 1.0])
    assert [rank_of(value, quantiles) for value in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0.1, 0.4, 0.7, 0.8, 0.9]


def test_the_evidence_is_a_mixture_of_cusums_for_three_shifts_both_ways() -> None:
    scores = np.random.default_rng(1).normal(0.3, 1.0, 200)
    sums = np.ones(6)
    plain = {(shift, sign): 0.0 for shift in (0.25, 0.5, 1.0) for sign in (1, -1)}
    for score in scores:
        found = add_score(sums, float(score))
        for (shift, sign), before in plain.items():
            plain[shift, sign] = max(0.0, before + sign * shift * score - shift * shift / 2)
        assert math.log(found) == pytest.approx(math.log(np.mean(np.exp(list(plain.values())))), abs=1e-9)


def test_streams_say_what_bars_decisions_and_orders_say() -> None:
    bars = random_bars(60, 2, absent=0.3)
    found = Streams(bars.symbols, MINUTE).bars(bars)
    for symbol in range(2):
        rows = np.flatnonzero(bars.present[:, symbol])
        close, before = bars.close[rows[1:], symbol], bars.close[rows[:-1], symbol]
        expected = (
            np.log(close / before),
            (bars.high[rows[1:], symbol] - bars.low[rows[1:], symbol]) / close,
            bars.volume[rows[1:], symbol],
            np.diff(rows) - 1.0,
        )
        for feature, values in enumerate(expected):
            own = found.streams == FEATURES * symbol + feature
            assert np.allclose(found.values[own], values) and np.array_equal(found.times[own], bars.ts_event[rows[1:]])
    streams = Streams(SYMBOLS, STEP)
    said = streams.decisions(OUTPUTS)
    names = np.array(streams.names)
    strategic = OUTPUTS[(OUTPUTS["seat"] == 1) & (OUTPUTS["symbol"] == 1)]
    assert np.array_equal(said.values[names[said.streams] == f"{SYMBOLS[1]}.side"], strategic["action_0"])
    risk = said.values[names[said.streams] == "confidence.risk"]
    assert np.array_equal(risk, OUTPUTS[OUTPUTS["seat"] == 3]["confidence"])
    kinds = [OrderEventKind.FILLED, OrderEventKind.FILLED, OrderEventKind.EXPIRED, OrderEventKind.SUBMITTED]
    events = np.zeros(6, ORDER_EVENT)
    events["kind"][:4], events["kind"][4:] = kinds, OrderEventKind.CANCELLED
    events["type"], events["type"][4] = OrderType.LIMIT, OrderType.STOP
    events["remaining"][0] = 2.0  # a part only
    events["role"][5] = Role.TAKE_PROFIT
    assert streams.order_ends(events).values.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("tied", "kind"), [(0.0, "normal"), (0.0, "t3"), (0.2, "normal")])
def test_false_alarms_are_a_run_length_apart(tied: float, kind: str) -> None:
    rng = np.random.default_rng(3)

    def drawn(count: int) -> np.ndarray:
        return rng.standard_t(3, count) if kind == "t3" else autoregressive(rng, count, tied)

    alarms = rows = 0
    for _ in range(8):
        found = detector(reference_of(drawn(20_000)))
        found.watch([observations(drawn(40_000))])
        alarms, rows = alarms + found.rows()[0]["reached"], rows + 40_000
    assert rows / alarms == pytest.approx(RUN_LENGTH, rel=0.2)


def test_a_shift_is_found_soon_where_the_shape_of_the_day_is_not_one() -> None:
    rng = np.random.default_rng(4)
    day = np.cos(np.arange(30_000) // 60 % 24 / 24 * 2 * np.pi) * 3.0
    reference = reference_of(day + rng.normal(size=30_000), 100_000.0)
    found = detector(reference)
    values = day[:4000] + rng.normal(size=4000)
    values[2000:] += 1.0
    found.watch([observations(values)])
    first = found.alarms[0]
    assert 2000 < first.observation < 2060 and first.level > 0 and first.evidence >= first.limit
    assert found.drifted == (reference.names[0],)
    [row] = found.rows()
    assert row["reached"] > found.raised == 1 and row["level"] == pytest.approx(1.0, abs=0.3)


def test_limits_rise_with_the_run_length_and_with_dependence_that_lasts() -> None:
    rng = np.random.default_rng(5)
    plain = rng.normal(size=20_000)
    limits = [math.log(limit_for(plain, 1, length, np.random.default_rng(0))) for length in (1e3, 1e4, 1e5, 1e6)]
    steps = np.diff(limits)
    assert np.all(steps > 1.8) and np.all(steps < 2.8)  # of log 10 = 2.3: the chance falls with the limit
    assert block_length(plain) <= 3 < block_length(autoregressive(rng, 20_000, 0.6))
    slow = plain + 0.3 * np.repeat(rng.normal(size=20), 1000)
    assert slow_block(plain) == 1 and slow_block(slow) >= 600
    assert limit_for(np.zeros(5000), 1, 1000.0, rng) == 1000.0


def regimes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Ranges of bars whose volatility changes about every 100 bars."""
    regime = np.cumsum(rng.random(count) < 0.01)
    volatility: np.ndarray = np.exp(0.5 * rng.normal(size=regime[-1] + 1))[regime]
    return volatility * rng.gamma(4.0, 0.25, count)


def test_values_that_stay_high_for_long_are_watched_too() -> None:
    alarms = rows = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        reference = reference_of(regimes(rng, 50_000), 10_000.0)
        assert 40.0 < math.log(reference.limits[0]) < 400.0
        found = detector(reference)
        found.watch([observations(regimes(rng, 200_000))])
        alarms, rows = alarms + found.rows()[0]["reached"], rows + 200_000
        busy = detector(reference)
        busy.watch([observations(4.0 * regimes(rng, 2000))])
        assert busy.alarms[0].observation < 500 and busy.alarms[0].level > 0.5
    assert rows / alarms == pytest.approx(10_000.0, rel=0.5)


def test_why_a_stream_is_not_watched_is_said() -> None:
    rng = np.random.default_rng(8)
    high = np.repeat([0.0, 5.0, 0.0, 5.0], 15_000)
    few = Observations(np.ones(999, np.int64), np.arange(999, dtype=np.int64) * MINUTE, rng.normal(size=999))
    found = joined([observations(high + rng.normal(size=60_000)), few])
    why = build_reference(stream_names(("X",)), MINUTE, found, 1_000_000.0).unwatched
    assert why["X.return"].startswith("stays high or low for too long in the reference")
    assert why["X.return"].endswith("1,000,000 observations apart")
    assert why["X.range"] == "999 observations, and 1,000 are needed" and why["X.gap"].startswith("0 observations")


def test_a_file_brings_the_reference_back_and_others_are_refused(tmp_path: Path) -> None:
    reference = reference_of(np.random.default_rng(6).normal(size=3000))
    reference.write(tmp_path / "ref")
    assert read_reference(tmp_path / "ref").content == reference.content
    with pytest.raises(UsageError, match="of another market"):
        DriftDetector(reference, ("Y",), MINUTE)
    with pytest.raises(UsageError, match="of another market"):
        DriftDetector(reference, ("X",), 5 * MINUTE)
    with pytest.raises(UsageError, match="cannot read the reference"):
        read_reference(tmp_path / "none")
    (tmp_path / "text").write_text("text")
    with pytest.raises(DataError, match="no reference of a drift detector"):
        read_reference(tmp_path / "text")
    (tmp_path / "other").write_bytes(encode({"x": 1}))
    with pytest.raises(DataError, match="no reference of a drift detector"):
        read_reference(tmp_path / "other")
    with pytest.raises(DataError, match="too little to compare with"):
        reference_of(np.zeros(999))


@pytest.fixture(scope="module")
def market() -> Reference:
    """Of a whole run, with a run length so short that there are alarms."""
    streams = Streams(SYMBOLS, STEP)
    found = [one.copied() for step in cut([4096]) for one in streams.observe(step)]
    return build_reference(streams.names, STEP, joined(found), 150.0)


@pytest.fixture(scope="module")
def whole(market: Reference) -> DriftDetector:
    """What a detector says that sees one row at a time."""
    found = DriftDetector(market, SYMBOLS, STEP)
    for step in cut([1]):
        found.update(step)
    assert found.raised > 5
    return found


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5), st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_neither_cuts_nor_restarts_show(whole: DriftDetector, market: Reference, sizes: list[int], at: int) -> None:
    found = DriftDetector(market, SYMBOLS, STEP)
    for number, step in enumerate(cut([max(size, 20) for size in sizes])):
        if number == at:
            saved, found = decode(encode(found.snapshot()), "the detector"), DriftDetector(market, SYMBOLS, STEP)
            found.restore(saved)
        found.update(step)
    assert encode(found.snapshot()) == encode(whole.snapshot())
