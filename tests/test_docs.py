"""README, docs/python.md and docs/strategies.md: their Python runs, and they say what the code says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import grandmodel as gm
from agents.context.context import HISTORY_ROWS
from agents.indicators.kinds import KINDS
from engine.cli.commands import COMMANDS
from feeds.memory import MemorySource
from tests.bars import random_bars

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON, STRATEGIES = ((DOCS / name).read_text(encoding="utf-8") for name in ("python.md", "strategies.md"))
CALLS = re.findall(r"```python\n(.*?)```", PYTHON, re.DOTALL)
CLASSES = re.findall(r"```python\n(.*?)```", STRATEGIES, re.DOTALL)


def rows(page: str, first: str) -> list[list[str]]:
    """Cells of the table whose head begins so."""
    lines = page.split(f"| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_the_calls_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CALLS) == 5
    monkeypatch.chdir(tmp_path)
    exec(compile(CALLS[number], "docs/python.md", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("number", range(len(CLASSES)))
def test_the_strategies_trade(number: int) -> None:
    assert len(CLASSES) == 6
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(CLASSES[number], "docs/strategies.md", "exec"), space)
    (made,) = [one for one in space.values() if isinstance(one, type) and one.__module__ == "page"]
    bars = random_bars(2000, seed=6)
    hashes = set()
    for block in (4096, 17):
        result = gm.backtest(MemorySource(bars), agent=made, block=block)
        fills = result.metrics["fills"]
        assert isinstance(fills, int) and fills > 5
        hashes.add(result.ledger_sha256)
    assert len(hashes) == 1


def test_the_table_of_indicators_is_the_code() -> None:
    table = {row[0].strip("`"): row for row in rows(STRATEGIES, "name")}
    assert list(table) == list(KINDS)
    for name, kind in KINDS.items():
        parameters = ", ".join(f"{key}={value:g}" for key, value in kind.parameters.items())
        assert named(table[name][1])[0] == parameters
        assert tuple(named(table[name][2])) == kind.outputs


def test_the_arguments_are_those_of_the_call() -> None:
    known = set(inspect.signature(gm.backtest).parameters)
    told = {name for row in rows(PYTHON, "argument") for name in named(row[0])}
    bold = set(re.findall(r"\*\*(\w+)\*\*:", PYTHON))
    assert told | bold | {"params", "unknown"} == known


def test_what_the_pages_name_exists() -> None:
    names = set(re.findall(r"`gm\.(\w+)", PYTHON + STRATEGIES))
    assert names <= set(gm.__all__)
    offered = STRATEGIES.split("`context` offers", 1)[1].split("\n\n", 1)[0]
    for name in named(offered):
        assert hasattr(gm.Context, name.partition("(")[0]) or name in {"symbols", "instruments"}
    assert f"look back {HISTORY_ROWS:,} rows" in STRATEGIES


def test_the_strategy_of_the_readme_gives_the_result_that_it_states() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    space: dict[str, Any] = {"__name__": "my"}
    exec(compile(code, "README.md", "exec"), space)
    metrics = gm.backtest("es-synthetic", "ES", space["Breakout"], slippage={"ticks": 1}).metrics
    stated = re.search(
        r"returns ([\d.]+) % with (\d+) closed trades .*\(buy-and-hold: (-[\d.]+) %\)", " ".join(README.split())
    )
    assert stated is not None
    assert [float(number) for number in stated.groups()] == pytest.approx(
        [100 * metrics["total_return"], metrics["trades"], 100 * metrics["buy_and_hold_return"]], abs=0.005
    )


def test_the_pages_and_commands_that_the_readme_names_exist() -> None:
    for page in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / page).exists(), page
    for command in re.findall(r"^\$ grandmodel ([\w-]+)", README, re.MULTILINE):
        assert command in COMMANDS


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
PLACE = re.compile(r"`((?:engine|agents|feeds|training|portfolio|benchmarks|configs|replays|tests)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    missing = [place for place in PLACE.findall(page.read_text(encoding="utf-8")) if not (ROOT / place).exists()]
    assert missing == []
