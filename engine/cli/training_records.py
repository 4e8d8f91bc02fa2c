"""The screen of a training while the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app.training_plan import TrainingPlan
    from engine.dashboard.training.state import TrainingInfo
    from training.config import TrainingConfig
    from training.trainer.history import Sink


@contextmanager
def screen(plan: TrainingPlan, device: str) -> Iterator[Sink]:
    """The live view of a training, or lines where there is no terminal; closed in the end.

    Args:
        device: Where torch computes.
    """
    from engine.app.training_plan import episode_of
    from engine.cli.console import err
    from engine.dashboard.training.live import open_view

    info = _info(plan.config, plan.folder, device, episode_of(plan.resume) or 0)
    view = open_view(info, err(), plan.config.logging.log_frequency)
    try:
        yield view
    finally:
        view.close()


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
