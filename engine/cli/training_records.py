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
def listening(
    config: TrainingConfig, folder: Path, checkpoint: Checkpoint | None, project: str | None, device: str, quiet: bool
) -> Iterator[list[Sink]]:
    """Sinks for a training, closed in the end.

    Args:
        config: Of the training.
        folder: The run folder.
        checkpoint: From which it goes on.
        project: At Weights & Biases, if records go there.
        device: Where torch computes.
        quiet: Whether the screen stays empty.
    """
    from engine.cli.console import err, note
    from training.trainer.sinks import open_sinks

    resumed = None if checkpoint is None else int(checkpoint.note["episode"])
    logging = config.logging.model_copy(update={"wandb": project is not None})
    with ExitStack() as stack:
        sinks = open_sinks(
            logging, folder, config.model_dump(mode="json"), note, resumed=resumed, project=project or "grandmodel"
        )
        if not quiet:
            from engine.dashboard.training.live import open_view

            sinks.append(open_view(_info(config, folder, device, resumed or 0), err(), logging.log_frequency))
        for sink in reversed(sinks):
            stack.callback(sink.close)
        yield sinks


def _info(config: TrainingConfig, folder: Path, device: str, resumed: int) -> TrainingInfo:
    from engine.dashboard.training.state import TrainingInfo

    params = config.training_params
    names = [source.path if source.type == "historical" else source.generator for source in config.data.sources]
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
