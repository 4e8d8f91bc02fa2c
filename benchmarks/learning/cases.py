"""Trainings on generated markets on which the achievable result is known; one call trains and judges one seed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.registry import make_market_agent
from engine.base.config import load, merge, parse, read_yaml
from engine.types.blocks import Floats, Ints
from portfolio.simulator import Simulator
from training.config import TrainingConfig
from training.data.sources import load_market
from training.environment.market import Market
from training.evaluation.diagnosis import diagnose
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import Policy
from training.evaluation.results import EpisodeResult
from training.evaluation.starts import evaluation_starts
from training.suite.leak import leak
from training.suite.markets import Information, load_proof, optimal_profit
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "training" / "regime_drift.yaml"
RULES = (
    # as they ship, at the largest size that the ensemble may take
    "flat",
    "buy_and_hold:size=2",
    "sma_cross:fast=10,slow=30,size=2",
    "random:size=2",
    # tuned to this very market, and deciding every minute instead of every 30
    "sma_cross:fast=30,slow=120,size=2",
    "sma_cross:fast=120,slow=480,size=2",
    "sma_cross:fast=240,slow=1440,size=2",
)
FEES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Multiples of the fee that was trained with."""

EPISODES = 40
RANDOM_WALK = {
    "data": {"sources": [{"type": "synthetic", "generator": "random_walk", "scenarios": 32, "length": 12000}]},
    "training_params": {"total_episodes": 600},
}
Case = dict[str, Any]


@dataclass(frozen=True)
class Learned:
    """A training that is over."""

    setup: TrainingSetup
    policy: Policy
    starts: Ints
    episodes: int
    kept: int
    seconds: float


def config_of(seed: int, changes: Mapping[str, Any], settings: Sequence[str] = ()) -> TrainingConfig:
    """The configuration of the proof, with changes."""
    tree = merge(read_yaml(CONFIG), {**changes, "seed": seed})
    return load(TrainingConfig, settings=settings, base=tree) if settings else parse(TrainingConfig, tree, str(CONFIG))


def learn(setup: TrainingSetup) -> Learned:
    """Train, and take the networks that did best on the validation part."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(setup, Path(folder))
        outcome = trainer.run()
        policy = trainer.take_kept()
    length = setup.config.training_params.episode_length
    starts = evaluation_starts(setup.market, setup.parts.test, length, EPISODES)
    return Learned(setup, policy, starts, outcome.episodes, outcome.kept_episode, outcome.seconds)


def judge(learned: Learned, market: Market | None = None) -> list[EpisodeResult]:
    """Episodes of the test part, without exploration."""
    setup = learned.setup
    config = setup.config
    return run_episodes(
        market or setup.market,
        config.portfolio,
        setup.rewards,
        config.ensemble,
        learned.policy,
        learned.starts,
        config.training_params.episode_length,
    )


def profits(results: Sequence[EpisodeResult], setup: TrainingSetup) -> Floats:
    """Account currency, by episode."""
    return np.array([result.total_return for result in results]) * setup.config.portfolio.initial_capital


def predictable(seed: int, settings: Sequence[str] = ()) -> Case:
    """A drift of hidden sign: what share of the optimum is earned, against which rules, and at which fees."""
    config = config_of(seed, {}, settings)
    proof = load_proof(config, seed)
    setup = TrainingSetup.of(config, proof.market, proof.parts)
    learned = learn(setup)
    results = judge(learned)
    length, size = config.training_params.episode_length, config.portfolio.sizing.value
    kinds: tuple[Information, ...] = ("full", "belief")
    best = {
        kind: sum(
            optimal_profit(proof, int(start), length, size=size, information=kind, observe=30).earned.profit
            for start in learned.starts
        )
        for kind in kinds
    }
    earned = float(profits(results, setup).sum())
    return {
        **_facts(learned, results),
        "share_of_full": earned / best["full"],
        "share_of_belief": earned / best["belief"],
        "optimum": best["full"] / len(results),
        "rules": {spec: float(rule_profits(spec, setup, learned.starts).mean()) for spec in RULES},
        "fees": {str(factor): fee_profit(learned, factor) for factor in FEES},
    }


def random_walk(seed: int, settings: Sequence[str] = ()) -> Case:
    """Nothing to learn but that trading costs."""
    config = config_of(seed, RANDOM_WALK, settings)
    setup = TrainingSetup.prepare(config)
    learned = learn(setup)
    return _facts(learned, judge(learned))


def leaked(seed: int, settings: Sequence[str] = ()) -> Case:
    """The same random walk, but the agents see the next bar's return."""
    config = config_of(seed, RANDOM_WALK, settings)
    market, parts = load_market(config, config.seed)
    learned = learn(TrainingSetup.of(config, leak(market), parts))
    blind = profits(judge(learned, market), learned.setup)
    return {**_facts(learned, judge(learned)), "without_leak": float(blind.mean())}


CASES = {"predictable": predictable, "random_walk": random_walk, "leaked": leaked}


def _facts(learned: Learned, results: Sequence[EpisodeResult]) -> Case:
    earned = profits(results, learned.setup)
    return {
        "episodes": learned.episodes,
        "kept": learned.kept,
        "seconds": learned.seconds,
        "profit": float(earned.mean()),
        "by_episode": earned.tolist(),
        "trades": float(np.mean([result.trades for result in results])),
        "exposure": float(np.mean([result.exposure for result in results])),
        "findings": [finding.name for finding in diagnose(results)],
    }


def fee_profit(learned: Learned, factor: float) -> float:
    """Mean profit of the same networks at a multiple of the fee."""
    changed = with_fees(learned.setup.market, factor)
    return float(profits(judge(learned, changed), learned.setup).mean())


def with_fees(market: Market, factor: float) -> Market:
    """The market with a multiple of its instrument's fees."""
    fees = market.instrument.fees
    scaled = fees.model_copy(update={"rate": fees.rate * factor, "per_contract": fees.per_contract * factor})
    return replace(market, instrument=market.instrument.model_copy(update={"fees": scaled}))


def rule_profits(spec: str, setup: TrainingSetup, starts: Ints) -> Floats:
    """What a rule agent earns in the same episodes; it has seen its source from the beginning on."""
    market, config = setup.market, setup.config
    length = config.training_params.episode_length
    earned = np.empty(len(starts))
    for k, start in enumerate(starts.tolist()):
        first = max(segment.start for segment in market.segments if segment.start <= start)
        whole = market.block(first, start + length + 1)
        agent = make_market_agent(spec)
        agent.bind(whole.symbols, [market.instrument], market.timeframe_ns)
        targets = agent.targets(whole)[start - first :]
        block = market.block(start, start + length + 1)
        simulator = Simulator(config.portfolio, [market.instrument], market.session_ends, market.bars_per_year)
        step = simulator.run_targets(block, np.ascontiguousarray(targets))
        earned[k] = float(step.ledger[-1, 1]) - config.portfolio.initial_capital
    return earned
