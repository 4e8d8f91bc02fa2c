"""An evaluation and histories of trainings, made up."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

NASTY = "<b>&\"'</script><script>boom()</script>|{{css}}`"
TERMS = ("profit", "cost", "risk", "sharpe", "drawdown")


def figure(value: float | None, half: float | None = None) -> dict[str, Any]:
    """A figure and its interval."""
    if value is None or half is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": value - half, "high": value + half}


def summary(mean: float = 1.0) -> dict[str, Any]:
    """What `Summary.tree` gives."""
    performance = ("mean_reward", "deviation", "median", "minimum", "maximum", "skewness", "kurtosis")
    risk = ("sharpe", "max_drawdown", "worst_drawdown", "var_95", "cvar_95", "volatility")
    trading = ("win_rate", "average_win", "average_loss", "largest_win", "largest_loss", "trades", "exposure", "fees")
    spread = [1, *[0] * 18, 1]
    return {
        "episodes": 20,
        "effective_episodes": 10.5,
        "bars": 2000,
        "halted": 0,
        "performance": {name: figure(mean, 0.5) for name in performance} | {"total_return": figure(mean / 100, 0.004)},
        "risk": {name: figure(-0.1, 0.02) for name in risk},
        "trading": {name: figure(0.5, 0.1) for name in trading} | {"profit_factor": figure(None)},
        "terms": {name: figure(mean / 5, 0.1) for name in TERMS},
        "actions": {
            "strategic": {"short": 1, "neutral": 2, "long": 1},
            "tactical": {"bins": 20, "histograms": [spread] * 3, "mean": [0.5] * 3, "deviation": [0.1] * 3},
            "risk": [1, 2, 3, 4, 0],
        },
    }


def evaluation(**about: Any) -> dict[str, Any]:
    """What `evaluation.json` holds."""
    added = {"mean": figure(0.4, 0.1), "deviation": 0.2, "correlation": figure(0.3, 0.2)}
    added["total_return"] = figure(0.001, 0.002)
    held = summary(-1.0) | {"actions": None}
    facts = {"model": "m-1", "part": "validation", "instrument": "ES", "episode_length": 100, "episodes_asked": 20}
    facts |= {"first": "2024-01-02T00:00:00+00:00", "last": "2024-02-03T00:00:00+00:00", "untrained": False}
    tree = {
        "about": facts | {"created_by": "grandmodel 0.1.0", "remarks": []} | about,
        "summary": summary(),
        "contributions": dict.fromkeys(("strategic", "tactical", "risk"), added),
        "baselines": {"buy_and_hold": held, "flat": held},
        "comparisons": {
            "buy_and_hold": {"reward": figure(2.0, 1.0), "total_return": figure(0.02, 0.01)},
            "flat": {"reward": figure(1.0, 2.0), "total_return": figure(0.01, 0.02)},
        },
        "findings": [{"name": "CONSTANT_RISK", "message": "The risk agent chose level 3."}],
        "per_episode": {
            "start": [50, 0, 100],
            "total_return": [0.02, 0.01, 0.03],
            "total_return.buy_and_hold": [0.0, 0.1, -0.1],
            "total_return.flat": [0.0, 0.0, 0.0],
        },
    }
    return copy.deepcopy(tree)


def history(seed: int, episodes: int = 120) -> list[dict[str, Any]]:
    """Records of a training."""
    rng, found = np.random.default_rng(seed), []
    for n in range(1, episodes + 1):
        terms = {name: float(rng.normal()) for name in TERMS}
        team = sum(terms.values())
        rewards = dict.fromkeys(("strategic", "tactical", "risk"), team)
        found.append({"kind": "episode", "episode": n, "rewards": rewards, "terms": terms, "epsilon": 0.99**n})
        if n % 10 == 0:
            losses = {"ppo": {"policy_loss": 0.1 / n}, "sac": {"critic_loss": 1.0 / n, "alpha": 0.2}}
            found.append({"kind": "losses", "episode": n, **losses, "dqn": {"loss": None}})
        if n % 40 == 0:
            figures = {"mean_reward": n / 40 + seed, "deviation": 0.5, "sharpe": None, "max_drawdown": -0.01}
            found.append({"kind": "evaluation", "episode": n, **figures})
    return found
