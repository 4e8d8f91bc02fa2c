"""Stress tests of a version of the models, as evidence before it is activated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.files import read_json

RUNS = Path("runs")
STRESS_FILE = "stress.json"


@dataclass(frozen=True)
class StressTest:
    """A stress test that was found.

    Attributes:
        folder: Of the run.
        tree: What its stress.json holds.
    """

    folder: Path
    tree: Mapping[str, Any]


def stress_test(sha256: str, version: str, run: Path | None = None, runs: Path = RUNS) -> StressTest | None:
    """The stress test of the models with a hash.

    Args:
        run: Its run; otherwise the latest one in `runs` is looked for.

    Returns:
        The test; None if none is found where none was named.

    Raises:
        UsageError: If the run that is named has no stress test of these models.
        DataError: If its file cannot be read.
    """
    if run is not None:
        path = run / STRESS_FILE
        if not path.is_file():
            raise UsageError(
                "no stress test in this run",
                where=str(run),
                hint="`grandmodel stress RUN` makes one",
            )
        tree = _read(path)
        if _models_of(tree) != sha256:
            raise UsageError(
                f"this is not a stress test of {version}",
                where=str(path),
                expected=f"models with sha256 {sha256}",
                found=_models_of(tree) or "an agent without models",
                hint=f"grandmodel stress --agent ensemble:{version} --data FILE",
            )
        return StressTest(run, tree)
    paths = sorted(runs.glob(f"*/{STRESS_FILE}"), key=lambda path: (path.stat().st_mtime, str(path)), reverse=True)
    for path in paths:
        try:
            tree = _read(path)
        except DataError:
            continue  # of something else: it is no evidence for or against anything
        if _models_of(tree) == sha256:
            return StressTest(path.parent, tree)
    return None


def refusal(test: StressTest, version: str) -> CheckFailed | None:
    """Why a version may not be activated; None if every bound held."""
    broken = [str(line) for line in test.tree["broken"]]
    if not broken:
        return None
    return CheckFailed(
        f"{version} broke {len(broken)} bounds in its stress test" if len(broken) > 1 else f"{version} broke a bound",
        where=str(test.folder / STRESS_FILE),
        expected="losses within --max-loss, and hard limits that hold",
        found=broken[0] + (", ..." if len(broken) > 1 else ""),
        hint="--despite-stress activates it all the same",
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        tree = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the stress test: {error}", where=str(path)) from error
    if not isinstance(tree, dict) or not {"broken", "models", "scenarios"} <= tree.keys():
        raise DataError("this is not what a stress test gives", where=str(path))
    return tree


def _models_of(tree: Mapping[str, Any]) -> str:
    made_of = tree["models"]
    return str(made_of.get("sha256", "")) if isinstance(made_of, dict) else ""
