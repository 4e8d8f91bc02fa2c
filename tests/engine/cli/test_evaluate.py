"""`grandmodel evaluate` as a user calls it."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from agents.models.store import BUNDLED_VERSION
from engine.cli.main import main

CONFIG = """
data:
  sources: [{type: historical, path: es-synthetic, end: "2024-01-16"}]
  split: {validation: 0.25, test: 0.25, embargo: 1440}
training_params: {episode_length: 300}
instrument: ES
reward_shaping: {transaction_cost: null}
"""


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


def grandmodel(*words: str, folder: Path) -> Done:
    """Run the command line in this process, which has the kernels already."""
    said, complained = io.StringIO(), io.StringIO()
    settings = {"GRANDMODEL_MODELS": str(folder / "store"), "COLUMNS": "100"}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["grandmodel", *words])
        for name, value in settings.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as leaving:
            return Done(int(leaving.code or 0), said.getvalue(), complained.getvalue())
    return Done(0, said.getvalue(), complained.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "training.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    done = grandmodel("evaluate", "-c", "training.yaml", "--episodes", "8", "--out", "one", "--json", folder=folder)
    assert done.code == 0, done.stderr
    tree: dict[str, Any] = json.loads(done.stdout)
    return tree


def test_writes_everything_and_prints_one_object(folder: Path, first: dict[str, Any]) -> None:
    names = {path.name for path in (folder / "one").iterdir()}
    assert names == {"evaluation.json", "episodes.parquet", "evaluation.md", "evaluation.html"}
    stored = json.loads((folder / "one" / "evaluation.json").read_text())
    assert {"folder": "one", **stored} == first
    assert first["about"]["model"] == BUNDLED_VERSION
    assert first["about"]["part"] == "validation"
    assert first["summary"]["episodes"] == 8
    assert set(first["contributions"]) == {"strategic", "tactical", "risk"}


def test_every_episode_of_every_variant_is_kept(folder: Path, first: dict[str, Any]) -> None:
    table = pl.read_parquet(folder / "one" / "episodes.parquet")
    variants = ["ensemble", "without_strategic", "without_tactical", "without_risk", "buy_and_hold", "flat"]
    assert table["variant"].unique(maintain_order=True).to_list() == variants
    own = table.filter(pl.col("variant") == "ensemble")
    assert own["reward"].to_list() == first["per_episode"]["reward"]
    assert table.filter(pl.col("variant") == "flat")["total_return"].to_list() == [0.0] * 8
    sums = own.select(pl.sum_horizontal("^term\\..*$") - pl.col("reward")).to_series().abs().max()
    assert sums < 1e-9


def test_the_same_call_gives_the_same_bytes(folder: Path, first: dict[str, Any]) -> None:
    done = grandmodel("evaluate", "-c", "training.yaml", "--episodes", "8", "--out", "two", folder=folder)
    assert done.code == 0
    assert BUNDLED_VERSION in done.stdout
    assert "Mean reward" in done.stdout
    for name in ("evaluation.json", "episodes.parquet", "evaluation.md"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()


def test_part_seed_and_contributions(folder: Path, first: dict[str, Any]) -> None:
    options = ["--part", "test", "--seed", "3", "--episodes", "5", "--no-contributions", "--json", "--out", "three"]
    tree = json.loads(grandmodel("evaluate", "-c", "training.yaml", *options, folder=folder).stdout)
    assert tree["contributions"] == {}
    assert tree["about"]["part"] == "test"
    assert min(tree["per_episode"]["start"]) > max(first["per_episode"]["start"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs the configuration"),
        (["-c", "nothing.yaml"], "cannot read the configuration"),
        (["-c", "training.yaml", "--model", "nope"], "nope"),
        (["-c", "training.yaml", "--part", "future"], "train, validation or test"),
        (["-c", "training.yaml", "--part", "test", "--set", "data.split.test=0"], "data.split.test"),
        (["-c", "training.yaml", "--set", "training_params.episode_length=90000"], "episode"),
        (["-c", "training.yaml", "--set", "agents.risk_agent.epsilon=1"], "unknown key"),
        (["-c", "training.yaml", "--history", "nothing"], "history"),
        (["-c", "training.yaml", "--out", "."], "other files"),
    ],
)
def test_mistakes_end_in_a_message(folder: Path, words: list[str], says: str) -> None:
    done = grandmodel("evaluate", *words, folder=folder)
    assert done.code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
