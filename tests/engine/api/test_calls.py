"""The Python calls: arguments, agents of every kind, results that print, draw and load."""

from __future__ import annotations

import traceback
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import grandmodel as gm
from engine.api.arguments import OTHER_NAMES, plain
from engine.base.errors import UsageError
from feeds.memory import MemorySource
from tests.bars import random_bars

BARS = random_bars(600, seed=4)


def source() -> MemorySource:
    return MemorySource(BARS)


class Every(gm.Strategy):
    """Trades every `length` rows, and plots."""

    def __init__(self, length: int = 5, seed: int = 0) -> None:
        self.length, self.seed = length, seed

    def on_bar(self, context: gm.Context) -> None:
        context.target(float(context.seq // self.length % 2))
        bar = context.bar()
        assert bar is not None
        context.plot("middle", (bar.high + bar.low) / 2)
        context.plot("place", context.seq, panel="row")


@pytest.mark.parametrize(
    ("wrong", "right"), [("cash", "initial_capital"), ("commission", "fee"), ("strategy", "agent")]
)
def test_what_other_programs_call_it_is_answered_with_the_right_name(wrong: str, right: str) -> None:
    with pytest.raises(
        gm.UsageError, match=f"takes no argument '{wrong}'\n.*\nexpected: one of data, .*\nto do: use {right}"
    ):
        gm.backtest(source(), **{wrong: 1})  # type: ignore[arg-type]


def test_every_other_name_leads_to_an_argument_that_exists() -> None:
    import inspect

    known = set(inspect.signature(gm.backtest).parameters)
    for wrong, right in OTHER_NAMES.items():
        assert wrong not in known
        first = right.split("=")[0].split(",")[0]
        assert first in known or first.startswith(("context.", "no argument:"))


def test_a_slip_and_an_inner_key_are_answered_too() -> None:
    for slip, answer in {
        "inital_capital": "did you mean initial_capital?",
        "capitl": "did you mean initial_capital?",
        "limit": "did you mean limits?",
        "max_drawdon": "did you mean limits={'max_drawdown': ...}?",
        "max_drawdown": "use limits={'max_drawdown': ...}",
    }.items():
        with pytest.raises(gm.UsageError) as caught:
            gm.backtest(source(), **{slip: 1})  # type: ignore[arg-type]
        assert caught.value.hint == answer
        assert caught.value.expected is not None
        assert caught.value.expected.startswith("one of data, instrument, ")


def test_an_argument_that_cannot_be_read_is_named_as_it_was_given() -> None:
    with pytest.raises(gm.UsageError, match=r"\n  start: expected a date or a time such as .*'yesterday'"):
        gm.backtest("nothing.csv", start="yesterday")
    with pytest.raises(gm.UsageError, match=r"\n  slippage: "):
        gm.backtest("nothing.csv", slippage=3)  # type: ignore[arg-type]


def test_arguments_are_the_keys_of_a_configuration(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "initial_capital": 5000,
        "fee": 0.001,
        "execution": {"slippage": {"bps": 2}, "limit_fill": "through"},
        "sizing": {"mode": "equity_fraction", "value": 0.5},
        "limits": {"max_drawdown": 0.5},
        "agent": "sma_cross:fast=3,slow=9",
    }
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    from_file = gm.backtest(source(), config=file)
    called = gm.backtest(
        source(),
        agent=("sma_cross", {"fast": 3, "slow": 9}),
        initial_capital=5000,
        fee=0.001,
        slippage=gm.Slippage(bps=2),
        sizing=gm.SizingConfig(mode="equity_fraction", value=0.5),
        limits={"max_drawdown": 0.5},
        settings={"execution.limit_fill": "through"},
    )
    assert called.manifest["config"] == from_file.manifest["config"]
    assert called.ledger_sha256 == from_file.ledger_sha256
    assert gm.backtest(source(), config=file, fee=0.0).metrics["fees"] == 0.0  # arguments count more than files


def test_moments_are_written_as_a_file_would_hold_them() -> None:
    assert plain(date(2024, 1, 2)) == "2024-01-02"
    assert plain(datetime(2024, 1, 2, 3, tzinfo=UTC)) == "2024-01-02T03:00:00+00:00"


def test_a_class_and_an_object_are_the_same_agent() -> None:
    runs = [
        gm.backtest(source(), agent=Every, params={"length": 7}),
        gm.backtest(source(), agent=(Every, {"length": 7})),
        gm.backtest(source(), agent=Every(7)),
    ]
    assert len({run.ledger_sha256 for run in runs}) == 1
    assert [run.manifest["agent"] for run in runs] == ["Every:length=7", "Every:length=7", "Every"]
    assert gm.backtest(source(), agent=Every).ledger_sha256 != runs[0].ledger_sha256


@pytest.mark.parametrize(
    ("agent", "params", "message"),
    [
        (Every, {"lenght": 7}, "unknown parameter 'lenght'"),
        (Every(), {"length": 7}, "has its parameters already"),
        ((Every, 7), None, "cannot read the agent"),
        ((Every, {"length": 7}), {"length": 8}, "given twice"),
        (7, None, "this is no agent"),
        ("sma_cross", {"fast": [1, 2]}, "cannot hold"),
    ],
)
def test_an_agent_that_cannot_be_is_refused(agent: Any, params: Any, message: str) -> None:
    with pytest.raises(gm.UsageError, match=message):
        gm.backtest(source(), agent=agent, params=params)


def test_a_run_prints_draws_and_loads(tmp_path: Path) -> None:
    run = gm.backtest(source(), agent=Every, out=tmp_path / "run")
    loaded = gm.load(tmp_path / "run")
    assert str(loaded) == str(run)
    assert loaded.metrics == run.metrics and loaded.ledger_sha256 == run.ledger_sha256
    text, html = str(run), run._repr_html_()
    for key, shown in (("total_return", "{:,.2f} %"), ("final_equity", "{:,.2f}")):
        value = run.metrics[key]
        assert isinstance(value, float)
        figure = shown.format(100 * value if "%" in shown else value)
        assert figure in text and figure in html
    assert "Every" in html and "\x1b" not in text
    for one in (run, loaded):
        names = [trace.name for trace in one.plot().data]
        assert names == ["X", "middle", "place", "buy", "sell", "equity", "buy and hold", "drawdown"]
        assert len(one.plot().data[1].x) == 600
    assert loaded.pandas("plots").equals(run.pandas("plots"))
    with pytest.raises(gm.UsageError, match="no symbol 'Y'"):
        run.plot("Y")


def test_names_from_a_run_cannot_write_html() -> None:
    bars = random_bars(50, symbols=("<script>x</script>",))
    html = gm.backtest(MemorySource(bars), agent="flat")._repr_html_()
    assert "<script" not in html


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(gm.UsageError, match="not a run folder"):
        gm.load(tmp_path)


def test_an_error_ends_at_the_call_and_a_notebook_shows_its_words_alone() -> None:
    with pytest.raises(gm.UsageError) as caught:
        gm.backtest(source(), agent="sma_crss")
    files = [entry.path.name for entry in caught.traceback]
    assert files == ["test_calls.py", "arguments.py"]
    shown = caught.value._render_traceback_()
    assert shown[0].startswith("UsageError: no agent is called 'sma_crss'")
    assert "did you mean sma_cross?" in shown[0]


class Refuses(gm.Strategy):
    """Refuses to trade, for a reason that has a cause."""

    def on_bar(self, context: gm.Context) -> None:
        try:
            {}["limit"]
        except KeyError as error:
            raise UsageError("no limit was given") from error


def test_a_script_shows_the_error_of_a_strategy_once() -> None:
    with pytest.raises(UsageError) as caught:
        gm.backtest("es-synthetic", "ES", Refuses(), quiet=True)
    shown = "".join(traceback.format_exception(caught.value))
    assert "Group" not in shown and shown.count("UsageError: no limit was given") == 1
    assert (
        shown.splitlines()[-2] == "engine.base.errors.UsageError: no limit was given" and "KeyError: 'limit'" in shown
    )
