"""What trainings over several seeds came to: a record of each, their summary, and the file that holds both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from agents.spec import AGENT_NAMES
from engine.app.manifest import write_json
from engine.base.errors import DataError
from engine.base.files import read_json
from engine.report.training.history import HISTORY_FILE, read_history
from training.config import TrainingConfig
from training.evaluation.seeds import interquartile_mean

FILE, PAGE = "seeds.json", "seeds.md"
Status = Literal["waiting", "interrupted", "failed", "finished"]
Figure = Mapping[str, float | None]
"""A number as `value`, and its 95 % interval `low` to `high`."""


@dataclass(frozen=True)
class SeedRun:
    """The training of one seed.

    Attributes:
        seed: Its seed.
        folder: Its run folder, within that of all seeds.
        status: Of the training; the figures below are those of a finished one.
        error: Why it failed.
        stopped: finished or early.
        episodes: Played in training.
        seconds: Of the run that ended it.
        weights_sha256: Of the last networks.
        part: Of the data on which the kept networks were evaluated, usually test.
        evaluated: Episodes of the evaluation.
        reward, total_return: Of an episode of it.
        over: By how much its return is above each baseline, on the same episodes.
        seats: Agents whose network took its seat; the others act always the same.
    """

    seed: int
    folder: str
    status: Status = "waiting"
    error: str | None = None
    stopped: str | None = None
    episodes: int | None = None
    seconds: float | None = None
    weights_sha256: str | None = None
    part: str | None = None
    evaluated: int | None = None
    reward: Figure = field(default_factory=dict)
    total_return: Figure = field(default_factory=dict)
    over: Mapping[str, Figure] = field(default_factory=dict)
    seats: list[str] = field(default_factory=list)


def finished_run(seed: int, folder: Path, answer: Mapping[str, Any]) -> SeedRun:
    """The record of a training that has just ended, with figures from its run folder.

    Args:
        seed: Its seed.
        folder: Its run folder.
        answer: What the worker says of it.

    Raises:
        GrandModelError: If its evaluation or its history cannot be read.
    """
    tree = _read(folder / "evaluation" / "evaluation.json")
    performance = tree["summary"]["performance"]
    verdicts = {
        record["agent"]: record["network"] for record in read_history(folder / HISTORY_FILE) if _is_verdict(record)
    }
    return SeedRun(
        seed,
        folder.name,
        "finished",
        stopped=answer["stopped"],
        episodes=answer["episodes"],
        seconds=answer["seconds"],
        weights_sha256=answer["weights_sha256"],
        part=tree["about"]["part"],
        evaluated=tree["summary"]["episodes"],
        reward=performance["mean_reward"],
        total_return=performance["total_return"],
        over={name: figures["total_return"] for name, figures in tree["comparisons"].items()},
        # without verdicts all agents learned together, and every network decides
        seats=[name for name in AGENT_NAMES if verdicts.get(name, not verdicts)],
    )


def _is_verdict(record: Mapping[str, Any]) -> bool:
    return record.get("kind") == "verdict"


def summary(runs: Sequence[SeedRun]) -> dict[str, Any] | None:
    """What all finished seeds say together; None if there is none.

    Intervals of interquartile means are over seeds: they hold the luck of training alone.
    """
    done = [run for run in runs if run.status == "finished"]
    if not done:
        return None
    figures = {name: _over_seeds([getattr(run, name) for run in done]) for name in ("reward", "total_return")}
    best = max(done, key=lambda run: _value(run.reward))
    return {
        "seeds": len(done),
        "trials": len(runs),
        "part": done[0].part,
        **figures,
        "over": {name: _over_seeds([run.over[name] for run in done]) for name in done[0].over},
        "above": {name: _above([run.over[name] for run in done]) for name in done[0].over},
        "best": {"seed": best.seed, "folder": best.folder, "reward": best.reward},
    }


def _over_seeds(figures: Sequence[Figure]) -> dict[str, Any]:
    return interquartile_mean([_value(figure) for figure in figures]).tree()


def _value(figure: Figure) -> float:
    value = figure.get("value")
    if value is None:
        raise DataError("an evaluation holds no mean reward or return", expected="a number", found="null")
    return value


def _above(figures: Sequence[Figure]) -> dict[str, int]:
    """How many seeds are above a baseline, and how many of them beyond the chance of their episodes."""
    return {
        "seeds": sum((figure.get("value") or 0.0) > 0 for figure in figures),
        "beyond_chance": sum((figure.get("low") or 0.0) > 0 for figure in figures),
    }


def tree_of_runs(config: TrainingConfig, runs: Sequence[SeedRun]) -> dict[str, Any]:
    """What `seeds.json` holds."""
    return {
        "kind": "seeds",
        "complete": all(run.status == "finished" for run in runs),
        "runs": [asdict(run) for run in runs],
        "summary": summary(runs),
        "config": config.model_dump(mode="json", exclude={"seed"}),
    }


def write_runs(folder: Path, tree: Mapping[str, Any]) -> None:
    """Write `seeds.json`.

    Raises:
        GrandModelError: If the disk refuses.
    """
    write_json(folder / FILE, tree)


def read_runs(folder: Path) -> tuple[dict[str, Any], dict[int, SeedRun]]:
    """Configuration and records of trainings that have begun, by seed; both empty if there are none.

    Raises:
        DataError: If the file is damaged.
    """
    if not (folder / FILE).exists():
        return {}, {}
    tree = _read(folder / FILE)
    names = {one.name for one in fields(SeedRun)}
    try:
        runs = [SeedRun(**{key: value for key, value in run.items() if key in names}) for run in tree["runs"]]
        return dict(tree["config"]), {int(run.seed): run for run in runs}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            "the file does not hold trainings over seeds",
            where=str(folder / FILE),
            found=f"{type(error).__name__}: {error}",
            hint="choose another folder (--out)",
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the file: {error}", where=str(path)) from error
    if not isinstance(tree, dict):
        raise DataError("expected a JSON object", where=str(path), found=type(tree).__name__)
    return tree
