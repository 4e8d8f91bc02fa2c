"""`grandmodel.compare`: a row a variant, in a frame."""

from pathlib import Path

import pandas as pd
import pytest

import grandmodel as gm
from tests.engine.app.comparison.bars import write_bars


class Breakout(gm.Strategy):
    def __init__(self, length: int = 20) -> None:
        self.length, self.closes = length, []

    def on_bar(self, context: gm.Context) -> None:
        self.closes.append(context.bar().close)
        past = self.closes[-self.length - 1 : -1]
        if len(past) == self.length:
            context.target(1 if self.closes[-1] > max(past) else -1 if self.closes[-1] < min(past) else None or 0)


def test_specifications_classes_and_objects_beside_each_other(tmp_path: Path) -> None:
    data = write_bars(tmp_path / "bars.csv", minutes=15)
    agents = ["sma_cross:fast=2..4:2,slow=10|30", Breakout, (Breakout, {"length": 40}), Breakout(30), "flat"]
    frame = gm.compare(data, agents=agents, split="2024-01-12", labels="close", fee=0.0001)
    assert isinstance(frame, pd.DataFrame)
    assert set(frame.index) == {
        *(f"sma_cross:fast={fast},slow={slow}" for fast in (2, 4) for slow in (10, 30)),
        "Breakout", "Breakout:length=40", "Breakout #2", "flat",
    }  # fmt: skip
    assert frame["in.sharpe"].dropna().is_monotonic_decreasing
    assert frame.index[-1] == "flat"  # it has no Sharpe ratio
    assert frame.loc["sma_cross:fast=2,slow=30", ["fast", "slow"]].tolist() == [2, 30]
    for name, agent in (("sma_cross:fast=4,slow=10",) * 2, ("Breakout", Breakout), ("Breakout #2", Breakout(30))):
        alone = gm.backtest(data, agent=agent, labels="close", fee=0.0001)
        assert frame.loc[name, "ledger_sha256"] == alone.ledger_sha256
        assert frame.loc[name, "all.return"] == alone.metrics["total_return"]
    selection = frame.attrs["selection"]
    assert selection["tried"] == 7
    assert selection["luck_sharpe"] > 0
    equity = frame.attrs["equity"]
    assert equity.columns[0] == "buy and hold"
    assert equity["Breakout"].iloc[-1] == pytest.approx(frame.loc["Breakout", "all.return"], abs=1e-5)


def test_frames_one_agent_and_folds(tmp_path: Path) -> None:
    bars = pd.read_csv(write_bars(tmp_path / "bars.csv", minutes=15))
    frame = gm.compare(bars, agents="sma_cross:fast=2|3", folds=3, sort="variant", labels="close")
    assert list(frame.index) == ["sma_cross:fast=2", "sma_cross:fast=3"]
    assert [step["fold"] for step in frame.attrs["walk_forward"]] == [2, 3]
    assert {"fold.1.sharpe", "fold.3.return", "out.return"} <= set(frame.columns)


def test_a_wrong_argument_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(gm.UsageError, match="initial_capital"):
        gm.compare(tmp_path, agents="flat", cash=1000)
    with pytest.raises(gm.UsageError, match="nowhere to keep"):
        gm.compare(tmp_path, agents="flat", keep=True)


@pytest.mark.parametrize("split", [None, "2024-01-12"])
def test_printed_it_shows_the_columns_that_judge(
    tmp_path: Path, split: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data = write_bars(tmp_path / "bars.csv", minutes=15)
    agents = ["sma_cross:fast=2,slow=10", "flat", "sma_cross:fast=10,slow=2"]
    frame = gm.compare(data, agents=agents, split=split, labels="close")
    text = str(frame)
    for part in ("in", "out") if split else ("all",):
        for name in ("return", "sharpe", "drawdown", "trades", "excess"):
            assert f"{part}.{name}" in text and f"{part}.{name}" in str(frame._repr_html_())
    assert "..." not in text and "refused" in text
    assert max(map(len, text.splitlines())) <= 80
    part = "in" if split else "all"
    assert f"{100 * frame.loc[agents[0], f'{part}.return']:,.2f} %" in text
    assert "sharpe" in str(frame.head(1)) and isinstance(frame.head(1), pd.DataFrame)
    plain = frame[["status", "agent"]]
    assert str(plain) == str(pd.DataFrame(plain)) and "agent" in str(plain)
