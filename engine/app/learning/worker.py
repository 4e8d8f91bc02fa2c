"""The process that learns: standard input says what, a line each; standard output has an answer to each line.

`python -m engine.app.learning.worker` is started by `engine.app.learning.trainer`. When its standard input ends, the
parent is gone or wants no more, and it ends at once: a job that was not finished is computed again.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.app.config import RunConfig
from engine.app.learning.folder import JobFolder
from engine.app.learning.rows import first_row, read_rows, recorded_rows
from engine.app.learning.work import Learning
from engine.base.config import parse
from engine.base.errors import DataError, GrandModelError
from engine.base.log import configure_logging
from engine.journal.reading import JournalReader
from engine.learning.job import Job, Learned
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument


def main() -> None:
    """Answer until nothing more is asked."""
    # the channel is set apart, so that nothing else that is printed is taken for an answer
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    configure_logging(0)
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    told = asked.get()
    os.nice(int(told["nice"]))
    work = import_module(told["work"])
    while True:
        answer = _answer(work, told, asked.get())
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


def _listen(asked: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        asked.put(json.loads(line))
    os._exit(0)


def _answer(work: Any, told: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What came of one request: `done` or `learned`, or `error` (of the request) or `trouble` (of the machine)."""
    try:
        run = _run(told)
        if asked["ask"] == "check":
            work.check(run, Path(asked["parent"]))
            return {"done": True}
        return {"learned": _learn(work, run, asked).tree()}
    except GrandModelError as error:
        return {"error": error.as_object()}
    except OSError as error:  # such as a full disk, which passes
        return {"trouble": f"{error.strerror or error}"}


def _run(told: dict[str, Any]) -> Learning:
    config = parse(RunConfig, told["config"], where="the run")
    instruments = tuple(parse(Instrument, one, where="the run") for one in told["instruments"])
    if config.learning is None:
        raise DataError("the run does not learn")
    return Learning(config, config.learning, instruments, int(told["timeframe_ns"]))


def _learn(work: Any, run: Learning, asked: dict[str, Any]) -> Learned:
    job = Job.from_tree(asked["job"])
    folder = JobFolder(Path(asked["folder"]), job.number)
    out = folder.begin(job)
    try:
        bars, older = _rows(run, job, asked)
        learned: Learned = work.compute(job, bars, older, Path(asked["parent"]), run, out)
    except (OSError, MemoryError):
        raise
    except DataError as error:
        learned = Learned("refused", str(error).replace("\n", "; "), "data")
    except Exception as error:  # whatever a job raises, it raises again: this is what came of it
        traceback.print_exc()
        what = error.what if isinstance(error, GrandModelError) else f"{type(error).__name__}: {error}"
        learned = Learned("refused", f"the job failed: {what}", "failed")
    folder.end(learned)
    return learned


def _rows(run: Learning, job: Job, asked: dict[str, Any]) -> tuple[BarBlock, Sequence[BarBlock]]:
    """The rows that a job learns from, and older ones."""
    if asked["rows"] is not None:
        whole = read_rows(Path(asked["rows"]))
    else:
        with JournalReader(Path(asked["session"])) as reader:
            whole = recorded_rows(reader, first_row(run.learning, job), job.last)
    before = job.first - whole.seq
    return whole.slice(before, len(whole)), [whole.slice(0, before)] if before else []


if __name__ == "__main__":
    main()
