"""Where the records of a training go while the command runs: files, and the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.dashboard.training.state import TrainingInfo
    from training.checkpoint import Checkpoint
    from training.config import TrainingConfig
    from training.trainer.sinks import Sink


@contextmanager
def screen(config: TrainingConfig, folder: Path, checkpoint: Checkpoint | None, device: str) -> Iterator[Sink]:
    """The live view of a training, or lines where there is no terminal; closed in the end.

    Args:
        config: Of the training.
        folder: The run folder.
        checkpoint: From which it goes on.
        device: Where torch computes.
    """
    from engine.cli.console import err
    from engine.dashboard.training.live import open_view

    view = open_view(_info(config, folder, device, _episode(checkpoint) or 0), err(), config.logging.log_frequency)
    try:
        yield view
    finally:
        view.close()


@contextmanager
def files(
    config: TrainingConfig, folder: Path, checkpoint: Checkpoint | None, project: str | None
) -> Iterator[list[Sink]]:
    """The files that records go to; what an earlier run wrote after the checkpoint is cut off. Closed in the end.

    Args:
        config: Of the training.
        folder: The run folder.
        checkpoint: From which it goes on.
        project: At Weights & Biases, if records go there.
    """
    from engine.cli.console import note
    from training.trainer.sinks import open_sinks

    logging = config.logging.model_copy(update={"wandb": project is not None})
    resumed, tree = _episode(checkpoint), config.model_dump(mode="json")
    with ExitStack() as stack:
        sinks = open_sinks(logging, folder, tree, note, resumed=resumed, project=project or "grandmodel")
        for sink in reversed(sinks):
            stack.callback(sink.close)
        yield sinks


def _episode(checkpoint: Checkpoint | None) -> int | None:
    return None if checkpoint is None else int(checkpoint.note["episode"])


def _info(config: TrainingConfig, folder: Path, device: str, resumed: int) -> TrainingInfo:
    from engine.dashboard.training.state import TrainingInfo

    params = config.training_params
    names = [
        Path(source.path).name if source.type == "historical" else source.generator for source in config.data.sources
    ]
    return TrainingInfo(
        name=folder.name,
        total_episodes=params.total_episodes,
        envs=config.training.parallel_envs,
        data=", ".join(names),
        seed=config.seed,
        device=device,
        resumed=resumed,
        patience=params.early_stopping.patience if params.early_stopping else None,
    )
