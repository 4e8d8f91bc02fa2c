import csv
import json
from pathlib import Path

import numpy as np
import pytest

from engine.app.backtest import run_backtest
from engine.app.comparison.comparison import Comparison, compare, variants_of
from engine.app.comparison.keeping import write_comparison
from engine.app.comparison.selection import best, walk_forward
from engine.app.comparison.store import FILE
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared, prepare
from engine.base.errors import UsageError
from feeds.quarantine import Quarantine
from tests.engine.app.comparison.bars import write_bars, write_strategy

GRID = "sma_cross:fast=2..6:2,slow=10|30"


@pytest.fixture
def config(tmp_path: Path) -> BacktestConfig:
    tree = {"data": (str(write_bars(tmp_path / "bars.csv")),), "replay": {"labels": "close"}, "fee": 0.0001}
    return BacktestConfig.model_validate(tree)


def opened(config: BacktestConfig) -> Prepared:
    return prepare(config, Quarantine(None))


def run(config: BacktestConfig, *specs: str, **options: object) -> Comparison:
    return compare(opened(config), variants_of(specs), **options)  # type: ignore[arg-type]


def test_a_variant_is_the_backtest_of_its_specification(config: BacktestConfig, tmp_path: Path) -> None:
    mine = write_strategy(tmp_path)
    found = run(config, GRID, f"{mine}:Breakout:length=20|40", "buy_and_hold", split="2024-01-02 18:00", workers=1)
    assert len(found.outcomes) == 9
    for given, outcome in zip(found.given, found.outcomes, strict=True):
        alone = run_backtest(config.model_copy(update={"agent": given.variant.spec}))
        whole = outcome.parts["all"]
        assert outcome.ledger_sha256 == alone.manifest["ledger_sha256"]
        assert outcome.config_sha256 == alone.manifest["config_sha256"]
        for name in ("total_return", "sharpe", "max_drawdown", "mean_leverage", "exposure", "trades"):
            assert whole[name] == alone.metrics[name], name


@pytest.mark.parametrize("block", [64, 16384])
def test_parts_are_judged_as_an_oracle_judges_the_ledger(config: BacktestConfig, block: int) -> None:
    chosen = config.model_copy(update={"block": block})
    found = run(chosen, "sma_cross:fast=3,slow=9", split="2024-01-02 20:00", workers=1)
    alone = run_backtest(chosen.model_copy(update={"agent": "sma_cross:fast=3,slow=9"})).recorder.frames()
    equity = alone["ledger"]["equity"].to_numpy()
    ends = alone["trades"]["exit_time"].to_numpy()
    closed = ~alone["trades"]["open"].to_numpy()
    times = alone["ledger"]["ts_event"].to_numpy()
    cut = int((times <= np.datetime64("2024-01-02T20:00")).sum())
    for name, part, start in (("in", slice(0, cut), 1e5), ("out", slice(cut, None), equity[cut - 1])):
        told, own = found.outcomes[0].parts[name], equity[part]
        path = np.concatenate([[start], own])
        assert told["total_return"] == pytest.approx(own[-1] / start - 1, rel=1e-12)
        assert told["max_drawdown"] == pytest.approx((path / np.maximum.accumulate(path) - 1).min(), rel=1e-9)
        inside = closed & (ends >= times[part][0]) & (ends <= times[part][-1])
        assert told["trades"] == inside.sum()
    whole, both = found.outcomes[0].parts["all"], [found.outcomes[0].parts[name] for name in ("in", "out")]
    assert 1 + whole["total_return"] == pytest.approx(np.prod([1 + part["total_return"] for part in both]))
    assert whole["trades"] == sum(part["trades"] for part in both)


def test_the_benchmark_at_equal_risk_of_buy_and_hold_is_itself(config: BacktestConfig) -> None:
    chosen = config.model_copy(update={"fee": 0.0, "block": 500})
    spec = "buy_and_hold"
    sized = BacktestConfig.model_validate(
        {**chosen.model_dump(), "sizing": {"mode": "equity_fraction", "value": 1.0}, "fee": 0.0}
    )
    part = run(sized, spec, workers=1).outcomes[0].parts["all"]
    assert part["equal_risk_return"] == pytest.approx(part["buy_and_hold_return"], abs=2e-3)
    assert part["excess_at_equal_risk"] == pytest.approx(part["total_return"] - part["equal_risk_return"])


def test_the_result_is_the_same_with_any_number_of_workers(config: BacktestConfig, tmp_path: Path) -> None:
    specs = [GRID, f"{write_strategy(tmp_path)}:Breakout:length=20|950,fails=false|true", "random:seed=1..3"]
    alone, together = (run(config, *specs, folds=3, workers=workers) for workers in (1, 2))
    assert json.dumps(alone.tree()) == json.dumps(together.tree())
    states = [outcome.status for outcome in alone.outcomes]
    assert states == ["done"] * 7 + ["failed"] + ["refused"] * 2 + ["done"] * 3
    assert "strategy broke" in str(alone.outcomes[7].error)
    assert "length is too long" in str(alone.outcomes[8].error)
    assert alone.failures == [7]


def test_a_variant_that_takes_its_process_with_it_stops_no_other(config: BacktestConfig, tmp_path: Path) -> None:
    found = run(config, f"{write_strategy(tmp_path)}:Breakout:dies=true|false,length=20|30", GRID, workers=2)
    assert [outcome.status for outcome in found.outcomes] == ["failed"] * 2 + ["done"] * 8
    assert "code 3" in str(found.outcomes[0].error)


