"""The page of a comparison: complete in itself, safe with any text, and its scripts shadow nothing of the browser's."""

import io
import json
import re
import shlex
from importlib import resources
from typing import Any

from rich.console import Console

from engine.report.comparison.page import command, page, page_data
from engine.report.comparison.rows import rows_of, shown_parts, sorted_rows
from engine.report.comparison.sentences import halt_sentence
from engine.report.comparison.terminal import ALL, ComparisonTable, columns_that_fit, folded

BROWSER = {"open", "close", "stop", "print", "find", "focus", "blur", "scroll", "alert", "confirm", "top", "name"}


def variant(number: int, name: str, sharpe: float | None, **more: Any) -> dict[str, Any]:
    metrics = {"total_return": 0.1, "sharpe": sharpe, "max_drawdown": -0.1, "mean_leverage": 1.0, "trades": 3}
    metrics |= {"excess_at_equal_risk": 0.02, "equal_risk_return": 0.08}
    parts = dict.fromkeys(("all", "in", "out"), metrics)
    return {
        "number": number, "variant": name, "agent": "a", "parameters": {"x": number}, "varied": ["x"], "run": None,
        "status": "done", "error": None, "ledger_sha256": "ab", "parts": parts, "curve": [0.0, 0.1], **more,
    }  # fmt: skip


def tree(*variants: dict[str, Any]) -> dict[str, Any]:
    return {
        "symbols": ["ES"], "config": {"data": ["my bars.csv"], "instrument": "ES"}, "settings": {"fee": 0.0002},
        "bars_sha256": "cd", "walk_forward": [], "variants": list(variants), "times": [0, 10**18],
        "benchmark": [0.0, 0.05], "benchmark_name": "buy and hold",
        "parts": [{"name": name, "start": start, "stop": stop} for name, start, stop in
                  (("all", 0, 10), ("in", 0, 5), ("out", 5, 10))],
        "selection": {"part": "in", "tried": 2, "independent": 1.2, "winner": 0, "winner_sharpe": 2.0,
                      "luck_sharpe": 1.5, "deflated": 0.6},
    }  # fmt: skip


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given() -> None:
    evil = "</script><script>alert(1)</script>"
    made = tree(variant(1, evil, 2.0), variant(2, "b", None, status="failed", error=evil, parts=None, curve=[]))
    text = page(made, sorted_rows(rows_of(made), None, shown_parts(made)))
    assert evil not in text
    assert not re.search(r"""(src|href)=["'](?!data:,)""", text.split("<script>")[0])
    assert "by luck alone" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert [row["winner"] for row in data["rows"]] == [True, False]
    assert data["rows"][1]["values"]["in.sharpe"] is None


def test_the_command_of_a_variant_runs_it_alike() -> None:
    words = shlex.split(command(tree(), "a:x=1"))
    assert words == [
        "grandmodel", "backtest", "--data", "my bars.csv", "--instrument", "ES", "--set", "fee=0.0002", "--agent",
        "a:x=1",
    ]  # fmt: skip


def test_a_map_for_each_agent_that_was_varied() -> None:
    made = tree(variant(1, "a:x=1", 1.0), variant(2, "b", 1.0, agent="b", varied=[]))
    assert page_data(made, rows_of(made))["maps"] == [{"agent": "a", "name": "a", "varied": ["x"]}]


def test_scripts_define_no_function_that_the_browser_has() -> None:
    text = resources.files("engine.report.comparison").joinpath("page.js").read_text("utf-8")
    assert not BROWSER & set(re.findall(r"^(?:function|const|let) (\w+)", text, re.MULTILINE))


def test_columns_give_way_to_names() -> None:
    assert columns_that_fit(200, 2, 30) == ALL
    assert columns_that_fit(80, 1, 20) == ALL
    assert columns_that_fit(80, 2, 40) == ("return", "sharpe", "drawdown")


def test_a_variant_that_a_limit_stopped_is_named() -> None:
    made = tree(variant(1, "a", 2.0, halted="max_drawdown"), variant(2, "b", 1.0, halted=None))
    said = "1 of 2 variants was halted by a hard limit (max drawdown) and traded no more from then on: a"
    assert halt_sentence(made) == said
    rows = sorted_rows(rows_of(made), None, shown_parts(made))
    assert said in page(made, rows)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(ComparisonTable(made, rows, 30))
    assert said in " ".join(console.export_text().split())
    made["variants"][1]["halted"] = "max_daily_loss"
    assert "2 of 2 variants were halted by a hard limit (max daily loss or max drawdown)" in str(halt_sentence(made))
    assert halt_sentence(tree(variant(1, "a", 2.0))) is None


def test_the_parts_are_named_above_their_first_columns() -> None:
    made, shown = tree(variant(1, "a", 2.0)), io.StringIO()
    Console(file=shown, width=140).print(ComparisonTable(made, rows_of(made), 10))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    at = lines.index(["out-of-"])
    assert lines[at + 1] == ["in-sample", "sample"] and lines[at + 2].count("return") == 2


def test_a_name_without_room_is_folded_at_its_commas() -> None:
    assert folded("sma_cross:fast=20,slow=30", 30) == "sma_cross:fast=20,slow=30"
    assert folded("sma_cross:fast=20,slow=30", 20) == "sma_cross:fast=20,\nslow=30"
    assert folded("strategy.py:Trend:fast=30", 20) == "strategy.py:Trend:\nfast=30"


def test_rows_of_the_table_are_no_class_that_the_shared_style_lays_out_otherwise() -> None:
    names = re.findall(
        r'className = "(\w+)"', resources.files("engine.report.comparison").joinpath("page.js").read_text()
    )
    style = resources.files("engine.report").joinpath("page.css").read_text()
    assert names
    for name in names:
        assert not re.search(rf"\.{name}\s*\{{[^}}]*display:", style), name
