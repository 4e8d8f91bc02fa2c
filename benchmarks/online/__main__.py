"""Does learning online pay, and does it harm? `python -m benchmarks.online`: four arms in four generated markets.

frozen     the version that was trained before
naive      goes on with every window and always takes the newest: no test, no cap, no older bars
scratch    a fresh network in every rolling window
ours       jobs as `backtest --learn` runs them with takes_over: gate

stationary   trends as the parent knows them
shift        trends, then mean reversion, in which who follows trends loses
alternating  both by turns
random_walk  nothing can be earned

Every worker is a process of one thread. What a file has already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.command_line import guarded, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

MARKETS = ("stationary", "shift", "alternating", "random_walk")
ARMS = ("frozen", "naive", "scratch", "ours")


def compute(options: argparse.Namespace, file: Path) -> dict[str, Any]:
    """Run what the file does not have; results by key."""
    from benchmarks.online.markets import Days
    from benchmarks.online.runs import Work, run, train_parent

    results: dict[str, Any] = json.loads(file.read_text())["runs"] if file.is_file() else {}
    days = Days(options.calm, options.shifted, options.regime, options.regimes)
    folder, seeds = file.parent / f"{file.name}.parents", range(options.first_seed, options.first_seed + options.seeds)
    wanted = [
        Work(market, arm, seed, days, options.every, options.window, str(folder / str(seed)))
        for seed in seeds
        for market in options.markets
        for arm in ("optimum", *options.arms)
    ]
    missing = [work for work in wanted if work.key not in results]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        untrained = sorted({work.seed for work in missing if not (Path(work.parent) / "ensemble.json").is_file()})
        for trained in [pool.submit(train_parent, folder / str(seed), seed) for seed in untrained]:
            trained.result()
        running = {pool.submit(run, work): work for work in missing}
        for number, future in enumerate(as_completed(running), 1):
            work = running[future]
            results[work.key] = future.result()
            file.write_text(json.dumps({"runs": results}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(f"{number}/{len(missing)} {work.key}", file=sys.stderr, flush=True)
    return {
        work.key: {"market": work.market, "arm": work.arm, "seed": work.seed, **results[work.key]} for work in wanted
    }


def main(given: Sequence[str] | None = None) -> int:
    """Compute what is missing, and print."""
    options = parser("online", "Four ways to learn online, in four markets.")
    options.add_argument("--seeds", type=positive, default=10)
    options.add_argument("--first-seed", type=positive, default=1)
    options.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options.add_argument("--markets", nargs="+", choices=MARKETS, default=list(MARKETS))
    options.add_argument("--workers", type=positive, default=2)
    options.add_argument("--every", type=positive, default=2880, help="Rows between jobs.")
    options.add_argument("--window", type=positive, default=10_080, help="Rows of a job.")
    options.add_argument("--calm", type=positive, default=14, help="Days before a shift.")
    options.add_argument("--shifted", type=positive, default=42, help="Days after it.")
    options.add_argument("--regime", type=positive, default=10, help="Days of a regime, where they alternate.")
    options.add_argument("--regimes", type=positive, default=20)
    options.set_defaults(json=Path("runs") / "online.json")
    chosen = options.parse_args(given)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    found = compute(chosen, chosen.json)
    from benchmarks.online.tables import OnlineResults

    sizes = {name: str(getattr(chosen, name)) for name in ("every", "window", "calm", "shifted", "regime", "regimes")}
    results = OnlineResults.of(found, sizes)
    chosen.json = None  # it holds the runs, with which a further call goes on
    return present(results, chosen)


if __name__ == "__main__":
    sys.exit(guarded(main))
