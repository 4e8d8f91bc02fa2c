"""The parent's side of the benchmark: one child process for each peer, each in its own environment if it has one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.command_line import ONE_THREAD, ROOT
from engine.base.errors import CheckFailed


def interpreter(peer: str) -> str:
    """The Python of `.venvs/<peer>`, if there is one, else this one."""
    own = ROOT / ".venvs" / peer / "bin" / "python"
    return str(own) if own.exists() else sys.executable


class Child:
    """A peer's process; it works only while it is asked.

    Args:
        peer: Name of a module in `benchmarks.peers`.
        variables: Environment variables for it.

    Raises:
        CheckFailed: If it dies, from any method.
    """

    def __init__(self, peer: str, variables: dict[str, str] | None = None) -> None:
        self.peer = peer
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [interpreter(peer), "-m", f"benchmarks.peers.{peer}"],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.hello = self._answer()

    def ask(self, **request: str) -> dict[str, Any]:
        """Send one request and wait for its answer."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # the reason is reported where its answer is missing
        return self._answer()

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise CheckFailed(f"{self.peer} died", found=self._errors.read()[-4000:].strip())
        answer: dict[str, Any] = json.loads(line)
        return answer
