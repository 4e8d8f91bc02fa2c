"""Training learns what is there: agents that are shown the next bar's return come to earn by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.base.config import parse
from training.config import TrainingConfig
from training.data.sources import load_market
from training.evaluation.diagnosis import diagnose
from training.evaluation.episodes import run_episodes
from training.suite.leak import leak
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

CONFIG = {
    "training": {"parallel_envs": 16},
    "data": {"sources": [{"type": "synthetic", "generator": "random_walk", "scenarios": 40, "length": 6000}]},
    "agents": {
        "strategic_agent": {
            "network_architecture": {"hidden_layers": [32, 32], "activation": "relu"},
            "learning_rate": 0.001,
            "gamma": 0.5,
            "rollout_steps": 512,
        },
        "tactical_agent": {
            "network_architecture": {"hidden_layers": [16, 16], "activation": "tanh"},
            "target_update_frequency": 1,
            "gamma": 0.5,
        },
        "risk_agent": {
            "network_architecture": {"hidden_layers": [16, 16], "activation": "relu"},
            "epsilon_decay": 0.95,
            "gamma": 0.5,
        },
    },
    "training_params": {
        "total_episodes": 160,
        "episode_length": 1000,
        "evaluation_frequency": 40,
        "checkpoint_frequency": 1000,
    },
    "reward_shaping": {
        "transaction_cost": 0.0,
        "risk_penalty": 0.0,
        "sharpe_bonus": 0.0,
        "max_drawdown_penalty": 0.0,
    },
    "portfolio": {"sizing": {"mode": "fixed", "value": 500}},
    "seed": 3,
}


def test_agents_that_see_the_next_return_earn_by_it(tmp_path: Path) -> None:
    config = parse(TrainingConfig, CONFIG, "test")
    market, parts = load_market(config, config.seed)
    setup = TrainingSetup.of(config, leak(market), parts)
    trainer = Trainer(setup, tmp_path)
    trainer.run()
    results = trainer.evaluate(parts.test, 20)
    earned = np.array([result.total_return for result in results])
    assert earned.mean() > 3 * earned.std(ddof=1) / np.sqrt(len(earned)), "significantly more than nothing"
    assert "NEVER_TRADES" not in {finding.name for finding in diagnose(results)}
    # the same networks, where the leak is stopped, see noise
    length = config.training_params.episode_length
    policy = trainer.take_kept()
    starts = [result.start for result in results]
    blind = run_episodes(market, config.portfolio, setup.rewards, config.ensemble, policy, starts, length)
    assert np.mean([result.total_return for result in blind]) < earned.mean() / 2
