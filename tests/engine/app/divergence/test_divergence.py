"""Faults injected into real sessions: each is found, named and given its share; without any, nothing is reported."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from agents.models.store import ModelStore
from agents.models.untrained import write_untrained
from benchmarks.divergence.faults import FAULTS, ROWS, backtest_folder, market, session_with
from engine.app.divergence.composing import composed
from engine.app.divergence.divergence import Divergence, diverge
from engine.app.divergence.loading import backtest_of_files, own_backtest, read_run
from engine.app.divergence.parts import FACTORS, Factor, Models, Recorded
from engine.app.divergence.replaying import profit, replayed
from engine.app.journal.exporting import BARS
from engine.app.journal.verifying import export_whole
from engine.app.live.commands import operate_stopped
from engine.base.errors import UsageError
from engine.types.records import Operation
from tests.agents.ensemble.runs import seat
from tests.engine.app.live.sessions import Case, case, live_bars

PAIRS = list(combinations(FAULTS, 2))
FIRST_TABLE = {"bars": "bars", "rows": "bars", "commands": "orders", "models": "decisions", "configuration": "fills"}


@pytest.fixture(scope="module")
def backtests(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Recorded]:
    """Of the market without faults, by seed."""
    folder = tmp_path_factory.mktemp("backtests")
    return {seed: read_run(backtest_folder(folder / str(seed), market(seed))) for seed in (1, 3)}


def explained(faults: frozenset[Factor], folder: Path, other: Recorded, seed: int = 1) -> Divergence:
    found = diverge(read_run(session_with(faults, folder, seed)), other)
    shares = sum((cause.effect for cause in found.causes), Fraction(0))
    assert shares == Fraction(found.profit) - Fraction(found.other_profit)
    assert found.replays == 2 ** len(found.causes)
    # a run put together from all parts of one of the two is that one
    differing = frozenset(cause.part.factor for cause in found.causes)
    for taken, earned, like in ((differing, found.profit, found.run), (frozenset[Factor](), found.other_profit, other)):
        mixed = composed(found.run, other, taken, differing, found.period)
        assert profit(replayed(mixed)[0], found.period, like.config.initial_capital) == earned
    return found


def test_a_session_without_faults_is_its_backtest(tmp_path: Path, backtests: dict[int, Recorded]) -> None:
    session = session_with(frozenset(), tmp_path)
    found = explained(frozenset(), tmp_path, backtests[1])
    assert found.same and not found.partings and found.profit == found.other_profit
    own = diverge(read_run(session), own_backtest(read_run(session)))
    assert own.same and own.profit == found.profit != 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_the_one_cause(fault: Factor, tmp_path: Path, backtests: dict[int, Recorded]) -> None:
    found = explained(frozenset({fault}), tmp_path, backtests[1])
    (cause,) = found.causes
    assert cause.part.factor == fault
    assert float(cause.effect) == pytest.approx(cause.alone) and cause.alone != 0.0
    assert found.partings[0].table == FIRST_TABLE.get(fault, found.partings[0].table)
    own = diverge(read_run(tmp_path), own_backtest(read_run(tmp_path)))
    # the other faults are in the session's own bars and settings, as in those of its backtest
    assert [one.part.factor for one in own.causes] == ([fault] if fault in {"commands", "models"} else [])


def test_pairs_of_faults_are_told_apart(tmp_path: Path, backtests: dict[int, Recorded]) -> None:
    larger_first = 0
    for number, pair in enumerate(PAIRS):
        found = explained(frozenset(pair), tmp_path / str(number), backtests[3], seed=3)
        names = [cause.part.factor for cause in found.causes]
        assert set(names) == set(pair)
        larger_first += abs(found.causes[0].alone) >= abs(found.causes[1].alone)
    assert larger_first / len(PAIRS) >= 0.9  # the shares of causes that depend on each other may change places


def test_all_faults_at_once(tmp_path: Path, backtests: dict[int, Recorded]) -> None:
    before = replayed(backtests[1])[1]
    found = explained(frozenset(FAULTS), tmp_path, backtests[1])
    assert {cause.part.factor for cause in found.causes} == set(FACTORS)
    assert found.replays == 64
    assert replayed(backtests[1])[1] == before == backtests[1].ledger_sha256  # what was compared stays as it was
    words = {cause.part.factor: cause.part.what for cause in found.causes}
    assert words["history"].startswith("OTHER begins 40 rows before RUN")
    assert words["rows"].startswith("9 rows only in OTHER") and words["rows"].endswith("RUN refused 1 as late")
    assert words["bars"].startswith("3 rows with another open, high, low, close; first ")
    assert words["commands"].startswith("RUN: halt after 2020-01-01 ") and words["commands"].endswith("OTHER: nothing")
    assert words["models"].startswith("RUN: promote after 2020-01-01 ")
    assert words["models"].endswith("; OTHER: nothing; challengers.agents: sma_cross:fast=3,slow=9 and none")
    assert words["configuration"] == "instruments.S000.fees.rate: 0.0008 and 0.0002"


def test_absent_symbols_and_promotions_by_the_rules_are_no_difference(tmp_path: Path) -> None:
    rules = {"agents": ("flat",), "promote": True, "block_bars": 5, "min_blocks": 10, "bound": 0.01}
    costly = {"fee": 0.002, "sizing": {"value": 100.0}, "cuts": {"every_bars": 50}, "challengers": rules}
    long = case(live_bars(600, ("A", "B"), absent=0.1), per_message=2, monitor={"enabled": False}, **costly)
    long.traded(tmp_path, (100,))
    run = read_run(tmp_path)
    assert run.follows_challengers
    assert diverge(run, own_backtest(run)).same
    found = diverge(run, replace(run, models=Models(), ledger_sha256=None))
    assert [cause.part.factor for cause in found.causes] == ["models"] and found.causes[0].effect > 0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("GRANDMODEL_MODELS", str(tmp_path / "store"))
    store = ModelStore()
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=number, version=name)
        store.add(tmp_path / name)
    store.activate("first", "2026-01-01T00:00:00Z")
    return store


def test_models_that_take_over_are_a_cause(tmp_path: Path, store: ModelStore) -> None:
    seats = {"strategic": seat("Direction", seed=3), "tactical": seat("Tactics", seed=3)}
    long = case(
        live_bars(ROWS),
        agent="ensemble",
        initial_capital=1_000_000,
        ensemble={"seats": seats, "risk_cadence": "bar", "rebalance": 0.0},
        cuts={"every_bars": 50, "follow_store": True},
        monitor={"enabled": False},
    )
    folder = tmp_path / "run"
    Case(long.bars, long.settings, long.payloads[:70]).traded(folder, (100,))
    store.activate("second", "2026-01-02T00:00:00Z")
    long.traded(folder, (100,))
    run = read_run(folder)
    found = diverge(run, own_backtest(run))
    (cause,) = found.causes
    assert cause.part.factor == "models" and cause.alone != 0.0
    assert cause.part.what == "RUN: second from 2024-01-01 01:41; OTHER: nothing"
    assert found.partings[0].row is not None and found.partings[0].row >= 100


def test_a_backtest_that_followed_the_store_keeps_its_models(tmp_path: Path, store: ModelStore) -> None:
    seats = {"strategic": seat("Direction", seed=3), "tactical": seat("Tactics", seed=3)}
    settings: dict[str, Any] = {
        "agent": "ensemble",
        "initial_capital": 1_000_000,
        "ensemble": {"seats": seats, "risk_cadence": "bar", "rebalance": 0.0},
    }
    still = case(live_bars(ROWS), **settings, monitor={"enabled": False})
    still.traded(tmp_path / "run", (100,))
    store.activate("second", "2026-01-02T00:00:00Z")
    named = {"agent": f"ensemble:{store.path('first')}", "cuts": {"every_bars": 50, "follow_store": True}}
    followed = backtest_folder(tmp_path / "followed", still.bars, **{**settings, **named})
    store.activate("first", "2026-01-03T00:00:00Z")  # which is where the other one is looked for
    found = diverge(read_run(tmp_path / "run"), read_run(followed))
    assert [cause.part.what for cause in found.causes] == ["RUN: nothing; OTHER: second from 2024-01-01 00:51"]
    assert found.causes[0].effect != 0
    other = backtest_folder(tmp_path / "other", still.bars, **{**settings, "agent": "ensemble:second"})
    found = diverge(read_run(tmp_path / "run"), read_run(other))
    (cause,) = found.causes
    assert cause.part.factor == "models" and cause.part.what.startswith("first: ")
    rule = diverge(read_run(tmp_path / "run"), read_run(backtest_folder(tmp_path / "rule", still.bars)))
    assert [cause.part.factor for cause in rule.causes] == ["configuration"]


def test_the_same_commands_between_other_rows_are_no_difference(tmp_path: Path) -> None:
    bars = market()
    whole = case(bars, monitor={"enabled": False})
    lacking = [*whole.payloads[:145], *whole.payloads[150:]]
    for name, payloads in (("whole", whole.payloads), ("lacking", lacking)):
        until = 150 - (len(whole.payloads) - len(payloads))
        Case(bars, whole.settings, payloads[:until]).traded(tmp_path / name, (100,))
        operate_stopped(tmp_path / name, Operation.PAUSE, name)
        Case(bars, whole.settings, payloads).traded(tmp_path / name, (100,))
    found = diverge(read_run(tmp_path / "lacking"), read_run(tmp_path / "whole"))
    assert [cause.part.factor for cause in found.causes] == ["rows"]


def test_files_stand_for_what_the_feed_should_have_sent(tmp_path: Path) -> None:
    folder = backtest_folder(tmp_path / "X", market())
    session = read_run(session_with(frozenset({"rows", "history"}), tmp_path / "run"))
    file = [str(folder / "S000.parquet")]
    found = diverge(session, backtest_of_files(session, file, 0))
    assert [cause.part.factor for cause in found.causes] == ["rows"]
    for history in (15, 40, 400):
        against = backtest_of_files(session, file, history)
        assert len(against.bars) == 260 + min(history, 40)
        found = diverge(session, against)
        assert {cause.part.factor for cause in found.causes} == {"rows", "history"}
    assert found.other_profit == diverge(session, read_run(folder)).other_profit
    with pytest.raises(UsageError, match="does not fit"):
        backtest_of_files(session, file, 0, bar_width="7min")


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    run = read_run(backtest_folder(tmp_path / "one", market()))
    other = read_run(backtest_folder(tmp_path / "two", live_bars(50, ("Y",))))
    with pytest.raises(UsageError, match="different symbols"):
        diverge(run, other)
    later = replace(run, bars=replace(run.bars, ts_event=run.bars.ts_event - 10**15))
    with pytest.raises(UsageError, match="no time in common"):
        diverge(run, later)
    with pytest.raises(UsageError, match="bars of different lengths"):
        diverge(run, replace(run, timeframe_ns=120_000_000_000))
    (tmp_path / "one" / "manifest.json").rename(tmp_path / "one" / "aside.json")
    with pytest.raises(UsageError, match="neither a session nor a finished run"):
        read_run(tmp_path / "one")
    assert not (tmp_path / "one" / BARS).exists()


def test_a_late_bar_of_one_symbol_is_absent_in_its_row(tmp_path: Path) -> None:
    bars = live_bars(80, ("A", "B"))
    whole = case(bars, per_message=1, monitor={"enabled": False})
    payloads = list(whole.payloads)
    assert len(payloads) == 160
    payloads.append(payloads.pop(61))  # that of B in row 30 comes last
    Case(bars, whole.settings, payloads).traded(tmp_path / "run", (10,))
    run = read_run(tmp_path / "run")
    assert run.refused == {"late": 1}
    whole.traded(tmp_path / "whole", (10,))
    found = diverge(run, read_run(tmp_path / "whole"))
    (cause,) = found.causes
    assert cause.part.factor == "bars"
    assert cause.part.what == "1 row of RUN without a symbol that the other has there; first 2024-01-01 00:31"
    assert (found.partings[0].table, found.partings[0].field) == ("bars", "B.present")


def test_a_session_that_waited_and_the_folder_that_was_exported_of_it(tmp_path: Path) -> None:
    bars = market()
    waits = case(bars, monitor={"enabled": False}, standby=True)
    Case(bars, waits.settings, waits.payloads[:40]).traded(tmp_path / "run", (20,))
    operate_stopped(tmp_path / "run", Operation.RESUME, "test")
    waits.traded(tmp_path / "run", (100,))
    run = read_run(tmp_path / "run")
    found = diverge(run, own_backtest(run))
    assert [cause.part.factor for cause in found.causes] == ["commands"]
    assert found.causes[0].part.what == "RUN: pause before the first row, resume after 2020-01-01 00:40; OTHER: nothing"
    assert found.causes[0].part.first_ns is None
    export_whole(tmp_path / "run", tmp_path / "exported")
    exported = read_run(tmp_path / "exported")
    assert exported.commands == run.commands
    assert diverge(run, exported).same and diverge(exported, run).same
    again = diverge(run, own_backtest(exported))
    assert again.causes == found.causes and again.partings == found.partings


def test_later_rows_are_not_compared(tmp_path: Path, backtests: dict[int, Recorded]) -> None:
    whole = case(market(), monitor={"enabled": False})
    Case(whole.bars, whole.settings, whole.payloads[:200]).traded(tmp_path, (100,))
    found = diverge(read_run(tmp_path), backtests[1])
    assert found.same and found.rows_after == (0, 100)
    assert diverge(backtests[1], read_run(tmp_path)).rows_after == (100, 0)
    other = replace(backtests[1], config=case(market(), currency="EUR").config())
    with pytest.raises(UsageError, match="different currencies"):
        diverge(read_run(tmp_path), other)


def test_a_strategy_in_python_is_replayed(tmp_path: Path) -> None:
    file = Path(__file__).parents[3] / "agents" / "strategies" / "breakout.py"
    long = case(market(), agent=f"{file}:Breakout", monitor={"enabled": False})
    Case(long.bars, long.settings, long.payloads[:100]).traded(tmp_path, (50,))
    operate_stopped(tmp_path, Operation.FLATTEN, "test")
    long.traded(tmp_path, (50,))
    run = read_run(tmp_path)
    found = diverge(run, own_backtest(run))
    assert [cause.part.factor for cause in found.causes] == ["commands"]
    assert float(found.causes[0].effect) == pytest.approx(found.profit - found.other_profit, abs=1e-9)
