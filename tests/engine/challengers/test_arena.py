"""Books beside the champion's, and who takes its place: backtests through the real loop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.app.challengers import standings_of
from engine.app.config import BacktestConfig
from engine.app.wiring import Setup, make_driver
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.state import decode, encode
from engine.loop.driver import Driver
from engine.types.blocks import reblock
from engine.types.records import Operation
from engine.types.step import StepBlock
from feeds.memory import MemorySource
from tests.bars import random_bars

BARS = random_bars(900, 1, first_ns=1_704_067_260_000_000_000)
TRADING: dict[str, Any] = {
    "agent": "sma_cross:fast=2,slow=5",
    "fee": 0.002,
    "sizing": {"value": 100.0},
    "cuts": {"every_bars": 50},
}
# costs are all that separates them, so that the one that trades least is found soon
RULES = {"promote": True, "block_bars": 5, "min_blocks": 10, "bound": 0.01, "cooldown_blocks": 10}
OTHERS = ("flat", "sma_cross:fast=3,slow=9")


def config(**more: Any) -> BacktestConfig:
    return BacktestConfig.model_validate({**TRADING, **more})


def driver_of(chosen: BacktestConfig) -> Driver:
    return make_driver(Setup(chosen, {"X": chosen.instrument_for("X")}, 60_000_000_000))


def driven(driver: Driver, sizes: Iterable[int] = (100,), start: int = 0, stop: int = 900) -> list[StepBlock]:
    return [step for part in reblock([BARS.slice(start, stop)], list(sizes)) for step in driver.process(part)]


def test_books_are_those_of_runs_of_their_own() -> None:
    names = (*OTHERS, "random:seed=3", "buy_and_hold")
    alone = {name: backtest(MemorySource(BARS), **{**TRADING, "agent": name}).ledger_sha256 for name in names}
    champion = backtest(MemorySource(BARS), **TRADING)
    beside = backtest(MemorySource(BARS), **TRADING, challengers={"agents": names})
    assert beside.ledger_sha256 == champion.ledger_sha256
    assert {one["name"]: one["ledger_sha256"] for one in beside.manifest["challengers"][1:]} == alone
    assert beside.manifest["roles"] == []


def test_differences_are_of_net_returns_of_blocks() -> None:
    run = backtest(MemorySource(BARS), **TRADING, challengers={"agents": ("flat",), "block_bars": 45, "bound": 0.5})
    equity = np.concatenate([[100_000.0], run.equity.to_numpy()[44::45]])
    differences = -np.diff(equity) / equity[:-1]  # against one who never trades
    found = run.manifest["challengers"][1]
    assert found["blocks"] == len(differences) == 20
    assert found["mean"] == pytest.approx(differences.mean())
    assert found["deviation"] == pytest.approx(differences.std())


def test_a_promoted_challenger_takes_the_account_and_leaves_a_shadow() -> None:
    champion = backtest(MemorySource(BARS), **TRADING)
    run = backtest(MemorySource(BARS), **TRADING, challengers={**RULES, "agents": OTHERS})
    (promoted, shadow) = run.manifest["roles"]
    cut = promoted["seq"]
    assert (promoted["name"], promoted["role"], promoted["by"]) == ("flat", "champion", "test")
    assert promoted["e_value"] >= promoted["threshold"] == pytest.approx(32.8987, rel=1e-4)
    assert cut % 50 == 0
    assert shadow["role"] == "shadow"
    theirs, ours = champion.equity.to_numpy(), run.equity.to_numpy()
    assert (theirs[:cut] == ours[:cut]).all()
    # leaving the old position costs what a fill costs, and the newcomer pays it
    assert len(set(ours[cut + 1 :])) == 1
    assert len(run.fills[run.fills["row"] >= cut]) == 1
    # the one before goes on in the shadow's book as if nothing had happened
    standing = run.manifest["challengers"]
    assert [one["role"] for one in standing] == ["champion", "shadow", "challenger"]
    assert standing[1]["equity"] == theirs[-1]
    assert standing[1]["blocks"] == (900 - cut) // 5


@settings(max_examples=6)
@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5), stop=st.integers(1, 899))
def test_blocks_and_restarts_mean_nothing(sizes: list[int], stop: int) -> None:
    chosen = config(challengers={**RULES, "agents": OTHERS})
    whole = driver_of(chosen)
    driven(whole, (900,))
    parts = driver_of(chosen)
    driven(parts, sizes, 0, stop)
    before = parts.take_role_changes()
    state = parts.snapshot()
    assert state is not None
    restored = driver_of(chosen)
    restored.restore(decode(encode(state), "a driver"), int(BARS.ts_event[0]), stop)
    driven(restored, sizes, stop)
    assert standings_of(restored) == standings_of(whole)
    assert before + restored.take_role_changes() == whole.take_role_changes() != []
    assert restored.ledger_sha256 == whole.ledger_sha256


@pytest.mark.parametrize("by", ["test", "operator", "rule", "limit"])
def test_a_promotion_is_taken_back(by: str) -> None:
    rules = {**RULES, "agents": ("sma_cross:fast=2,slow=3",), "max_drawdown": 1.0}
    more: dict[str, Any] = {}
    if by == "rule":
        rules["rollback_drawdown"] = 0.001
    if by == "limit":
        rules["alpha"], more["limits"] = 1e-9, {"max_drawdown": 0.03}
    driver = driver_of(config(agent="flat", challengers=rules, **more))
    driven(driver, (50,), 0, 120)
    driver.operate(Operation.PROMOTE)
    driven(driver, (50,), 120, 200)
    assert driver.rivals is not None
    if by == "operator":
        driver.operate(Operation.ROLLBACK)
    driven(driver, (50,), 200)
    changes = [(one.name, one.role, one.by) for one in driver.take_role_changes()]
    who = "rule" if by == "limit" else by
    assert bool(driver.flags[1]) == (by == "limit")  # which an operator resets
    worse, shadow = "sma_cross:fast=2,slow=3", ("flat", "shadow", "operator")
    assert changes == [
        (worse, "champion", "operator"), shadow, ("flat", "champion", who), (worse, "retired", who)
    ]  # fmt: skip
    assert [one.role for one in standings_of(driver)] == ["champion", "retired"]
    assert not driver.simulator.positions["quantity"].any()
    with pytest.raises(UsageError, match="no promotion"):
        driver.operate(Operation.ROLLBACK)


FAILING = """
from agents.strategy import Strategy
class Failing(Strategy):
    at = 401
    seen = 0
    def on_bar(self, context):
        self.seen += 1
        context.history("close", 3)
        if self.seen % 7 == 0:
            context.target(self.seen % 3 - 1)
        if self.seen == self.at:
            context.target(5)
            context.position()
            raise RuntimeError("out of luck")
