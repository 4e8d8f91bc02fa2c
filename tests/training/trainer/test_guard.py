"""An agent that collapses begins anew, penalties eased in, and is given up in the end; all of it resumes exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.trainer.small import Heard, small_config, small_trainer
from tests.training.trainer.test_in_turns import exact
from training.checkpoint import load
from training.config import TrainingConfig
from training.environment.rewards import Rewards
from training.trainer import watch
from training.trainer.answers import Answers
from training.trainer.ending import TrainingOutcome
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer


def hopeless(**changes: Any) -> TrainingConfig:
    """Nothing can be earned at such a fee."""
    params = {"evaluation_frequency": 4, "turns": {"strategic": 0.8, "tactical": 0.1, "risk": 0.1}}
    config = exact(**(params | changes))
    shaping = config.reward_shaping.model_copy(update={"transaction_cost": 0.05, "risk_penalty": 0.5})
    return config.model_copy(update={"reward_shaping": shaping})


@pytest.fixture(scope="module", autouse=True)
def soon() -> Any:
    """Small trainings have few updates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "LEAST_UPDATES", 1)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Heard, TrainingOutcome, Path]:
    folder = tmp_path_factory.mktemp("guard")
    trainer, heard = small_trainer(folder, hopeless())
    return trainer, heard, trainer.run(), folder


Whole = tuple[Trainer, Heard, TrainingOutcome, Path]


def test_it_begins_anew_and_is_given_up_and_the_training_says_what_was_tried(whole: Whole) -> None:
    _, heard, outcome, _ = whole
    first, second, *_ = heard.of("collapse")
    assert (first["name"], first["agent"], first["severity"]) == ("NEVER_TRADES", "strategic", "warning")
    assert "begins anew (1 of at most 1), and penalties rise from 0" in first["answer"]
    assert "its first start ends early" in second["answer"] and second["text"].endswith(second["answer"])
    assert outcome.stopped == "early" and outcome.episodes < 48
    assert "tried: 1 new beginning, with penalties eased in" in outcome.why


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_going_on_before_or_after_a_new_beginning_ends_with_the_same_weights(
    whole: Whole, tmp_path: Path, share: float
) -> None:
    paths = sorted(whole[3].glob("*.ckpt"))
    saved = load(paths[int(share * len(paths))])
    trainer, heard = small_trainer(tmp_path, hopeless())
    trainer.restore(saved.state, saved.note, saved.path)
    assert trainer.run().weights_sha256 == whole[2].weights_sha256
    known = [record for record in whole[1].of("collapse") if record["episode"] > saved.note["episode"]]
    assert heard.of("collapse") == known


def test_without_restarts_it_is_only_told_and_null_does_not_look(tmp_path: Path) -> None:
    trainer, heard = small_trainer(tmp_path / "told", hopeless(collapse={"restarts": 0}))
    trainer.run()
    # of each of the two starts
    assert {record["answer"] for record in heard.of("collapse")} == {None}
    trainer, heard = small_trainer(tmp_path / "blind", hopeless(collapse=None))
    trainer.run()
    assert heard.of("collapse") == []


def test_learning_together_is_answered_too(tmp_path: Path) -> None:
    config = small_config(
        training_params={"total_episodes": 40, "evaluation_frequency": 4},
        reward_shaping={"transaction_cost": 0.05},
        agents={"strategic_agent": {"learning_rate": 0.01}},
    )
    trainer, heard = small_trainer(tmp_path, config)
    outcome = trainer.run()
    assert heard.of("collapse")
    grave = [record for record in heard.of("collapse") if record["answer"]]
    assert "begins anew" in grave[0]["answer"]
    assert outcome.stopped in {"early", "finished"}
    assert {record["severity"] for record in heard.of("alert")} >= {"warning"}


def test_penalties_rise_from_nothing_to_their_full_weight() -> None:
    setup = TrainingSetup.prepare(small_config())
    answers = Answers(setup)
    assert answers.rewards(10) == setup.rewards
    answers.begin_anew("strategic", 10, 40)
    nothing = replace(setup.rewards, risk_penalty=0.0, sharpe_bonus=0.0, max_drawdown_penalty=0.0)
    assert answers.rewards(10) == nothing
    half = answers.rewards(20)
    assert half == Rewards(1.0, *(0.5 * value for value in (0.5, 0.2, 1.0)))
    assert answers.rewards(30) == answers.rewards(99) == setup.rewards
    again = Answers(setup)
    again.restore(answers.snapshot())
    assert again.rewards(20) == half and not again.left("strategic") and again.left("risk")
    again.rest()
    assert again.rewards(20) == setup.rewards
