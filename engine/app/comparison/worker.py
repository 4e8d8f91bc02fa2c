"""A process that runs variants: the first line of standard input says where bars and setting lie, the others name them.

`python -m engine.app.comparison.worker` is started by `engine.app.comparison.workers`; a new interpreter shares no
thread, lock or imported module with its parent, so that a notebook or a script without a main guard may compare too.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from dataclasses import asdict
from pathlib import Path

from engine.app.comparison.bars import SETTING, load_bars
from engine.app.comparison.evaluation import evaluate


def main() -> None:
    """Answer until standard input ends."""
    # the channel is set apart, so that nothing else that is printed is taken for a result
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    told = json.loads(sys.stdin.readline())
    sys.path[:0] = [path for path in told["path"] if path not in sys.path]
    shared = Path(told["folder"])
    setting = pickle.loads((shared / SETTING).read_bytes())  # noqa: S301 - the parent has just written it
    bars = load_bars(tuple(told["symbols"]), shared)
    for line in sys.stdin:
        job = json.loads(line)
        folder = Path(job["folder"]) if job["folder"] else None
        outcome = evaluate(setting, bars, job["spec"], folder=folder)
        channel.write(json.dumps(asdict(outcome)) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
