"""The demonstration of learning, in small: its market, a session that learns from it, and what is said at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.models.untrained import write_untrained
from engine.cli import demo_learning
from engine.cli.demo_learning import learning_demo_config, turning_market, what_happened
from tests.engine.app.learning import standin
from tests.engine.cli.children import called, refused

ROWS = 130


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("parent") / "first"
    write_untrained(folder, seed=40, version="first")
    with standin.standing_in():
        yield folder


def correlation(closes: np.ndarray) -> float:
    """Of a move of half an hour with the next one."""
    moves = np.diff(np.log(closes[::30]))
    return float(np.corrcoef(moves[:-1], moves[1:])[0, 1])


def test_the_market_turns() -> None:
    market = turning_market(12_000, 6_000)
    closes = market.close[:, 0]
    assert len(market) == 12_000 and (np.diff(market.ts_event) > 0).all()
    assert abs(closes[6_000] / closes[5_999] - 1.0) < 0.03  # one series of prices
    assert correlation(closes[:6_000]) > 0.1 and correlation(closes[6_000:]) < -0.3
    assert (turning_market(12_000, 6_000).close == market.close).all()


def test_it_says_what_happened() -> None:
    jobs = [
        {"job": 40, "status": "refused", "name": None},
        {"job": 80, "status": "admitted", "name": "learned-80"},
    ]
    standings = [
        {"name": "learned-80", "role": "champion", "equity": 1_100.0},
        {"name": "ensemble", "role": "shadow", "equity": 900.0},
    ]
    change = {"seq": 5_000, "name": "learned-80", "role": "champion", "because": "its evidence suffices"}
    said, learned = what_happened({"learning": jobs, "challengers": standings, "roles": [change]})
    assert learned and "learned-80 took over at row 5,000" in said and "1,100" in said and "900" in said
    assert "training jobs: 2, candidates accepted: 1" in said
    for manifest in (
        {},
        {"learning": jobs, "challengers": standings[1:], "roles": []},
        {"learning": jobs[:1], "challengers": standings, "roles": [change]},  # a champion that nobody has learned
    ):
        said, learned = what_happened(manifest)
        assert not learned and said.startswith("nothing that was learned is the champion")


@pytest.mark.slow
@pytest.mark.parametrize(("told", "code"), [({}, 0), ({"refuse": True}, 1)])
def test_a_session_learns_from_the_market(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], code: int
) -> None:
    monkeypatch.setattr(demo_learning, "HISTORY", 30)
    monkeypatch.setattr(demo_learning, "TURNS_AT", 50)
    monkeypatch.setattr(demo_learning, "SPEED", 1e6)
    settings = standin.settings(parent, takes_over="gate", training=told)
    settings["end"] = {"bars": ROWS, "silence_s": 30}
    learning = settings.pop("learning")
    settings |= {"sizing": {"value": 1.0}, "seed": 5}  # with which the first job of the stand-in is accepted
    for name, tree in (("settings", settings), ("learning", learning)):
        (tmp_path / name).write_text(yaml.safe_dump(tree))
    words = ["paper", "--demo", "--learn", str(tmp_path / "learning"), "-c", str(tmp_path / "settings")]
    found, _, complained = called(*words, "--out", str(tmp_path / "run"), "--no-report")
    assert found == code, complained
    last = complained.splitlines()[-1]
    assert last.startswith("learned learned-" if code == 0 else "failed nothing that was learned")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["rows"] == ROWS and manifest["synthetic"]
    assert not any(one["late"] for one in manifest["learning"])  # the market waited
    ended = {one["status"] for one in manifest["learning"]} - {"running"}
    assert ended and ended <= ({"refused"} if told else {"admitted", "refused"})


def test_its_configuration_fits(tmp_path: Path) -> None:
    tree = yaml.safe_load(learning_demo_config().read_text())
    keys = yaml.safe_load((learning_demo_config().parent / "learning.yaml").read_text())["learning"]
    assert tree["end"]["bars"] > keys["min_bars"] > demo_learning.TURNS_AT
    assert keys["min_bars"] - keys["window_bars"] >= demo_learning.TURNS_AT  # the first job sees nothing of the trends
    assert keys["every_bars"] % tree["cuts"]["every_bars"] == 0
    begun = tmp_path / "run"
    refused("paper", "--demo", "--learn", str(tmp_path / "none"), "--out", str(begun))
    assert not begun.exists()
