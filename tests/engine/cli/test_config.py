"""`grandmodel config`: defaults filled in, for backtests and for trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from engine.base.errors import ConfigError
from engine.cli.config import app
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


@pytest.mark.parametrize(
    ("flags", "key"), [([], "limits"), (["--training"], "experience_replay"), (["--live"], "journal")]
)
def test_schemas_tell_the_keys_apart(flags: list[str], key: str) -> None:
    done = CliRunner().invoke(app, ["schema", *flags])
    assert done.exit_code == 0
    assert key in json.loads(done.stdout)["properties"]


def test_the_schema_that_is_named_is_that_of_the_file() -> None:
    with pytest.raises(ConfigError, match="config schema --training"):
        CliRunner().invoke(app, ["show", "--training", "--set", "sed=1"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="config schema`"):
        CliRunner().invoke(app, ["show", "--set", "sed=1"], catch_exceptions=False)


def test_the_configuration_of_a_live_session_shows_references_and_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "live.yaml"
    file.write_text("feed: {address: 'kafkas://h/x', security: {username: me, password: 'env:MY_SECRET'}}\n")
    done = CliRunner().invoke(app, ["show", "--live", "-c", str(file)], catch_exceptions=False)
    assert "env:MY_SECRET" in done.stdout
    file.write_text("feed: {address: 'kafkas://h/x', security: {username: me, password: hunter2}}\n")
    with pytest.raises(ConfigError, match="config schema --live") as caught:
        CliRunner().invoke(app, ["show", "--live", "-c", str(file)], catch_exceptions=False)
    assert "hunter2" not in str(caught.value)
