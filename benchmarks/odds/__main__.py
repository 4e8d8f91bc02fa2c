"""How the odds behave where the truth is known: sweeps of random walks, a planted edge, and the time that they take.

    python -m benchmarks.odds [--sweeps 1000]

Every sweep is 50 variants over 1,000 daily returns; those of random walks hold no skill at all.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np

from engine.app.trials.data import sums_of
from engine.app.trials.ledger import LedgerContents, Trial
from engine.app.trials.odds import odds
from engine.types.blocks import Floats
from portfolio.overfitting.pbo import overfitting

VARIANTS, DAYS, YEAR = 50, 1000, 252.0
EDGE = 2.5
"""Annual Sharpe ratio of the planted variant."""


def trial(name: str, returns: Floats) -> Trial:
    """A variant with these returns, as a command records it."""
    centred, spread = returns - returns.mean(), returns.std()
    metrics = {
        "sharpe": float(returns.mean() / returns.std(ddof=1) * math.sqrt(YEAR)),
        "returns": len(returns),
        "skew": float((centred**3).mean() / spread**3),
        "kurtosis": float((centred**4).mean() / spread**4) - 3.0,
        "periods_per_year": YEAR,
    }
    return Trial("variant", name, "benchmark", result_sha256=name, metrics=metrics, blocks=sums_of(returns))


def sweeps(count: int, edge: float) -> dict[str, float]:
    """Deflated Sharpe ratios and probabilities of overfitting of many sweeps, one variant of each with an edge."""
    deflated, overfit, found = [], [], 0
    for seed in range(count):
        returns = np.random.default_rng(seed).normal(0.0, 0.01, (VARIANTS, DAYS))
        returns[0] += edge * 0.01 / math.sqrt(YEAR)
        told = odds(LedgerContents({}, [trial(str(number), row) for number, row in enumerate(returns)], []))
        deflated.append(told.deflated or 0.0)
        overfit.append(told.pbo or 0.0)
        found += told.best == "0"
    return {
        "sweeps": count,
        "deflated_above_0.95": float(np.mean(np.array(deflated) > 0.95)),
        "mean_pbo": float(np.mean(overfit)),
        "first_is_best": found / count,
    }


def speed(variants: int) -> dict[str, float]:
    """CPU and wall-clock seconds of one probability of overfitting with 16 blocks, compiled before; median of five."""
    rng = np.random.default_rng(0)
    counts, total = np.full(16, 100.0), rng.normal(0, 1, (variants, 16))
    square = 100 + rng.normal(0, 3, (variants, 16))
    overfitting(counts, total[:3], square[:3])
    times = []
    for _ in range(5):
        cpu, wall = time.process_time(), time.perf_counter()
        overfitting(counts, total, square)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = np.median(np.array(times), axis=0)
    return {"variants": variants, "splits": 12_870, "cpu_seconds": round(cpu, 3), "wall_seconds": round(wall, 3)}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.odds")
    parser.add_argument("--sweeps", type=int, default=1000)
    count = parser.parse_args().sweeps
    found = {"random_walks": sweeps(count, 0.0), "planted_edge": sweeps(count // 10, EDGE), "speed": speed(10_000)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
