"""One training, named by its job; a module of its own, since a new process cannot import a package's `__main__`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Job = tuple[str, ...]
"""Kind and seed; of months: kind, name, cost, end of the training part, seed."""


def run(job: Job, settings: Sequence[str]) -> dict[str, Any]:
    """One training; the job names it."""
    import torch

    torch.set_num_threads(1)
    kind, *rest = job
    if kind == "months":
        from benchmarks.learning.real import fold, months

        name, cost, end, seed = rest
        month = next(month for month in months() if month.name == name)
        return fold(month, cost, float(end), int(seed), settings)
    from benchmarks.learning.cases import CASES

    return CASES[kind](int(rest[0]), settings)
