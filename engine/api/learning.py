"""Training and evaluating from Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, overload

from engine.api.arguments import Files, clean, tree_of, with_settings
from engine.api.training import EvaluationResult, SeedsResult, TrainingResult
from engine.app.extras import need_training
from engine.base.config import Tree, parse
from engine.base.errors import UsageError
from engine.base.replacing import replaced_folder


@overload
def train(
    config: Files | Mapping[str, Any] = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    seed: int | None = None,
    seeds: None = None,
    workers: None = None,
    device: str = "cpu",
    compiled: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> TrainingResult: ...


@overload
def train(
    config: Files | Mapping[str, Any] = (),
    *,
    out: str | Path | None = None,
    resume: None = None,
    seed: int | None = None,
    seeds: int,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> SeedsResult: ...


@clean
def train(
    config: Files | Mapping[str, Any] = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> TrainingResult | SeedsResult:
    """Train an ensemble, export the best networks and evaluate them; or several, with a seed each.

    Args:
        config: YAML files, later ones over earlier ones, or the configuration itself as a mapping; left out to go on
            with that of a checkpoint.
        out: Run folder; by default that of the checkpoint, or a new one in `runs`.
        resume: A checkpoint, or the folder of a training, to resume.
        seed: In place of the configuration's.
        seeds: How many seeds to train, from the seed on, each in a process and a folder of its own; the same call again
            continues what was interrupted. A seed that fails does not stop the others: `failures` of the result.
        workers: Processes at once, of several seeds; by default one for each core.
        device: Where torch computes: "cpu", "cuda", "cuda:1".
        compiled: Whether to compile the learners' updates first.
        settings: Values at dotted keys: `{"training_params.total_episodes": 500}`.

    Raises:
        UsageError: If the extra `train` is not installed, another training lies in the folder, or arguments do not go
            together.
        GrandModelError: Whatever is wrong with configuration or data.
    """
    need_training()
    from engine.app.training import run_training, wire, write_config  # noqa: PLC0415 - needs the extra
    from engine.app.training_plan import held, plan_training, training_files  # noqa: PLC0415 - likewise

    tree = with_settings(dict(config) if isinstance(config, Mapping) else tree_of(config), settings)
    if seeds is not None:
        if resume is not None:
            raise UsageError("resume= is for one training", hint="the same call with the same out= continues seeds")
        return _train_seeds(tree, seeds, seed, out, {"workers": workers, "device": device, "compiled": compiled})
    if workers is not None:
        raise UsageError("workers= is for trainings over several seeds", hint="add seeds=N")
    places = {"resume": resume, "out": out}
    paths = {name: None if path is None else Path(path) for name, path in places.items()}
    plan = plan_training((), (), seed=seed, warn=_warn, base=tree, **paths)
    with ExitStack() as stack:
        stack.enter_context(held(plan))
        trainer = wire(
            plan.config, plan.checkpoints, (), resume=plan.resume, run=plan.folder, device=device, compiled=compiled
        )
        project = "grandmodel" if plan.config.logging.wandb else None
        trainer.listen(stack.enter_context(training_files(plan, project, _warn)))
        write_config(plan.folder, plan.config)
        return TrainingResult(run_training(trainer, plan.folder))


def _train_seeds(
    tree: Tree, count: int, seed: int | None, out: str | Path | None, how: Mapping[str, Any]
) -> SeedsResult:
    from engine.app.seeds.seeds import check_seeds, plan_seeds, train_seeds  # noqa: PLC0415 - needs the extra

    plan = plan_seeds((), (), count=count, seed=seed, out=None if out is None else Path(out), base=tree)
    check_seeds(plan, how["device"])
    return SeedsResult(train_seeds(plan, project="grandmodel" if plan.config.logging.wandb else None, **how))


@clean
def evaluate(
    config: Files | Mapping[str, Any],
    model: str | Path | None = None,
    *,
    part: Literal["train", "validation", "test"] = "validation",
    episodes: int = 100,
    seed: int | None = None,
    contributions: bool = True,
    out: str | Path | None = None,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    """Let an ensemble trade episodes without exploration, beside buy-and-hold and staying flat.

    Args:
        config: Of the training, which names the data: YAML files, or the configuration itself as a mapping.
        model: Name of a version or a folder of networks; the active version by default.
        part: Part of the data; keep the test part for a last look.
        episodes: How many; fewer where the part holds fewer.
        seed: Draws the episodes at random; by default they are spread evenly.
        contributions: Whether to try what is lost without each agent: four times as slow.
        out: Folder; by default everything stays in memory.
        overwrite: Replace the evaluation that the folder holds.
        settings: Values at dotted keys.

    Raises:
        GrandModelError: Whatever is wrong with configuration, data or models.
    """
    from engine.app import evaluation  # noqa: PLC0415 - takes a moment
    from training.config import TrainingConfig  # noqa: PLC0415 - likewise

    tree = with_settings(dict(config) if isinstance(config, Mapping) else tree_of(config), settings)
    folder = None if out is None else Path(out)
    with ExitStack() as stack:
        kind = evaluation.EVALUATION
        written = None if folder is None else stack.enter_context(replaced_folder(folder, kind, overwrite=overwrite))
        run = evaluation.run_evaluation(
            parse(TrainingConfig, tree, where="evaluate()"),
            None if model is None else str(model),
            part=part,
            episodes=episodes,
            seed=seed,
            contributions=contributions,
        )
        if written is not None:
            evaluation.write_evaluation(written, run)
    return EvaluationResult.of(run, folder)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)
