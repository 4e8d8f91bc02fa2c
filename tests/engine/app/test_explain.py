"""Why a fill happened, for every fill of runs that have all kinds of them, against the tables read by hand."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.app.explain import explain
from engine.base.errors import DataError, UsageError
from feeds.memory import MemorySource
from tests.agents.ensemble.runs import seat
from tests.bars import random_bars

BARS = random_bars(900, 3, ("A", "B"), start=40_000, tick=0.5, volatility=2e-3)
SEATS = {"strategic": seat("Direction", seed=3), "tactical": seat("Tactics", seed=3)}
RUNS: dict[str, dict[str, Any]] = {
    "stop_loss": {"initial_capital": 1_000_000, "execution": {"slippage": {"ticks": 1}}},
    "kill_switch": {"initial_capital": 1_000_000, "sizing": {"value": 20}, "limits": {"max_drawdown": 0.005}},
    "liquidation": {"initial_capital": 20_000, "sizing": {"value": 10}, "execution": {"slippage": {"bps": 20}}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    for name, options in RUNS.items():
        risk = {"risk": "level:4"} if name != "stop_loss" else {}
        if name == "liquidation":
            risk["tactical"] = seat("Fixed", timing=1, stop=0.05, scale=2)
        backtest(
            MemorySource(BARS), "BTC-PERP", "ensemble", out=root / name, ensemble={"seats": SEATS | risk}, **options
        )
    backtest(MemorySource(BARS), "BTC-PERP", "sma_cross:fast=5,slow=20", out=root / "rule")
    return {path.name: path for path in root.iterdir()}


def table(run: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run / f"{name}.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("name", RUNS)
def test_every_fill_has_its_chain(name: str, runs: dict[str, Path]) -> None:
    run = runs[name]
    fills, orders, decisions, said = (table(run, each) for each in ("fills", "orders", "decisions", "agents"))
    by_id = {order["id"]: order for order in orders if order["id"]}
    assert name in {fill["role"] for fill in fills}
    for number, fill in enumerate(fills, 1):
        found = explain(run, number)
        assert found["fill"] == {"number": number, **fill}
        order = by_id[fill["order_id"]]
        assert found["order"] == order
        entry = by_id[order["parent"]] if order["parent"] else None
        assert found["entry"] == entry
        assert (entry is not None) == (fill["role"] == "stop_loss")
        asked = entry or order
        if fill["role"] in {"kill_switch", "liquidation"}:
            assert found["decision"] is None
        else:
            (decision,) = [d for d in decisions if d["order_id"] == asked["id"]]
            assert found["decision"] == decision
            assert decision["ts_event"] == asked["submitted"] < fill["ts_event"]
        for seat_name in ("strategic", "tactical", "risk"):
            own = [
                a
                for a in said
                if a["seat"] == seat_name
                and a["symbol"] in (None, fill["symbol"])
                and a["ts_event"] <= asked["submitted"]
            ]
            assert {key: found["agents"][seat_name][key] for key in own[-1]} == own[-1]


def test_the_target_is_what_the_agents_said(runs: dict[str, Path]) -> None:
    """Direction x scale x level is the position asked for, but for exits before a flip and after stops.

    Scale and level are those in force: of this decision, or of an earlier one where they are not read yet.
    """
    run = runs["stop_loss"]
    checked = 0
    said: set[bool] = set()
    for number in range(1, len(table(run, "fills")) + 1):
        found = explain(run, number)
        if found["decision"] is None or found["decision"]["quantity"] == 0:
            continue
        agents = found["agents"]
        side, wanted = agents["strategic"]["action_0"], found["decision"]["quantity"]
        assert wanted * side > 0
        scale = agents["tactical"].get("in_force", agents["tactical"]["action_2"])
        level = agents["risk"].get("in_force", agents["risk"]["action_0"])
        assert side * scale * level / 4 == pytest.approx(wanted, rel=1e-12)
        said.add("in_force" in agents["tactical"] or "in_force" in agents["risk"])
        assert found["decision"]["stop_distance"] == agents["tactical"]["action_1"]
        checked += 1
    assert checked > 20
    assert said == {False, True}, "some decisions wait, and some are traded as they come"


def test_clipped_fills_say_by_what(runs: dict[str, Path]) -> None:
    reasons = {fill["reason"] for fill in table(runs["liquidation"], "fills")}
    assert "insufficient_margin" in reasons


def test_an_agent_that_keeps_no_record_has_its_command(runs: dict[str, Path]) -> None:
    found = explain(runs["rule"], 1)
    assert found["agents"] == {}
    assert found["decision"]["kind"] == "target"
    assert found["models"] == {"agent": "sma_cross:fast=5,slow=20"}


def test_models_are_those_of_the_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fill in the very row of a take-over was decided in the row before, by the version before."""
    from agents.models.store import ModelStore

    for number, name in enumerate(("first", "second")):
        write_untrained(tmp_path / name, seed=number, version=name)
    store = ModelStore(tmp_path / "store")
    monkeypatch.setenv("GRANDMODEL_MODELS", str(store.root))
    store.activate(store.add(tmp_path / "second"), "2026-01-01T00:00:00Z")
    run = tmp_path / "run"
    backtest(
        MemorySource(BARS),
        "BTC-PERP",
        f"ensemble:{tmp_path / 'first'}",
        out=run,
        initial_capital=1_000_000,
        ensemble={"seats": {**SEATS, "risk": None}, "risk_cadence": "bar", "rebalance": 0.0},
        cuts={"every_bars": 1, "follow_store": True},
    )
    manifest = json.loads((run / "manifest.json").read_text())
    (entry,) = manifest["activations"]
    fills, decisions = table(run, "fills"), {d["order_id"]: d for d in table(run, "decisions") if d["order_id"]}
    ledger = [row["ts_event"] for row in table(run, "ledger")]
    entries = [(n, f) for n, f in enumerate(fills, 1) if f["role"] == "entry"]
    # the take-over is moved to each row in which an entry filled: what decided it came before
    for number, fill in entries[:20]:
        entry["seq"] = fill["row"]
        (run / "manifest.json").write_text(json.dumps(manifest))
        assert ledger.index(decisions[fill["order_id"]]["ts_event"]) < fill["row"]
        assert explain(run, number)["models"]["version"] == "first"
        entry["seq"] = ledger.index(decisions[fill["order_id"]]["ts_event"])
        (run / "manifest.json").write_text(json.dumps(manifest))
        assert explain(run, number)["models"]["version"] == "second"


