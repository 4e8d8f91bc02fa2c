"""Defaults of a training's configuration that depend on what is given beside them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.base.config import load
from engine.base.errors import ConfigError
from tests.training.trainer.small import SMALL
from training.config import TrainingConfig


@pytest.mark.parametrize(
    ("settings", "mode", "value"),
    [
        ([], "equity_fraction", 0.5),
        (["portfolio.sizing.value=0.25"], "equity_fraction", 0.25),
        (["portfolio.sizing.mode=fixed"], "fixed", 1.0),
        (["portfolio.sizing.mode=fixed", "portfolio.sizing.value=3"], "fixed", 3.0),
        (["portfolio.sizing.mode=volatility_target", "portfolio.sizing.value=0.1"], "volatility_target", 0.1),
    ],
)
def test_a_size_alone_keeps_the_mode_and_a_mode_alone_its_own_size(
    settings: list[str], mode: str, value: float
) -> None:
    base: dict[str, Any] = {key: part for key, part in SMALL.items() if key != "portfolio"}
    sizing = load(TrainingConfig, settings=settings, base=base).portfolio.sizing
    assert (sizing.mode, sizing.value) == (mode, value)


def test_a_layer_is_no_wider_than_what_can_be_served() -> None:
    layers = "agents.strategic_agent.network_architecture.hidden_layers"
    assert load(TrainingConfig, base=SMALL, settings=[f"{layers}=[4096, 64]"])
    with pytest.raises(ConfigError, match="less than or equal to 4096"):
        load(TrainingConfig, base=SMALL, settings=[f"{layers}=[4097, 64]"])
