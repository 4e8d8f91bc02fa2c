"""Configurations that make agents collapse are told so before they are trained."""

from __future__ import annotations

from typing import Any

import pytest

from engine.base.config import load, parse, read_yaml
from engine.base.paths import shipped
from tests.training.trainer.small import SMALL
from training.advice import advice
from training.config import TrainingConfig


def test_the_recommended_configuration_is_left_alone() -> None:
    path = shipped("configs") / "training" / "recommended.yaml"
    assert advice(parse(TrainingConfig, read_yaml(path), str(path))) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("agents.tactical_agent.alpha=0.2", "alpha: 0.2 outweighs the rewards"),
        ("training_params.credit=account", "the risk agent tends to exposure 0"),
        ("agents.strategic_agent.kl_stop=null", "kl_stop: null"),
        ("reward_shaping.transaction_cost=0.001", "agents learn not to trade"),
        ("training.parallel_envs=4", "4 environments"),
    ],
)
def test_each_override_towards_a_collapse_is_told(setting: str, said: str) -> None:
    base: dict[str, Any] = read_yaml(shipped("configs") / "training" / "recommended.yaml")
    (found,) = advice(load(TrainingConfig, settings=[setting], base=base))
    assert said in found and setting.split("=", maxsplit=1)[0].rsplit(".", 1)[0] in found


def test_many_passes_over_few_decisions_fit_noise() -> None:
    base = {**SMALL, "agents": {"strategic_agent": {"rollout_steps": 256, "epochs_per_update": 10}}}
    assert any("10 epochs over 256 decisions fit noise" in one for one in advice(parse(TrainingConfig, base, "test")))
