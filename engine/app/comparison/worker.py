"""A process that runs variants: a setting on the first line of standard input, then a variant a line, a result each.

`python -m engine.app.comparison.worker` is started by `engine.app.comparison.workers`; a new interpreter shares no
thread, lock or imported module with its parent, so that a notebook or a script without a main guard may compare too.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from engine.app.comparison.bars import load_bars
from engine.app.comparison.evaluation import Setting, evaluate


def main() -> None:
    """Answer until standard input ends."""
    # the channel is set apart, so that nothing else that is printed is taken for a result
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    told = json.loads(sys.stdin.readline())
    sys.path[:0] = [path for path in told["path"] if path not in sys.path]
    setting = Setting.of(told["setting"])
    bars = load_bars(tuple(told["symbols"]), Path(told["bars"]))
    for line in sys.stdin:
        job = json.loads(line)
        folder = Path(job["folder"]) if job["folder"] else None
        outcome = evaluate(setting, bars, job["spec"], folder=folder)
        channel.write(json.dumps(asdict(outcome)) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
