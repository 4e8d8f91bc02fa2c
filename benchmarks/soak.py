"""A live session under constant attack: `python benchmarks/soak.py [--minutes 20]`.

The broker (Tansu, in memory) is killed again and again and comes back empty; what feeds it writes its log anew, in
half of the cases from a later message on, so that offsets mean something else. The session is killed with SIGKILL too
and started again. Among the messages are double, late and broken ones. At the end the ledger must be that of a
backtest of the same bars, and the journal must be whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from engine.api import backtest
from engine.app.backtest import prepare
from engine.app.config import BacktestConfig
from engine.app.live.auditing import audit, replay_whole
from engine.errors import CheckFailed, GrandModelError
from engine.journal.reading import JournalReader, has_begun
from feeds.live.address import parse_address
from feeds.live.broker import EmbeddedBroker
from feeds.live.kafka.client import client_settings, ensure_topic
from feeds.live.messages import encode_bars
from feeds.quarantine import Quarantine

TOPIC = "bars"
COMMAND = Path(sys.executable).with_name("grandmodel")


@dataclass
class Tally:
    """What was done to the session."""

    broker_kills: int = 0
    session_kills: int = 0
    rewritten_logs: int = 0
    starts: int = 0
    peak_mb: float = 0.0
    recoveries: list[float] = field(default_factory=list)


def messages(config: BacktestConfig, dice: random.Random) -> Iterator[tuple[bool, bytes]]:
    """Messages, each with whether it is a bar that counts; some come twice, late or broken."""
    sent: list[bytes] = []
    for block in prepare(config, Quarantine()).source.blocks(4096):
        for _, payload in encode_bars(block, format="json", per_message=1):
            yield True, payload
            sent.append(payload)
            if dice.random() < 0.02:
                yield False, dice.choice([sent[-1], dice.choice(sent[-300:]), b'{"symbol": "ES", "timestamp"'])


class Upstream:
    """Holds every message so far, and writes them into the broker whenever that has come back empty.

    Args:
        log: All messages of the soak.
        address: Of the broker.
        dice: Decides from where a log is written anew.
        folder: Of the session; a message that it may still need is never left out.
    """

    def __init__(self, log: Sequence[bytes], address: str, dice: random.Random, folder: Path) -> None:
        self._log, self._dice, self._folder = log, dice, folder
        self._settings = client_settings(parse_address(f"kafka://{address}/{TOPIC}", publishing=True))
        self._work: asyncio.Task[None] | None = None
        self.due = 0
        self.rewritten = 0

    def begin(self) -> None:
        """The broker is there, and empty: write the log, and then what comes due."""
        first = self._work is None
        # a log that begins later gives every message another offset
        start = 0 if first or self._dice.random() < 0.5 else self._dice.randrange(1 + self._traded())
        self.rewritten += start > 0
        self._work = asyncio.create_task(self._serve(start))

    async def end(self) -> None:
        """The broker was killed. What is on its way must not get into the next one before the log is written anew."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})

    async def _serve(self, start: int) -> None:
        while True:
            with suppress(KafkaError, OSError, GrandModelError, asyncio.TimeoutError):
                await ensure_topic(self._settings, TOPIC, 1)
                await self._send(start)
            await asyncio.sleep(0.1)

    def _traded(self) -> int:
        """Rows that the session has committed: so many messages, at least, it will not miss."""
        if not has_begun(self._folder):
            return 0
        with JournalReader(self._folder) as reader:
            return reader.next_seq

    async def _send(self, at: int) -> None:
        producer = AIOKafkaProducer(**self._settings, acks="all", linger_ms=5)
        await asyncio.wait_for(producer.start(), 5)
        try:
            while True:
                if at < self.due:
                    part = self._log[at : min(self.due, at + 5000)]
                    sending = [await producer.send(TOPIC, value, partition=0) for value in part]
                    await asyncio.wait_for(asyncio.gather(*sending), 10)
                    at += len(part)
                else:
                    await asyncio.sleep(0.02)
                    await asyncio.wait_for(producer.client.force_metadata_update(), 5)
        finally:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 2)


