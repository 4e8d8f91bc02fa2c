from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.models import untrained
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.store import UNTRAINED
from agents.models.untrained import write_untrained
from agents.serving.outputs import confidence
from agents.spec import AGENTS, TACTICAL_AGENT
from engine.types.blocks import BarBlock, concat
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from feeds.synthetic import SyntheticBars

START_NS = 1_704_276_000 * 10**9
LIMIT_BYTES = 2_000_000


@pytest.fixture(scope="module")
def bundled() -> LoadedEnsemble:
    return load_ensemble(UNTRAINED)


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return concat(list(SyntheticBars(load_instrument("ES"), 15_000, START_NS, 5).blocks(4096)))


def test_what_ships_is_what_seed_0_gives(tmp_path: Path) -> None:
    write_untrained(tmp_path, seed=0)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in UNTRAINED.iterdir()}
    assert sorted(made) == sorted(kept)
    for name, content in made.items():
        assert content == kept[name], (
            f"{name} differs: `python -m agents.models.untrained --seed 0 --out agents/models/bundled/untrained-2`"
        )
    assert sum(map(len, kept.values())) < LIMIT_BYTES


def test_another_seed_gives_other_networks(tmp_path: Path) -> None:
    first, second = (write_untrained(tmp_path / str(seed), seed, "x") for seed in (0, 1))
    assert all(first.files[f"{seat}_model.onnx"] != second.files[f"{seat}_model.onnx"] for seat in AGENTS)


def test_it_is_called_what_it_is(bundled: LoadedEnsemble) -> None:
    assert bundled.metadata.untrained and "untrained" in bundled.version and bundled.metadata.training_data == ()


def windows(seat: str, bars: BarBlock) -> np.ndarray:
    length, features = AGENTS[seat].observation
    sessions = sessions_for([load_instrument("ES")], int(bars.ts_event[0]))
    rows = FeatureStream(seat, bars.symbols, sessions).push(bars)
    return Windows(length, features, 1).push(rows).observations


def test_strategic_decisions_vary_with_the_market(bundled: LoadedEnsemble, bars: BarBlock) -> None:
    assert bundled.strategic is not None
    outputs = bundled.strategic.run(windows("strategic", bars))
    shares = np.bincount(outputs["action"], minlength=3) / len(outputs["action"])
    assert len(outputs["action"]) > 300 and shares.min() > 0.1
    assert confidence("strategic", outputs).max() < 0.6, "what has learned nothing is not sure of itself"


def test_tactical_decisions_vary_with_the_market(bundled: LoadedEnsemble, bars: BarBlock) -> None:
    assert bundled.tactical is not None
    action = bundled.tactical.run(windows("tactical", bars))["action"]
    low, high = np.float32(TACTICAL_AGENT.low), np.float32(TACTICAL_AGENT.high)
    assert (action >= low).all() and (action <= high).all()
    assert ((action.max(axis=0) - action.min(axis=0)) > 0.5 * (high - low)).all()


def test_risk_decisions_vary_with_the_account(bundled: LoadedEnsemble) -> None:
    assert bundled.risk is not None
    rng = np.random.default_rng(3)
    held = rng.random(4000) < 0.7
    leverage, volatility = rng.uniform(0, 3, 4000) * held, rng.uniform(0.001, 0.03, 4000)
    metrics = [
        rng.beta(1, 8, 4000),
        rng.normal(0, 0.01, 4000),
        leverage,
        leverage * rng.choice([-1, 1], 4000),
        leverage / 10,
        rng.normal(0, 0.01, 4000) * held,
        volatility,
        rng.normal(0, 1, 4000),
        1.645 * volatility,
        rng.uniform(0, 4, 4000) * held,
    ]
    actions = bundled.risk.run(np.stack(metrics, axis=1).astype(np.float32))["action"]
    assert (np.bincount(actions, minlength=5) > 100).all()


def test_a_flat_account_is_never_told_to_stay_flat_for_ever(bundled: LoadedEnsemble) -> None:
    assert bundled.risk is not None
    flat = np.zeros((100, 10), np.float32)
    flat[:, 0] = np.linspace(0, 0.99, 100)  # whatever was lost before
    assert (bundled.risk.run(flat)["action"] > 0).all()


def test_the_command_writes_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "folder"
    monkeypatch.setattr(sys, "argv", ["untrained", "--seed", "4", "--out", str(out), "--version", "mine"])
    untrained.main()
    loaded = load_ensemble(out)
    assert (loaded.version, loaded.metadata.seed) == ("mine", 4)
    assert "mine" in capsys.readouterr().out
