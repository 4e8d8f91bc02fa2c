"""Does it learn? `python -m benchmarks.learning`: trainings where it is known what there is to learn, and real months.

predictable   a drift of hidden sign: the share of the optimum (dynamic programming) that is earned out of sample,
              beside rule agents, and the profit of the same networks at rising fees
random_walk   nothing can be earned: little trading, no significant profit
leaked        the same with the next bar's return among the features: profit, or the pipeline is broken
months        real months, walk-forward, at no, real and double costs, against buy-and-hold and staying flat

Every training is a process of its own on one core. Results are kept in a file and not computed twice.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.command_line import one_thread
from benchmarks.learning.jobs import Job, run

if __name__ == "__main__":
    one_thread()

KINDS = ("predictable", "random_walk", "leaked", "months")


def jobs_of(kinds: Sequence[str], seeds: int) -> list[Job]:
    """Every training that is wanted."""
    from benchmarks.learning.real import COSTS, ENDS, months

    found: list[Job] = [(kind, str(seed)) for kind in kinds if kind != "months" for seed in range(1, seeds + 1)]
    if "months" in kinds:
        found += [
            ("months", month.name, cost, str(end), str(seed))
            for seed in range(1, seeds + 1)
            for month in months()
            for cost in COSTS
            for end in ENDS
        ]
    return found


def main(given: Sequence[str] | None = None) -> None:
    """Train what is missing in the file, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description="Does training learn?")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="Trainings side by side.")
    parser.add_argument("--file", type=Path, default=Path("runs") / "learning.json", help="Where results are kept.")
    parser.add_argument("--set", action="append", default=[], help="Override a key of every training (repeatable).")
    parser.add_argument("--print-only", action="store_true", help="Print what the file holds.")
    options = parser.parse_args(given)
    results: dict[str, Any] = json.loads(options.file.read_text()) if options.file.is_file() else {}
    if not options.print_only:
        wanted = [job for job in jobs_of(options.only, options.seeds) if "|".join(job) not in results]
        work(wanted, options.set, options.jobs, options.file, results)
    from benchmarks.learning.tables import show

    show(results)


def work(
    wanted: Sequence[Job], settings: Sequence[str], side_by_side: int, file: Path, results: dict[str, Any]
) -> None:
    """Run trainings, each result written as it comes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(side_by_side, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        running = {pool.submit(run, job, settings): job for job in wanted}
        for number, future in enumerate(as_completed(running), 1):
            job = running[future]
            results["|".join(job)] = future.result()
            file.write_text(json.dumps(results, indent=1, sort_keys=True))
            print(f"{number}/{len(wanted)} {' '.join(job)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
