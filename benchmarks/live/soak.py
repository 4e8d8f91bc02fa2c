"""A live session under constant attack: `python -m benchmarks.live.soak [--minutes 20] [--broker COMMAND]`.

The broker (Tansu, in memory) is killed again and again and comes back empty; its feeder writes the log again, in
half of the cases from a later message on, so that offsets mean something else. Your own broker (`--broker
'kafka/start {folder} {port}'`) keeps its log; its topic is deleted and made again in a third of the cases, otherwise
the feeder goes on a little before what was traded. The session is killed with SIGKILL too and started again. Among the
messages are double, late and broken ones. At the end the ledger must be that of a backtest of the same bars, and the
journal must be whole.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.command_line import ROOT
from benchmarks.live.brokers import CommandBroker
from engine.api.calls import backtest
from engine.app.config import BacktestConfig
from engine.app.journal.verifying import audit, replay_whole
from engine.app.preparing import prepare
from engine.base.errors import CheckFailed
from engine.journal.reading import JournalReader, has_begun
from feeds.live.address import parse_address
from feeds.live.broker import EmbeddedBroker
from feeds.live.kafka.client import client_settings
from feeds.live.messages import encode_bars
from feeds.quarantine import Quarantine

TOPIC = "bars"
# messages that are written again, at most, where the log is kept
MOST_AGAIN = 300
# what was deleted is gone after so long
DELETED_S = 1.0
COMMAND = Path(sys.executable).with_name("grandmodel")


def messages(config: BacktestConfig, dice: random.Random) -> Iterator[tuple[bool, bytes]]:
    """Messages, each with whether it is a bar that counts; some come twice, late or broken."""
    sent: list[bytes] = []
    for block in prepare(config, Quarantine()).source.blocks(4096):
        for _, payload in encode_bars(block, format="json", per_message=1):
            yield True, payload
            sent.append(payload)
            if dice.random() < 0.02:
                yield False, dice.choice([sent[-1], dice.choice(sent[-300:]), b'{"symbol": "ES", "timestamp"'])


async def _delete(feed: str) -> None:
    address = parse_address(feed, publishing=True)
    admin = AIOKafkaAdminClient(**client_settings(address))
    try:
        await admin.start()
        await admin.delete_topics([address.topic])
    finally:
        await admin.close()
    await asyncio.sleep(DELETED_S)


class Upstream:
    """Writes every message so far into the broker whenever that has come back empty, and then what comes due.

    Args:
        log: File of all messages, one a line.
        address: Of the feed.
        seconds: After which the last one is due.
        dice: Decides from where the log is written again.
        folder: Of the session; a message that it may still need is never left out.
        kept: Whether the broker keeps its log when it is killed.
    """

    def __init__(
        self, log: Path, address: str, seconds: float, dice: random.Random, folder: Path, *, kept: bool = False
    ) -> None:
        self._log, self._address, self._dice, self._folder, self._kept = log, address, dice, folder, kept
        self._began, self._seconds = time.monotonic(), seconds
        self._process: asyncio.subprocess.Process | None = None
        self.rewritten = self.deleted = 0

    async def begin(self) -> asyncio.subprocess.Process:
        """The broker is there, and empty: write the log."""
        first = self._process is None
        if self._kept and not first:
            if self._dice.random() < 2 / 3:
                return await self._feed(max(0, self._traded() - self._dice.randrange(MOST_AGAIN)))
            await _delete(self._address)
            self.deleted += 1
        # a log that begins later gives every message another offset
        start = 0 if first or self._dice.random() < 0.5 else self._dice.randrange(1 + self._traded())
        self.rewritten += start > 0
        return await self._feed(start)

    async def _feed(self, start: int) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.live.upstream", str(self._log), self._address),
            *(str(start), str(self._began), str(self._seconds)),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    async def end(self) -> None:
        """The broker was killed: nothing that is on its way may get into the next one."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _traded(self) -> int:
        """Rows that the session has committed: so many messages, at least, it will not miss."""
        if not has_begun(self._folder):
            return 0
        with JournalReader(self._folder) as reader:
            return reader.next_seq


