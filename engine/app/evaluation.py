"""An evaluation from configuration to folder: data, models, episodes, figures, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.metadata import metadata_file, read_bytes, read_seat
from agents.models.store import resolve_ensemble
from agents.spec import AGENT_NAMES
from engine.app.manifest import config_sha256, versions, write_json
from engine.base.compiled import cache_dir
from engine.base.errors import UsageError
from engine.base.replacing import OutputKind
from engine.report.training.history import History
from engine.report.training.report import write_training_report
from engine.types.blocks import Ints
from portfolio.metrics import iso
from training.config import TrainingConfig
from training.data.parts import Parts
from training.data.sources import load_market
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.evaluation.evaluation import Evaluation, Watch, evaluate
from training.evaluation.policies import ServedPolicy
from training.evaluation.results import EpisodeResult
from training.evaluation.starts import evaluation_starts

PARTS = {"train": "training", "training": "training", "validation": "validation", "test": "test"}
EVALUATION = OutputKind(
    "an evaluation",
    # evaluation_charts held the charts of Markdown until 0.2.0
    frozenset({"evaluation.json", "episodes.parquet", "evaluation.md", "evaluation.html", "evaluation_charts"}),
)
WARM = "complete-training"


@dataclass(frozen=True)
class EvaluationRun:
    """What an evaluation leaves behind.

    Attributes:
        tree: What `evaluation.json` holds.
        evaluation: Results of every episode.
    """

    tree: dict[str, Any]
    evaluation: Evaluation


def is_warm() -> bool:
    """Whether the kernels of the environments have been compiled for these sources on this processor."""
    return (cache_dir() / WARM).exists()


def run_evaluation(
    config: TrainingConfig,
    model: str | None = None,
    *,
    part: str = "validation",
    episodes: int = 100,
    seed: int | None = None,
    contributions: bool = True,
    watch: Watch | None = None,
    loaded: tuple[Market, Parts] | None = None,
) -> EvaluationRun:
    """Let the networks of a version trade a part of the data, without exploration.

    Args:
        config: Of the training: data, portfolio, rewards.
        model: Name of a version or a folder; the active version of the model store by default.
        part: train, validation or test.
        episodes: How many; fewer where the part holds fewer.
        seed: Draws the episodes at random; None spreads them evenly over the part.
        contributions: Whether to replace each agent by its neutral stand-in too.
        watch: Told before each part of the work begins.
        loaded: Market and parts, if the caller has them.

    Raises:
        GrandModelError: For everything that the user can fix.
    """
    if part not in PARTS:
        raise UsageError("there is no such part of the data", expected="train, validation or test", found=part)
    models = load_ensemble(resolve_ensemble(model))
    policy = ServedPolicy(models)
    if watch is not None:
        watch("data")
    market, parts = loaded or load_market(config, config.seed)
    _require_features(policy, market, models)
    length = config.training_params.episode_length
    starts = evaluation_starts(market, _ranges(parts, part), length, episodes, seed)
    found = evaluate(
        market,
        config.portfolio,
        Rewards.of(config.reward_shaping),
        config.ensemble,
        policy,
        starts,
        length,
        contributions=contributions,
        constants=_constants(models),
        watch=watch,
    )
    (cache_dir() / WARM).touch()
    about = _about(config, models, market, starts) | {
        "part": PARTS[part],
        "episodes_asked": episodes,
        "episode_seed": seed,
        "remarks": list(parts.remarks),
    }
    return EvaluationRun({"kind": "evaluation", "about": about, **found.tree()}, found)


def _require_features(policy: ServedPolicy, market: Market, models: LoadedEnsemble) -> None:
    """Refuse networks that were made for other declared features than the configuration has."""
    for name, agent in policy.agents.items():
        found = market.agents[name].declared
        if agent.declared != found:
            names = [
                ", ".join(f"{one.column} over {one.scale:g}" for one in each) or "none"
                for each in (agent.declared, found)
            ]
            raise UsageError(
                f"the {name} network of version {models.version} was made for other declared features",
                where=f"features.{name}",
                expected=names[0],
                found=names[1],
                hint="evaluate it with the configuration of its training",
            )


def _constants(models: LoadedEnsemble) -> dict[str, tuple[float, ...]]:
    """Seats that a constant action took."""
    found = {}
    for seat in models.metadata.seats:
        path = models.folder / metadata_file(seat)
        constant = read_seat(read_bytes(path, "every seat has one"), path, seat).constant
        if constant is not None:
            found[seat] = constant
    return found


def _ranges(parts: Parts, part: str) -> Sequence[tuple[int, int]]:
    ranges: Sequence[tuple[int, int]] = getattr(parts, PARTS[part])
    if not ranges:
        raise UsageError(
            f"the {PARTS[part]} part of the data is empty",
            where=f"data.split.{part}",
            expected="a share above 0",
            hint=f"--set data.split.{part}=0.15, or another --part",
        )
    return ranges


def _about(config: TrainingConfig, models: LoadedEnsemble, market: Market, starts: Ints) -> dict[str, Any]:
    length, times = config.training_params.episode_length, market.bars.ts_event[starts]
    last = int(market.bars.ts_event[starts + length].max())
    return {
        "created_by": f"grandmodel {versions().get('grandmodel', 'from source')}",
        "model": models.version,
        "model_sha256": models.sha256,
        "untrained": models.metadata.untrained,
        "instrument": market.instrument.name,
        "fees": market.instrument.fees.model_dump(mode="json"),
        "episode_length": length,
        "first": iso(int(times.min())),
        "last": iso(last),
        "bars_per_year": market.bars_per_year,
        "market_sha256": market.digest,
        "config_sha256": config_sha256(config),
        "seed": config.seed,
    }


def write_evaluation(folder: Path, run: EvaluationRun, histories: Mapping[str, History] | None = None) -> None:
    """Write evaluation.json, episodes.parquet, evaluation.md, and evaluation.html with its charts.

    Raises:
        GrandModelError: If the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(episodes_table(run.evaluation), folder / "episodes.parquet", compression="zstd")
    write_training_report(folder, run.tree, histories)
    write_json(folder / "evaluation.json", run.tree)


