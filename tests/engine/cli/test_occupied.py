"""A finished result is not written over by mistake: not by another command, and not by the same one started twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.aside import held_folder
from engine.base.config import merge
from engine.base.errors import UsageError
from tests.engine.cli.children import ROOT, called, refused
from tests.engine.cli.contents import contents
from tests.training.trainer.small import SMALL

BARS = ("--data", "es-synthetic", "--end", "2024-01-04")
COMPARE = ("compare", *BARS, "--agent", "sma_cross:fast=5,slow=20|30", "--reports", "1", "--workers", "1")


def training(folder: Path, **changes: Any) -> str:
    path = folder / "training.yaml"
    path.write_text(yaml.safe_dump(merge(merge(SMALL, {"training_params": {"total_episodes": 3}}), changes)))
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a comparison, a training and its exported networks."""
    folder = tmp_path_factory.mktemp("finished")
    for words in (
        ("backtest", *BARS, "--agent", "flat", "--no-report", "--out", str(folder / "run")),
        (*COMPARE, "--out", str(folder / "comparison")),
        ("train", "-c", training(folder), "--out", str(folder / "training")),
        ("export", str(folder / "training"), "--out", str(folder / "version")),
    ):
        code, _, complained = called(*words)
        assert code == 0, complained
    return folder


@pytest.mark.parametrize("held", ["run", "comparison", "training", "version"])
def test_no_command_writes_over_the_result_of_another(finished: Path, held: str, tmp_path: Path) -> None:
    folder = tmp_path / held
    shutil.copytree(finished / held, folder)
    before, out = contents(folder), ("--out", str(folder))
    commands = {
        "run": ("backtest", *BARS, "--agent", "flat", *out),
        "comparison": (*COMPARE, "--set", "fee=0.001", *out),
        "training": ("train", "-c", training(tmp_path), *out),
        "version": ("export", str(finished / "training"), *out),
        "evaluation": ("evaluate", "-c", training(tmp_path), "--model", str(finished / "version"), *out),
        "session": ("paper", "--feed", "replay:replays/es-synthetic/bars.parquet", "--instrument", "ES", *out),
        "resumed": ("train", "--resume", str(finished / "training"), *out),
    }
    for name, words in commands.items():
        if (held, name) == ("training", "resumed"):
            continue
        said = refused(*words)
        assert "to do: " in said, words
        if held != name and name not in {"comparison", "training", "session", "resumed"}:
            refused(*words, "--overwrite")
        assert contents(folder) == before, words
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_comparison_is_continued_by_the_same_and_more_variants_alone(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "comparison"
    shutil.copytree(finished / "comparison", folder)
    words, before = (*COMPARE, "--out", str(folder)), contents(folder)
    for more, found in (
        (("--set", "fee=0.001"), "fee"),
        (("--split", "2024-01-03"), "parts"),
        (("--start", "2024-01-03"), "bars"),
    ):
        said = refused(*words, *more)
        assert "other settings" in said
        assert found in said
    fewer = [word.replace("20|30", "20") for word in words]
    assert "not named now: sma_cross:fast=5,slow=30" in refused(*fewer)
    assert contents(folder) == before
    assert called(*words, "--agent", "buy_and_hold")[0] == 0


def test_the_run_of_another_comparison_is_not_taken_for_a_variants(tmp_path: Path) -> None:
    """An interrupted comparison leaves runs; one of other settings must not name them as its own."""
    folder = tmp_path / "out"
    for more in ((), ("--set", "fee=0.001"), ()):
        words = ("--agent", "sma_cross:fast=5,slow=20", "--keep", "--no-report", "--workers", "1")
        (folder / "comparison.json").unlink(missing_ok=True)  # as if each had been killed before it wrote this
        assert called("compare", *BARS, *words, *more, "--out", str(folder))[0] == 0
    from engine.base.files import read_json

    (variant,) = read_json(folder / "comparison.json")["variants"]
    assert read_json(folder / variant["run"] / "manifest.json")["ledger_sha256"] == variant["ledger_sha256"]


def test_a_training_begins_again_where_one_was_killed_at_its_beginning(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    (out / "history.jsonl").write_text("")
    (out / "config.yaml").write_text("seed: 1\n")
    (out / ".config.yaml.999-0.part").mkdir()
    code, _, complained = called("train", "-c", training(tmp_path), "--out", str(out))
    assert code == 0, complained
    assert not list(out.glob(".*"))
    assert {"models", "evaluation", "checkpoints"} <= set(contents(out, depth=1))


@pytest.mark.parametrize("what", ["comparison", "training"])
def test_two_at_once_do_not_write_into_one_folder(what: str, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = {"comparison": COMPARE, "training": ("train", "-c", training(tmp_path))}[what]
    with held_folder(out, "a result"):
        assert "another process" in refused(*words, "--out", str(out))
        assert not list(out.iterdir())
    assert not out.exists()  # nothing was written
    resumed = tmp_path / "training"
    shutil.copytree(finished / "training", resumed)
    before = contents(resumed)
    with held_folder(resumed, "a training"):
        assert "another process" in refused("train", "--resume", str(resumed))
    assert contents(resumed) == before


def test_of_two_backtests_at_once_both_end_whole_or_one_is_refused(tmp_path: Path) -> None:
    for overwrite in ((), ("--overwrite",)):
        out = tmp_path / f"out{len(overwrite)}"
        words = ["backtest", *BARS, "--agent", "flat", "--no-report", "--out", str(out), *overwrite]
        program = [sys.executable, "-m", "engine.cli.main", *words]
        both = [subprocess.Popen(program, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ended = [(process.communicate()[1], process.returncode) for process in both]
        codes = sorted(code for _, code in ended)
        assert codes == [0, 0] if overwrite else codes in ([0, 2], [0, 0])  # the second may have begun later
        assert called("verify", str(out))[0] == 0
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_first_of_two_files_stays(tmp_path: Path) -> None:
    from engine.base.replacing import replaced_file

    path = tmp_path / "file"
    with pytest.raises(UsageError, match="exists already"), replaced_file(path, overwrite=False) as part:
        part.write_text("late")
        with replaced_file(path, overwrite=False) as other:
            other.write_text("first")
    assert path.read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
