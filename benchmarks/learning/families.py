"""The suite: markets whose best result is computed.

For every family and seed the recommended training runs on the family's training markets, and the ensemble trades
held-out parameters that it has not met. Beside it stand staying flat, buy-and-hold, a linear regression with a no-trade
band and the optimum. All figures are percent of the capital in an episode of 2,000 bars, at a fee of 1 bp.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.command_line import one_thread

if __name__ == "__main__":
    one_thread()

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "training" / "recommended.yaml"
EPISODES = 80
PENALTIES = ("risk_penalty", "sharpe_bonus", "max_drawdown_penalty")


def trained(family: str, seed: int, settings: list[str], penalties: bool) -> dict[str, Any]:
    """One training and its result on markets that it has not met."""
    import numpy as np
    import torch

    from engine.base.config import load, merge, read_yaml
    from training.config import TrainingConfig
    from training.evaluation.episodes import run_episodes
    from training.evaluation.starts import evaluation_starts
    from training.suite.families import held_out_setup, training_sources
    from training.suite.yardsticks import yardsticks
    from training.trainer.setup import TrainingSetup
    from training.trainer.trainer import Trainer

    torch.set_num_threads(1)
    tree = read_yaml(CONFIG)
    tree["data"]["sources"] = [source.model_dump(mode="json") for source in training_sources(family, seed)]
    shaping = {"transaction_cost": 1e-4} | ({} if penalties else dict.fromkeys(PENALTIES, 0.0))
    tree = merge(tree, {"seed": seed, "reward_shaping": shaping})
    config = load(TrainingConfig, settings=settings, base=tree)
    setup = TrainingSetup.prepare(config)
    verdicts: list[dict[str, Any]] = []

    class Listening:
        def write(self, record: dict[str, Any]) -> None:
            if record["kind"] == "verdict":
                verdicts.append(record)

        def close(self) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        trainer = Trainer(setup, Path(folder), sinks=[Listening()])
        outcome = trainer.run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    judged = held_out_setup(setup, family)
    starts = evaluation_starts(judged.market, judged.parts.test, config.training_params.episode_length, EPISODES)
    policy, length = trainer.take_kept(), config.training_params.episode_length
    results = run_episodes(
        judged.market, config.portfolio, judged.rewards, config.ensemble, policy, starts, length, envs=len(starts)
    )
    returns = 100.0 * np.array([result.total_return for result in results])
    return {
        "family": family,
        "seed": seed,
        "return": float(returns.mean()),
        "error": float(returns.std(ddof=1) / len(returns) ** 0.5),
        "reward": float(np.mean([result.reward for result in results])),
        "trades": float(np.mean([result.trades for result in results])),
        "seats": "".join(v["agent"][0].upper() if v["network"] else "-" for v in verdicts),
        "constants": {v["agent"]: v["constant"] for v in verdicts},
        "seconds": seconds,
        "cpu": cpu,
        "bars": outcome.env_steps,
        **yardsticks(setup, judged, episodes=EPISODES),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line for each family and seed."""
    measured = ("return", "of prices", "seats", "trades")
    head = ("family", "seed", *measured, "prices", "full", "linear", "hold", "CPU s", "bars/CPU s")
    marks = ("optimum_prices", "optimum_full", "linear", "buy_and_hold")
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in sorted(rows, key=lambda row: (row["family"], row["seed"])):
        best = row.get("optimum_prices", 0.0)
        share = f"{row['return'] / best:.0%}" if best > 0.05 else "-"
        figures = [f"{row.get(name, float('nan')):.2f}" for name in marks]
        cells = [row["family"], str(row["seed"]), f"{row['return']:.2f} ± {row['error']:.2f}", share, row["seats"]]
        cells += [f"{row['trades']:.0f}", *figures, f"{row['cpu']:.0f}", f"{row['bars'] / row['cpu']:,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for."""
    from training.suite.families import FAMILIES

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning.families", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--families", default=",".join(FAMILIES), help="With commas.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--penalties", action="store_true", help="With the default risk, Sharpe and drawdown terms.")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--json", type=Path, help="Write the figures there; those that it holds are not computed again."
    )
    given = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
    done = {(row["family"], row["seed"]) for row in rows}
    jobs = [(name, seed) for seed in range(1, given.seeds + 1) for name in given.families.split(",")]
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        found = [pool.submit(trained, *job, given.set, given.penalties) for job in jobs if job not in done]
        for future in as_completed(found):
            rows.append(future.result())
            print(table(rows[-1:]).split("\n")[-1], file=sys.stderr, flush=True)
            if given.json:
                given.json.write_text(json.dumps(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
