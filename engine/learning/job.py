"""A training job of a run that learns, and what came of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from engine.base.errors import DataError

Outcome = Literal["candidate", "refused"]
Refusal = Literal["gate", "diverged", "collapsed", "kl", "limits", "data", "failed"]
"""Why there is no candidate: it is not better than its parent beyond error; its numbers are not finite; it always
decides the same; it decides too differently from its parent; it meets a hard limit that its parent does not meet; the
bars cannot be learned from; the job failed."""


class Job(NamedTuple):
    """What decides a training job, together with the rows, the parent's files and the configuration.

    Attributes:
        number: The row before which it begins, a cut; no two jobs of a run share it.
        first, last: The rows it learns from, both included; `last` is the row before `number`.
        parent_sha256: Of the version that it continues.
        seed: Of its random numbers.
    """

    number: int
    first: int
    last: int
    parent_sha256: str
    seed: int

    def tree(self) -> dict[str, Any]:
        """Plain values."""
        return self._asdict()

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Self:
        """The job that `tree` gave.

        Raises:
            DataError: If the values are of something else.
        """
        try:
            numbers = {name: int(tree[name]) for name in ("number", "first", "last", "seed")}
            return cls(parent_sha256=str(tree["parent_sha256"]), **numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("this is no training job", expected=", ".join(cls._fields), found=str(tree)) from error


class Learned(NamedTuple):
    """What came of a job.

    Attributes:
        status: Whether it has given a candidate.
        because: Why, in words.
        reason: Why there is no candidate; None where there is one.
        sha256: Of the version it has written, a refused one included; None if there is none.
        version: Name of that version; empty if there is none.
        figures: What was measured, by name.
    """

    status: Outcome
    because: str
    reason: Refusal | None = None
    sha256: str | None = None
    version: str = ""
    figures: Mapping[str, float] = {}

    def tree(self) -> dict[str, Any]:
        """Plain values, without figures that are no finite numbers."""
        figures = {name: value for name, value in self.figures.items() if math.isfinite(value)}
        return {**self._asdict(), "figures": figures}

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Self:
        """What `tree` gave.

        Raises:
            DataError: If the values are of something else.
        """
        found = {name: tree[name] for name in cls._fields if name in tree}
        if found.get("status") not in ("candidate", "refused") or "because" not in found:
            raise DataError("this is not the result of a training job", expected="status, because", found=str(tree))
        if found["status"] == "candidate" and not found.get("sha256"):
            raise DataError("a candidate has no hash", expected="sha256 of its files", found=str(tree))
        return cls(**found)


def job_seed(seed: int, number: int) -> int:
    """Seed of the job that begins before a row of a run with a seed; 63 bits, different for every row."""
    digest = hashlib.sha256(f"learning job {number} of seed {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
