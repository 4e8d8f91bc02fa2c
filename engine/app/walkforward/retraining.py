"""Training the ensemble on the training part of each fold; needs the extra `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.app.preparing import Prepared
from engine.app.walkforward.windows import Window
from engine.base.config import load, merge, read_yaml
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from feeds.export import write_bars
from portfolio.config import PortfolioConfig
from training.checkpoint import load as load_checkpoint
from training.config import TrainingConfig
from training.export import export
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer


class Retraining:
    """Trains anew in each fold, on nothing but its training part, of which the end is kept for validation.

    Args:
        prepared: The run that trades the test parts: its instrument, costs and sizes are those of the training.
        config: YAML file of a training; its sources are not read.
        settings: Overrides, as `--set` takes them.
        folder: For bars, checkpoints and models of the folds.

    Raises:
        UsageError: If the run has several symbols.
    """

    def __init__(self, prepared: Prepared, config: Path, settings: Sequence[str], folder: Path) -> None:
        if len(prepared.instruments) != 1:
            raise UsageError(
                "agents are trained on one symbol", expected="one", found=", ".join(list(prepared.instruments)[:5])
            )
        self._prepared, self._config, self._settings, self._folder = prepared, config, settings, folder

    def __call__(self, window: Window, bars: BarBlock) -> str:
        """Train on the bars of a fold.

        Returns:
            The specification of the ensemble.

        Raises:
            GrandModelError: As a training does.
        """
        own = self._folder / f"fold-{window.number}"
        own.mkdir(parents=True, exist_ok=True)
        write_bars(own / "bars.parquet", [replace(bars, seq=0)])
        trainer = Trainer(TrainingSetup.prepare(self._training(own / "bars.parquet")), own)
        models = own / "models"
        export(load_checkpoint(trainer.run().checkpoint), models, f"fold-{window.number}", overwrite=True)
        return f"ensemble:{models}"

    def _training(self, bars: Path) -> TrainingConfig:
        (instrument,) = self._prepared.instruments.values()
        portfolio = self._prepared.config.model_dump(mode="json", include=set(PortfolioConfig.model_fields))
        changes = {
            "instrument": instrument.name,
            "data": {"sources": [{"type": "historical", "path": str(bars)}], "split": {"test": 0.0}},
            "portfolio": portfolio,
            "reward_shaping": {"transaction_cost": instrument.fees.rate},
            "seed": self._prepared.config.seed,
        }
        return load(TrainingConfig, settings=tuple(self._settings), base=merge(read_yaml(self._config), changes))
