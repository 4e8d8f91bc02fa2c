"""A live session on MQTT under constant attack: `python -m benchmarks.live.mqtt_soak [--minutes 20] [--forgetful]`.

Mosquitto and the session are killed with SIGKILL again and again while the publisher waits and goes on. Where nothing
is lost, the ledger must be that of a backtest of the same bars. A broker without persistence (`--forgetful`) loses what
came while the session was away, and one with persistence what it has not saved (it saves all it has at each message,
so that it keeps up with some tens of them a second): then the session must report as many as are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.command_line import ROOT
from engine.api.calls import backtest
from engine.app.config import BacktestConfig
from engine.app.live.control import ask
from engine.app.preparing import prepare
from engine.base.errors import CheckFailed, UsageError
from feeds.live.address import parse_address
from feeds.live.broker import HOST, free_port
from feeds.live.messages import encode_bars
from feeds.live.mqtt.outlet import MqttOutlet
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine

COMMAND: Final = Path(sys.executable).with_name("grandmodel")
AGENT: Final = "sma_cross:fast=10,slow=30"
PATIENCE_S: Final = 3600.0
MISSING: Final = re.compile(r"of publisher \d+ (?:is|are) missing: ([\d,]+) to ([\d,]+)")


class Attack:
    """Runs the soak.

    Args:
        arguments: Of the command line.
        folder: For the broker and the session.
        mosquitto: The broker's program.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path, mosquitto: str) -> None:
        self.broker_kills = self.session_kills = 0
        self._arguments, self._session = arguments, folder / "session"
        self._dice = random.Random(arguments.seed)  # noqa: S311 - it decides what breaks when
        config = BacktestConfig(data=(arguments.data,), instrument=arguments.instrument, agent=AGENT)
        self.bars = next(iter(prepare(config, Quarantine()).source.blocks(arguments.bars)))
        self.messages = list(encode_bars(self.bars, format="json", per_message=1))
        port = free_port()
        self._feed = f"mqtt://{HOST}:{port}/bars"
        lines = [f"listener {port} {HOST}", "allow_anonymous true", "max_queued_messages 0"]
        if not arguments.forgetful:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
            lines += ["autosave_on_changes true"]
        (folder / "mosquitto.conf").write_text("\n".join([*lines, ""]))
        self._broker = [mosquitto, "-c", str(folder / "mosquitto.conf")]
        self._published = False
        self._holes: set[tuple[str, str]] = set()

    async def run(self) -> dict[str, Any]:
        """Attack until every bar was sent, and the session has what it gets of them; returns what it printed."""
        breaking = asyncio.create_task(self._break_broker())
        publishing = asyncio.create_task(self._publish())
        try:
            while True:
                session = await self._start()
                killer = asyncio.create_task(self._kill(session))
                output, errors = await session.communicate()
                killer.cancel()
                # reported again by the next start, if it was killed before it had committed what came after
                self._holes.update(MISSING.findall(errors.decode()))
                if session.returncode in {0, 1} and self._published:
                    result: dict[str, Any] = json.loads(output)
                    return result
                if session.returncode != -signal.SIGKILL:
                    raise CheckFailed("the session ended by itself", found=errors.decode()[-2000:])
        finally:
            for task in (breaking, publishing):
                task.cancel()
            await asyncio.gather(breaking, publishing, return_exceptions=True)

    @property
    def missing(self) -> int:
        """Messages that the session has reported as missing."""
        holes = [[int(number.replace(",", "")) for number in hole] for hole in self._holes]
        return sum(last - first + 1 for first, last in holes)

    async def _start(self) -> asyncio.subprocess.Process:
        arguments = self._arguments
        return await asyncio.create_subprocess_exec(
            *(str(COMMAND), "paper", "--feed", self._feed, "--instrument", arguments.instrument, "--agent", AGENT),
            *("--out", str(self._session), "--max-bars", str(len(self.messages)), "--json", "--no-report"),
            *("--idle-timeout", "30", "--set", f"feed.connect_timeout_s={PATIENCE_S:g}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def _kill(self, session: asyncio.subprocess.Process) -> None:
        while not await self._connected():
            await asyncio.sleep(0.1)
        await asyncio.sleep(1 + self._dice.expovariate(1 / 8))
        if not self._published:
            self.session_kills += 1
            session.kill()

    async def _connected(self) -> bool:
        try:
            return bool((await asyncio.to_thread(ask, self._session, "status"))["connected"])
        except UsageError:  # it begins, or ends, at this moment
            return False

    async def _publish(self) -> None:
        """Every bar, evenly over the time; the first once the session is there, since MQTT keeps none for strangers."""
        while not await self._connected():
            await asyncio.sleep(0.1)
        outlet = MqttOutlet(parse_address(self._feed, publishing=True), PATIENCE_S)
        await outlet.open()
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        for number, message in enumerate(self.messages):
            await asyncio.sleep(began + 60 * self._arguments.minutes * number / len(self.messages) - loop.time())
            await outlet.send([message])
        await outlet.finish()
        await outlet.close()
        self._published = True

    async def _break_broker(self) -> None:
        """Start the broker; kill it after a while; and again, until everything was sent."""
        while True:
            broker = await asyncio.create_subprocess_exec(
                *self._broker, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                lasts = asyncio.get_running_loop().time() + 4 + self._dice.expovariate(1 / 12)
                while self._published or asyncio.get_running_loop().time() < lasts:
                    await asyncio.sleep(0.1)
            finally:
                broker.kill()
                await broker.wait()
            self.broker_kills += 1
            await asyncio.sleep(self._dice.choice([0.0, 0.05, 0.5, 3.0]))


def main() -> None:
    """Attack, compare, print; exit code 1 if a bar is lost that nobody was told of, or the ledger is another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--data", default="es-drift")
    parser.add_argument("--bars", type=int, default=1_000_000, help="the first so many only")
    parser.add_argument("--instrument", default="ES")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forgetful", action="store_true", help="a broker without persistence")
    arguments = parser.parse_args()
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        parser.error("mosquitto is not installed: apt-get install mosquitto")
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    folder.chmod(0o777)  # started by root, mosquitto becomes another user
    attack = Attack(arguments, folder, mosquitto)
    result = asyncio.run(attack.run())
    lost = len(attack.messages) - result["bars"]
    expected = backtest(MemorySource(attack.bars), instrument=arguments.instrument, agent=AGENT).ledger_sha256
    right = lost == attack.missing and (lost > 0 or result["ledger_sha256"] == expected)
    print(
        f"{result['bars']:,} of {len(attack.messages):,} bars: broker killed {attack.broker_kills} times, session "
        f"{attack.session_kills} times; {lost:,} lost, {attack.missing:,} reported as missing"
    )
    print(f"dead letters: {result['dead_letters']}\nledger   {result['ledger_sha256']}\nbacktest {expected}")
    print("as it should be" if right else f"WRONG, see {folder}")
    if right:
        shutil.rmtree(folder)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
