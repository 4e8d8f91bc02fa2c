"""Train a generator network on bars and write it to a folder: what `grandmodel data train-gan` does."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from engine.base.errors import DataError
from engine.base.files import sha256_file
from engine.base.replacing import replaced_folder, write_text
from engine.types.blocks import BarBlock, Floats
from engine.types.instruments import Instrument
from feeds.fitting.model import Source
from feeds.gan.model import FOLDER, GRAPH_FILE, MODEL_FILE, GanModel
from feeds.gan.noise import gan_noise
from training.gan.config import GanConfig
from training.gan.data import Prepared, prepare, windows
from training.gan.graph import write_graph
from training.gan.networks import KERNEL, OWN, SLOPE, Critic, Generator
from training.gan.scores import score

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHECKED = 20_000
"""Minutes that are generated for a look at validation."""


class Look(NamedTuple):
    """A look at validation.

    Attributes:
        step: Of the training.
        score: Of the weights then; smaller is better.
        best: Whether it is the best until then.
        distance: The critic's estimate of the Wasserstein distance in the last step.
    """

    step: int
    score: float
    best: bool
    distance: float


class Trained(NamedTuple):
    """What a training gave: the best weights by validation, its looks, and the steps taken."""

    generator: Generator
    looks: list[Look]
    steps: int


def train_gan(
    block: BarBlock,
    instrument: Instrument,
    out: Path,
    config: GanConfig,
    *,
    files: Sequence[Path] = (),
    overwrite: bool = False,
    on_look: Callable[[Look], None] = lambda _: None,
) -> GanModel:
    """Train on bars and write the folder.

    Args:
        block: 1-minute bars of one symbol; the last sessions are for validation alone.
        instrument: Of the symbol.
        out: Folder to write.
        files: Where the bars come from, for the record.
        overwrite: Whether an earlier model is replaced.
        on_look: Told of every look at validation.

    Raises:
        DataError: If the bars are too few, of several symbols, or the training does not converge.
        UsageError: If the folder holds something else.
    """
    with replaced_folder(out, FOLDER, overwrite=overwrite) as folder:
        prepared = prepare(block, instrument, config.validation)
        trained = learn(prepared, config, on_look)
        graph = folder / GRAPH_FILE
        weights = {name: value.detach().numpy() for name, value in trained.generator.state_dict().items()}
        write_graph(graph, weights, config.dilations, kernel=KERNEL, own=OWN, slope=SLOPE)
        best = min(trained.looks, key=lambda look: look.score)
        frame = prepared.frame
        model = GanModel(
            instrument=instrument,
            data=tuple(Source(path=str(file), sha256=sha256_file(file)) for file in files),
            first=_iso(int(block.ts_event[0])),
            last=_iso(int(block.ts_event[-1])),
            training_bars=len(prepared.training),
            validation_bars=len(prepared.validation),
            seed=config.seed,
            steps=trained.steps,
            chosen=best.step,
            score=best.score,
            versions={"python": platform.python_version(), **{name: version(name) for name in ("torch", "onnx")}},
            graph_sha256=sha256_file(graph),
            receptive=trained.generator.receptive,
            heaviness=frame.heaviness,
            deviation=frame.deviation,
            price=frame.price,
            bounce=frame.bounce,
            volume_mean=frame.volume_mean,
            volume_std=frame.volume_std,
            season=tuple(frame.season.tolist()),
            volume_season=tuple(frame.volume_season.tolist()),
            missing=tuple(frame.missing.tolist()),
            nights=tuple(frame.nights),
        )
        write_text(folder / MODEL_FILE, model.model_dump_json(indent=1) + "\n")
    return model


def learn(prepared: Prepared, config: GanConfig, on_look: Callable[[Look], None] = lambda _: None) -> Trained:
    """The training itself: Wasserstein with gradient penalty, stopped and chosen by validation.

    Raises:
        DataError: If the training bars are fewer than a window, or no step gives finite numbers.
    """
    if len(prepared.training) <= config.window:
        raise DataError("the training bars are fewer than a window", found=f"{len(prepared.training):,}")
    torch.set_num_threads(config.threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _Training(prepared, config).run(on_look)


class _Training:
    def __init__(self, prepared: Prepared, config: GanConfig) -> None:
        self.data, self.config = prepared, config
        self.rng = np.random.Generator(np.random.PCG64(config.seed))
        self.generator = Generator(config.width, config.dilations)
        self.average = copy.deepcopy(self.generator)
        self.critic = Critic(config.width, config.depth)
        rates = {"betas": (0.0, 0.9)}
        self.maker = torch.optim.Adam(self.generator.parameters(), config.generator_rate, **rates)  # type: ignore[arg-type]
        self.judge = torch.optim.Adam(self.critic.parameters(), config.critic_rate, **rates)  # type: ignore[arg-type]
        self.probe = gan_noise(
            np.random.Generator(np.random.PCG64(config.seed + 1)),
            max(CHECKED, len(prepared.validation)) + self.generator.receptive - 1, prepared.frame.heaviness,
        )  # fmt: skip

    def run(self, on_look: Callable[[Look], None]) -> Trained:
        best, looks, taken = copy.deepcopy(self.average), list[Look](), 0
        distance = 0.0
        for taken in range(1, self.config.steps + 1):
            for _ in range(self.config.critic_steps):
                distance = self._judge_step()
            self._maker_step()
            if taken % self.config.check and taken != self.config.steps:
                continue
            found = self._look()
            better = np.isfinite(found) and all(found < look.score for look in looks)
            looks.append(Look(taken, float(found) if np.isfinite(found) else np.inf, bool(better), distance))
            on_look(looks[-1])
            if better:
                best = copy.deepcopy(self.average)
            if taken - min(looks, key=lambda look: look.score).step >= self.config.patience * self.config.check:
                break
        if not any(look.best for look in looks):
            raise DataError("the training gave no finite numbers", hint="lower the learning rates")
        best.lean += float(made_by(best, self.probe)[:, 0].mean())
        return Trained(best, looks, taken)

    def _judge_step(self) -> float:
        real, made = self._real(), self._made().detach()
        seen, other = self.critic.seen(real), self.critic.seen(made)
        share = torch.from_numpy(self.rng.random((len(seen), 1, 1)).astype(np.float32))
        between = (share * seen + (1.0 - share) * other).requires_grad_(True)
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1.0) ** 2).mean()
        distance = self.critic(seen).mean() - self.critic(other).mean()
        self.judge.zero_grad()
        (self.config.penalty * penalty - distance).backward()
        self.judge.step()
        return float(distance.detach())

    def _maker_step(self) -> None:
        self.maker.zero_grad()
        loss = -self.critic(self.critic.seen(self._made())).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        self.maker.step()
        with torch.no_grad():
            for kept, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                kept.lerp_(value, 1.0 - self.config.average)

    def _real(self) -> torch.Tensor:
        starts = self.rng.integers(0, len(self.data.training) - self.config.window, self.config.batch)
        found = torch.from_numpy(windows(self.data.training, self.config.window, starts).astype(np.float32))
        return self._ticked(found, 1)

    def _made(self) -> torch.Tensor:
        length = self.config.window + self.generator.receptive - 1
        rows = gan_noise(self.rng, self.config.batch * length, self.data.frame.heaviness)
        noise = rows.reshape(self.config.batch, length, -1).transpose(0, 2, 1).astype(np.float32)
        return self._ticked(self.generator(torch.from_numpy(np.ascontiguousarray(noise))), 2)

    def _ticked(self, bars: torch.Tensor, times: int) -> torch.Tensor:
        """Blurred by the noise of rounding: real bars are rounded and blurred, made ones blurred twice."""
        shape = (times, 2, *bars[:, :1].shape)
        blur = (self.rng.random(shape) - 0.5).sum(axis=(0, 1)).astype(np.float32) * self.data.frame.tick
        return torch.cat([bars[:, :1] + torch.from_numpy(blur), bars[:, 1:]], 1)

    def _look(self) -> float:
        made = made_by(self.average, self.probe)
        rounded = self.data.frame.tick * (np.random.Generator(np.random.PCG64(0)).random((2, len(made))) - 0.5).sum(
            axis=0
        )
        made[:, 0] += rounded - made[:, 0].mean()
        return score(made, self.data.validation)


def made_by(generator: Generator, noise: Floats) -> Floats:
    """Scaled bars, shape (n, 4), of noise of shape (n + receptive - 1, 8)."""
    with torch.no_grad():
        found = generator(torch.from_numpy(noise.T[None].astype(np.float32)))[0].T
    return np.asarray(found.numpy(), np.float64)


def _iso(ns: int) -> str:
    return (EPOCH + timedelta(microseconds=ns // 1000)).isoformat().replace("+00:00", "Z")
