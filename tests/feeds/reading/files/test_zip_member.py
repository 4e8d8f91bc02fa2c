"""Bars inside zip archives: the one file that can be meant, or the list of those that could."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engine.app.manifest import data_entries
from engine.base.errors import DataError, UsageError
from engine.types.blocks import concat
from engine.types.instruments import load_instrument
from feeds.reading.files.open_file import open_file
from feeds.replay import HistoricalReplay

ROWS = "timestamp,open,high,low,close\n2024-03-14 00:00,1,3,0.5,2\n2024-03-14 00:01,2,4,1,3\n"


def archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in members.items():
            opened.writestr(name, text)
    return path


def closes(path: Path) -> tuple[list[float], HistoricalReplay]:
    source = HistoricalReplay(path, load_instrument("GENERIC"))
    return concat(list(source.blocks(5))).close[:, 0].tolist(), source


def test_the_only_file_is_read_and_names_the_symbol(tmp_path: Path) -> None:
    found, source = closes(archive(tmp_path / "bars.zip", **{"ES.csv": ROWS}))
    assert found == [2, 3]
    assert source.symbols == ("ES",)
    assert source.format.startswith("CSV (zip)")
    assert source.remarks == ()


def test_a_report_beside_the_data_is_passed_over_and_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "bars.zip", **{"__MACOSX/._ES.csv": "x", "ES.csv": ROWS, "ES.txt": "no gaps"})
    found, source = closes(path)
    assert found == [2, 3]
    assert source.remarks == ("ES.csv: ES.csv is read; ES.txt in the archive is not",)


def test_of_several_files_one_must_be_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "bars.zip", **{"a/ES.csv": ROWS, "NQ.csv": ROWS.replace(",2\n", ",2.5\n")})
    with pytest.raises(UsageError, match="several files") as caught:
        open_file(path)
    assert caught.value.found == "a/ES.csv, NQ.csv"
    assert f"{path}/a/ES.csv" in str(caught.value.hint)
    assert closes(path / "a" / "ES.csv")[0] == [2, 3]
    assert closes(path / "NQ.csv")[0] == [2.5, 3]
    with pytest.raises(UsageError, match="no member"):
        open_file(path / "ZB.csv")


def test_archives_that_hold_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text file") as caught:
        open_file(archive(tmp_path / "a.zip", **{"x.parquet": "PAR1"}))
    assert caught.value.hint == "unpack it first"
    with pytest.raises(DataError, match="holds no text file"):
        open_file(archive(tmp_path / "b.zip"))
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match="damaged"):
        open_file(tmp_path / "c.zip")


def test_a_damaged_member_is_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "bars.zip", **{"ES.csv": ROWS * 50})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        closes(path)


@pytest.mark.parametrize("name", ["EURUSD.bi5", "EURUSD60.hst", "bars.xlsx", "bars.json", "bars.csv.bz2"])
def test_what_no_importer_reads_has_a_cure(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot tell the format") as caught:
        open_file(tmp_path / name)
    assert "first" in str(caught.value.hint) or "as CSV" in str(caught.value.hint)


def test_a_manifest_names_the_archive_and_the_file_in_it(tmp_path: Path) -> None:
    rows = "timestamp,open,high,low,close\n" + "".join(f"2024-03-14 00:{at:02},1,3,0.5,2\n" for at in range(20))
    path = archive(tmp_path / "bars.zip", **{"a/ES.csv": rows, "NQ.csv": ROWS})
    entries = data_entries([path / "a" / "ES.csv", path])
    assert [entry.get("member") for entry in entries] == ["a/ES.csv", None]
    assert entries[0]["path"] == str(path)
    assert entries[0]["sha256"] == entries[1]["sha256"]
