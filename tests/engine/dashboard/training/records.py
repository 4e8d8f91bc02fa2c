"""Records of a training that never was, for screens and lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

ROLES = ("strategic", "tactical", "risk")


def records(
    total: int, seed: int = 0, scale: float = 1.0, log: int = 10, evaluate: int = 50
) -> Iterator[dict[str, Any]]:
    """A training of `total` episodes that slowly gets better."""
    rng = np.random.default_rng(seed)
    best = -np.inf
    for episode in range(1, total + 1):
        skill = 3 * episode / total - 1
        parts = {
            "profit": skill + rng.normal(0, 1),
            "cost": -0.6,
            "risk": -abs(rng.normal(0, 0.2)),
            "sharpe": rng.normal(0, 0.3),
            "drawdown": -abs(rng.normal(0, 0.4)),
        }
        terms = {name: scale * value for name, value in parts.items()}
        rewards = {role: sum(terms.values()) * (0.9 + 0.1 * at) for at, role in enumerate(ROLES)}
        common = {"episode": episode, "env_steps": 2000 * episode}
        yield {"kind": "episode", **common, "rewards": rewards, "terms": terms, "epsilon": 0.995**episode}
        if episode % log == 0:
            yield {"kind": "losses", "episode": episode, **losses(rng)}
        if episode % evaluate == 0:
            mean = scale * (skill + rng.normal(0, 0.4))
            yield {
                "kind": "evaluation",
                "episode": episode,
                "mean_reward": mean,
                "deviation": scale * 0.8,
                "sharpe": skill,
                "max_drawdown": 0.04,
                "trades": 12.5,
                "best": bool(mean > best),
            }
            best = max(best, mean)
            path = f"models/checkpoints/checkpoint-{episode:07d}.ckpt"
            yield {"kind": "checkpoint", "episode": episode, "path": path}


def losses(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    return {
        "ppo": {
            "policy_loss": rng.normal(0, 0.02),
            "value_loss": rng.random(),
            "entropy": 0.9,
            "approx_kl": 0.012,
            "clip_fraction": 0.1,
            "gradient_norm": 0.4,
        },
        "sac": {"critic_loss": rng.random() * 3, "actor_loss": rng.normal(), "alpha": 0.2, "entropy": -1.2},
        "dqn": {"loss": rng.random() * 0.01, "q_mean": 1.2, "td_error": 0.03, "gradient_norm": 2.3},
    }