class Attack:
    """Runs the soak.

    Args:
        arguments: Of the command line.
        folder: For the session and its output.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.broker_kills = self.session_kills = self.starts = 0
        self._arguments, self._folder = arguments, folder
        self._dice = random.Random(arguments.seed)  # noqa: S311 - it decides what breaks when
        self._config = BacktestConfig(
            data=(arguments.data,), instrument=arguments.instrument, agent=arguments.agent, block=4096
        )
        log = list(messages(self._config, random.Random(arguments.seed)))  # noqa: S311 - likewise
        self.bars = sum(counts for counts, _ in log)
        command = arguments.broker
        # a broker that reads its log again takes its time
        self._pace = 3.0 if command else 1.0
        self._broker = CommandBroker(command, folder.with_name("broker")) if command else EmbeddedBroker()
        self._address = f"kafka://{self._broker.address}/{TOPIC}"
        file = folder.with_name("messages")
        file.write_bytes(b"\n".join(payload for _, payload in log))
        self.upstream = Upstream(file, self._address, 60.0 * arguments.minutes, self._dice, folder, kept=bool(command))

    async def run(self) -> dict[str, Any]:
        """Attack until every bar is traded; returns what the session printed at its end."""
        breaking = asyncio.create_task(self._break_broker())
        try:
            while True:
                session = await self._start()
                killer = asyncio.create_task(self._kill(session))
                output, errors = await session.communicate()
                killer.cancel()
                if session.returncode == 0:
                    result: dict[str, Any] = json.loads(output)
                    return result
                if session.returncode != -signal.SIGKILL:
                    raise CheckFailed("the session ended by itself", found=errors.decode()[-2000:])
        finally:
            breaking.cancel()
            await asyncio.wait({breaking})
            await self.upstream.end()
            self._broker.stop()

    async def _start(self) -> asyncio.subprocess.Process:
        self.starts += 1
        arguments = self._arguments
        return await asyncio.create_subprocess_exec(
            *(str(COMMAND), "paper", "--feed", self._address, "--instrument", arguments.instrument),
            *("--agent", arguments.agent),
            *("--out", str(self._folder), "--max-bars", str(self.bars), "--json", "--no-report"),
            *("--lateness", "120", "--idle-timeout", "60", "--set", "feed.connect_timeout_s=600"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def _kill(self, session: asyncio.subprocess.Process) -> None:
        await asyncio.sleep(self._pace * (2 + self._dice.expovariate(1 / 12)))
        self.session_kills += 1
        session.kill()

    async def _break_broker(self) -> None:
        """Start the broker and fill it; kill it after a while, or when what fills it fails; and again."""
        while True:
            self._broker.start()
            filling = asyncio.create_task((await self.upstream.begin()).wait())
            await asyncio.wait({filling}, timeout=self._pace * (4 + self._dice.expovariate(1 / 12)))
            self._broker.stop()
            self.broker_kills += 1
            await self.upstream.end()
            await asyncio.sleep(self._dice.choice([0.0, 0.05, 0.5, 3.0]))


def main() -> None:
    """Attack, compare, print; exit code 1 if the ledger is not the backtest's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--data", default="es-drift")
    parser.add_argument("--instrument", default="ES")
    parser.add_argument("--agent", default="ensemble")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", help="command of a Kafka broker, with {folder} and {port}")
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
    back = f"its topic made again {attack.upstream.deleted} times" if arguments.broker else "come back empty"
    print(
        f"{rows:,} rows in {minutes:.1f} minutes: broker killed {attack.broker_kills} times, {back} "
        f"({attack.upstream.rewritten} times with other offsets), session killed {attack.session_kills} times, "
        f"{attack.starts} starts, largest process {children:.0f} MB"
    )
    print(f"dead letters: {result['dead_letters']}; last recovery {result['recovery_seconds']:.3f} s")
    print(f"ledger   {result['ledger_sha256']}\nbacktest {expected}")
    print("the same" if same else f"DIFFERENT, see {folder}")
    if same:
        shutil.rmtree(folder.parent)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
