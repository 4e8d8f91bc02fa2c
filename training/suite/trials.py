"""The suite: trainings on families of markets whose optimum is computed, judged on parameters that they have not met.

All figures are percent of the capital in an episode, at a fee of 1 bp a fill, in the same test episodes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.base.config import load, merge, read_yaml
from engine.base.paths import shipped
from training.config import TrainingConfig
from training.evaluation.episodes import run_episodes
from training.evaluation.starts import evaluation_starts
from training.suite.families import held_out_setup, training_sources
from training.suite.rules import tuned_rules
from training.suite.yardsticks import yardsticks
from training.trainer.history import Record
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

CONFIG = "training/recommended.yaml"
EPISODES = 80
SCENARIOS = 300
FEE = 1e-4
PENALTIES = ("risk_penalty", "sharpe_bonus", "max_drawdown_penalty")
QUICK = ("regime_drift", "random_walk")
"""Families of the quick tier: one that is learned, one where nothing can be earned."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Row = dict[str, Any]


class Trial(NamedTuple):
    """One training of the suite.

    Attributes:
        family: Of `training.suite.families`.
        seed: Of parameters, paths and training.
        settings: Overrides of the configuration, as `--set` takes them.
        penalties: Whether rewards have their default terms of risk, Sharpe ratio and drawdown.
        rules: Whether rules are tuned beside it, which takes some 15 seconds.
        scenarios: Of the training markets together, from which validation and test are taken too.
        config: The configuration, a file of `configs/`.
    """

    family: str
    seed: int
    settings: tuple[str, ...] = ()
    penalties: bool = False
    rules: bool = True
    scenarios: int = SCENARIOS
    config: str = CONFIG


class _Verdicts:
    """A sink that keeps who took which seat."""

    def __init__(self) -> None:
        self.seats: list[Record] = []

    def write(self, record: Record) -> None:
        if record["kind"] == "verdict":
            self.seats.append(record)

    def close(self) -> None: ...


def config_of(trial: Trial) -> TrainingConfig:
    """The configuration of a trial on the training markets of its family.

    Raises:
        GrandModelError: If there is no such family, or the settings do not fit.
    """
    tree = read_yaml(shipped("configs") / trial.config)
    markets = training_sources(trial.family, trial.seed, scenarios=trial.scenarios)
    sources = [source.model_dump(mode="json") for source in markets]
    shaping = {"transaction_cost": FEE} | ({} if trial.penalties else dict.fromkeys(PENALTIES, 0.0))
    changes = {"seed": trial.seed, "reward_shaping": shaping, "data": {"sources": sources}}
    return load(TrainingConfig, settings=trial.settings, base=merge(tree, changes))


def run_trial(trial: Trial) -> Row:
    """Train, and let the ensemble trade markets that it has not met, beside rules, regression and optimum.

    Raises:
        GrandModelError: As `config_of`, and whatever ends a training.
    """
    import torch  # noqa: PLC0415 - takes seconds, and the list of families should not wait for it

    torch.set_num_threads(1)
    config, heard = config_of(trial), _Verdicts()
    setup = TrainingSetup.prepare(config)
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        trainer = Trainer(setup, Path(folder), sinks=[heard])
        outcome = trainer.run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    judged, length = held_out_setup(setup, trial.family), config.training_params.episode_length
    starts = evaluation_starts(judged.market, judged.parts.test, length, EPISODES)
    policy = trainer.take_kept()
    results = run_episodes(
        judged.market, config.portfolio, judged.rewards, config.ensemble, policy, starts, length, envs=len(starts)
    )
    returns = 100.0 * np.array([result.total_return for result in results])
    return {
        "family": trial.family,
        "seed": trial.seed,
        "return": float(returns.mean()),
        "error": float(returns.std(ddof=1) / len(returns) ** 0.5),
        "reward": float(np.mean([result.reward for result in results])),
        "trades": float(np.mean([result.trades for result in results])),
        "seats": "".join(seat["agent"][0].upper() if seat["network"] else "-" for seat in heard.seats),
        "constants": {seat["agent"]: seat["constant"] for seat in heard.seats},
        "seconds": seconds,
        "cpu": cpu,
        "bars": outcome.env_steps,
        **yardsticks(setup, judged, episodes=EPISODES),
        **(tuned_rules(setup, judged, episodes=EPISODES) if trial.rules else {}),
    }


def run_trials(trials: Sequence[Trial], workers: int) -> Iterator[Row]:
    """Run them in processes of one thread each, and give each row as soon as it is there, in any order.

    Args:
        workers: Processes at once.

    Raises:
        GrandModelError: As `run_trial`.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))  # processes that start now read it when they import NumPy
    with ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(run_trial, trial) for trial in trials]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
