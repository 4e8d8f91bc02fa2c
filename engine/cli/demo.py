"""`grandmodel paper --demo`: a broker, a publisher and a session on this machine, to see it all without any set-up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.base.paths import shipped
from engine.cli.console import note

DATA, INSTRUMENT, TOPIC = "es-drift", "ES", "bars"
FIRST, LIVE_FROM = "2024-02-09 19:21", "2024-02-13 23:00"
SPEED = "600"


def demo_config() -> Path:
    """What the demonstration trades."""
    return shipped("configs") / "live" / "demo.yaml"


@contextmanager
def demo_feed() -> Iterator[str]:
    """A development broker to which the recording is published; gives the feed's address.

    The days that the ensemble needs before its first decision are there at once, as they would be in a topic that keeps
    its messages; the rest comes at 600 times its own speed.

    Raises:
        UsageError: If the development broker is not installed.
    """
    from feeds.live.broker import EmbeddedBroker

    with EmbeddedBroker() as broker:
        address = f"kafka://{broker.address}/{TOPIC}"
        note(f"broker {address}: `grandmodel publish --data {DATA} --instrument {INSTRUMENT}` fills it")
        with publishing(DATA, address, "--start", FIRST, "--end", LIVE_FROM) as history:
            history.wait()
        with publishing(DATA, address, "--start", LIVE_FROM, "--speed", SPEED):
            yield address


@contextmanager
def publishing(data: str, address: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that publishes bars, killed at the end if it still runs."""
    command = [sys.executable, "-m", "engine.cli.main", "publish", "--data", data, "--instrument", INSTRUMENT]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--feed", address, "--json", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the session
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
