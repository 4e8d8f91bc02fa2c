from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.app.trials.data import data_digest, sums_of
from engine.app.trials.ledger import Trial, TrialLedger, ledgers
from engine.app.trials.odds import odds
from engine.types.blocks import BarBlock
from tests.bars import random_bars

SHA = "ab" * 32
WRITER = """
import sys
from pathlib import Path
from engine.app.trials.ledger import Trial, TrialLedger

ledger, number = TrialLedger(sys.argv[1], Path(sys.argv[2])), 0
while number < int(sys.argv[4]):
    ledger.append([Trial("variant", f"{sys.argv[3]} {number}", "test", detail={"filler": "x" * 3000})])
    number += 1
    print(number, flush=True)
"""


def trial(name: str, sharpe: float | None = 1.0, **changes: object) -> Trial:
    metrics = {"sharpe": sharpe, "periods_per_year": 252.0, "returns": 500, "skew": 0.0, "kurtosis": 0.0}
    return Trial("variant", name, "test", result_sha256=name, metrics=metrics, **changes)  # type: ignore[arg-type]


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, SHA, str(folder), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ledger, sums = TrialLedger(SHA, tmp_path), sums_of(np.random.default_rng(1).normal(size=100))
    wanted = [trial("a", blocks=sums, at="2026-01-02T00:00:00Z"), trial("b", None, status="failed", error="no: ü\n")]
    ledger.append(wanted[:1], {"symbols": ["ES"]})
    ledger.append(wanted[1:], {"symbols": ["other"]})
    found = ledger.read()
    assert (list(found.trials), found.about["symbols"], found.damaged) == (wanted, ["ES"], [])
    assert [one.path for one in ledgers(tmp_path)] == [ledger.path]
    assert TrialLedger("00" * 32, tmp_path).read().trials == []


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    for process in [writer(tmp_path, name, 60) for name in "abc"]:
        process.communicate()
    found = TrialLedger(SHA, tmp_path).read()
    assert not found.damaged
    assert {one.name for one in found.trials} == {f"{name} {number}" for name in "abc" for number in range(60)}


def test_a_killed_process_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    process = writer(tmp_path, "a", 1_000_000)
    assert process.stdout is not None
    told = 0
    for _ in range(20):
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ledger = TrialLedger(SHA, tmp_path)
    assert len(ledger.read().trials) >= told


def test_a_torn_line_is_named_and_skipped(tmp_path: Path) -> None:
    ledger = TrialLedger(SHA, tmp_path)
    ledger.append([trial("a"), trial("b")])
    ledger.path.write_bytes(ledger.path.read_bytes()[:-20])
    assert (len(ledger.read().trials), ledger.read().damaged) == (1, [3])
    ledger.append([trial("c")])
    found = ledger.read()
    assert ([one.name for one in found.trials], found.damaged) == (["a", "c"], [3])


def test_repeated_trials_count_once_and_failed_ones_too(tmp_path: Path) -> None:
    ledger = TrialLedger(SHA, tmp_path)
    ledger.append([trial("a", 1.0), trial("a", 1.0), trial("b", 2.0), trial("c", None, status="failed")])
    found = odds(ledger.read())
    assert (found.trials, found.repeated, found.best, found.best_sharpe) == (3, 1, "b", 2.0)
    assert found.by_status == {"finished": 2, "failed": 1}
    alone = odds(TrialLedger("00" * 32, tmp_path).read())
    assert (alone.trials, alone.deflated, alone.pbo) == (0, None, None)


def test_more_trials_mean_less(tmp_path: Path) -> None:
    deflated = []
    for count, sha in ((20, "11" * 32), (2000, "22" * 32)):
        ledger = TrialLedger(sha, tmp_path)
        rng = np.random.default_rng(3)
        ledger.append([trial("best", 2.0), *(trial(str(number), rng.normal()) for number in range(count))])
        deflated.append(odds(ledger.read()).deflated)
    assert deflated[0] > deflated[1]


@pytest.mark.parametrize("cuts", [[1], [10, 11, 60]])
def test_the_hash_is_that_of_the_bars_however_they_are_cut(cuts: list[int]) -> None:
    bars: BarBlock = random_bars(100)
    digest = data_digest(bars.slice(0, cuts[0]))
    for start, stop in zip(cuts, [*cuts[1:], 100], strict=True):
        digest.update(bars.slice(start, stop))
    assert digest.hexdigest() == data_digest(bars).hexdigest()
    assert digest.hexdigest() != data_digest(bars.slice(0, 99)).hexdigest()


def test_one_result_among_failures_says_nothing(tmp_path: Path) -> None:
    ledger = TrialLedger(SHA, tmp_path)
    ledger.append([trial("a", 2.0)])
    assert odds(ledger.read()).deflated is not None
    ledger.append([trial("b", None, status="failed")])
    assert odds(ledger.read()).deflated is None
