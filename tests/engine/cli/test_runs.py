"""`grandmodel runs` as a user reads it: every run on one line, however long its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import grandmodel as gm
from engine.cli.app import app
from engine.cli.runs import longest_that_fit

NAMES = (
    "20261126-182514-a_rather_long_name_of_a_strategy-first",
    "20261126-182514-a_rather_long_name_of_a_strategy-2nd",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        gm.backtest("es-synthetic", "ES", "sma_cross:fast=10,slow=30", end="2024-01-05", out=made / name)
    return made


@pytest.mark.parametrize("width", [80, 110, 115, 130, 200])
def test_a_run_is_one_line_whose_figures_are_whole(folder: Path, width: int) -> None:
    done = CliRunner().invoke(app, ["runs", str(folder)], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    head, *lines = done.output.splitlines()
    assert len(lines) == len(NAMES) and all(len(line.rstrip()) <= width for line in (head, *lines))
    for label in ("return", "Sharpe", "max DD", "trades"):
        assert label in head
    assert "…" not in done.output
    for name in NAMES:
        ending = name.rpartition("-")[2]
        (line,) = [line for line in lines if line.split()[0].endswith(ending[-3:])]
        first = line.split()[0]
        assert first == name or ("..." in first and first.startswith(name[:9]))
        assert line.count(" %  ") == 2


def test_the_room_is_shared_by_those_that_need_it() -> None:
    assert longest_that_fit([20, 20], 60) == 20
    assert longest_that_fit([40, 20, 6], 46) == 20
    assert longest_that_fit([40, 40, 6], 46) == 20
    assert longest_that_fit([40], 3) == 12
