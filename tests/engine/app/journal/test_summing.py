"""Sessions added up: the oracle walks over every time and asks each session's rows, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.app.journal.summing import sum_sessions
from engine.base.errors import UsageError
from engine.journal.reading import JournalReader
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.cli.children import called, printed, refused

PARTS = (
    case(live_bars(60, ("A", "B"), absent=0.3)),
    case(live_bars(45, ("C",), seed=2), initial_capital=5_000.0),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sessions of other symbols; the second ends a quarter of an hour before the first."""
    base = tmp_path_factory.mktemp("sessions")
    for name, part in zip("ab", PARTS, strict=True):
        part.run(base / name, (7,))
    return [base / "a", base / "b"]


def plain(folders: list[Path], initials: list[float]) -> list[tuple[int, float, float, int, dict[str, float]]]:
    """Time, equity, cash, fills so far and positions after every row of any session."""
    rows: list[dict[int, tuple[float, float, int, dict[str, float]]]] = []
    for folder in folders:
        found: dict[int, tuple[float, float, int, dict[str, float]]] = {}
        with JournalReader(folder) as reader:
            for step in reader.steps(rows=1):
                for row, time in enumerate(step.bars.ts_event.tolist()):
                    fills = sum(int(seq) == step.bars.seq + row for seq in step.fills["seq"])
                    held = dict(zip(step.bars.symbols, step.positions[row].tolist(), strict=True))
                    found[time] = step.column("equity")[row], step.column("cash")[row], fills, held
        rows.append(found)
    summed = []
    for time in sorted(set().union(*rows)):
        equity, cash, fills, positions = 0.0, 0.0, 0, {}
        for initial, found in zip(initials, rows, strict=True):
            known = [at for at in found if at <= time]
            last = (
                found[max(known)] if known else (initial, initial, 0, dict.fromkeys(next(iter(found.values()))[3], 0.0))
            )
            equity, cash = equity + last[0], cash + last[1]
            fills += sum(found[at][2] for at in known)
            positions |= last[3]
        summed.append((time, equity, cash, fills, positions))
    return summed


def test_the_sum_is_that_of_all_rows_at_every_time(folders: list[Path]) -> None:
    summed = sum_sessions(folders)
    expected = plain(folders, [100_000.0, 5_000.0])
    curve = summed.curve
    assert curve["close_time"].cast(pl.Int64).to_list() == [row[0] for row in expected]
    assert curve["equity"].to_list() == pytest.approx([row[1] for row in expected], rel=1e-12)
    assert curve["cash"].to_list() == pytest.approx([row[2] for row in expected], rel=1e-12)
    assert curve["fills"].to_list() == [row[3] for row in expected]
    for symbol in "ABC":
        assert curve[f"position_{symbol}"].to_list() == [row[4][symbol] for row in expected]
    assert summed.fills == expected[-1][3] > 0
    assert summed.figures["equity"] == pytest.approx(expected[-1][1], rel=1e-12)
    assert summed.positions == {symbol: size for symbol, size in expected[-1][4].items() if size}
    equity = np.array([105_000.0, *(row[1] for row in expected)])
    falls = [min(equity[at:]) / value - 1.0 for at, value in enumerate(equity)]
    assert summed.max_drawdown == pytest.approx(min(falls), rel=1e-9) and summed.max_drawdown < 0


def test_one_session_alone_is_its_own_sum(folders: list[Path]) -> None:
    summed = sum_sessions(folders[:1])
    metrics = json.loads((folders[0] / "metrics.json").read_text())
    assert summed.figures["equity"] == metrics["final_equity"]
    assert summed.fills == metrics["fills"]
    assert summed.max_drawdown == pytest.approx(metrics["max_drawdown"], rel=1e-9)


def test_the_command_prints_and_writes_it(folders: list[Path], tmp_path: Path) -> None:
    words = ["journal", "sum", *map(str, folders)]
    tree = printed(*words, "--out", str(tmp_path / "sum.parquet"))
    summed = sum_sessions(folders)
    assert (tree["currency"], tree["fills"], tree["initial_capital"]) == ("USD", summed.fills, 105_000.0)
    assert tree["equity"] == summed.figures["equity"] == sum(one["equity"] for one in tree["sessions"])
    assert [one["symbols"] for one in tree["sessions"]] == [["A", "B"], ["C"]]
    assert tree["through"] == "2024-01-01T00:45:00Z"
    assert pl.read_parquet(tmp_path / "sum.parquet").equals(summed.curve)
    code, said, complained = called(*words, "--out", str(tmp_path / "sum.csv"))
    assert code == 0 and f"{summed.figures['equity']:,.2f}" in said
    assert f"{folders[1]} (2024-01-01 00:45)" in complained.replace("\n", " ")
    assert pl.read_csv(tmp_path / "sum.csv").height == summed.curve.height
    assert "--overwrite" in refused(*words, "--out", str(tmp_path / "sum.csv"))
    assert ".parquet" in refused(*words, "--out", str(tmp_path / "sum.xlsx"))


def test_what_is_no_division_is_refused(folders: list[Path], tmp_path: Path) -> None:
    case(live_bars(20, ("C", "D"))).run(tmp_path / "c")
    assert "trade the same symbol" in refused("journal", "sum", str(folders[1]), str(tmp_path / "c"))
    with pytest.raises(UsageError, match="trade the same symbol"):
        sum_sessions([folders[0], folders[0]])
    (tmp_path / "E.yaml").write_text("name: E\ntick_size: 0\ncurrency: EUR\ncalendar: 24/7\n")
    case(live_bars(20, ("E",)), currency="EUR", instrument=str(tmp_path / "E.yaml")).run(tmp_path / "e")
    said = refused("journal", "sum", str(folders[0]), str(tmp_path / "e"), "--json")
    assert "different currencies" in said and "EUR" in said
    assert "holds no live session" in refused("journal", "sum", str(folders[0]), str(tmp_path / "none"))


def test_a_session_without_bars_counts_with_its_capital(folders: list[Path], tmp_path: Path) -> None:
    empty: Case = case(live_bars(3, ("Z",)))
    empty.run(tmp_path / "z", payloads=[b"broken"])
    tree = printed("journal", "sum", str(folders[0]), str(tmp_path / "z"))
    alone = printed("journal", "sum", str(folders[0]))
    assert tree["equity"] == alone["equity"] + 100_000.0
    assert tree["through"] is None and tree["sessions"][1]["last_bar"] is None
    assert tree["fills"] == alone["fills"] and tree["max_drawdown"] > alone["max_drawdown"]
