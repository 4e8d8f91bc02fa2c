"""Specifications of agents: what builds, and how a wrong one is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.registry import make_agent
from agents.rules import BuyAndHold, Random, SmaCross
from engine.base.errors import UsageError


def test_parameters_reach_the_agent() -> None:
    agent = make_agent("sma_cross:fast=3,slow=9,size=2,short=false")
    assert isinstance(agent, SmaCross)
    assert (agent.fast, agent.slow, agent.size, agent.short) == (3, 9, 2.0, False)
    assert isinstance(make_agent("buy_and_hold"), BuyAndHold)


def test_seed_is_a_default_only() -> None:
    given, own = make_agent("random", seed=7), make_agent("random:seed=3", seed=7)
    assert isinstance(given, Random)
    assert isinstance(own, Random)
    assert (given.seed, own.seed) == (7, 3)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("sma_cros", "did you mean sma_cross"),
        ("sma_cross:fats=3", "unknown parameter 'fats'"),
        ("sma_cross:fast", "key=value"),
        ("sma_cross:fast=30,slow=10", "1 <= fast < slow"),
        ("sma_cross:size=-1", "size must be above 0"),
        ("sma_cross:fast=abc", "'fast' does not fit"),
        ("sma_cross:fast=2.5", "'fast' does not fit"),
        ("random:hold=0", "hold must be at least 1"),
        ("nowhere.py:Thing", "does not exist"),
    ],
)
def test_wrong_specifications_are_explained(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        make_agent(spec)


def test_file_without_the_class_lists_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from agents.strategy import Strategy\nclass Mine(Strategy):\n    def on_bar(self, context):\n        pass\n"
    )
    with pytest.raises(UsageError, match="found: Mine"):
        make_agent(f"{file}:Other")
    assert type(make_agent(f"{file}:Mine")).__name__ == "Mine"


def test_file_that_fails_to_import_says_why(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import does_not_exist\n")
    with pytest.raises(UsageError, match="does_not_exist"):
        make_agent(f"{file}:Mine")
