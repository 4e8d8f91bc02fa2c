"""Only regular files of a bounded size are read; nothing waits for a writer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.registry import make_agent
from engine.app.config import BacktestConfig
from engine.app.runs import find_runs
from engine.app.verify import read_manifest
from engine.base.config import load
from engine.base.errors import GrandModelError
from engine.base.files import NotRegularFileError, TooLargeError, check_regular, open_regular, read_file, read_json
from engine.base.secrets import SecretRef
from engine.record.reading import read_table
from engine.report.training.history import read_history
from feeds.reading.files.open_file import open_file


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    with listening:
        for path in (_pipe(tmp_path / "pipe"), Path("/dev/zero"), tmp_path, tmp_path / "socket"):
            for reading in (open_regular, check_regular, read_json, lambda file: read_file(file, 10)):
                with pytest.raises(OSError) as caught:
                    reading(path)
                assert isinstance(caught.value, NotRegularFileError) or path.name == "socket"


def test_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(1 << 40)  # a terabyte without a block on the disk
    with pytest.raises(TooLargeError, match="larger than 1,000 bytes"):
        read_file(file, 1_000)
    file.write_bytes(b"x" * 1_000)
    assert read_file(file, 1_000) == b"x" * 1_000
    file.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deep"):
        read_json(file)


READERS: dict[str, Callable[[Path], object]] = {
    "c.yaml": lambda path: load(BacktestConfig, [path]),
    "s.py": lambda path: make_agent(f"{path}:Mine"),
    "b.csv": open_file,
    "b.csv.gz": open_file,
    "b.parquet": open_file,
    "b.feather": open_file,
    "fills.parquet": read_table,
    "manifest.json": read_manifest,
    "history.jsonl": read_history,
    "secret": lambda path: SecretRef(f"file:{path}").reveal(),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_a_named_pipe(name: str, tmp_path: Path) -> None:
    with pytest.raises(GrandModelError) as caught:
        READERS[name](_pipe(tmp_path / name))
    assert caught.value.exit_code == 2


def test_runs_are_listed_beside_pipes(tmp_path: Path) -> None:
    for folder, name in (("one", "manifest.json"), ("two", "comparison.json")):
        (tmp_path / folder).mkdir()
        _pipe(tmp_path / folder / name)
    assert find_runs(tmp_path) == []