def test_an_interrupted_comparison_continues(config: BacktestConfig, tmp_path: Path) -> None:
    folder, specs, seen = tmp_path / "out", [GRID, "buy_and_hold"], []

    def interrupt(finished: int, total: int, spec: str, outcome: object) -> None:
        seen.append(spec)
        if finished == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, *specs, folder=folder, workers=1, watch=interrupt)
    with (folder / FILE).open("a") as file:
        file.write('{"key": "cut o')
    again = run(config, *specs, folder=folder, workers=1, watch=lambda *told: seen.append(told[2]))
    assert again.continued == 3
    assert sorted(seen) == sorted(one.variant.spec for one in again.given)  # none twice, none left out
    whole = run(config, *specs, workers=1)
    assert again.tree() == whole.tree()
    other = run(config.model_copy(update={"fee": 0.0002}), *specs, folder=folder, workers=1)
    assert other.continued == 0
    assert run(config, *specs, folder=folder, workers=1).continued == 7


def test_a_changed_strategy_is_run_again(config: BacktestConfig, tmp_path: Path) -> None:
    mine, folder = write_strategy(tmp_path), tmp_path / "out"
    spec = f"{mine}:Breakout:length=20"
    before = run(config, spec, folder=folder, workers=1)
    mine.write_text(mine.read_text().replace("context.target(1)", "context.target(2)"))
    after = run(config, spec, folder=folder, workers=1)
    assert after.continued == 0
    assert after.outcomes[0].ledger_sha256 != before.outcomes[0].ledger_sha256


def test_walking_forward_chooses_by_what_came_before(config: BacktestConfig, tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.csv", minutes=15)
    found = run(config, GRID, "buy_and_hold", folds=4, workers=1)
    steps = walk_forward(found.outcomes, 4)
    assert [step.fold for step in steps] == [2, 3, 4]
    for step in steps:
        assert step.winner == best(found.outcomes, f"before.{step.fold}")
        assert step.out == found.outcomes[step.winner].parts[f"fold.{step.fold}"]
    parts = {part.name: part for part in found.setting.parts}
    folds = [parts[f"fold.{number}"] for number in range(1, 5)]
    assert [part.start for part in folds] == [0, *(part.stop for part in folds[:-1])]
    assert parts["in"].stop == parts["out"].start == folds[3].start
    for outcome in found.outcomes:  # what was compounded is what was earned
        grown = np.prod([1 + outcome.parts[part.name]["total_return"] for part in folds])
        assert grown == pytest.approx(1 + outcome.parts["all"]["total_return"])


def test_within_one_session_the_best_return_wins(config: BacktestConfig) -> None:
    found = run(config, GRID, split="2024-01-02 12:00", workers=1)  # one session has no Sharpe ratio
    returns = [outcome.parts["in"]["total_return"] for outcome in found.outcomes]
    assert found.selection.winner == int(np.argmax(returns))
    assert found.selection.winner_sharpe is None
    assert found.selection.luck_sharpe is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "2030-01-01"}, "no bars after the split"),
        ({"split": "2020-01-01"}, "no bars before the split"),
        ({"split": "soon"}, "cannot read the split"),
        ({"folds": 1}, "so many folds"),
        ({"folds": 3, "split": "2024-01-02 12:00"}, "exclude each other"),
    ],
)
def test_what_cannot_be_divided_is_refused(config: BacktestConfig, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(config, "flat", **options)


def test_files_reports_and_kept_runs(config: BacktestConfig, tmp_path: Path) -> None:
    folder, prepared = tmp_path / "out", opened(config)
    found = compare(prepared, variants_of([GRID, "flat"]), folder=folder, split="2024-01-02 20:00", workers=1)
    write_comparison(prepared, found, folder, sort="out.return", reports=2)
    rows = list(csv.DictReader((folder / "comparison.csv").read_text().splitlines()))
    assert len(rows) == 7
    returns = [float(row["out.return"]) for row in rows]
    assert returns == sorted(returns, reverse=True)
    tree = json.loads((folder / "comparison.json").read_text())
    kept = [variant for variant in tree["variants"] if variant["run"]]
    assert 2 <= len(kept) <= 3
    assert not found.unsteady
    for variant in kept:
        manifest = json.loads((folder / variant["run"] / "manifest.json").read_text())
        assert manifest["ledger_sha256"] == variant["ledger_sha256"]
        assert manifest["data"][0]["sha256"]
        assert (folder / variant["run"] / "report.html").stat().st_size > 1_000_000
    with pytest.raises(UsageError, match="no column 'sharp'") as raised:
        write_comparison(prepared, found, folder, sort="sharp")
    assert "sharpe" in str(raised.value.hint)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="other files"):
        compare(prepared, variants_of(["flat"]), folder=tmp_path / "notes")


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown parameter 'lenght'") as raised:
        variants_of(["flat", f"{write_strategy(tmp_path)}:Breakout:lenght=10..30:10"])
    assert raised.value.hint == "did you mean 'length'?"


def test_a_variant_that_a_limit_halts_says_so(config: BacktestConfig) -> None:
    tree = config.model_dump(mode="json", exclude_defaults=True) | {"limits": {"max_drawdown": 1e-6}}
    found = run(BacktestConfig.model_validate(tree), "buy_and_hold", "flat", split="2024-01-02 18:00", workers=1)
    assert [outcome.halted for outcome in found.outcomes] == ["max_drawdown", None]
    assert [variant["halted"] for variant in found.tree()["variants"]] == ["max_drawdown", None]
