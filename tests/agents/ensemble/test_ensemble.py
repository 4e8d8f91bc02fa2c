"""The ensemble as a whole: blocks mean nothing, the future is unknown, networks answer as they do alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble, Networks
from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.store import UNTRAINED
from agents.serving.outputs import confidence
from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, Floats
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from engine.types.records import LEDGER_COLUMNS, OrderEventKind, Reason, Role, SeatName
from engine.types.timeframe import parse_timeframe
from tests.agents.ensemble import scripted
from tests.agents.ensemble.runs import Outcome, bound, make_simulator, networks, play, run, same, seat
from tests.bars import MINUTE, random_bars

ROWS = 3200  # the strategic agent decides from minute 2880 on


@pytest.fixture(scope="module")
def shipped_models() -> LoadedEnsemble:
    return load_ensemble(UNTRAINED)


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return random_bars(ROWS, 5, ("A", "B"), start=40_000, tick=0.5, absent=0.05)


@pytest.fixture(scope="module")
def outcome(shipped_models: LoadedEnsemble, bars: BarBlock) -> Outcome:
    found = run(bars, shipped_models)
    assert len(found.fills) > 5
    return found


@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=12))
@settings(max_examples=6)
def test_any_blocking_gives_the_same_bits_with_networks(
    sizes: list[int], shipped_models: LoadedEnsemble, bars: BarBlock, outcome: Outcome
) -> None:
    assert same(run(bars, shipped_models, sizes), outcome)


def test_blocks_of_one_row_give_the_same_bits(shipped_models: LoadedEnsemble, bars: BarBlock, outcome: Outcome) -> None:
    assert same(run(bars, shipped_models, [1]), outcome)


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=20),
    seed=st.integers(0, 50),
    cadence=st.sampled_from(["tactical", "bar"]),
)
@settings(max_examples=25)
def test_any_blocking_gives_the_same_bits_with_rules(sizes: list[int], seed: int, cadence: str) -> None:
    bars = random_bars(300, seed, ("A", "B"), start=40_000, tick=0.5, absent=0.2, volatility=2e-3)
    seats = {"strategic": seat("Direction", seed=seed), "tactical": seat("Tactics", seed=seed)}
    models = networks(risk=scripted.risk_network(seed))
    one, other = (run(bars, models, cut, seats=seats, risk_cadence=cadence) for cut in ([300], sizes))
    assert same(one, other)


@pytest.mark.parametrize("cut", [2881, 3000, 3033])
def test_a_poisoned_future_changes_nothing_before_it(
    cut: int, shipped_models: LoadedEnsemble, bars: BarBlock, outcome: Outcome
) -> None:
    other = random_bars(ROWS, 6, ("A", "B"), start=90_000, tick=0.5, absent=0.3, volatility=5e-3)
    names = ("open", "high", "low", "close", "volume", "present")
    mixed = {name: np.concatenate([getattr(bars, name)[:cut], getattr(other, name)[cut:]]) for name in names}
    found = run(replace(bars, **mixed), shipped_models)
    assert found.ledger[:cut].tobytes() == outcome.ledger[:cut].tobytes()
    for name in ("outputs", "fills"):
        before = [getattr(o, name)[getattr(o, name)["seq"] < cut].tobytes() for o in (found, outcome)]
        assert before[0] == before[1], name
    assert found.ledger[cut:].tobytes() != outcome.ledger[cut:].tobytes()


@pytest.mark.parametrize(("name", "shape"), [("strategic", (48, 13)), ("tactical", (60, 7))])
def test_recorded_answers_are_those_of_the_network_alone(
    name: str, shape: tuple[int, int], shipped_models: LoadedEnsemble, bars: BarBlock, outcome: Outcome
) -> None:
    """Windows gathered by hand from the feature rows of the whole stream, and asked for one by one."""
    model = getattr(shipped_models, name)
    sessions = sessions_for([load_instrument("BTC-PERP")], int(bars.ts_event[0]))
    rows = FeatureStream(name, bars.symbols, sessions).push(bars)
    expected = []
    for s in range(2):
        own = [i for i in range(len(rows)) if rows.ready[i, s]]
        for last in range(shape[0] - 1, len(own)):
            window = own[last - shape[0] + 1 : last + 1]
            answer = model.run(np.ascontiguousarray(rows.features[window, s])[None])
            action = answer["action"].astype(float).reshape(-1)
            action = action - 1 if name == "strategic" else np.clip(action, [0, 0.001, 0.1], [1, 0.05, 2])
            times = rows.ts_event[window[0]], rows.ts_event[window[-1]]
            padded = [*action, 0.0, 0.0][:3]
            expected.append((rows.known_at[window[-1]], s, *times, *padded, confidence(name, answer)[0]))
    own_outputs = outcome.outputs[outcome.outputs["seat"] == SeatName[name.upper()]]
    fields = ("seq", "symbol", "first_ts", "last_ts", "action_0", "action_1", "action_2", "confidence")
    assert [tuple(record[f] for f in fields) for record in own_outputs] == sorted(expected)
    assert len(expected) > 10


def metrics_by_hand(ledger: Floats, initial: float, session_starts: list[int]) -> list[list[float]]:
    """The ten risk metrics after every row, in plain Python from the ledger."""
    names = [*LEDGER_COLUMNS]
    peak, session, mean, squares, weight, held, before = initial, initial, 0.0, 0.0, 0.0, 0, None
    last, found = initial, []
    for i, row in enumerate(ledger.tolist()):
        values = dict(zip(names, row, strict=True))
        equity = values["equity"]
        session = last if i in session_starts else session
        peak, last = max(peak, equity), equity
        if before is not None:
            change = min(max(equity / before - 1, -1), 1)
            decay = 1 - 2 / 241
            weight = decay * weight + 1
            distance = change - mean
            mean += distance / weight
            squares = decay * squares + distance * (change - mean)
        before = equity
        held = held + 1 if values["gross_exposure"] else 0
        deviation = math.sqrt(squares / weight) if weight else 0.0
        volatility = min(deviation * math.sqrt(240), 2)
        found.append(
            [
                1 - equity / peak,
                equity / session - 1,
                values["gross_exposure"] / equity,
                values["net_exposure"] / equity,
                values["margin"] / equity,
                values["unrealized"] / equity,
                volatility,
                min(max(mean / deviation * math.sqrt(240), -5), 5) if deviation else 0.0,
                1.645 * volatility,
                min(held / 240, 4),
            ]
        )
    return found


@pytest.mark.parametrize("cadence", ["tactical", "bar"])
def test_risk_answers_are_those_of_the_network_alone(cadence: str) -> None:
    bars = random_bars(2000, 3, ("A", "B"), start=40_000, tick=0.5, absent=0.1, volatility=1e-3)
    network = scripted.risk_network(7)
    seats = {"strategic": seat("Direction", seed=3), "tactical": seat("Tactics", seed=3)}
    found = run(bars, networks(risk=network), seats=seats, risk_cadence=cadence)
    answers = found.outputs[found.outputs["seat"] == SeatName.RISK]
    days = (bars.ts_event - 1) // (1440 * MINUTE)
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist()]
    metrics = np.array(metrics_by_hand(found.ledger, 1_000_000, starts), np.float32)
    rows = answers["seq"]
    assert rows.tolist() == (list(range(2000)) if cadence == "bar" else list(range(4, 2000, 5)))
    alone = network.run(metrics[rows])
    assert answers["action_0"].astype(int).tolist() == alone["action"].tolist()
    assert answers["confidence"] == pytest.approx(confidence("risk", alone), abs=1e-6)
    # as exact as double precision: the network reads the metrics as the float32 that training hands out
    values = network.q_values(metrics[rows])
    softmax = 1 / np.exp(values - values.max(axis=1, keepdims=True)).sum(axis=1)
    assert answers["confidence"] == pytest.approx(softmax, abs=1e-13)
    assert (answers["symbol"] == -1).all()
    assert len(np.unique(alone["action"])) >= 3


def test_hard_limits_dominate() -> None:
    bars = random_bars(1200, 4, ("A", "B"), start=40_000, tick=0.5, volatility=3e-3)
    seats = {
        "strategic": seat("Direction", seed=4, neutral=0),
        "tactical": seat("Tactics", seed=4, stop=0.05),
        "risk": "level:4",
    }
    found = run(bars, None, settings={"sizing": {"value": 20}, "limits": {"max_drawdown": 0.03}}, seats=seats)
    tripped = int(np.flatnonzero(found.events["role"] == Role.KILL_SWITCH)[0])
    ts = found.events["ts_event"][tripped]
    row = int(np.searchsorted(bars.ts_event, ts))
    assert found.positions[row].any()
    assert not found.positions[row + 1 :].any()
    later = found.decisions[found.decisions["ts_event"] > ts]
    assert len(later) > 0
    assert not later["order_id"].any()
    rejected = found.events[(found.events["ts_event"] > ts) & (found.events["kind"] == OrderEventKind.REJECTED)]
    assert set(rejected["reason"].tolist()) == {Reason.HALTED}
    entries = found.fills[(found.fills["ts_event"] > ts) & (found.fills["role"] == Role.ENTRY)]
    assert not len(entries)


def test_position_and_leverage_limits_hold_in_every_row() -> None:
    bars = random_bars(800, 4, ("A", "B"), start=40_000, tick=0.5, volatility=2e-3)
    seats = {"strategic": seat("Direction", seed=4), "tactical": seat("Tactics", seed=4), "risk": "level:4"}
    found = run(bars, None, settings={"sizing": {"value": 5}, "limits": {"max_position": 3}}, seats=seats)
    assert np.abs(found.positions).max() == 3


@pytest.mark.parametrize("swapped", [(64, 48), (4, 3)])
def test_another_version_takes_over_at_the_cut_alone(swapped: tuple[int, int]) -> None:
    """Also where its risk network needs more memory than the one before."""
    bars = random_bars(600, 2, ("A", "B"), start=40_000, tick=0.5, volatility=2e-3)
    seats = {"strategic": seat("Direction", seed=2), "tactical": seat("Tactics", seed=2)}
    first, second = scripted.risk_network(2), scripted.risk_network(9, swapped)

    def swapping(sizes: tuple[int, int]) -> Outcome:
        ensemble, simulator = bound(bars, networks(risk=first), seats=seats), make_simulator(bars)
        parts = [play(ensemble, simulator, bars.slice(0, 300).split(range(0, 300, sizes[0])))]
        ensemble.swap(Networks("next", "1" * 64, risk=second))
        assert ensemble.model_provenance["version"] == "test"
        assert ensemble.on_cut() == "next"
        assert ensemble.on_cut() is None
        parts.append(play(ensemble, simulator, bars.slice(300, 600).split(range(0, 300, sizes[1]))))
        return Outcome(*(np.concatenate(pair) for pair in zip(*parts, strict=True)))

    found = swapping((300, 300))
    assert same(found, swapping((7, 41)))
    kept = run(bars, networks(risk=first), seats=seats)
    assert found.ledger[:300].tobytes() == kept.ledger[:300].tobytes()
    assert found.positions[300].tolist() == kept.positions[300].tolist()  # nothing is closed for the take-over
    days = [0]
    metrics = np.array(metrics_by_hand(found.ledger, 1_000_000, days), np.float32)
    answers = found.outputs[found.outputs["seat"] == SeatName.RISK]
    late = answers[answers["seq"] >= 300]
    assert late["action_0"].astype(int).tolist() == second.run(metrics[late["seq"]])["action"].tolist()


def test_a_version_without_a_needed_network_is_refused() -> None:
    bars = random_bars(10)
    seats = {"strategic": "flat", "tactical": "buy_and_hold"}
    ensemble = bound(bars, networks(risk=scripted.risk_network()), seats=seats)
    with pytest.raises(UsageError, match="version bare has no network for the risk seat"):
        ensemble.swap(Networks("bare", "1" * 64))
    assert ensemble.on_cut() is None
    ruled = bound(bars, None, seats={**seats, "risk": "level:2"})
    with pytest.raises(UsageError, match="no seat takes a network"):
        ruled.swap(networks(risk=scripted.risk_network()))


@pytest.mark.parametrize("missing", ["strategic", "tactical", "risk"])
def test_an_empty_seat_is_named(missing: str) -> None:
    seats = {"strategic": "flat", "tactical": "buy_and_hold", "risk": "level:4"}
    with pytest.raises(UsageError, match=f"the {missing} seat is empty"):
        Ensemble(None, EnsembleConfig.model_validate({"seats": {**seats, missing: None}}))


@pytest.mark.parametrize(("length", "fits"), [("30min", False), ("7min", False), ("2min", False), ("5min", True)])
def test_bars_must_divide_five_minutes(length: str, fits: bool) -> None:
    ensemble = Ensemble(
        None,
        EnsembleConfig.model_validate({"seats": {"strategic": "flat", "tactical": "flat", "risk": "level:0"}}),
    )
    if fits:
        ensemble.bind(("X",), [load_instrument("BTC-PERP")], parse_timeframe(length))
        return
    with pytest.raises(UsageError, match="cannot use bars of this length") as caught:
        ensemble.bind(("X",), [load_instrument("BTC-PERP")], parse_timeframe(length))
    assert caught.value.found == length


def test_bars_of_five_minutes_are_tactical_bars() -> None:
    minutes = random_bars(1000, 7, start=40_000, tick=0.5)
    ends = np.arange(4, 1000, 5)
    fold = {
        "open": minutes.open[ends - 4],
        "high": minutes.high.reshape(200, 5).max(axis=1),
        "low": minutes.low.reshape(200, 5).min(axis=1),
        "close": minutes.close[ends],
        "volume": minutes.volume.reshape(200, 5).sum(axis=1),
    }
    fives = BarBlock.from_columns(("X",), minutes.ts_event[ends], fold)
    seats = {"strategic": seat("Direction", seed=7), "tactical": seat("Tactics", seed=7), "risk": "level:4"}
    fine, coarse = run(minutes, None, seats=seats), run(fives, None, seats=seats)
    fields = ["ts_event", "seat", "symbol", "action_0", "action_1", "action_2"]
    assert fine.outputs[fields].tolist() == coarse.outputs[fields].tolist()
    assert len(coarse.fills)


def test_a_feature_that_is_not_finite_is_named(
    monkeypatch: pytest.MonkeyPatch, shipped_models: LoadedEnsemble, bars: BarBlock
) -> None:
    push = Windows.push

    def spoiled(self: Windows, rows: Any) -> Any:
        batch = push(self, rows)
        if len(batch) and batch.observations.shape[2] == 7:
            observations = batch.observations.copy()  # windows that overlap share their memory
            observations[0, 5, 3] = np.nan
            batch = replace(batch, observations=observations)
        return batch

    monkeypatch.setattr(Windows, "push", spoiled)
    with pytest.raises(DataError, match="not finite") as caught:
        run(bars, shipped_models)
    assert caught.value.where == "tactical observation, row 0, bar 5 of its window, feature 3 (rsi_7)"


def test_what_it_waits_for_is_said(shipped_models: LoadedEnsemble) -> None:
    bars = random_bars(700)
    ensemble = bound(bars, shipped_models, "GENERIC")
    assert ensemble.unready_because == "no bar was seen"
    play(ensemble, make_simulator(bars, "GENERIC"), [bars.slice(0, 400)])
    said = str(ensemble.unready_because)
    assert "strategic agent needs 96 bars of 30 minutes before its first decision, and saw 13" in said
    assert "tactical agent needs 119 bars of 5 minutes before its first decision, and saw 80" in said
    play(ensemble, make_simulator(bars, "GENERIC"), [bars.slice(400, 700)])
    assert "tactical" not in str(ensemble.unready_because)


def test_binding_anew_starts_anew(shipped_models: LoadedEnsemble, bars: BarBlock, outcome: Outcome) -> None:
    ensemble = bound(bars, shipped_models)
    first = play(ensemble, make_simulator(bars), [bars])
    ensemble.bind(bars.symbols, [load_instrument("BTC-PERP")] * 2)
    assert same(first, outcome)
    assert same(play(ensemble, make_simulator(bars), [bars]), outcome)


def test_outputs_are_in_order_of_rows_then_seats_then_symbols(outcome: Outcome) -> None:
    keys = outcome.outputs[["seq", "seat", "symbol"]].tolist()
    assert keys == sorted(keys)
    assert all(a != b for a, b in itertools.pairwise(keys))
