"""Output appears whole or not at all, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.base import replacing
from engine.base.errors import UsageError
from engine.base.replacing import OutputKind, new_folder, refuse_existing, replaced_file, replaced_folder

NOTES = OutputKind("notes", frozenset({"a", "b", "c"}))

KILLED = """
import os, signal, sys
from pathlib import Path
from engine.base import replacing
from engine.base.replacing import OutputKind, replaced_folder

if sys.argv[2] != "writing":
    place = {"exchanging": "_exchanged", "removing": "_removed"}[sys.argv[2]]
    def killed(*paths, real=getattr(replacing, place)):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(replacing, place, killed)
if sys.argv[3] == "stepwise" and sys.argv[2] != "exchanging":
    replacing._exchanged = lambda one, other: False
with replaced_folder(Path(sys.argv[1]), OutputKind("notes", frozenset("abc")), overwrite=True) as part:
    (part / "a").write_text("new")
    (part / "c").write_text("new")
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def old(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "a").write_text("old")
    (folder / "b").write_text("old")
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, text: str) -> None:
    with replaced_folder(folder, NOTES, overwrite=True) as part:
        (part / "a").write_text(text)


@pytest.mark.parametrize("steps", ["at once", "stepwise"])
@pytest.mark.parametrize("moment", ["writing", "exchanging", "removing"])
def test_a_kill_leaves_the_old_or_the_new_whole(tmp_path: Path, moment: str, steps: str) -> None:
    folder = old(tmp_path / "out")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment, steps], check=False)
    assert ended.returncode == -signal.SIGKILL
    before, after = {"a": "old", "b": "old"}, {"a": "new", "c": "new"}
    assert content(folder) == (after if moment == "removing" else before)
    write(folder, "newer")
    assert content(folder) == {"a": "newer"}
    assert names(tmp_path) == ["out"]  # what the killed process left is gone


def test_a_kill_between_two_steps_is_mended(tmp_path: Path) -> None:
    """Where the file system cannot exchange, and the process died after the old folder was moved away."""
    old(tmp_path / ".out.999-0.part.old")
    (tmp_path / ".out.999-0.part").mkdir()
    with pytest.raises(UsageError, match="already"), replaced_folder(tmp_path / "out", NOTES, overwrite=False):
        pytest.fail("refused before anything is written")
    assert content(tmp_path / "out") == {"a": "old", "b": "old"}
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_an_error_leaves_what_was_there(tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(replacing, "_exchanged", lambda one, other: False)
    folder = old(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), replaced_folder(folder, NOTES, overwrite=True) as part:
        (part / "a").write_text("new")
        _ = 1 / 0
    assert content(folder) == {"a": "old", "b": "old"}
    write(folder, "new")
    assert content(folder) == {"a": "new"}
    assert names(tmp_path) == ["out"]


def test_nothing_is_left_of_a_first_output_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replaced_folder(tmp_path / "x/y/out", NOTES, overwrite=False) as part:
        (part / "a").write_text("new")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_two_that_write_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with replaced_folder(folder, NOTES, overwrite=True) as one:
        (one / "a").write_text("one")
        write(folder, "other")
        assert content(folder) == {"a": "other"}
        assert content(one) == {"a": "one"}
    assert content(folder) == {"a": "one"}
    with (
        pytest.raises(UsageError, match="already"),
        replaced_folder(tmp_path / "late", NOTES, overwrite=False) as part,
    ):
        (part / "a").write_text("late")
        write(tmp_path / "late", "first")
    assert content(tmp_path / "late") == {"a": "first"}


def test_what_is_not_to_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old(tmp_path / "out")
    for overwrite, match in ((False, "--overwrite"), (True, "working directory")):
        monkeypatch.chdir(folder if overwrite else tmp_path)
        with pytest.raises(UsageError, match=match), replaced_folder(folder, NOTES, overwrite=overwrite):
            pass
    monkeypatch.chdir(tmp_path)
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.tex"), replaced_folder(folder, NOTES, overwrite=True):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="this is a file"), replaced_folder(tmp_path / "file", NOTES, overwrite=True):
        pass


def test_a_link_is_followed(tmp_path: Path) -> None:
    folder = old(tmp_path / "elsewhere/out")
    (tmp_path / "link").symlink_to(folder)
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert content(folder) == {"a": "new"}
    (tmp_path / "file").write_text("old")
    (tmp_path / "short").symlink_to(tmp_path / "file")
    with replaced_file(tmp_path / "short") as part:
        part.write_text("new")
    assert (tmp_path / "short").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replaced_file(path) as part:
        part.write_text("new")
        _ = 1 / 0
    assert path.read_text() == "old"
    with replaced_file(path):
        pass
    assert names(tmp_path) == []  # nothing was written, so nothing is there


def test_existing_files_need_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "file"
    refuse_existing(path, overwrite=False)
    path.write_text("")
    refuse_existing(path, overwrite=True)
    with pytest.raises(UsageError, match="--overwrite"):
        refuse_existing(path, overwrite=False)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UsageError, match="something else"):
            refuse_existing(other, overwrite=True)


def test_a_new_name(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "x") == tmp_path / "x"
    (tmp_path / "x").mkdir()
    (tmp_path / "x-2").mkdir()
    assert new_folder(tmp_path / "x") == tmp_path / "x-3"
