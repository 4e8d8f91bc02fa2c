"""A command in a process that kills itself at its N-th change of the file system: the same moment on every machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.engine.cli.children import ROOT

# Python reports what it is about to do. Arrow and SQLite write without a word, but Python makes the folders and names.
CHILD = """
import os, signal, sys

place, fatal = sys.argv[1], int(sys.argv[2])
seen = 0
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}

def watch(event, arguments):
    global seen
    if event == "open":
        path, mode, flags = arguments
        changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    elif event in CHANGES:
        path, changes = arguments[0], True
    elif event == "ctypes.dlsym":  # the exchange of two folders is the next call
        path, changes = place, arguments[1] == "renameat2"
    else:
        return
    if not changes or not isinstance(path, (str, os.PathLike)) or place not in os.path.abspath(path):
        return
    if seen == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += 1

sys.argv[:] = ["grandmodel", *sys.argv[3:]]
from engine.cli.main import main
sys.addaudithook(watch)
try:
    main()
finally:
    print(seen, file=sys.stderr)
"""


def killed(place: Path, at: int, words: Sequence[str]) -> bool:
    """Run a command that kills itself before its change number `at` within a folder; whether it came so far."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(place), str(at), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr
    return ended.returncode != 0


def changes(place: Path, words: Sequence[str]) -> int:
    """How many changes a command makes within a folder when it is left alone."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(place), "-1", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stderr.split()[-1])
