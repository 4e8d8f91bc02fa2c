"""`grandmodel tune` as a user runs it: killed, continued, replayed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from engine.base.config import load
from tests.engine.cli.children import printed
from tests.training.trainer.small import SMALL
from training.config import TrainingConfig

SPACE = {
    "parameters": {
        "agents.strategic_agent.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "width": {
            "low": 8,
            "high": 16,
            "step": 8,
            "layers": 2,
            "keys": ["agents.strategic_agent.network_architecture.hidden_layers"],
        },
    }
}


def test_a_killed_tuning_continues_and_a_trial_is_reproducible(tmp_path: Path) -> None:
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    out = tmp_path / "out"
    command = [
        "tune",
        "-c",
        str(tmp_path / "training.yaml"),
        "--space",
        str(tmp_path / "space.yaml"),
        "--episodes",
        "4",
    ]
    command += ["--trials", "3", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli.main", *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("trial 0"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with (out / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 9')  # a line that was cut off
    found = printed(*command, "--json")
    states = [(one["number"], one["state"]) for one in found["trials"]]
    assert states[0] == (0, "complete")
    assert [state for _, state in states] == ["complete"] * 3
    best = load(TrainingConfig, [Path(found["best_config"])], [])
    chosen = found["best"]["params"]
    assert best.agents.strategic_agent.learning_rate == chosen["agents.strategic_agent.learning_rate"]
    assert best.agents.strategic_agent.network_architecture.hidden_layers == (chosen["width"], chosen["width"] // 2)
    again = printed(*command, "--replay", "0", "--json")
    assert again["same"]
    assert again["weights_sha256"] == found["trials"][0]["weights_sha256"]
    recorded = [json.loads(line) for line in Path(found["ledger"]).read_text().splitlines()]
    assert {f"out/{number}" for number, _ in states} <= {one.get("name") for one in recorded}
    assert "plotly" in (out / "tuning.html").read_text()