@pytest.mark.parametrize("number", [0, -1, 10_000])
def test_a_fill_that_does_not_exist_is_named(number: int, runs: dict[str, Path]) -> None:
    count = len(table(runs["rule"], "fills"))
    with pytest.raises(UsageError, match=f"there is no fill {number}") as caught:
        explain(runs["rule"], number)
    assert caught.value.expected == f"1 to {count}"


def test_a_run_without_fills_says_so(tmp_path: Path) -> None:
    backtest(MemorySource(BARS), "BTC-PERP", "flat", out=tmp_path / "run")
    with pytest.raises(UsageError) as caught:
        explain(tmp_path / "run", 1)
    assert caught.value.expected == "no fill at all"


@pytest.mark.parametrize("name", ["fills", "orders", "decisions", "agents"])
def test_a_folder_that_is_no_run_is_named(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(runs["rule"], tmp_path / "run"))
    (broken / f"{name}.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="not a complete Parquet file"):
        explain(broken, 1)
    (broken / f"{name}.parquet").unlink()
    with pytest.raises(UsageError, match="not a run folder"):
        explain(broken, 1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"models": 3}', '{"activations": [1]}', '{"activations": [{}]}'])
def test_a_damaged_manifest_is_named(text: str, runs: dict[str, Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(runs["rule"], tmp_path / "run"))
    (broken / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="cannot read the manifest") as caught:
        explain(broken, 1)
    assert caught.value.where == str(broken / "manifest.json")


def test_tables_of_another_kind_are_named(runs: dict[str, Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(runs["rule"], tmp_path / "run"))
    shutil.copyfile(broken / "ledger.parquet", broken / "orders.parquet")
    with pytest.raises(DataError, match="do not fit"):
        explain(broken, 1)


def test_times_carry_their_zone(runs: dict[str, Path]) -> None:
    moment = explain(runs["rule"], 1)["fill"]["ts_event"]
    assert isinstance(moment, datetime)
    assert moment.utcoffset() == timedelta(0)