class Attack:
    """Runs the soak.

    Args:
        arguments: Of the command line.
        folder: For the session and its output.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.tally = Tally()
        self._arguments, self._folder = arguments, folder
        self._dice = random.Random(arguments.seed)  # noqa: S311 - it decides what breaks when
        self._config = BacktestConfig(
            data=(arguments.data,), instrument=arguments.instrument, agent=arguments.agent, block=4096
        )
        log = list(messages(self._config, random.Random(arguments.seed)))  # noqa: S311
        self.bars = sum(counts for counts, _ in log)
        self._broker = EmbeddedBroker()
        self._upstream = Upstream([payload for _, payload in log], self._broker.address, self._dice, folder)
        self._total = len(log)

    async def run(self) -> dict[str, Any]:
        """Attack until every bar is traded; returns what the session printed at its end."""
        self._broker.start()
        self._upstream.begin()
        tasks = [asyncio.create_task(work) for work in (self._clock(), self._break_broker())]
        try:
            while True:
                session = await self._start()
                killer = asyncio.create_task(self._kill(session))
                output, errors = await session.communicate()
                killer.cancel()
                if session.returncode == 0:
                    self.tally.rewritten_logs = self._upstream.rewritten
                    result: dict[str, Any] = json.loads(output)
                    return result
                if session.returncode != -signal.SIGKILL:
                    raise CheckFailed("the session ended by itself", found=errors.decode()[-2000:])
        finally:
            for task in tasks:
                task.cancel()
            await self._upstream.end()
            self._broker.stop()

    async def _start(self) -> asyncio.subprocess.Process:
        self.tally.starts += 1
        address, arguments = f"kafka://{self._broker.address}/{TOPIC}", self._arguments
        return await asyncio.create_subprocess_exec(
            *(
                str(COMMAND),
                "paper",
                "--feed",
                address,
                "--instrument",
                arguments.instrument,
                "--agent",
                arguments.agent,
            ),
            *("--out", str(self._folder), "--max-bars", str(self.bars), "--json", "--no-report"),
            *("--lateness", "120", "--idle-timeout", "60", "--set", "feed.connect_timeout_s=600"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def _kill(self, session: asyncio.subprocess.Process) -> None:
        await asyncio.sleep(2 + self._dice.expovariate(1 / 12))
        self.tally.session_kills += 1
        session.kill()

    async def _break_broker(self) -> None:
        while True:
            await asyncio.sleep(1 + self._dice.expovariate(1 / 12))
            self._broker.stop()
            self.tally.broker_kills += 1
            await self._upstream.end()
            await asyncio.sleep(self._dice.choice([0.0, 0.05, 0.5, 3.0]))
            self._broker.start()
            self._upstream.begin()

    async def _clock(self) -> None:
        """Let messages come due evenly over the time wanted."""
        began, wanted = time.monotonic(), 60.0 * self._arguments.minutes
        while self._upstream.due < self._total:
            share = (time.monotonic() - began) / wanted
            self._upstream.due = min(self._total, int(share * self._total))
            await asyncio.sleep(0.05)


def main() -> None:
    """Attack, compare, print; exit code 1 if the ledger is not the backtest's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--data", default="es-drift")
    parser.add_argument("--instrument", default="ES")
    parser.add_argument("--agent", default="ensemble")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-")) / "session"
    began = time.monotonic()
    attack = Attack(arguments, folder)
    result = asyncio.run(attack.run())
    minutes = (time.monotonic() - began) / 60
    expected = backtest(arguments.data, instrument=arguments.instrument, agent=arguments.agent).ledger_sha256
    rows, replayed = replay_whole(folder)
    same = result["ledger_sha256"] == expected == replayed == audit(folder).ledger_sha256
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    tally = attack.tally
    print(
        f"{rows:,} rows in {minutes:.1f} minutes: broker killed {tally.broker_kills} times and come back empty "
        f"({tally.rewritten_logs} times with other offsets), session killed {tally.session_kills} times, "
        f"{tally.starts} starts, largest process {children:.0f} MB"
    )
    print(f"dead letters: {result['dead_letters']}; last recovery {result['recovery_seconds']:.3f} s")
    print(f"ledger   {result['ledger_sha256']}\nbacktest {expected}")
    print("the same" if same else f"DIFFERENT, see {folder}")
    if same:
        shutil.rmtree(folder.parent)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
