"""A job gives a candidate or says why not, and the same job gives the same bytes in any process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.models.loading import load_ensemble
from engine.base.errors import CheckFailed, UsageError
from engine.learning.job import Learned
from tests.training.online.parents import RUN, easy_bars, job_of, learning, spoilt, write_parent
from training.online.job import run_job
from training.online.parent import read_parent

ROWS = 13_000
FEWER = 5400
CHILD = """
import json, sys
from pathlib import Path
from tests.training.online.parents import RUN, easy_bars, job_of, learning
from training.online.job import run_job
parent, out = Path(sys.argv[1]), Path(sys.argv[2])
bars = easy_bars(13_000)
print(json.dumps(run_job(job_of(bars, parent), bars, parent, RUN, learning(), out).tree()))
"""


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parent(tmp_path_factory.mktemp("parent") / "version")


@pytest.fixture(scope="module")
def learned(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Learned, Path]:
    out, bars = tmp_path_factory.mktemp("job") / "candidate", easy_bars(ROWS)
    return run_job(job_of(bars, parent), bars, parent, RUN, learning(), out), out


def test_a_network_that_knows_nothing_learns_an_easy_market(learned: tuple[Learned, Path]) -> None:
    found, out = learned
    assert (found.status, found.reason) == ("candidate", None), found.because
    assert found.sha256 == load_ensemble(out).sha256
    assert found.figures["recent_low"] > 0.0
    assert 0.0 < found.figures["strategic_kl"] <= 5.0
    assert Learned.from_tree(json.loads(json.dumps(found.tree()))) == found


def test_seats_that_do_not_learn_keep_their_bytes(learned: tuple[Learned, Path], parent: Path) -> None:
    _, out = learned
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(path.name for path in parent.iterdir())
    same = {name for name in names if (out / name).read_bytes() == (parent / name).read_bytes()}
    assert same == {name for name in names if not name.startswith(("strategic_model", "ensemble"))}


def test_the_parents_statistics_are_kept(learned: tuple[Learned, Path], parent: Path) -> None:
    before, after = (read_parent(folder).networks["strategic"].statistics for folder in (parent, learned[1]))
    assert np.array_equal(before.mean, after.mean) and np.array_equal(before.std, after.std)


def test_the_same_job_gives_the_same_bytes_in_other_processes(
    learned: tuple[Learned, Path], parent: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(parent), str(tmp_path / f"{number}" / "candidate")],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for number in range(2)
    ]
    found = [json.loads(child.communicate(timeout=200)[0]) for child in children]
    assert found[0] == found[1] == json.loads(json.dumps(learned[0].tree()))


def test_another_seed_learns_otherwise(learned: tuple[Learned, Path], parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(ROWS)
    other = run_job(job_of(bars, parent, seed=8), bars, parent, RUN, learning(episodes=32), tmp_path / "out")
    assert other.sha256 != learned[0].sha256


@pytest.mark.parametrize(
    "values",
    [{"close": np.nan}, {"low": -1.0}, {"high": 1e9}, {"high": 110.0, "low": 90.0}, {"close": 0.0}, {"volume": -5.0}],
)
def test_poisoned_bars_reach_no_further_than_a_refusal(parent: Path, tmp_path: Path, values: dict[str, float]) -> None:
    bars = spoilt(easy_bars(FEWER, first=500), 5000, **values)
    found = run_job(job_of(bars, parent), bars, parent, RUN, learning(), tmp_path / "out")
    assert (found.status, found.reason, found.sha256) == ("refused", "data", None)
    assert found.figures["row"] == 5500.0 and "5,500" in found.because
    assert not (tmp_path / "out").exists()


def test_too_few_bars_are_refused(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(3600)
    found = run_job(job_of(bars, parent), bars, parent, RUN, learning(), tmp_path / "out")
    assert (found.reason, found.sha256) == ("data", None)
    assert "no episode fits" in found.because


def test_rows_before_the_window_are_its_warm_up(parent: Path, tmp_path: Path) -> None:
    whole = easy_bars(7200)
    older, bars = whole.slice(0, 3600), whole.slice(3600, 7200)
    found = run_job(job_of(bars, parent), bars, parent, RUN, learning(episodes=32), tmp_path / "out", [older])
    assert found.sha256 is not None


def test_a_policy_that_moves_too_far_at_once_is_refused(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(FEWER)
    found = run_job(job_of(bars, parent), bars, parent, RUN, learning(max_kl=1e-6, episodes=32), tmp_path / "out")
    assert (found.status, found.reason) == ("refused", "kl")
    assert "max_kl" in found.because and found.sha256 == load_ensemble(tmp_path / "out").sha256


def test_the_divergence_is_never_beyond_its_cap(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(FEWER)
    found = run_job(job_of(bars, parent), bars, parent, RUN, learning(max_kl=0.15), tmp_path / "out")
    assert 0.0 < found.figures["strategic_kl"] <= 0.15
    assert found.figures["strategic_updates"] < 10


def test_losses_that_run_away_are_called_diverged(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(FEWER)
    wild = learning(training={"agents": {"strategic_agent": {"learning_rate": 1e30, "kl_stop": None}}})
    found = run_job(job_of(bars, parent), bars, parent, RUN, wild, tmp_path / "out")
    assert (found.status, found.reason, found.sha256) == ("refused", "diverged", None)


def test_another_parent_than_the_jobs_is_refused(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(FEWER)
    job = job_of(bars, parent)._replace(parent_sha256="0" * 64)
    with pytest.raises(CheckFailed, match="another version"):
        run_job(job, bars, parent, RUN, learning(), tmp_path / "out")


def test_a_seat_that_a_constant_took_cannot_learn_on(parent: Path, tmp_path: Path) -> None:
    bars = easy_bars(FEWER)
    with pytest.raises(UsageError, match="the risk agent of version parent cannot learn further"):
        run_job(job_of(bars, parent), bars, parent, RUN, learning(agents=("risk_agent",)), tmp_path / "out")


def test_all_three_agents_can_learn_on(tmp_path: Path) -> None:
    """Critics first: while they warm up the tactical policy stays as it is."""
    bars, parent = easy_bars(FEWER), write_parent(tmp_path / "free", tactical=None, risk=None)
    every = ("strategic_agent", "tactical_agent", "risk_agent")
    training = {"experience_replay": {"min_size_to_train": 256}, "agents": {"tactical_agent": {"alpha": 0.003}}}
    config = learning(agents=every, episodes=96, warmup_updates=3, training=training, shrink=1.0, perturb=0.0)
    found = run_job(job_of(bars, parent), bars, parent, RUN, config, tmp_path / "out")
    assert found.sha256 is not None
    for seat in ("strategic", "tactical", "risk"):
        assert found.figures[f"{seat}_updates"] > 0.0 and 0.0 < found.figures[f"{seat}_kl"] <= 5.0

    warm = config.model_copy(update={"agents": ("tactical_agent",), "warmup_updates": 10_000})
    found = run_job(job_of(bars, parent), bars, parent, RUN, warm, tmp_path / "warm")
    assert found.figures["tactical_updates"] == found.figures["tactical_kl"] == 0.0
    before, after = (read_parent(folder).networks["tactical"].weights for folder in (parent, tmp_path / "warm"))
    assert {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])} == {"critic"}
