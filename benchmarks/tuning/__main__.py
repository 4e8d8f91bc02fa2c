"""Tuned settings against the defaults and against random search of equal budget, on seeds that tuned nothing.

    python -m benchmarks.tuning -c configs/training/recommended.yaml --trials 40 --seeds 10 --out runs/tuning-benchmark

Hours with a configuration that learns. The same command continues: tunings and trainings that have ended are kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from engine.app.seeds.seeds import plan_seeds, train_seeds
from engine.app.training_plan import read_config
from engine.app.trials.ledger import Recording
from engine.app.tuning.space import read_space
from engine.app.tuning.study import BEST, TuningPlan, run_tuning

RECORDING = Recording("benchmarks.tuning")


def tuned(given: argparse.Namespace, sampler: str) -> Path:
    """The best configuration that a sampler finds."""
    config = read_config([given.config], [], None, None)
    folder: Path = given.out / sampler
    space = read_space(given.space, config)
    run_tuning(TuningPlan(config, space, folder, given.trials, workers=given.workers, sampler=sampler), RECORDING)
    return folder / BEST


def held_out(given: argparse.Namespace, name: str, config: Path) -> list[float]:
    """Mean return of a test episode for each held-out seed.

    Rewards of configurations that weight them differently cannot be compared.
    """
    plan = plan_seeds([config], [], count=given.seeds, seed=given.first_seed, out=given.out / f"held-out-{name}")
    runs = train_seeds(plan, workers=given.workers, recording=RECORDING).runs
    return [float(run.total_return["value"] or 0.0) for run in runs if run.status == "finished"]


def improvement(ours: list[float], theirs: list[float]) -> float:
    """Probability that a run of ours is better than one of theirs (Agarwal et al., 2021); equals count half."""
    gain = np.subtract.outer(ours, theirs)
    return float((gain > 0).mean() + 0.5 * (gain == 0).mean())


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning")
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--space", type=Path)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    files = {"default": given.config, "tpe": tuned(given, "tpe"), "random": tuned(given, "random")}
    returns = {name: held_out(given, name, path) for name, path in files.items()}
    found = {
        "test_returns": returns,
        "means": {name: float(np.mean(values)) for name, values in returns.items()},
        "tuned_better_than_default": improvement(returns["tpe"], returns["default"]),
        "tuned_better_than_random": improvement(returns["tpe"], returns["random"]),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
