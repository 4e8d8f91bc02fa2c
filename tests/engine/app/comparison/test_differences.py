from pathlib import Path

import polars as pl
import pytest

from engine.app.backtest import run_backtest
from engine.app.comparison.differences import Run, config_differences, first_differences
from engine.app.config import BacktestConfig
from engine.base.errors import UsageError
from tests.engine.app.comparison.bars import write_bars


def test_the_first_differing_row_and_field(tmp_path: Path) -> None:
    data = str(write_bars(tmp_path / "bars.csv", rows=400))
    tree = {"data": (data,), "replay": {"labels": "close"}, "agent": "sma_cross:fast=2,slow=5"}
    for name, fee in (("a", 0.0001), ("b", 0.0001), ("c", 0.0002)):
        run_backtest(BacktestConfig.model_validate({**tree, "fee": fee}), tmp_path / name)
    a, b, c = (Run.read(tmp_path / name) for name in "abc")
    assert first_differences(a, b) == []
    assert config_differences([a, b]) == {}
    assert config_differences([a, b, c]) == {"fee": [0.0001, 0.0001, 0.0002]}
    ledger, filled = first_differences(a, c)
    assert (ledger.table, filled.table) == ("ledger", "fills")
    assert filled.row == 0
    assert filled.field == "fee"
    assert filled.second == pytest.approx(2 * filled.first)
    cash = [pl.read_parquet(tmp_path / name / "ledger.parquet")[ledger.field] for name in "ac"]
    assert (cash[0][: ledger.row] == cash[1][: ledger.row]).all()
    assert [cash[0][ledger.row], cash[1][ledger.row]] == [ledger.first, ledger.second]

    path = tmp_path / "b" / "fills.parquet"
    pl.read_parquet(path).head(3).write_parquet(path)
    (short,) = first_differences(a, b)
    assert (short.field, short.row, short.second) == ("rows", 3, 3)
    with pytest.raises(UsageError, match="not a run folder"):
        Run.read(tmp_path)
