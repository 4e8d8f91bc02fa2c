"""A network that stops making sense in a live session: its stand-in takes the seat, and the operator knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

from engine.api.calls import backtest
from engine.app.journal.verifying import replay_whole
from engine.app.live.commands import status_of
from engine.app.live.paper import run_paper
from engine.app.live.session import Session
from engine.app.verify import verify
from engine.base.errors import DataError
from feeds.memory import MemorySource
from tests.agents.serving.sick import peaks, threshold, write_sick
from tests.bars import random_bars
from tests.engine.app.live.feeding import ListSource, payloads_of
from tests.engine.app.live.sessions import START, Case

ROWS = 3400


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    bars = random_bars(ROWS, 4, start=40_000, tick=0.5, first_ns=START)
    late = peaks(bars, "tactical")[-1]
    above = threshold(bars, "tactical", late)
    folder = write_sick(tmp_path_factory.mktemp("models") / "sick", "tactical", "nan", above)
    settings = {"agent": f"ensemble:{folder}", "instrument": "BTC-PERP", "journal": {"durability": "process"}}
    return Case(bars, settings, payloads_of(bars))


class Run:
    """A session that has ended, and the critical alerts that its operator saw."""

    def __init__(
        self, case: Case, folder: Path, cuts: list[int], capsys: pytest.CaptureFixture[str], upto: int | None = None
    ) -> None:
        sessions: list[Session] = []

        def screen(session: Session) -> Any:
            sessions.append(session)

            async def look(_: object) -> None:
                """Nothing."""

            return look

        capsys.readouterr()
        run_paper(case.config(), folder, [screen], ListSource(case.payloads[:upto], cuts))
        self.status = status_of(sessions[0])
        self.ledger = sessions[0].driver.ledger_sha256
        self.critical = [line for line in capsys.readouterr().err.splitlines() if line.startswith("critical: ")]


def test_the_stand_in_takes_over_with_a_critical_alert_and_every_replay_agrees(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Run(case, tmp_path / "whole", [50], capsys)
    [text] = whole.critical
    row = whole.status["stand_ins"]["tactical"]
    assert f"the tactical network cannot be used, and its stand-in decides from row {row} on: asked about X" in text
    assert "nan" in text and "kind: stand_in" in text
    assert replay_whole(tmp_path / "whole") == (ROWS, whole.ledger)
    found = verify(str(tmp_path / "whole"))
    assert found.passed and found.found == whole.ledger
    manifest = (tmp_path / "whole" / "manifest.json").read_text("utf-8")
    assert f"the tactical network could not be used from row {row} on" in manifest
    # stopped before, at and after it: the same ledger, and after a restart the operator is told again
    for stop in (row, row + 1, row + 200):
        parts = tmp_path / f"stopped-{stop}"
        first, second = Run(case, parts, [7], capsys, stop), Run(case, parts, [30], capsys)
        assert second.ledger == whole.ledger and second.status["stand_ins"] == {"tactical": row}
        assert len(first.critical) == (stop > row) and len(second.critical) == 1
        assert second.critical[0].partition(" (kind")[0] == text.partition(" (kind")[0]


def test_the_backtest_of_the_same_bars_ends_with_the_row(case: Case) -> None:
    shared = {key: value for key, value in case.settings.items() if key != "journal"}
    with pytest.raises(DataError, match="the tactical network gave an answer that cannot be used") as caught:
        backtest(MemorySource(case.bars), **shared)
    assert caught.value.exit_code == 2
    assert "UTC, X; version sick" in str(caught.value)
