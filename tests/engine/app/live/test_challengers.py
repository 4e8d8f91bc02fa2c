"""Champion and challengers of a live session: killed, repeated and told what to do, they stand as in the backtest."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agents.models.store import ModelStore
from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.app.challengers import standings_of
from engine.app.journal.exporting import export_session
from engine.app.journal.mending import mend
from engine.app.journal.recovering import recover
from engine.app.journal.verifying import replay_whole
from engine.app.live.commands import obey, operate_stopped
from engine.app.live.observers import Measuring
from engine.app.live.open_or_resume import runnable_setup
from engine.app.live.paper import run_paper
from engine.app.live.session import Session
from engine.app.live.watching import Committed
from engine.app.verify import verify
from engine.base.errors import CheckFailed, GrandModelError, UsageError
from engine.cli.progress import compiled
from engine.journal.digests import digest_of
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader
from engine.loop.driver import RIVALS
from engine.loop.runner import Screen
from engine.monitor.metrics import SessionMetrics
from engine.types.records import Operation
from engine.types.step import StepBlock
from feeds.live.source import Delivery
from feeds.memory import MemorySource
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import Case, case, live_bars

RULES: dict[str, Any] = {
    "agents": ("flat", "sma_cross:fast=3,slow=9"),
    "promote": True,
    "block_bars": 5,
    "min_blocks": 10,
    "bound": 0.01,
}
PROMOTING: dict[str, Any] = {
    "fee": 0.002,
    "sizing": {"value": 100.0},
    "cuts": {"every_bars": 50},
    "challengers": RULES,
}


def standings(folder: Path) -> list[dict[str, Any]]:
    with JournalReader(folder) as reader:
        driver = recover(reader, runnable_setup(reader))
        return [one.tree() for one in standings_of(driver)]


def manifest_of(case: Case) -> dict[str, Any]:
    settings = {key: value for key, value in case.settings.items() if key != "journal"}
    return backtest(MemorySource(case.bars), **settings).manifest


def roles(folder: Path) -> list[dict[str, Any]]:
    with JournalReader(folder) as reader:
        return [one._asdict() for one in reader.role_changes()]


def test_killed_again_and_again_it_promotes_as_the_backtest_does(tmp_path: Path) -> None:
    long = case(live_bars(700), **PROMOTING)
    told = manifest_of(long)
    assert [one["role"] for one in told["roles"]] == ["champion", "shadow"]
    cut = told["roles"][0]["seq"]
    # up to shortly before the cut at once; then row by row, killed before every few statements of the journal
    folder = tmp_path / "run"
    Case(long.bars, long.settings, long.payloads[: cut - 3]).traded(folder, (97,))
    short = Case(long.bars, long.settings, long.payloads[: cut + 12])
    kills = [short.killed(folder, 3 + 2 * turn) for turn in range(12)]
    assert sum(kills) >= 8
    assert long.traded(folder, (40,)) == told["ledger_sha256"]
    assert standings(folder) == told["challengers"]
    assert roles(folder) == told["roles"]
    assert replay_whole(folder) == (700, told["ledger_sha256"])
    with JournalReader(folder) as reader:
        setup = runnable_setup(reader)
        exported = export_session(reader, setup, recover(reader, setup), tmp_path / "out").manifest
    assert {name: exported[name] for name in ("challengers", "roles")} == {
        name: told[name] for name in ("challengers", "roles")
    }


def test_a_changed_role_is_noticed(tmp_path: Path) -> None:
    long = case(live_bars(700), **PROMOTING)
    long.traded(tmp_path, (100,))
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        key, value = db.execute("SELECT key, value FROM meta WHERE key LIKE 'role:%'").fetchone()
        other = value.replace('"flat"', '"sma_cross:fast=3,slow=9"')
        db.execute("UPDATE meta SET value = ?, digest = ? WHERE key = ?", (other, digest_of("meta", (key, other)), key))
        db.commit()
    with pytest.raises(CheckFailed, match="roles of champion and challengers"):
        replay_whole(tmp_path)


def test_versions_are_kept_and_orders_are_repeated(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=40 + number, version=name)
    settings = {
        "agent": f"ensemble:{tmp_path / 'first'}",
        "ensemble": {"seats": {"strategic": "sma_cross:fast=2,slow=4"}},
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 50},
        "challengers": {"agents": (f"ensemble:{tmp_path / 'second'}",), "block_bars": 5},
    }
    long = case(live_bars(600), **settings)
    folder = tmp_path / "run"

    def until(row: int) -> str:
        return Case(long.bars, long.settings, long.payloads[:row]).traded(folder, (100,))

    until(420)
    (tmp_path / "second").rename(tmp_path / "gone")  # the session has copies
    operate_stopped(folder, Operation.PROMOTE, "test")
    until(500)
    operate_stopped(folder, Operation.ROLLBACK, "test")
    ledger = until(600)
    first, second = long.settings["agent"], long.settings["challengers"]["agents"][0]
    changes = [(one["seq"], one["name"], one["role"]) for one in roles(folder)]
    assert changes == [
        (450, second, "champion"),
        (450, first, "shadow"),
        (500, first, "champion"),
        (500, second, "retired"),
    ]
    with JournalReader(folder) as reader:
        assert [(one.seq, one.version) for one in reader.activations()] == [
            (0, "first"),
            (450, "second"),
            (500, "first"),
        ]
    assert replay_whole(folder) == (600, ledger)
    assert [one["role"] for one in standings(folder)] == ["champion", "retired"]
    with pytest.raises(UsageError, match="no challenger that could be promoted"):
        operate_stopped(folder, Operation.PROMOTE, "test")


def test_the_store_hears_from_a_session_of_its_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANDMODEL_MODELS", str(tmp_path / "store"))
    store = ModelStore()
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=40 + number, version=name)
        store.add(tmp_path / name)
    store.activate("first", "2026-01-01T00:00:00Z")
    settings = {
        "agent": "ensemble",
        "ensemble": {"seats": {"strategic": "sma_cross:fast=2,slow=4"}},
        "cuts": {"every_bars": 50},
        "challengers": {"agents": ("ensemble:second",)},
    }
    long = case(live_bars(120), **settings)
    folder = tmp_path / "run"
    Case(long.bars, long.settings, long.payloads[:20]).traded(folder, (20,))
    assert store.roles() == {"first": "champion", "second": "challenger"}
    operate_stopped(folder, Operation.PROMOTE, "test")
    Case(long.bars, long.settings, long.payloads[:70]).traded(folder, (20,))
    assert store.active() == "second"
    operate_stopped(folder, Operation.ROLLBACK, "test")
    long.traded(folder, (20,))
    long.traded(folder, (20,))  # told again, nothing happens
    assert [(one.event, one.version, one.by) for one in store.history()] == [
        ("activate", "first", "operator"),
        ("challenge", "second", "session run"),
        ("promote", "second", "operator in run"),
        ("rollback", "first", "operator in run"),
    ]
    assert store.roles() == {"first": "champion", "second": "retired"}


def test_a_challenger_that_fails_leaves_the_session_trading(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        "from agents.strategy import Strategy\n"
        "class Broken(Strategy):\n"
        "    seen = 0\n"
        "    def on_bar(self, context):\n"
        "        self.seen += 1\n"
        "        if self.seen == 30:\n"
        "            raise RuntimeError('out of luck')\n"
    )
    broken = case(live_bars(60), challengers={"agents": (f"{file}:Broken",)})
    expected = case(live_bars(60)).expected
    folder = tmp_path / "run"
    Case(broken.bars, broken.settings, broken.payloads[:50]).traded(folder, (7,))
    assert broken.traded(folder, (7,)) == expected
    (change,) = roles(folder)
    assert (change["role"], change["by"], change["seq"]) == ("retired", "failure", 29)
    assert "out of luck" in change["because"]
    assert replay_whole(folder) == (60, expected)


def test_a_bad_challenger_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(GrandModelError, match="no version of the models") as error:
        case(live_bars(5), challengers={"agents": ("ensemble:nobody",)}).traded(tmp_path / "run")
    assert str(error.value.where).startswith("challenger ensemble:nobody: ")
    for spec, where in (("foo", "challenger foo"), ("", "challenger ''"), ("no.py:X", "challenger no.py:X: no.py")):
        with pytest.raises(UsageError) as refused:
            compiled("flat", challengers=(spec,))
        assert refused.value.where == where


def test_orders_status_alerts_and_figures_of_a_running_session(tmp_path: Path) -> None:
    settings = {"cuts": {"every_bars": 20}, "challengers": {"agents": ("flat",), "block_bars": 5}}
    short = case(live_bars(100), **settings)
    told: list[tuple[str, str]] = []
    answers: dict[int, dict[str, Any]] = {}
    figures: list[str] = []

    class Ordering(ListSource):
        session: Session

        async def deliveries(self, positions: Any) -> AsyncIterator[Delivery]:
            async for delivery in super().deliveries(positions):
                at = delivery.records[0].offset if delivery.records else -1
                command = {30: "promote", 50: "status", 70: "rollback"}.get(at)
                while command is not None and self.session.driver.next_seq < at:
                    await asyncio.sleep(0)
                if command is not None:
                    answers[at] = obey(self.session, command, "test")
                if at == 50:
                    figures.append(Measuring(SessionMetrics(), self.session, Nobody()).refresh().decode())  # type: ignore[arg-type]
                yield delivery

    class Nobody:
        given_up = 0

    class Notices:
        def committed(self, _: Committed) -> None: ...

        def notice(self, severity: str, kind: str, text: str) -> None:
            told.append((kind, text))

    source = Ordering(short.payloads)

    def screen(session: Session) -> Screen:
        source.session = session
        session.observe(Notices())

        async def show(steps: AsyncIterator[StepBlock]) -> None:
            async for _ in steps:
                pass

        return show

    run_paper(short.config(), tmp_path / "run", [screen], source=source)
    assert answers[30]["done"].startswith("promotes at the next cut; flat has the most evidence now (E ")
    texts = [text for kind, text in told if kind.endswith("_ordered")]
    whom = answers[30]["done"].removeprefix("promotes at the next cut")
    assert texts == [
        f"promotion at the next cut ordered by test before row 30{whom}",
        "rollback at the next cut ordered by test before row 70",
    ]
    assert [one["role"] for one in answers[50]["challengers"]] == ["champion", "shadow"]
    assert 'grandmodel_challenger_blocks{agent="sma_cross:fast=2,slow=5",role="shadow"} 2.0' in figures[0]
    kinds = [kind for kind, _ in told if kind != "fill"]
    assert [kind for kind in kinds if kind in {"promoted", "rolled_back", "shadow", "challenger_retired"}] == [
        "promoted",
        "shadow",
        "rolled_back",
        "challenger_retired",
    ]
    with pytest.raises(UsageError, match="cannot know"):
        verify(str(tmp_path / "run"))
    assert replay_whole(tmp_path / "run")[0] == 100


def test_tests_start_again_where_the_champion_follows_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANDMODEL_MODELS", str(tmp_path / "store"))
    store = ModelStore()
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=40 + number, version=name)
        store.add(tmp_path / name)
    store.activate("first", "2026-01-01T00:00:00Z")
    settings = {
        "agent": "ensemble",
        "ensemble": {"seats": {"strategic": "sma_cross:fast=2,slow=4"}},
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 50, "follow_store": True},
        "challengers": {"agents": ("ensemble:second", "sma_cross:fast=3,slow=9"), "block_bars": 5},
    }
    long = case(live_bars(200), **settings)
    folder = tmp_path / "run"
    Case(long.bars, long.settings, long.payloads[:120]).traded(folder, (20,))
    assert "follows the model store" in standings(folder)[1]["because"]
    store.promote("second", "2026-01-02T00:00:00Z")
    ledger = long.traded(folder, (20,))
    found = standings(folder)
    assert [one["version"] for one in found] == ["second", "second", ""]
    assert found[2]["blocks"] == 10  # since row 150
    assert found[2]["threshold"] > 400  # the fourth that was ever started
    assert replay_whole(folder) == (200, ledger)
    assert [(one.seq, one.version) for one in JournalReader(folder).activations()] == [(0, "first"), (150, "second")]


def test_a_journal_is_mended_with_its_roles(tmp_path: Path) -> None:
    long = case(live_bars(700), **PROMOTING)
    told = manifest_of(long)
    cut = told["roles"][0]["seq"]
    long.traded(tmp_path, (100,))
    mended = mend(tmp_path, before_ns=int(long.bars.ts_event[cut - 20]), reread=True)
    assert mended.next_row == cut - 20
    assert roles(tmp_path) == []
    assert long.traded(tmp_path, (100,)) == told["ledger_sha256"]
    assert roles(tmp_path) == told["roles"]
    assert standings(tmp_path) == told["challengers"]


def test_evidence_that_a_replay_does_not_come_to_is_noticed(tmp_path: Path) -> None:
    short = case(live_bars(60), challengers={"agents": ("flat",), "block_bars": 5})
    short.traded(tmp_path, (20,))
    replay_whole(tmp_path)
    with JournalReader(tmp_path) as reader:
        seq, state = reader.states(RIVALS)[RIVALS]
    bets = state["books"][0]["test"]["evidence"]["capital"]
    state["books"][0]["test"]["evidence"]["capital"] = bets * 2.0
    with Journal(tmp_path) as journal:
        journal.save(seq, {RIVALS: state})
    with pytest.raises(CheckFailed, match="the evidence of a challenger") as error:
        replay_whole(tmp_path)
    assert str(error.value.where).startswith("flat, after row 59")


@pytest.mark.parametrize("command", [Operation.PAUSE, Operation.FLATTEN, Operation.PROMOTE])
def test_a_command_after_the_last_row_is_no_difference(command: Operation, tmp_path: Path) -> None:
    short = case(live_bars(60), challengers={"agents": ("sma_cross:fast=3,slow=9",)}, cuts={"every_bars": 20})
    ledger = short.traded(tmp_path, (20,))
    operate_stopped(tmp_path, command, "test")
    assert replay_whole(tmp_path) == (60, ledger)
    with JournalReader(tmp_path) as reader:
        assert reader.states(RIVALS)[RIVALS][0] == 60  # there is something to compare with
        driver = recover(reader, runnable_setup(reader))
    assert driver.flags[0] == (command is not Operation.PROMOTE)  # a start still knows of the command


def test_a_version_that_is_named_enters_at_the_next_cut_and_is_kept(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=40 + number, version=name)
    settings = {
        "agent": f"ensemble:{tmp_path / 'first'}",
        "ensemble": {"seats": {"strategic": "sma_cross:fast=2,slow=4"}},
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 50},
        "challengers": {"promote": True, "block_bars": 5, "min_blocks": 1000, "max_blocks": 1000},
    }
    long = case(live_bars(640), **settings)
    expected = long.expected
    answers: list[Any] = []

    class Naming(ListSource):
        session: Session

        async def deliveries(self, positions: Any) -> AsyncIterator[Delivery]:
            async for delivery in super().deliveries(positions):
                if delivery.records and delivery.records[0].offset == 520:
                    while self.session.driver.next_seq < 520:
                        await asyncio.sleep(0)
                    for name in ("nobody", "second", "second"):
                        try:
                            answers.append(obey(self.session, "challenge", "test", str(tmp_path / name)))
                        except GrandModelError as error:
                            answers.append(error)
                yield delivery

    folder = tmp_path / "run"
    Case(long.bars, long.settings, long.payloads[:500]).traded(folder, (100,))
    source = Naming(long.payloads[:540])

    def screen(session: Session) -> Screen:
        source.session = session

        async def show(steps: AsyncIterator[StepBlock]) -> None:
            async for _ in steps:
                pass

        return show

    run_paper(long.config(), folder, [screen], source=source)
    assert isinstance(answers[0], GrandModelError)
    assert str(answers[0].where).startswith(f"challenger ensemble:{tmp_path / 'nobody'}")
    assert answers[1]["kept"]
    assert "from the next cut on" in answers[1]["done"]
    (tmp_path / "second").rename(tmp_path / "gone")  # the session has a copy
    short = Case(long.bars, long.settings, long.payloads[:570])
    kills = [short.killed(folder, 3 + 2 * turn) for turn in range(10)]
    assert sum(kills) >= 6
    assert long.traded(folder, (30,)) == expected
    with JournalReader(folder) as reader:
        events = [(one.seq, one.status, one.name) for one in reader.learning_events()]
    name = f"ensemble:{tmp_path / 'second'}"
    assert events == [(520, "ordered", name), (550, "admitted", name)]
    assert [(one["name"], one["role"]) for one in standings(folder)][1:] == [(name, "challenger")]
    assert replay_whole(folder) == (640, expected)


def test_the_operator_promotes_by_name_and_a_restart_knows_it(tmp_path: Path) -> None:
    settings = {
        "agent": "sma_cross:fast=2,slow=5",
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 50},
        "challengers": {"agents": ("flat", "sma_cross:fast=3,slow=9"), "block_bars": 5},
    }
    long = case(live_bars(140), **settings)
    name, folder = "sma_cross:fast=3,slow=9", tmp_path / "run"
    answers: list[dict[str, Any]] = []

    class Ordering(ListSource):
        session: Session

        async def deliveries(self, positions: Any) -> AsyncIterator[Delivery]:
            async for delivery in super().deliveries(positions):
                at = delivery.records[0].offset if delivery.records else -1
                if at == 30:
                    while self.session.driver.next_seq < at:
                        await asyncio.sleep(0)
                    with pytest.raises(UsageError, match="nobody is no challenger that could be promoted") as error:
                        obey(self.session, "promote", "test", "nobody")
                    assert error.value.expected == f"flat, {name}"
                    answers.append(obey(self.session, "promote", "test", name))
                yield delivery

    def traded(rows: int) -> None:
        source = Ordering(long.payloads[:rows])

        def screen(session: Session) -> Screen:
            source.session = session

            async def show(steps: AsyncIterator[StepBlock]) -> None:
                async for _ in steps:
                    pass

            return show

        run_paper(long.config(), folder, [screen], source=source)

    traded(45)  # ends between the order and the cut
    assert answers[0]["done"].startswith(f"promotes at the next cut: {name} (E ")
    with JournalReader(folder) as reader:
        assert [one.name for one in reader.operations()] == [name]
    traded(140)
    with JournalReader(folder) as reader:
        champions = [(one.seq, one.name) for one in reader.role_changes() if one.role == "champion"]
    assert champions == [(50, name)]
    assert replay_whole(folder)[0] == 140
