"""docs/live.md says what the code says; examples and deployment files are what the program takes."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import typer
import yaml

from engine.app.learning import live
from engine.app.live import monitoring, paper, session, watching
from engine.app.live.config import FeedConfig
from engine.app.live.control import COMMANDS
from engine.app.live.folder import OWN_FILES
from engine.app.live.intake import Intake
from engine.base.errors import UsageError
from engine.cli.app import app
from engine.cli.live_screens import KEYS, ROLE_KEYS
from engine.journal.schema import TABLES
from engine.monitor.metrics import SessionMetrics
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from engine.types.records import Operation
from feeds.live.address import parse_address
from feeds.live.checks import REASONS
from feeds.live.messages import BarMessage, QuoteMessage, TradeMessage, decode
from feeds.live.source import Delivery, Record

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows(first: str) -> list[list[str]]:
    """Cells of the table whose head begins so."""
    lines = PAGE.split(f"| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def elements(payload: bytes) -> list[Any]:
    good, letters = decode(Record("page", 0, payload))
    assert not letters
    return good


def test_messages_are_read_in_both_formats() -> None:
    read = [elements(block.encode()) for block in blocks("json")]
    assert [[type(one) for one in message] for message in read] == [
        [BarMessage],
        [TradeMessage],
        [QuoteMessage],
        [BarMessage, BarMessage],
    ]
    packed = [msgspec.msgpack.encode(json.loads(block)) for block in blocks("json")]
    # a volume that is not known is NaN, which differs from itself
    assert repr([elements(payload) for payload in packed]) == repr(read)


def delivered(symbols: tuple[str, ...], payloads: list[bytes]) -> BarBlock:
    """Rows that messages of one partition close."""
    config = FeedConfig(confirmations=1)
    intake = Intake({name: load_instrument(name) for name in symbols}, config.timeframe_ns, config)
    records = [Record("t/0", at, payload) for at, payload in enumerate(payloads)]
    [arrival] = intake.arrivals(Delivery(records, partitions=frozenset({"t/0"})), 0.0, lambda: 1024)
    assert arrival.block is not None and not arrival.dead_letters
    return arrival.block


def test_a_row_that_lacks_a_symbol_closes_with_messages_of_a_later_time() -> None:
    alone, _, _, both = (block.encode() for block in blocks("json"))
    assert delivered(("ES", "6E"), [alone, both]).present.tolist() == [[True, False], [True, True]]


def test_a_trade_at_a_close_belongs_to_the_bar_of_that_close() -> None:
    assert "a trade at 13:31:00 belongs to the bar of 13:31" in " ".join(PAGE.split())
    times = ("2024-06-03T13:30:00.000000001Z", "2024-06-03T13:31:00Z", "2024-06-03T13:31:00.5Z")
    trades = [{"type": "trade", "timestamp": time, "price": 100.0 + at, "size": 1} for at, time in enumerate(times)]
    block = delivered(("ES",), [json.dumps(trade).encode() for trade in trades])
    assert block.ts_event.tolist() == [1_717_421_460_000_000_000]
    assert (block.open[0, 0], block.close[0, 0], block.volume[0, 0]) == (100.0, 101.0, 2.0)


def test_reasons_are_those_of_the_code() -> None:
    assert {named(reason)[0]: text for reason, text in rows("reason")} == REASONS


@pytest.mark.parametrize("row", rows("feed"), ids=lambda row: named(row[0])[0])
def test_keys_of_addresses_are_those_of_the_code(row: list[str]) -> None:
    kind, keys = named(row[0])[0], named(row[1])
    if kind == "stdin":
        assert not keys
        return
    with pytest.raises(UsageError) as refused:
        parse_address(f"{kind}:FILE?nothing=1" if kind == "replay" else f"{kind}://host/topic?nothing=1")
    assert refused.value.expected is not None
    assert refused.value.expected.startswith(f"one of {', '.join(keys)}, as in")


def test_keys_of_feeds_and_their_defaults_are_those_of_the_code() -> None:
    written = {named(key)[0]: yaml.safe_load(default) for key, default, _ in rows("key of `feed`")}
    defaults = FeedConfig().model_dump(mode="json")
    # no default is shown where it is empty, or keys of its own
    shown = {key: None if value in ("", []) or isinstance(value, dict) else value for key, value in defaults.items()}
    assert written == shown


def test_tables_and_files_are_those_of_the_code() -> None:
    tables = [name for text in TABLES for name in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(?:main\.)?(\w+)", text)]
    assert [named(row[0])[0] for row in rows("table")] == tables
    written = {name.rstrip("/") for row in rows("file") for name in named(row[0])}
    assert {re.sub(r"(-(wal|shm)|\.\d)$", "", name) for name in OWN_FILES} <= written


def test_orders_and_keys_are_those_of_the_code() -> None:
    written = {named(command)[0]: (named(key), "asks" in key) for command, key, _ in rows("command")}
    assert written.keys() == set(COMMANDS)
    by_key = {keys[0]: (command, asks) for command, (keys, asks) in written.items() if keys}
    assert by_key == {key: (command, bool(question)) for key, (command, question) in {**KEYS, **ROLE_KEYS}.items()}


def notices() -> Iterator[tuple[str, str]]:
    """Kind and severity of everything that a session says."""
    for file in sorted(Path(paper.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) != 3:
                continue
            severity, kind = node.args[:2]
            if node.func.attr in {"notice", "_notice"} and isinstance(kind, ast.Constant):
                assert isinstance(severity, ast.Constant)
                yield str(kind.value), str(severity.value)
    for kind in (*monitoring.KINDS.values(), monitoring.DRIFT):
        yield kind, "warning"
    for operation, word in session.DONE.items():
        yield session.KINDS.get(operation, word), "critical" if operation is Operation.HALT else "warning"
    yield from watching.ROLE_ALERTS.items()
    yield from watching.LEARNING_ALERTS.items()
    yield from {live.RESTARTED: "warning", live.STUCK: "critical"}.items()


def test_kinds_of_alerts_are_those_of_the_code() -> None:
    assert {kind: severity for kinds, severity, _ in rows("kind") for kind in named(kinds)} == dict(notices())


def test_metrics_are_those_of_the_code() -> None:
    metrics = SessionMetrics()
    types = re.findall(r"^# TYPE (\S+)", metrics.exposition().decode(), re.MULTILINE)
    assert {name for row in rows("metric") for name in named(row[0])} == {
        name for name in types if not name.endswith("_created")
    }


def test_commands_and_their_options_exist() -> None:
    lines = [line for block in blocks("console") for line in re.sub(r"\s#.*", "", block).splitlines()]
    calls = [part.strip() for line in lines for part in line.removeprefix("$ ").split(" | ")]
    assert sum(call.startswith("grandmodel ") for call in calls) >= 8
    root = typer.main.get_command(app)
    for call in calls:
        program, *words = shlex.split(call)
        if program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        if program != "grandmodel":
            continue
        command: Any = root
        while isinstance(command, click.Group):
            command = command.get_command(None, words.pop(0))
        # the parser refuses what is no option of the command
        command.make_context(program, words).close()


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = link.partition("#")
        assert (ROOT / "docs" / file).exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)", (ROOT / "docs" / file).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, link
