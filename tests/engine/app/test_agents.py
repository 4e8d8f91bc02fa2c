"""Agents as a configuration names them, and models that take over while a run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.ensemble import Ensemble
from agents.models.metadata import seal
from agents.models.store import UNTRAINED
from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.app.agents import build_agent
from engine.app.config import BacktestConfig
from engine.app.models import follow_store
from engine.base.errors import ConfigError, DataError, GrandModelError, UsageError
from engine.loop.cuts import Cuts
from engine.loop.driver import Account, Driver
from engine.loop.weights import Activation
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from feeds.memory import MemorySource
from portfolio.simulator import Simulator
from tests.agents.ensemble.runs import seat
from tests.bars import random_bars

CUT = 700
BARS = random_bars(900, 3, ("A", "B"), start=40_000, tick=0.5, volatility=1e-3)
SEATS = {"strategic": seat("Direction", seed=3)}  # the other two are networks


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("versions")
    for number, name in enumerate(("first", "second")):
        write_untrained(root / name, seed=40 + number, version=name)
    return {name: root / name for name in ("first", "second")}


def config(**settings: Any) -> BacktestConfig:
    return BacktestConfig.model_validate({"instrument": "BTC-PERP", "initial_capital": 1_000_000, **settings})


class Session:
    """A run through the driver whose active version changes when row 100 has been handed out."""

    def __init__(self, bars: BarBlock, versions: list[Path], sizes: list[int], every: int = CUT) -> None:
        chosen = config(agent=f"ensemble:{versions[0]}", ensemble={"seats": SEATS})
        self.agent = build_agent(chosen)
        instruments = [load_instrument("BTC-PERP")] * len(bars.symbols)
        self.agent.bind(bars.symbols, instruments)
        self.asked: list[int] = []
        self.followed = follow_store(self.agent, find=lambda: versions[-1])
        sessions = sessions_for(instruments, int(bars.ts_event[0]))
        account = Account(Simulator(chosen, instruments, sessions.closes), sessions, Cuts(every))
        driver = Driver(self.agent, lambda _: account, self)
        steps = [step for block in reblock([bars], sizes) for step in driver.process(block)]
        self.sha256, self.activations = driver.ledger_sha256, driver.activations
        self.ledger = np.concatenate([step.ledger for step in steps])
        self.positions = np.concatenate([step.positions for step in steps])
        self.outputs = np.concatenate([step.outputs for step in steps])
        self.fills = np.concatenate([step.fills for step in steps])

    def at_cut(self, seq: int) -> Activation | None:
        self.asked.append(seq)
        return self.followed.at_cut(seq)


def test_a_version_takes_over_exactly_at_the_cut(versions: dict[str, Path]) -> None:
    alone = Session(BARS, [versions["first"]], [900], every=10_000)
    swapped = Session(BARS, list(versions.values()), [900])
    sha256 = hashlib.sha256((versions["second"] / "ensemble.json").read_bytes()).hexdigest()
    assert swapped.activations == [Activation(CUT, "second", sha256)]
    assert alone.activations == []
    assert swapped.ledger[:CUT].tobytes() == alone.ledger[:CUT].tobytes()
    assert swapped.positions[CUT].tolist() == alone.positions[CUT].tolist()
    before, after = (s.outputs[s.outputs["seat"] == 2] for s in (alone, swapped))
    differ = np.flatnonzero(before["action_0"] != after["action_0"])
    # the first tactical bar that closes at the cut's row or after it is the first of the new network
    assert before["seq"][differ[0]] == 704
    assert len(differ) == (before["seq"] >= CUT).sum()
    assert len(alone.fills) > 0


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=10))
@settings(max_examples=8)
def test_any_blocking_takes_over_alike(sizes: list[int], versions: dict[str, Path]) -> None:
    one, other = (Session(BARS, list(versions.values()), cut) for cut in ([900], sizes))
    assert one.sha256 == other.sha256
    assert one.outputs.tobytes() == other.outputs.tobytes()
    assert one.activations == other.activations


def damaged(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    content = bytearray((target / "tactical_model.onnx").read_bytes())
    content[5000] ^= 1
    (target / "tactical_model.onnx").write_bytes(content)
    return target


def without_risk(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    for path in target.glob("risk*"):
        path.unlink()
    seal(target, "bare", created_by="a test", untrained=True)
    return target


@pytest.mark.parametrize("spoil", [damaged, without_risk])
def test_a_version_that_cannot_serve_is_refused_and_the_present_one_stays(
    spoil: Any, versions: dict[str, Path], tmp_path: Path
) -> None:
    bad = spoil(versions["second"], tmp_path / "bad")
    alone = Session(BARS, [versions["first"]], [900], every=100)
    with structlog.testing.capture_logs() as logs:
        refused = Session(BARS, [versions["first"], bad], [900], every=100)
    assert refused.sha256 == alone.sha256
    assert refused.activations == []
    assert refused.asked == list(range(100, 900, 100))
    # eight cuts, one warning
    assert [(entry["log_level"], entry["part"]) for entry in logs] == [("warning", "models")]
    assert "cannot be loaded" in logs[0]["event"]


def test_another_version_under_the_same_name_is_noticed(versions: dict[str, Path], tmp_path: Path) -> None:
    write_untrained(tmp_path / "first", seed=77, version="first")
    found = Session(BARS, [versions["first"], tmp_path / "first"], [900], every=100)
    assert [one.seq for one in found.activations] == [100]


def test_the_name_of_the_folder_does_not_matter(versions: dict[str, Path], tmp_path: Path) -> None:
    copied = Path(shutil.copytree(versions["first"], tmp_path / "elsewhere"))
    assert Session(BARS, [versions["first"], copied], [900], every=100).activations == []


def test_agents_without_networks_take_nothing_over(versions: dict[str, Path]) -> None:
    rules = {"strategic": "flat", "tactical": "buy_and_hold", "risk": "level:1"}
    for agent in (build_agent(config()), build_agent(config(agent="ensemble", ensemble={"seats": rules}))):
        agent.bind(("X",), [load_instrument("GENERIC")])
        assert follow_store(agent, find=lambda: versions["first"]).at_cut(10) is None
        assert "version" not in agent.model_provenance


def test_the_store_is_followed_at_cuts_and_the_manifest_says_so(
    versions: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.models.store import ModelStore

    store = ModelStore(tmp_path / "store")
    monkeypatch.setenv("GRANDMODEL_MODELS", str(store.root))
    store.activate(store.add(versions["second"]), "2026-01-01T00:00:00Z")
    options = {"ensemble": {"seats": SEATS}, "initial_capital": 1_000_000, "cuts": {"every_bars": 700}}
    source = MemorySource(BARS)
    started = f"ensemble:{versions['first']}"
    followed = backtest(source, "BTC-PERP", started, **{**options, "cuts": {"every_bars": 700, "follow_store": True}})
    assert followed.manifest["models"]["version"] == "first"
    assert [(a["seq"], a["version"]) for a in followed.manifest["activations"]] == [(700, "second")]
    kept = backtest(source, "BTC-PERP", started, **options)
    assert kept.manifest["activations"] == []
    assert kept.ledger_sha256 != followed.ledger_sha256
    assert backtest(source, "BTC-PERP", "ensemble", **options).manifest["models"]["version"] == "second"


def production(tmp_path: Path, **seats: dict[str, Any]) -> str:
    """A production configuration and copies of the networks that ship."""
    shutil.copytree(UNTRAINED, tmp_path / "networks", dirs_exist_ok=True)
    lines = ["models:"]
    for name, entry in seats.items():
        lines.append(f"  {name}_agent: {json.dumps(entry)}")
    (tmp_path / "live.yaml").write_text("\n".join(lines) + "\n")
    return f"ensemble:{tmp_path / 'live.yaml'}"


NETWORK = {
    name: {"enabled": True, "onnx_path": f"networks/{name}_model.onnx"} for name in ("strategic", "tactical", "risk")
}


def test_production_with_a_network_a_rule_and_an_empty_seat(tmp_path: Path) -> None:
    spec = production(tmp_path, strategic={"agent": "sma_cross:fast=2,slow=4"}, tactical=NETWORK["tactical"])
    result = backtest(MemorySource(BARS), "BTC-PERP", spec, initial_capital=1_000_000)
    said = result.polars("agents")
    by_seat = {str(key[0]): frame for key, frame in said.group_by("seat")}
    assert set(by_seat["risk"]["action_0"]) == {4.0}
    assert set(by_seat["strategic"]["confidence"]) == {1.0}
    assert by_seat["tactical"]["confidence"].n_unique() > 50
    assert result.manifest["models"]["version"] == "live"
    assert result.manifest["models"]["seats"] == {"strategic": "sma_cross:fast=2,slow=4", "risk": "level:4"}
    assert result.metrics["fills"] > 0


def test_a_disabled_seat_needs_no_file(tmp_path: Path) -> None:
    """As the file that ships, after `enabled: false` was written for what is not trained yet."""
    gone = {"enabled": False, "onnx_path": "not/there.onnx", "model_path": "not/there.pth"}
    agent = build_agent(config(agent=production(tmp_path, **{**NETWORK, "tactical": gone, "risk": gone})))
    assert isinstance(agent, Ensemble)
    assert agent.config.seats.model_dump() == {"strategic": None, "tactical": "buy_and_hold", "risk": "level:4"}


def test_an_empty_strategic_seat_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the strategic seat is empty"):
        build_agent(config(agent=production(tmp_path, **{**NETWORK, "strategic": {"enabled": False}})))


def test_seats_of_the_configuration_come_first(tmp_path: Path) -> None:
    spec = production(tmp_path, **NETWORK)
    agent = build_agent(config(agent=spec, ensemble={"seats": {"risk": "level:1"}}))
    assert agent.model_provenance["seats"] == {"risk": "level:1"}


def test_production_networks_are_what_they_are_when_loaded_whole(tmp_path: Path) -> None:
    bars = random_bars(3000, 3, start=40_000, tick=0.5)
    spec = production(tmp_path, **NETWORK)
    one, other = (backtest(MemorySource(bars), "BTC-PERP", agent) for agent in (spec, f"ensemble:{UNTRAINED}"))
    assert one.ledger_sha256 == other.ledger_sha256
    assert one.metrics["fills"] > 0


def test_the_hash_of_a_production_configuration_stands_for_every_network(tmp_path: Path) -> None:
    hashes = set()
    for seats in (NETWORK, {**NETWORK, "risk": {"agent": "level:2"}}, {**NETWORK, "tactical": {"agent": "flat"}}):
        hashes.add(build_agent(config(agent=production(tmp_path, **seats))).model_provenance["sha256"])
    write_untrained(tmp_path / "other", seed=9, version="other")
    for name in NETWORK:
        seats = {**NETWORK, name: {"onnx_path": f"other/{name}_model.onnx"}}
        hashes.add(build_agent(config(agent=production(tmp_path, **seats))).model_provenance["sha256"])
    assert len(hashes) == 6


def spoiled(tmp_path: Path, name: str, change: Any) -> str:
    folder = Path(shutil.copytree(UNTRAINED, tmp_path / "version"))
    change(folder / name)
    return f"ensemble:{folder}"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_schema(path: Path) -> None:
    tree = json.loads(path.read_text())
    tree["features"]["content"]["version"] = 99
    tree["features"]["sha256"] = "0" * 64
    path.write_text(json.dumps(tree, indent=2) + "\n")
    seal(path.parent, "resealed", created_by="a test", untrained=True)


@pytest.mark.parametrize(
    ("name", "change", "kind", "said"),
    [
        ("tactical_model.onnx", flip_a_bit, DataError, "changed after it was written"),
        ("risk_weights.npz", flip_a_bit, DataError, "changed after it was written"),
        ("strategic_model.onnx", Path.unlink, DataError, "is missing"),
        ("ensemble.json", Path.unlink, UsageError, "no ensemble"),
        ("tactical_metadata.json", other_schema, DataError, "made for other features"),
    ],
)
def test_models_that_are_not_what_they_were_are_refused(
    name: str, change: Any, kind: type[GrandModelError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        backtest(MemorySource(BARS), "BTC-PERP", spoiled(tmp_path, name, change))


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("ensemble:untraind-1", "did you mean untrained-2"),
        ("ensemble:nowhere.yaml", "nowhere.yaml"),
        ("ensemble:configs", "no ensemble"),
        ("ensembel", "no agent is called"),
    ],
)
def test_agents_that_do_not_exist_are_named(agent: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_agent(config(agent=agent))
    assert said in str(caught.value)


def test_a_rule_in_the_risk_seat_of_production_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="risk"):
        build_agent(config(agent=production(tmp_path, **{**NETWORK, "risk": {"agent": "sma_cross"}})))


def test_too_short_a_history_is_said() -> None:
    with pytest.raises(DataError, match="too short") as caught:
        backtest(MemorySource(BARS), "BTC-PERP", f"ensemble:{UNTRAINED}")
    assert "strategic agent needs 96 bars of 30 minutes" in str(caught.value)


def test_bars_of_the_wrong_length_are_refused() -> None:
    columns = {name: getattr(BARS, name) for name in ("open", "high", "low", "close", "volume")}
    for minutes in (30, 7):
        block = BarBlock.from_columns(BARS.symbols, BARS.ts_event * minutes, columns)
        with pytest.raises(UsageError, match="bars of this length"):
            backtest(MemorySource(block), "BTC-PERP", f"ensemble:{UNTRAINED}")
