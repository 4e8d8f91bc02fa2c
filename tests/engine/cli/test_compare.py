"""The commands `compare` and `runs`, as they are typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from tests.engine.app.comparison.bars import write_bars, write_strategy


def called(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "bars.csv", minutes=15)


def test_from_variants_to_runs_to_their_first_difference(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    words = ["--data", data, "--labels", "close", "--agent", "sma_cross:fast=2|4,slow=10|30", "--agent", "buy_and_hold"]
    text = called("compare", *words, "--split", "2024-01-12", "--out", out, "--reports", 2)
    assert "5 variants" in text
    assert "by luck alone" in text.replace("\n", " ")
    page = (out / "compare.html").read_text()
    assert "http://" not in page.split("<script>")[0]
    again = json.loads(called("compare", *words, "--split", "2024-01-12", "--out", out, "--json"))
    assert again["continued"] == 5
    assert again["selection"]["tried"] == 5
    table = called("compare", *words, "--split", "2024-01-12", "--out", out, "--csv", "--sort", "out.sharpe")
    assert len(table.splitlines()) == 6

    kept = json.loads(called("runs", out, "--json"))
    assert len(kept) >= 2
    listed = json.loads(called("runs", tmp_path / "runs", "--json"))
    assert [run["kind"] for run in listed] == ["comparison"]
    assert called("runs", out, "--latest").strip() == kept[0]["folder"]

    first, second = (run["folder"] for run in kept[:2])
    beside = json.loads(called("compare", first, second, first, "--json"))
    parted, same = beside["differences"]
    assert same["equal"]
    assert not parted["equal"]
    ledger = next(one for one in parted["tables"] if one["table"] == "ledger")
    rows = [json.loads((Path(folder) / "metrics.json").read_text())["rows"] for folder in (first, second)]
    assert 0 < ledger["row"] < rows[0]
    assert ledger["first"] != ledger["second"]
    assert "the first difference is row" in called("compare", first, second)


def test_its_files_are_replaced_together(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last of them cannot be written, all of them stay as they were."""
    out = tmp_path / "out"
    words = ["--data", data, "--labels", "close", "--agent", "buy_and_hold", "--out", out, "--reports", 0]
    called("compare", *words)
    names = ("comparison.json", "comparison.csv", "compare.html")
    before = [(out / name).read_bytes() for name in names]
    with monkeypatch.context() as patch:
        patch.setattr("engine.report.comparison.page.part", lambda name: (out / "no" / name).read_text())
        with pytest.raises(FileNotFoundError):
            called("compare", *words, "--agent", "flat")
    assert [(out / name).read_bytes() for name in names] == before
    called("compare", *words, "--agent", "flat")
    assert all((out / name).read_bytes() != held for name, held in zip(names, before, strict=True))
    assert not list(out.glob(".*"))


def test_a_failing_variant_ends_with_code_1_and_the_others_in_the_table(data: Path, tmp_path: Path) -> None:
    mine = write_strategy(tmp_path)
    words = ["--data", data, "--labels", "close", "--out", tmp_path / "out", "--no-report"]
    text = called("compare", *words, "--agent", f"{mine}:Breakout:fails=true|false", code=1)
    assert "1 failed" in text
    assert "strategy broke" in text
    assert "fails=false" in text
    assert not (tmp_path / "out" / "compare.html").exists()
    # a combination that the agent does not take is no failure, as long as others of its range are
    words[words.index("--out") + 1] = tmp_path / "other"
    called("compare", *words, "--agent", "sma_cross:fast=5|20,slow=10")
    words[words.index("--out") + 1] = tmp_path / "third"
    called("compare", *words, "--agent", "sma_cross:fast=20,slow=10", code=1)
