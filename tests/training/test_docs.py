"""docs/training.md: its Python runs, and its tables say what the code says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.config import load
from feeds.generators import GENERATORS
from training.config import TrainingConfig
from training.suite.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHIPPED = ROOT / "configs" / "training" / "marl_training.yaml"


def defaults(cell: str) -> dict[str, Any]:
    """What a cell says: "`a` 1; `b` 2, 3" or "`a` 1, `b` 2"."""
    return {name: yaml.safe_load(text.strip(" ;,")) for name, text in re.findall(r"`(\w+)`([^`]*)", cell)}


def rows(first: str) -> list[list[str]]:
    """Cells of the table whose head begins so."""
    lines = PAGE.split(f"| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_python_runs() -> None:
    assert len(BLOCKS) == 4
    names: dict[str, Any] = {}
    printed = []
    for block in BLOCKS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block, "docs/training.md", "exec"), names)
        printed.append(said.getvalue())
    assert not names["env"].agents
    assert (names["envs"].steps[names["envs"].truncated] == 500).all()
    first, last = map(int, printed[2].split())
    assert last < first / 3
    assert printed[3].endswith("better\n")


@pytest.mark.parametrize("row", rows("agent"), ids=lambda row: row[0])
def test_defaults_of_the_learners_are_those_of_the_configuration_that_ships(row: list[str]) -> None:
    agent = getattr(load(TrainingConfig, [SHIPPED]).agents, f"{row[0]}_agent").model_dump(mode="json")
    for section in ("second_start", "imitation"):  # of their own, which the text explains
        agent.pop(section, None)
    expected = agent.pop("network_architecture") | agent
    assert expected.pop("algorithm") == row[1]
    expected["hidden_layers"] = ", ".join(map(str, expected["hidden_layers"]))
    assert defaults(row[2]) == expected


def test_generators_and_their_parameters_are_those_of_the_code() -> None:
    written = {row[0].strip("`"): defaults(row[2]) for row in rows("generator")}
    shared = {"price", "volume"}
    assert written == {
        name: {key: field.default for key, field in kind.model_fields.items() if key not in shared}
        for name, kind in GENERATORS.items()
    }


def test_families_and_their_ranges_are_those_of_the_code() -> None:
    written = {}
    for name, generator, ranges, _ in rows("family"):
        found = re.findall(r"`(\w+)` (-?[\d.]+) to (-?[\d.]+)", ranges)
        written[name.strip("`")] = generator.strip("`"), {key: (float(low), float(high)) for key, low, high in found}
    assert written == {
        name: (one.generator, {key: (limits.low, limits.high) for key, limits in {**one.varied, **one.shared}.items()})
        for name, one in FAMILIES.items()
    }


def test_weights_of_rewards_and_linked_files_exist() -> None:
    for name in load(TrainingConfig, [SHIPPED]).reward_shaping.model_dump():
        assert f"`{name}`" in PAGE
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).resolve().exists(), link
