"""`grandmodel config`: defaults filled in, for backtests and for trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from engine.cli.config import app
from engine.errors import ConfigError
from training.config import TrainingConfig

SHIPPED = Path(__file__).resolve().parents[3] / "configs" / "training"


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_shown_is_the_same_configuration(file: Path) -> None:
    done = CliRunner().invoke(app, ["show", "--training", "-c", str(file), "--set", "seed=7"])
    assert done.exit_code == 0
    tree = yaml.safe_load(done.stdout)
    assert tree["seed"] == 7
    assert tree["agents"]["strategic_agent"]["clip"] == 0.2
    assert TrainingConfig.model_validate(tree).model_dump(mode="json") == tree


@pytest.mark.parametrize(("flags", "key"), [([], "limits"), (["--training"], "experience_replay")])
def test_schemas_tell_the_keys_apart(flags: list[str], key: str) -> None:
    done = CliRunner().invoke(app, ["schema", *flags])
    assert done.exit_code == 0
    assert key in json.loads(done.stdout)["properties"]


def test_the_schema_that_is_named_is_that_of_the_file() -> None:
    with pytest.raises(ConfigError, match="config schema --training"):
        CliRunner().invoke(app, ["show", "--training", "--set", "sed=1"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="config schema`"):
        CliRunner().invoke(app, ["show", "--set", "sed=1"], catch_exceptions=False)
