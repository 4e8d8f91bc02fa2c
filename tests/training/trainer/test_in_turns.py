"""Agents learn in turns, seats are decided once each, and going on from any checkpoint changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from agents.spec import AGENT_NAMES
from engine.base.errors import ConfigError
from tests.training.trainer.small import Heard, small_config, small_trainer
from training.checkpoint import load
from training.config import TrainingConfig
from training.learners.constant import constant_weights
from training.trainer.trainer import Trainer
from training.trainer.trainings import StrategicTraining


def exact(imitation: Any = None, scenarios: int = 60, **changes: Any) -> TrainingConfig:
    """A drift so strong that even the smallest network finds it."""
    market = {"type": "synthetic", "generator": "regime_drift", "scenarios": scenarios, "length": 3600}
    source = market | {"parameters": {"drift_bps": 8.0, "volatility_bps": 1.0, "mean_minutes": 2880}}
    params = {"credit": "exact", "total_episodes": 48, "evaluation_frequency": 12, "checkpoint_frequency": 6}
    return small_config(
        data={"sources": [source]},
        agents={"strategic_agent": {"learning_rate": 3e-3, "epochs_per_update": 6, "imitation": imitation}},
        training_params=params | changes,
        reward_shaping={
            "transaction_cost": 1e-5,
            "risk_penalty": 0.0,
            "sharpe_bonus": 0.0,
            "max_drawdown_penalty": 0.0,
        },
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Heard, str, Path]:
    folder = tmp_path_factory.mktemp("turns")
    trainer, heard = small_trainer(folder, exact())
    outcome = trainer.run()
    assert (outcome.stopped, outcome.why) == ("finished", "every agent has had its turn")
    return trainer, heard, outcome.weights_sha256, folder


def test_every_seat_is_decided_in_order(whole: tuple[Trainer, Heard, str, Path]) -> None:
    verdicts = whole[1].of("verdict")
    assert [verdict["agent"] for verdict in verdicts] == list(AGENT_NAMES)
    assert verdicts[0]["network"]
    assert [verdict["episode"] for verdict in verdicts] == sorted(verdict["episode"] for verdict in verdicts)
    assert set(whole[1].of("losses")[-1]) >= {"ppo", "sac", "dqn"}


def test_the_whole_is_never_worse_than_before_an_agent_joined(whole: tuple[Trainer, Heard, str, Path]) -> None:
    for verdict in whole[1].of("verdict"):
        taken = verdict["network_reward"] if verdict["network"] else verdict["constant_reward"]
        assert taken >= verdict["constant_reward"]


def test_the_strategic_agent_begins_twice(
    whole: tuple[Trainer, Heard, str, Path],
) -> None:
    starts = [alert["episode"] for alert in whole[1].of("alert") if "begins a second time" in alert["text"]]
    first = whole[1].of("verdict")[0]
    assert starts == [12] and first["episode"] == 24 and first["network"]
    assert first["network_reward"] > 0.0


def test_every_turn_begins_with_what_earns_already(whole: tuple[Trainer, Heard, str, Path]) -> None:
    """The risk agent's first network chooses any level, perhaps 0, and would be kept if nothing better came."""
    seats = [verdict["episode"] for verdict in whole[1].of("verdict")]
    later = [found for found in whole[1].of("evaluation") if found["episode"] >= seats[0]]
    for episode in seats[:-1]:
        first = [found["mean_reward"] for found in later if found["episode"] == episode][-1]
        assert first > 0.9 * max(found["mean_reward"] for found in later if found["episode"] <= episode) > 0.0


@pytest.mark.parametrize("spoilt", [1, 2])
def test_the_better_start_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: int) -> None:
    learning = StrategicTraining.learn_worths

    def learn(training: StrategicTraining, progress: float) -> Any:
        learner = training.learner
        if training.starts == spoilt:
            learner.load_weights(constant_weights("strategic", learner.weights(), (1.0,)))
            return None
        return learning(training, progress)

    monkeypatch.setattr(StrategicTraining, "learn_worths", learn)
    trainer, heard = small_trainer(tmp_path, exact(collapse=None))
    trainer.run()
    first = heard.of("verdict")[0]
    assert first["network"] and first["network_reward"] > 0.0
    within = [found for found in heard.of("evaluation") if found["episode"] <= first["episode"]]
    assert min(found["mean_reward"] for found in within) == 0.0 < max(found["mean_reward"] for found in within)


def test_without_a_second_start_the_turn_belongs_to_the_first(tmp_path: Path) -> None:
    config = exact(total_episodes=24)
    agent = config.agents.strategic_agent.model_copy(update={"second_start": None})
    agents = config.agents.model_copy(update={"strategic_agent": agent})
    trainer, heard = small_trainer(tmp_path, config.model_copy(update={"agents": agents}))
    trainer.run()
    assert not [alert for alert in heard.of("alert") if "second time" in alert["text"]]


@pytest.mark.parametrize("share", [0.1, 0.45, 0.7, 0.95])
def test_going_on_from_a_checkpoint_of_any_turn_ends_with_the_same_weights(
    whole: tuple[Trainer, Heard, str, Path], tmp_path: Path, share: float
) -> None:
    paths = sorted(whole[3].glob("*.ckpt"))
    saved = load(paths[int(share * len(paths))])
    trainer, heard = small_trainer(tmp_path, exact())
    trainer.restore(saved.state, saved.note, saved.path)
    assert trainer.run().weights_sha256 == whole[2]
    last = whole[1].of("verdict")[-1]
    assert not heard.of("verdict") or heard.of("verdict")[-1] == last


def test_where_nothing_can_be_earned_the_training_ends_with_everybody_out(tmp_path: Path) -> None:
    config = exact().model_copy(
        update={"reward_shaping": exact().reward_shaping.model_copy(update={"transaction_cost": 0.05})}
    )
    trainer, heard = small_trainer(tmp_path, config)
    outcome = trainer.run()
    assert [verdict["network"] for verdict in heard.of("verdict")] == [False] * 3
    assert outcome.episodes < 48
    assert outcome.stopped == "early" and "nothing is traded" in outcome.why
    assert outcome.evaluation is not None and outcome.evaluation["mean_reward"] == 0.0


def test_join_episode_belongs_to_credit_by_the_account() -> None:
    with pytest.raises(ConfigError, match="join_episode"):
        small_config(training_params={"credit": "exact"}, agents={"tactical_agent": {"join_episode": 2}})
