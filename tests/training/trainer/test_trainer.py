"""The training loop: what it tells, what it leaves, and that going on from a checkpoint changes nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.base.errors import ConfigError, DataError
from tests.training.trainer.small import small_config, small_trainer
from training.checkpoint import load, save, weights_sha256
from training.errors import ExplodingLoss
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, str, Path]:
    """A training from beginning to end, and the hash of what it learned."""
    folder = tmp_path_factory.mktemp("whole")
    trainer, _ = small_trainer(folder)
    return trainer, trainer.run().weights_sha256, folder


def test_a_training_tells_every_episode_and_evaluates_and_saves_as_configured(tmp_path: Path) -> None:
    trainer, heard = small_trainer(tmp_path)
    outcome = trainer.run()
    episodes = heard.of("episode")
    assert [record["episode"] for record in episodes] == list(range(1, outcome.episodes + 1))
    assert outcome.episodes >= 12
    assert outcome.env_steps == episodes[-1]["env_steps"] == sum(record["bars"] for record in episodes)
    assert {record["episode"] // 4 for record in heard.of("evaluation")} == {1, 2, 3}
    assert [Path(record["path"]).name for record in heard.of("checkpoint")] == sorted(
        path.name for path in tmp_path.glob("*.ckpt")
    )
    assert set(heard.of("losses")[-1]) == {"kind", "episode", "ppo", "sac", "dqn"}
    for record in episodes:
        assert sum(record["terms"].values()) == pytest.approx(record["rewards"]["risk"])
        # all agents are rewarded for the same bars
        assert record["rewards"]["strategic"] == pytest.approx(record["rewards"]["risk"], abs=1e-9)
    assert outcome.evaluation is not None
    best = max(record["mean_reward"] for record in heard.of("evaluation"))
    assert outcome.evaluation["mean_reward"] <= best


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    whole: tuple[Trainer, str, Path], tmp_path: Path
) -> None:
    again, _ = small_trainer(tmp_path / "again")
    other, _ = small_trainer(tmp_path / "other", small_config(seed=6))
    assert again.run().weights_sha256 == whole[1]
    assert other.run().weights_sha256 != whole[1]


@pytest.mark.parametrize("number", [0, 1])
def test_going_on_from_a_checkpoint_ends_with_the_same_weights(
    whole: tuple[Trainer, str, Path], tmp_path: Path, number: int
) -> None:
    path = sorted(whole[2].glob("*.ckpt"))[number]
    saved = load(path)
    trainer, _ = small_trainer(tmp_path)
    trainer.restore(saved.state, saved.note, path)
    assert trainer.episodes < 12
    assert trainer.run().weights_sha256 == whole[1]


def test_compiled_updates_are_traced_once_each_also_after_a_checkpoint_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor], **_options: object) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    # traced whole as for compilation, but run by torch: the C++ compiler would take a minute
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=count))
    trainer = Trainer(TrainingSetup.prepare(small_config()), tmp_path, compiled=True)
    trainer.run()
    path = sorted(tmp_path.glob("*.ckpt"))[0]
    saved = load(path)
    trainer.restore(saved.state, saved.note, path)
    assert trainer.episodes < 12
    assert trainer.run().episodes >= 12
    assert len(graphs) == 3


def test_evaluating_changes_nothing(tmp_path: Path) -> None:
    trainer, _ = small_trainer(tmp_path)
    twice, _ = small_trainer(tmp_path)
    twice.evaluate(twice.setup.parts.validation, 3)
    assert trainer.run().weights_sha256 == twice.run().weights_sha256


def test_a_checkpoint_of_other_data_is_refused(whole: tuple[Trainer, str, Path], tmp_path: Path) -> None:
    path = sorted(whole[2].glob("*.ckpt"))[0]
    saved = load(path)
    trainer, _ = small_trainer(tmp_path, small_config(seed=6))
    with pytest.raises(DataError, match="other data"):
        trainer.restore(saved.state, saved.note, path)


def test_the_kept_networks_are_those_of_the_best_evaluation(whole: tuple[Trainer, str, Path]) -> None:
    trainer, _, folder = whole
    saved = load(sorted(folder.glob("*.ckpt"))[-1])
    trainer.take_kept()
    results = trainer.evaluate(trainer.setup.parts.validation, 3)
    assert np.mean([result.reward for result in results]) == saved.note["evaluation"]["mean_reward"]
    assert weights_sha256(saved.state["kept"]["weights"]) == weights_sha256(trainer.snapshot()["kept"]["weights"])


def test_an_exploding_loss_names_the_episode_and_the_last_checkpoint(tmp_path: Path) -> None:
    config = small_config(
        agents={"tactical_agent": {"learning_rate": 1e30}},
        experience_replay={"min_size_to_train": 250},
        training_params={"checkpoint_frequency": 1},
    )
    trainer, heard = small_trainer(tmp_path, config)
    with pytest.raises(ExplodingLoss) as caught:
        trainer.run()
    assert "SAC" in str(caught.value)
    assert "episode" in str(caught.value)
    last = heard.of("checkpoint")[-1]["path"]
    assert last in str(caught.value)
    assert load(Path(last)).note["episode"] >= 1


def test_a_disk_that_refuses_is_named_with_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, heard = small_trainer(tmp_path)

    def full(path: Path, *_: object) -> Path:
        if len(heard.of("checkpoint")) > 1:
            raise OSError(28, "No space left on device", str(path))
        return save(path, *_)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr("training.trainer.trainer.save", full)
    with pytest.raises(DataError, match="No space left on device") as caught:
        trainer.run()
    first, second = (Path(record["path"]).name for record in heard.of("checkpoint"))
    assert second in str(caught.value.where)
    assert first in str(caught.value.hint)


def test_a_resumed_training_keeps_the_statistics_it_learned_with(whole: tuple[Trainer, str, Path]) -> None:
    saved = load(sorted(whole[2].glob("*.ckpt"))[0])
    saved.state["statistics"]["risk"]["mean"][:] = 0.25
    setup = whole[0].setup.resumed(saved.state, saved.note, saved.path)
    assert (setup.statistics["risk"].mean == 0.25).all()
    assert (setup.statistics["tactical"].std == whole[0].setup.statistics["tactical"].std).all()


def test_early_stopping_ends_a_training(tmp_path: Path) -> None:
    params = {"total_episodes": 400, "early_stopping": {"patience": 8, "min_improvement": 1e9}}
    trainer, heard = small_trainer(tmp_path, small_config(training_params=params))
    outcome = trainer.run()
    assert outcome.stopped == "early"
    assert outcome.episodes < 30
    first, *others = [record["best"] for record in heard.of("evaluation")]
    assert first
    assert not any(others)


def test_a_request_to_stop_saves_a_checkpoint(tmp_path: Path) -> None:
    trainer, _ = small_trainer(tmp_path)
    trainer.stop_requested = True
    outcome = trainer.run()
    assert outcome.stopped == "interrupted"
    assert load(outcome.checkpoint).note["episode"] == outcome.episodes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agents": {"risk_agent": {"network_architecture": {"hidden_layers": [8], "activation": "tanh"}}}}, "relu"),
        ({"agents": {"strategic_agent": {"learning_rate": -1.0}}}, "learning_rate"),
        ({"experience_replay": {"buffer_size": 10, "min_size_to_train": 20}}, "min_size_to_train"),
        ({"training_parameters": {}}, "did you mean 'training_params'"),
        ({"ensemble": {"seats": {"risk": "level:4"}}}, "seats.risk"),
        ({"agents": {"strategic_agent": {"rollout_steps": 4, "batch_size": 8}}}, "rollout_steps"),
    ],
)
def test_configurations_that_cannot_be_are_refused_by_name(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        small_config(**changes)


def test_agents_that_join_later_leave_their_decisions_to_stand_ins(tmp_path: Path) -> None:
    config = small_config(agents={"tactical_agent": {"join_episode": 4}, "risk_agent": {"join_episode": 7}})
    trainer, heard = small_trainer(tmp_path, config)
    first = {role: weights.copy() for role, weights in trainer._trainings.weights().items()}
    joined = []
    finish = trainer._after_episodes

    def watch(before: int) -> bool:
        tactical, risk = trainer._trainings.tactical, trainer._trainings.risk
        held = len(tactical.memory.replay), len(risk.memory.replay)
        joined.append((before, *held, risk.epsilon))
        return finish(before)

    trainer._after_episodes = watch  # type: ignore[method-assign] # looked at from outside
    outcome = trainer.run()
    for before, tactical, risk, epsilon in joined:
        assert (tactical > 0) == (before >= 4)
        assert (risk > 0) == (before >= 7)
        assert epsilon == 1.0 or before >= 4
    # networks are kept only once everybody decides
    assert not any(record["best"] for record in heard.of("evaluation") if record["episode"] < 7)
    assert outcome.kept_episode >= 7
    assert weights_sha256(first["risk"]) != weights_sha256(trainer._trainings.weights()["risk"])
