"""A command that is killed over a finished result leaves the old one whole or the new one, and works the next time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.config import merge
from tests.engine.cli.children import called
from tests.engine.cli.contents import contents
from tests.engine.cli.killing import changes, killed
from tests.training.trainer.small import SMALL

BARS = ("--data", "es-synthetic", "--end", "2024-01-04", "--labels", "close")
Words = tuple[str, ...]


def succeed(*words: str) -> None:
    code, _, complained = called(*words)
    assert code == 0, complained


def training(folder: Path, **changed: Any) -> str:
    path = folder / "training.yaml"
    settings = {"total_episodes": 3, "checkpoint_frequency": 1, "evaluation_frequency": 2}
    path.write_text(yaml.safe_dump(merge(merge(SMALL, {"training_params": settings}), changed)))
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    succeed("train", "-c", training(folder), "--out", str(folder / "run"))
    return folder / "run"


def before_and_after(command: str, out: Path, trained: Path) -> tuple[Words, Words]:
    """What makes the old result, and the command that replaces it."""
    bars = str(out.parent / "bars.csv")
    where = ("--out", str(out), "--overwrite")
    made = ("data", "synthesize", "--bars", "300")
    if command == "convert":
        succeed(*made, "--out", bars)
    return {
        "synthesize": ((*made, "--seed", "1", *where), (*made, "--seed", "2", *where)),
        "convert": (
            ("data", "convert", bars, *where),
            ("data", "convert", bars, "--timeframe", "5min", *where),
        ),
        "backtest": (
            ("backtest", *BARS, "--agent", "flat", *where),
            ("backtest", *BARS, "--agent", "buy_and_hold", *where),
        ),
        "export": (
            ("export", str(trained), "--version", "one", *where),
            ("export", str(trained), "--version", "two", *where),
        ),
    }[command]


def assert_killed_anywhere(out: Path, old: Words, new: Words, moments: Sequence[float] | None) -> None:
    """Kill the new command at every change of the file system, or at shares of them."""
    succeed(*old)  # a backtest counts what was tried on its bars before: from here on both are known
    succeed(*new)
    after = contents(out)
    succeed(*old)
    before = contents(out)
    assert before != after
    total = changes(out.parent, new)
    assert contents(out) == after
    points = range(total) if moments is None else sorted({round(share * (total - 1)) for share in moments})
    survived = set()
    for at in points:
        succeed(*old)
        assert killed(out.parent, at, new)
        left = contents(out)
        assert left in (before, after), f"change {at} of {total}"
        survived.add("old" if left == before else "new")
        succeed(*new)
        assert contents(out) == after
        assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    assert survived == {"old", "new"}


@pytest.mark.parametrize(
    ("command", "name", "moments"),
    [
        ("synthesize", "bars.parquet", None),
        ("convert", "bars5.csv", (0.0, 0.8)),
        ("backtest", "run", (0.0, 0.3, 0.75, 1.0)),
        ("export", "version", (0.4, 1.0)),
    ],
)
def test_the_old_result_or_the_new_one_is_whole(
    command: str, name: str, moments: Sequence[float] | None, trained: Path, tmp_path: Path
) -> None:
    old, new = before_and_after(command, tmp_path / name, trained)
    assert_killed_anywhere(tmp_path / name, old, new, moments)


def test_a_report_is_whole(tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeed("backtest", *BARS, "--agent", "buy_and_hold", "--out", str(run))
    before = contents(run)
    for at in range(changes(run, ("report", str(run)))):
        assert killed(run, at, ("report", str(run)))
        assert {name: digest for name, digest in contents(run).items() if not name.startswith(".")} == before
        succeed("report", str(run))
        assert contents(run) == before


def test_a_comparison_goes_on(tmp_path: Path) -> None:
    """Its files are replaced one by one, each of them whole; the same command completes them."""
    out, more = tmp_path / "out", ("--agent", "buy_and_hold")
    words = ("compare", *BARS, "--agent", "sma_cross:fast=5,slow=20|30", "--reports", "1", "--workers", "1")
    succeed(*words, "--out", str(out))
    shutil.copytree(out, tmp_path / "old")
    shutil.copytree(out, tmp_path / "new")
    succeed(*words, *more, "--out", str(tmp_path / "new"))
    before, after = contents(out), contents(tmp_path / "new")
    total = changes(out, (*words, *more, "--out", str(out)))
    for at in (0, total // 2, total - 3, total - 1):
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "old", out)
        assert killed(out, at, (*words, *more, "--out", str(out)))
        for name, digest in contents(out).items():
            if not any(part.startswith(".") for part in Path(name).parts):
                assert digest in (before.get(name), after.get(name)), name
        succeed(*words, *more, "--out", str(out))
        assert contents(out) == after


def test_a_training_is_resumed(trained: Path, tmp_path: Path) -> None:
    out, version = tmp_path / "run", contents(trained / "models")
    new = ("train", "-c", training(tmp_path), "--out", str(out))
    total = changes(tmp_path, new)
    assert contents(out / "models") == version
    for at in (2, total // 2, total - 4):
        shutil.rmtree(out)
        assert killed(tmp_path, at, new)
        resume = ("train", "--resume", str(out))
        again = resume if list(out.glob("checkpoints/*.ckpt")) else new
        assert (again is new) == (at == 2)
        succeed(*again)
        assert contents(out / "models") == version
        assert not list(out.glob(".*"))
    finished = contents(out / "evaluation")
    assert killed(out, changes(out, resume) - 3, resume)  # over the finished training
    assert contents(out / "models") == version
    assert contents(out / "evaluation").keys() == finished.keys()
    succeed(*resume)
    assert contents(out / "models") == version
