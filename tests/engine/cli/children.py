"""`grandmodel` as a user runs it: a process of its own, and what its session folder says meanwhile."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.app.live.control import ask
from engine.app.live.folder import SOCKET
from engine.base.errors import UsageError
from engine.cli.main import main
from engine.journal.reading import JournalReader, has_begun
from engine.types.blocks import BarBlock
from tests.waiting import LIMIT_S, until

ROOT = Path(__file__).resolve().parents[3]
RUN = [sys.executable, "-m", "engine.cli.main"]
# what no test here waits for: the disk, a partition that says nothing more, a report
QUICK = ("--no-report", "--set", "journal.durability=process", "--set", "feed.quiet_after_s=0.3")

# `grandmodel` that dies of SIGKILL at the call number NTH of a method
DYING = """
import os, signal, sys
from engine.cli.main import main
from {module} import {owner}
whole, calls = {owner}.{method}, 0


def dying(*arguments):
    global calls
    calls += 1
    if calls == {nth}:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
{owner}.{method} = dying
main()
"""


def dying(module: str, owner: str, method: str, nth: int) -> list[str]:
    """`grandmodel` as a program that is killed when a method is called so often, the first time being 1."""
    return [sys.executable, "-c", DYING.format(module=module, owner=owner, method=method, nth=nth)]


def called(*words: str) -> tuple[int, str, str]:
    """Run a command in this process, which is quicker; returns the exit code and what it wrote to both streams."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr(sys, "argv", ["grandmodel", *words])
        patch.chdir(ROOT)
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
    return code, said.getvalue(), complained.getvalue()


def printed(*words: str) -> dict[str, Any]:
    """What a command that has to succeed prints with `--json`."""
    code, said, complained = called(*words, "--json")
    assert code == 0, complained
    tree: dict[str, Any] = json.loads(said)
    return tree


def refused(*words: str, code: int = 2) -> str:
    """What a command that has to fail says on standard error; with `--json` standard output holds it as an object."""
    left, said, complained = called(*words)
    assert left == code, complained
    assert not said if "--json" not in words else json.loads(said)["error"]["exit_code"] == code
    assert complained.startswith("error: ")
    assert "Traceback" not in complained
    return complained


class Child:
    """`grandmodel paper ... --json` in the background; killed at the end of a `with` if it still runs.

    Args:
        folder: Of the session.
        words: Further arguments.
        program: What runs in place of `grandmodel`.
    """

    def __init__(self, folder: Path, *words: str, program: Sequence[str] = RUN) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [*program, "paper", "--out", str(folder), "--json", *QUICK, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; returns the exit code and what it wrote to both streams."""
        said, complained = self._process.communicate(timeout=LIMIT_S)
        return self._process.returncode, said, complained

    def result(self) -> dict[str, Any]:
        """Wait for an end without failure; returns what it printed."""
        code, said, complained = self.end()
        assert code == 0, complained
        tree: dict[str, Any] = json.loads(said)
        return tree

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds while it runs."""
        until(lambda: condition() or self._process.poll() is not None)
        assert condition(), self._process.communicate()

    def until_rows(self, rows: int) -> None:
        """Wait until so many rows are in the journal."""
        self.until(lambda: rows_of(self.folder) >= rows)

    def until_connected(self) -> None:
        """Wait until bars can come in."""
        self.until(lambda: status_of(self.folder).get("connected"))


def rows_of(folder: Path) -> int:
    """Rows that a session has committed."""
    if not has_begun(folder):
        return 0
    with JournalReader(folder) as reader:
        return reader.next_seq


def status_of(folder: Path) -> dict[str, Any]:
    """How a session says that it stands; empty while it does not answer."""
    if not (folder / SOCKET).exists():
        return {}
    try:
        return ask(folder, "status")
    except UsageError:  # it begins, or ends, at this moment
        return {}


def csv_files(bars: BarBlock, folder: Path) -> list[str]:
    """The bars as a file for each symbol, named like it, as `--data` options."""
    options = []
    for at, symbol in enumerate(bars.symbols):
        rows = bars.present[:, at]
        columns = {name: getattr(bars, name)[rows, at] for name in ("open", "high", "low", "close", "volume")}
        times = pl.Series(bars.ts_event[rows]).cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        pl.DataFrame({"timestamp": times, **columns}).write_csv(folder / f"{symbol}.csv")
        options += ["--data", str(folder / f"{symbol}.csv")]
    return options
