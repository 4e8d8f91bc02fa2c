"""Ctrl-C while kernels compile ends the command in one line, wherever it comes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from engine.cli.interrupting import interruptible
from tests.engine.cli.children import ROOT
from tests.training.trainer.small import SMALL
from tests.waiting import LIMIT_S

# LLVM tells Numba of an object that it has compiled in a call in which nothing can be raised
INTERRUPTED_IN_CALLBACK = """
import os, signal, sys
from numba.core import codegen

def interrupted(*args, real=codegen.CPUCodeLibrary._object_compiled_hook.__func__):
    os.kill(os.getpid(), signal.SIGINT)
    return real(codegen.CPUCodeLibrary, *args)

codegen.CPUCodeLibrary._object_compiled_hook = interrupted
from engine.cli.main import main
main()
"""


@pytest.fixture(autouse=True)
def _as_on_a_terminal() -> Iterator[None]:
    """Signals are not ignored, as they are where the tests run in the background of a shell."""
    hook, handler = sys.unraisablehook, signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    sys.unraisablehook = hook
    signal.signal(signal.SIGINT, handler)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def swallowed() -> None:
    """Ctrl-C in a call from C, of which Python prints the exception and forgets it."""
    ctypes.CFUNCTYPE(None)(press)()


def swallowed_and_waiting() -> None:
    swallowed()
    threading.Event().wait(60)


def swallowed_and_failing() -> None:
    swallowed()
    raise RuntimeError("no compiled object yet")


@pytest.mark.parametrize("work", [press, swallowed, swallowed_and_waiting, swallowed_and_failing])
def test_it_is_not_lost(work: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)]
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert capfd.readouterr() == ("", "")


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), interruptible():
        _ = 1 / 0
    with interruptible():
        pass


def test_one_who_wants_no_signals_gets_none() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible():
        press()


@pytest.mark.parametrize("command", ["backtest", "paper", "train"])
def test_a_compilation_is_interrupted_in_one_line(command: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = {
        "backtest": ["--data", "es-synthetic", "--agent", "sma_cross:fast=10,slow=30"],
        "paper": ["--feed", "stdin", "--instrument", "ES", "--set", "feed.symbols=[ES]", "--agent", "flat"],
        "train": ["-c", str(tmp_path / "training.yaml")],
    }[command]
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(SMALL))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_IN_CALLBACK, command, *words, "--out", str(out)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"GRANDMODEL_CACHE_DIR": str(tmp_path / "cache")},
    )
    said, complained = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, complained
    announced, *rest = complained.splitlines()
    assert announced.startswith("Compiling the ")
    assert rest == ["interrupted: the run is not complete"]
    assert not said
    assert [path.name for path in tmp_path.glob("*out*")] == []
