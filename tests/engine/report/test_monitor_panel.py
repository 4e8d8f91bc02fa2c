"""The monitor's part of a report: from the tables of the run, escaped, and absent where nothing can be watched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.base.errors import DataError
from engine.base.files import read_json
from engine.report.html import write_report
from engine.report.monitor_panel import episodes, monitor_panel
from engine.report.monitoring import monitor_run
from tests.engine.cli.children import called
from tests.engine.runs import MINUTE, run_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("run"), rows=3000, symbols=2, step=60 * MINUTE, change=0.05)


def test_the_report_shows_figures_and_when_they_were_low(folder: Path) -> None:
    manifest, metrics = read_json(folder / "manifest.json"), read_json(folder / "metrics.json")
    monitor = monitor_run(folder, manifest, metrics)
    found = episodes(monitor)
    assert len(found) > 3 and all(one.begin.change.begins and one.begin.change.code for one in found)
    ended = [one for one in found if one.end_ns is not None]
    assert ended and all(one.end_ns > one.begin.change.ts_event for one in ended if one.end_ns is not None)
    panel = monitor_panel(folder, manifest, metrics)
    assert panel in write_report(folder).read_text(encoding="utf-8")
    assert panel.count("data-from=") == min(len(found), 50)
    rate = next(figure.value for figure in monitor.figures if figure.name == "win_rate")
    assert f"<td>{rate:.2f}</td>" in panel and "of the last" in panel.lower()
    spans = [(int(a), int(b)) for a, b in re.findall(r'data-from="(\d+)" data-to="(\d+)"', panel)]
    assert all(begin <= end for begin, end in spans)
    assert str(monitor.advice("proved")) in panel


def test_a_run_that_does_not_say_what_it_traded_has_no_such_part(folder: Path) -> None:
    manifest, metrics = read_json(folder / "manifest.json"), read_json(folder / "metrics.json")
    assert monitor_panel(folder, {**manifest, "instruments": None}, metrics) == ""
    config = {**manifest["config"], "monitor": {"alpha": 7}}
    assert monitor_panel(folder, {**manifest, "config": config}, metrics) == ""
    unit = json.loads(json.dumps(manifest))
    unit["config"]["currency"] = "<b>"
    assert "<b>" not in monitor_panel(folder, unit, metrics)


@pytest.mark.parametrize(
    ("values", "what"), [([float("nan")], "NaN or infinity"), (["much"], "no numbers"), (None, "no column 'profit'")]
)
def test_a_table_that_holds_something_else_is_named(
    folder: Path, tmp_path: Path, values: list[object] | None, what: str
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = pq.read_table(tmp_path / "trades.parquet")
    other = table.drop_columns("profit")
    if values is not None:
        other = other.append_column("profit", pa.array(values * table.num_rows))
    pq.write_table(other, tmp_path / "trades.parquet")
    manifest, metrics = read_json(folder / "manifest.json"), read_json(folder / "metrics.json")
    with pytest.raises(DataError, match=what):
        monitor_run(tmp_path, manifest, metrics)
    assert monitor_panel(tmp_path, manifest, metrics) == ""
    code, _, err = called("monitor", str(tmp_path))
    assert code == 2 and what in err


def test_a_table_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = read_json(folder / "manifest.json")
    (tmp_path / "agents.parquet").unlink(missing_ok=True)  # of a rule: nothing is missed
    assert called("monitor", str(tmp_path))[0] in {0, 1}
    for agent in ("ensemble", "ensemble:v1"):
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "agent": agent}))
        code, out, err = called("monitor", str(tmp_path))
        assert (code, out) == (2, "") and "cannot read agents.parquet" in err
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "ledger.parquet").unlink()
    code, out, _ = called("monitor", str(tmp_path), "--json")
    assert code == 2 and "cannot read ledger.parquet" in json.loads(out)["error"]["what"]


def test_drift_that_is_not_what_a_run_wrote_is_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "drift.json").write_text('{"streams": [{"level": "high"}]}')
    with pytest.raises(DataError, match="not what a run says of drift"):
        write_report(tmp_path)
