"""Versions that enter beside the champion in the middle of a run: what they begin with, and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.metadata import read_ensemble
from agents.models.untrained import write_untrained
from engine.app.challengers import arena_of, standings_of
from engine.app.config import BacktestConfig
from engine.app.wiring import Setup, make_driver
from engine.base.errors import DataError, UsageError
from engine.base.state import decode, encode
from engine.loop.driver import Driver
from engine.loop.learner import Entrant, LearningEvent
from engine.types.blocks import reblock
from engine.types.records import Operation
from engine.types.step import StepBlock
from tests.bars import random_bars

BARS = random_bars(900, 1, first_ns=1_704_067_260_000_000_000)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Folders and hashes of some versions, by name."""
    base = tmp_path_factory.mktemp("versions")
    names = ("first", "second", "third")
    for number, name in enumerate(names):
        write_untrained(base / name, seed=40 + number, version=name)
    return {name: (base / name, read_ensemble(base / name)[1]) for name in names}


def config(versions: dict[str, tuple[Path, str]], **more: Any) -> BacktestConfig:
    tree = {
        "agent": f"ensemble:{versions['first'][0]}",
        "ensemble": {"seats": {"strategic": "sma_cross:fast=2,slow=4"}},
        "fee": 0.0002,
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 50},
        "challengers": {"promote": True, "block_bars": 5, "min_blocks": 1000, "max_blocks": 1000},
    }
    return BacktestConfig.model_validate({**tree, **more})


def driver_of(chosen: BacktestConfig, versions: dict[str, tuple[Path, str]]) -> Driver:
    by_hash = {sha256: folder for folder, sha256 in versions.values()}

    def find(sha256: str) -> Path:
        if sha256 not in by_hash:
            raise DataError("the models are gone", found=sha256)
        return by_hash[sha256]

    return make_driver(Setup(chosen, {"X": chosen.instrument_for("X")}, 60_000_000_000, find_models=find))


def order(driver: Driver, versions: dict[str, tuple[Path, str]], name: str, seq: int) -> None:
    sha256 = versions[name][1] if name in versions else "0" * 64
    driver.order(LearningEvent(seq, "ordered", "the operator named it", "test", None, f"ensemble:{name}", name, sha256))


def driven(driver: Driver, sizes: Iterable[int] = (100,), start: int = 0, stop: int = 900) -> list[StepBlock]:
    return [step for part in reblock([BARS.slice(start, stop)], list(sizes)) for step in driver.process(part)]


@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    stop=st.integers(1, 899),
    orders=st.lists(st.tuples(st.sampled_from(("second", "third", "gone")), st.integers(0, 899)), max_size=3),
)
def test_who_enters_leaves_the_champion_alone_however_rows_come(
    versions: dict[str, tuple[Path, str]], sizes: list[int], stop: int, orders: list[tuple[str, int]]
) -> None:
    chosen = config(versions)
    alone, whole, parts = (driver_of(chosen, versions) for _ in range(3))
    for name, seq in orders:
        order(whole, versions, name, seq)
        order(parts, versions, name, seq)
    driven(alone, (900,))
    driven(whole, (900,))
    assert whole.ledger_sha256 == alone.ledger_sha256
    driven(parts, sizes, 0, stop)
    events, changes = parts.take_learning_events(), parts.take_role_changes()
    state = parts.snapshot()
    assert state is not None
    restored = driver_of(chosen, versions)
    restored.restore(decode(encode(state), "a driver"), int(BARS.ts_event[0]), stop)
    for name, seq in orders:
        if not any(one.name == f"ensemble:{name}" and one.seq >= seq for one in events):
            order(restored, versions, name, seq)
    driven(restored, sizes, stop)
    assert standings_of(restored) == standings_of(whole)
    assert restored.ledger_sha256 == alone.ledger_sha256
    assert changes + restored.take_role_changes() == whole.take_role_changes()
    told = whole.take_learning_events()
    assert events + restored.take_learning_events() == told
    assert len(told) == sum(-(-seq // 50) * 50 < 900 for _, seq in orders)
    assert all(one.status == "refused" for one in told if one.name == "ensemble:gone")


def test_who_enters_knows_the_market_and_has_an_account_of_its_own(versions: dict[str, tuple[Path, str]]) -> None:
    driver = driver_of(config(versions), versions)
    driven(driver, (100,), 0, 420)
    order(driver, versions, "second", 420)
    driven(driver, (100,), 420, 460)
    (event,) = driver.take_learning_events()
    assert (event.seq, event.status, event.name) == (450, "admitted", "ensemble:second")
    driven(driver, (100,), 460)
    champion, entered = standings_of(driver)
    assert (entered.name, entered.role) == ("ensemble:second", "challenger")
    assert 50 < entered.blocks <= 90  # of 5 rows since row 450, without those in which nobody held anything
    assert entered.threshold == pytest.approx(32.9, rel=1e-2)  # the first that was ever started
    assert entered.equity != 100_000.0  # in 450 rows, where its tactical network has to see 595 before it decides
    with pytest.raises(UsageError, match="trades already"):
        arena_of(driver).admit(900, Entrant("ensemble:second", "second", entered.sha256 or "", False), driver.agent)  # type: ignore[union-attr]
    assert champion.name == config(versions).agent


def test_who_enters_may_take_over(versions: dict[str, tuple[Path, str]]) -> None:
    driver = driver_of(config(versions), versions)
    order(driver, versions, "third", 100)
    driven(driver, (100,), 0, 420)
    driver.operate(Operation.PROMOTE)
    driven(driver, (100,), 420)
    (activation,) = driver.activations
    assert (activation.seq, activation.version, activation.sha256) == (450, "third", versions["third"][1])
    assert [one.role for one in standings_of(driver)] == ["champion", "shadow"]


def test_nobody_enters_where_nobody_can(versions: dict[str, tuple[Path, str]]) -> None:
    with pytest.raises(UsageError, match="no version can enter"):
        order(driver_of(config(versions, challengers={}), versions), versions, "second", 0)
    with pytest.raises(UsageError, match="does not learn"):
        driver_of(config(versions), versions).operate(Operation.LEARN)
