"""The nearest name to a misspelt one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.nearest import did_you_mean, nearest, nearest_folder, nearest_path


@pytest.mark.parametrize(
    ("name", "found"),
    [("es", "ES"), ("sma_cros", "sma_cross"), ("SMA_CROSS", "sma_cross"), ("zzz", None), ("", None)],
)
def test_names_whatever_their_case(name: str, found: str | None) -> None:
    assert nearest(name, ["ES", "sma_cross", "flat"]) == found
    assert did_you_mean(name, ["ES", "sma_cross", "flat"]) == (f"did you mean {found}?" if found else None)


def test_files_beside_with_another_ending_and_in_a_misspelt_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "bars.csv.gz").touch()
    (data / "notes.md").touch()

    def wanted(entry: Path) -> bool:
        return entry.name.endswith(".csv.gz")

    hint = f"did you mean {data / 'bars.csv.gz'}?"
    assert nearest_path(data / "bers.csv.gz", wanted) == hint
    assert nearest_path(data / "bars.parquet", wanted) == hint
    assert nearest_path(tmp_path / "dta" / "bars.csv.gz", wanted) == hint
    assert nearest_path(data / "notes.txt", wanted) is None
    assert nearest_path(tmp_path / "no" / "where" / "at all", wanted) is None
    assert nearest_path(Path("es-synthetc"), wanted, ["es-synthetic"]) == "did you mean es-synthetic?"


def test_folders_that_hold_what_is_wanted(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "20240102-flat"
    run.mkdir(parents=True)
    (run / "manifest.json").touch()
    hint = f"did you mean {run}?"
    assert nearest_folder(tmp_path / "runs", "manifest.json") == hint
    assert nearest_folder(tmp_path / "runs" / "20240102-flt", "manifest.json") == hint
    assert nearest_folder(tmp_path / "runs" / "other", "manifest.json") is None
    assert nearest_folder(run, "manifest.json") is None