def episodes_table(evaluation: Evaluation) -> pa.Table:
    """Every episode of every variant: `variant` is ensemble, without_<agent>, or the name of a baseline."""
    variants: dict[str, Sequence[EpisodeResult]] = {"ensemble": evaluation.results}
    variants |= {f"without_{role}": results for role, results in evaluation.replaced.items()}
    variants |= dict(evaluation.baselines)
    return pa.Table.from_pylist([_row(name, one) for name, results in variants.items() for one in results])


def _row(variant: str, one: EpisodeResult) -> dict[str, Any]:
    plain = ("start", "bars", "reward", "total_return", "sharpe", "max_drawdown", "volatility", "exposure", "fees")
    traded = ("trades", "win_rate", "profit_factor", "average_win", "average_loss", "largest_win", "largest_loss")
    row: dict[str, Any] = {"variant": variant} | {name: getattr(one, name) for name in (*plain, *traded, "halted")}
    row |= {f"reward.{role}": one.agent_rewards[k] for k, role in enumerate(AGENT_NAMES)}
    row |= {f"term.{name}": sum(values) / len(values) for name, values in one.terms.items()}
    use = one.actions
    row |= {f"strategic.{k}": use.strategic[k] if use else None for k in range(3)}
    row |= {f"tactical.mean.{k}": use.tactical_mean[k] if use else None for k in range(3)}
    row |= {f"tactical.deviation.{k}": use.tactical_deviation[k] if use else None for k in range(3)}
    return row | {f"risk.{k}": use.risk[k] if use else None for k in range(5)}