class Saved(Failing):
    at = 300
    def snapshot(self):
        return {"seen": self.seen}
    def restore(self, state):
        self.seen = state["seen"]
"""


def test_one_that_fails_ends_with_the_row_before_however_rows_are_blocked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "failing.py").write_text(FAILING)
    failing, saved = f"{file}:Failing", f"{file}:Saved"
    rules = {"agents": (failing, saved, "flat"), "block_bars": 5}
    champion = backtest(MemorySource(BARS), **TRADING)
    without = {**TRADING, "cuts": {}}
    found = []
    for more in (without, TRADING, {**without, "block": 37}):
        run = backtest(MemorySource(BARS), **more, challengers=rules)
        assert run.ledger_sha256 == champion.ledger_sha256
        found.append([
            run.manifest["roles"],
            [{**one, "because": ""} for one in run.manifest["challengers"]],
        ])  # fmt: skip
    driver = driver_of(config(challengers=rules))
    driven(driver, (1, 3))
    live = [one._asdict() for one in driver.take_role_changes()], [one.tree() for one in standings_of(driver)]
    found.append([live[0], [{**one, "because": ""} for one in live[1]]])
    for one in found[1:]:
        assert one == found[0]
    assert [(one["name"], one["seq"], one["blocks"]) for one in found[0][0]] == [(saved, 299, 58), (failing, 400, 79)]
    assert "out of luck" in found[0][0][0]["because"]
    books = {one["name"]: one for one in found[0][1]}
    assert [one["role"] for one in found[0][1]] == ["champion", "challenger", "retired", "retired"]
    short = backtest(MemorySource(BARS.slice(0, 299)), **{**TRADING, "agent": saved})
    assert books[saved]["ledger_sha256"] == short.ledger_sha256  # as that of a run that ends before the failure
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert f"challenger {saved} failed at row 299 and is retired: " in said
    assert f"{file}, line 14, at row 299" in said


def test_spent_challengers_are_retired() -> None:
    def retired(**rules: Any) -> str:
        run = backtest(
            MemorySource(BARS), **TRADING, challengers={"block_bars": 5, "agents": ("random:seed=1",), **rules}
        )
        return str(run.manifest["roles"][0]["because"])

    assert "no decision in 109 blocks" in retired(max_blocks=101)
    assert "in one block" in retired(bound=0.0005)
    assert "from its highest equity" in retired(max_drawdown=0.001)


def test_versions_take_over_as_activated_ones_do(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=40 + number, version=name)
    seats = {"strategic": "sma_cross:fast=2,slow=4"}
    chosen = config(
        agent=f"ensemble:{tmp_path / 'first'}",
        ensemble={"seats": seats},
        challengers={"agents": (f"ensemble:{tmp_path / 'second'}",)},
    )
    alone = driver_of(chosen.model_copy(update={"challengers": type(chosen.challengers)()}))
    driven(alone)
    driver = driver_of(chosen)
    driven(driver, (100,), 0, 420)
    driver.operate(Operation.PROMOTE)
    driven(driver, (100,), 420)
    (activation,) = driver.activations
    assert (activation.seq, activation.version) == (450, "second")
    assert driver.agent.model_provenance["sha256"] == activation.sha256
    shadow = standings_of(driver)[1]
    assert shadow.role == "shadow"
    assert shadow.equity == float(alone.simulator.account["equity"][0])
    assert driver.ledger_sha256 != alone.ledger_sha256


def test_bad_challengers_are_named_at_the_start(tmp_path: Path) -> None:
    write_untrained(tmp_path / "damaged", seed=1, version="damaged")
    network = next((tmp_path / "damaged").glob("tactical*.onnx"))
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="changed after it was written") as damaged:
        driver_of(config(challengers={"agents": (f"ensemble:{tmp_path / 'damaged'}",)}))
    assert str(damaged.value.where).startswith(f"challenger ensemble:{tmp_path / 'damaged'}")
    with pytest.raises(UsageError, match="no version of the models") as unknown:
        driver_of(config(challengers={"agents": ("ensemble:nobody",)}))
    assert str(unknown.value.where).startswith("challenger ensemble:nobody")
    for wrong, why in (
        ({"agents": ("flat", "flat")}, "given twice"),
        ({"agents": (TRADING["agent"],)}, "the champion itself"),
    ):
        with pytest.raises(ConfigError, match=why):
            backtest(MemorySource(BARS), **TRADING, challengers=wrong)
    with pytest.raises(ConfigError, match="roles change only at cuts"):
        backtest(MemorySource(BARS), challengers={"promote": True, "agents": ("flat",)})
    with pytest.raises(UsageError, match="nobody to promote"):
        driver_of(config()).operate(Operation.PROMOTE)


def test_nobody_is_promoted_while_it_cools_down() -> None:
    def promoted(cooldown: int) -> list[int]:
        rules = {**RULES, "agents": (TRADING["agent"], "flat"), "alpha": 0.99, "bound": 0.005}
        rules["cooldown_blocks"] = cooldown
        run = backtest(MemorySource(BARS), **{**TRADING, "agent": "sma_cross:fast=1,slow=2"}, challengers=rules)
        return [one["seq"] for one in run.manifest["roles"] if one["role"] == "champion"]

    first, second = promoted(10)
    assert promoted(70) == [first, first + 350] != [first, second]  # 70 blocks of 5 rows
    assert promoted(1_000) == [first]


def test_a_halt_that_a_promoted_one_found_is_not_its_fault() -> None:
    chosen = config(limits={"max_drawdown": 0.02}, challengers={**RULES, "agents": ("flat",), "alpha": 1e-9})
    driver = driver_of(chosen)
    driven(driver, (50,), 0, 600)
    assert driver.flags[1]
    driver.operate(Operation.PROMOTE)
    driven(driver, (50,), 600)
    assert [(one.name, one.role) for one in driver.take_role_changes()][-2:] == [
        ("flat", "champion"),
        (TRADING["agent"], "shadow"),
    ]
    assert standings_of(driver)[0].name == "flat"
