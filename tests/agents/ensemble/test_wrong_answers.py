"""A network that stops making sense in the middle of a run: the run ends there, or its stand-in takes the seat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")

from agents.ensemble.ensemble import Ensemble
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.untrained import write_untrained
from engine.base.errors import DataError
from engine.types.blocks import BarBlock, reblock
from engine.types.instruments import load_instrument
from engine.types.records import SeatName
from tests.agents.ensemble.runs import Outcome, bound, make_simulator, play, same
from tests.agents.serving.sick import peaks, threshold, write_sick
from tests.bars import random_bars

ROWS = 3400  # the strategic agent decides from minute 2880 on
STOOD = {"strategic": (0.0, 0.0, 0.0), "tactical": (1.0, 0.05, 1.0)}
CASES = [("strategic", "nan"), ("strategic", "range"), ("tactical", "nan"), ("tactical", "inf")]
BTC = load_instrument("BTC-PERP")


class Sick:
    """A version with one network that stops making sense at a decision of its seat, counted from 0."""

    def __init__(self, seat: str, how: str, models: LoadedEnsemble, decision: int) -> None:
        self.seat, self.how, self.models, self.decision = seat, how, models, decision

    def traded(self, bars: BarBlock, sizes: list[int], *, stands_in: bool) -> tuple[Ensemble, Outcome]:
        ensemble = bound(bars, self.models)
        ensemble.stands_in = stands_in
        return ensemble, play(ensemble, make_simulator(bars), reblock([bars], sizes))


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return random_bars(ROWS, 5, ("A", "B"), start=40_000, tick=0.5, absent=0.05)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> LoadedEnsemble:
    folder = tmp_path_factory.mktemp("healthy")
    write_untrained(folder, 0, "healthy")
    return load_ensemble(folder)


@pytest.fixture(scope="module", params=CASES, ids=["-".join(case) for case in CASES])
def case(request: pytest.FixtureRequest, bars: BarBlock, tmp_path_factory: pytest.TempPathFactory) -> Sick:
    seat, how = request.param
    late = peaks(bars, seat, BTC)[-1]
    folder = write_sick(tmp_path_factory.mktemp("models") / "sick", seat, how, threshold(bars, seat, late, BTC))
    return Sick(seat, how, load_ensemble(folder), late)


def _decisions(found: Outcome, seat: str) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    return found.outputs[found.outputs["seat"] == SeatName[seat.upper()]]


def test_the_run_ends_at_the_same_row_however_it_is_cut(case: Sick, bars: BarBlock, healthy: LoadedEnsemble) -> None:
    outcome = play(bound(bars, healthy), make_simulator(bars), reblock([bars], [4096]))
    row = int(_decisions(outcome, case.seat)[case.decision]["seq"])
    messages = set()
    for sizes in ([4096], [1], [700, 3], [17]):
        with pytest.raises(DataError, match=f"the {case.seat} network gave an answer that cannot be used") as caught:
            case.traded(bars, sizes, stands_in=False)
        messages.add(str(caught.value))
    (message,) = messages
    assert f"row {row}, 1970-01-0" in message and "version sick" in message


def test_the_stand_in_decides_from_that_row_on(case: Sick, bars: BarBlock, healthy: LoadedEnsemble) -> None:
    ensemble, found = case.traded(bars, [4096], stands_in=True)
    expected = play(bound(bars, healthy), make_simulator(bars), reblock([bars], [4096]))
    own, sound = _decisions(found, case.seat), _decisions(expected, case.seat)
    stood = ensemble.stood_in[case.seat]
    assert stood.seq == sound[case.decision]["seq"] and "it answered" in stood.because
    before = own["seq"] < stood.seq
    assert 1 <= before.sum() < len(own)
    names = ("action_0", "action_1", "action_2")
    if case.how != "range":  # whose other actions are made up, too
        assert own[before].tobytes() == sound[before].tobytes()
    assert {tuple(record[name] for name in names) for record in own[~before]} == {STOOD[case.seat]}
    assert set(own["confidence"][~before].tolist()) == {1.0}
    other = "tactical" if case.seat == "strategic" else "strategic"
    assert other not in ensemble.stood_in
    assert _decisions(found, other).tobytes() == _decisions(expected, other).tobytes()


@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=12))
@settings(max_examples=3)
def test_any_blocking_stands_in_at_the_same_row(sizes: list[int], case: Sick, bars: BarBlock) -> None:
    (one, outcome), (other, found) = (case.traded(bars, cut, stands_in=True) for cut in ([4096], sizes))
    assert same(outcome, found)
    assert one.stood_in == other.stood_in


def test_a_snapshot_knows_who_decides(case: Sick, bars: BarBlock) -> None:
    first, expected = case.traded(bars, [4096], stands_in=True)
    row = first.stood_in[case.seat].seq
    for cut in (row, row + 1, ROWS - 20):
        ensemble, simulator = bound(bars, case.models), make_simulator(bars)
        ensemble.stands_in = True
        head = play(ensemble, simulator, [bars.slice(0, cut)])
        state, account = ensemble.snapshot(), simulator.snapshot()
        resumed, book = bound(bars, case.models), make_simulator(bars)
        resumed.stands_in = True
        assert state is not None
        resumed.restore(state)
        book.restore(account)
        assert resumed.stood_in == ensemble.stood_in
        assert bool(resumed.stood_in) == (cut > row)
        tail = play(resumed, book, [bars.slice(cut, ROWS)])
        for name in ("ledger", "outputs", "fills"):
            joined = np.concatenate([getattr(head, name), getattr(tail, name)])
            assert joined.tobytes() == getattr(expected, name).tobytes(), (cut, name)


def test_other_models_take_the_seat_back(case: Sick, bars: BarBlock, healthy: LoadedEnsemble) -> None:
    ensemble, simulator = bound(bars, case.models), make_simulator(bars)
    ensemble.stands_in = True
    row = case.traded(bars, [4096], stands_in=True)[0].stood_in[case.seat].seq
    play(ensemble, simulator, [bars.slice(0, row + 1)])
    assert case.seat in ensemble.stood_in
    ensemble.swap(healthy)
    assert ensemble.on_cut() == "healthy"
    found = play(ensemble, simulator, [bars.slice(row + 1, ROWS)])
    assert not ensemble.stood_in
    assert len(_decisions(found, "tactical"))
