"""How long a session is away: `python -m benchmarks.live.recovery FOLDER` opens one and prints the seconds it took."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from engine.app.live.attaching import standing_of
from engine.app.live.config import PaperConfig
from engine.app.live.control import ask
from engine.app.live.folder import SessionLock
from engine.app.live.intake import Intake
from engine.app.live.open_or_resume import open_session, stored_config
from engine.base.config import parse
from engine.base.errors import CheckFailed

COMMAND = Path(sys.executable).with_name("grandmodel")
LOOK_S, PATIENCE_S = 0.005, 60.0


def open_seconds(folder: Path) -> float:
    """Open a session as `grandmodel paper` does, until it could take a delivery."""
    before = time.perf_counter()
    with SessionLock(folder):
        config = parse(PaperConfig, stored_config(folder), where="benchmark")
        instruments = {symbol: config.instrument_for(symbol) for symbol in config.symbols}
        opened = open_session(folder, config, instruments, config.feed.timeframe_ns)
        with opened.journal:
            intake = Intake(instruments, config.feed.timeframe_ns, config.feed)
            intake.restore(opened.states, opened.driver.next_seq)
            return time.perf_counter() - before


def restart_seconds(folder: Path) -> float:
    """Start `grandmodel paper` on a session's folder, until it says that it trades.

    Raises:
        CheckFailed: If it does not.
    """
    before = time.perf_counter()
    command = [str(COMMAND), "paper", "--out", str(folder), "--json", "--no-report"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload] # the stubs know no shared options
        while (standing := standing_of(folder)).word != "trading":
            seconds = time.perf_counter() - before
            if process.poll() is not None or seconds > PATIENCE_S:
                process.kill()
                errors = process.stderr.read().decode()[-2000:]
                raise CheckFailed("the session did not come back", expected="trading", found=standing.word or errors)
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - before
        ask(folder, "stop", by="benchmark")
        process.communicate()
    return seconds


if __name__ == "__main__":
    print(open_seconds(Path(sys.argv[1])))
