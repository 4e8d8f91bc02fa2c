from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import yaml

from engine.app.tuning.space import applied, default_space, read_space
from engine.app.tuning.study import mend
from engine.base.errors import ConfigError
from tests.training.trainer.small import small_config
from training.config import TrainingConfig


def write(folder: Path, parameters: object) -> Path:
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump({"parameters": parameters}))
    return path


def test_every_value_of_the_default_space_fits_a_configuration() -> None:
    config, space = TrainingConfig.model_validate({"data": {"sources": [{"type": "synthetic"}]}}), default_space()
    assert read_space(None, config) == space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        for name, dimension in space.parameters.items():
            dimension.suggest(name, trial)
        found = applied(config, space, trial.params)
        width = trial.params["first_hidden_layer"]
        assert found.agents.risk_agent.network_architecture.hidden_layers == (width, width // 2)
        assert found.agents.risk_agent.network_architecture.activation == "relu"
        assert found.agents.tactical_agent.learning_rate == trial.params["agents.tactical_agent.learning_rate"]
        assert found.training_params == config.training_params


@pytest.mark.parametrize(
    ("name", "dimension", "told"),
    [
        ("agents.strategic_agent.learnig_rate", {"low": 1e-5, "high": 1e-2}, "learnig_rate"),
        ("agents.strategic_agent.gamma", {"low": 2, "high": 3}, "gamma"),
        ("seed", {"low": 3, "high": 3}, "low must be below high"),
        ("seed", {"low": 0, "high": 3, "log": True}, "log wants low above 0"),
        ("seed", {"low": 1, "high": 3, "choices": [1]}, "low and high, or choices"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str, dimension: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_space(write(tmp_path, {name: dimension}), small_config())


def test_a_torn_journal_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_bytes(b'{"a": 1}\n{"b": 2}\n{"c"')
    Path(f"{path}.lock").write_text("")
    mend(path)
    assert path.read_bytes() == b'{"a": 1}\n{"b": 2}\n'
    assert not Path(f"{path}.lock").exists()
    mend(tmp_path / "none")
