"""Where the records of a training go while the command runs: files, and the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint
    from training.config import TrainingConfig
    from training.trainer.sinks import Sink


@contextmanager
def listening(
    config: TrainingConfig, folder: Path, checkpoint: Checkpoint | None, project: str | None, quiet: bool
) -> Iterator[list[Sink]]:
    """Sinks for a training, closed in the end.

    Args:
        config: Of the training.
        folder: The run folder.
        checkpoint: From which it goes on.
        project: At Weights & Biases, if records go there.
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
        for sink in sinks:
            stack.callback(sink.close)
        if not quiet:
            from engine.dashboard.training.screen import open_screen

            sinks.append(stack.enter_context(open_screen(config, err(), resumed or 0)))
        yield sinks
