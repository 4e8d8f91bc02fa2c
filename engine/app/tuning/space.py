"""What a tuning varies: a search space in YAML, its names checked against the configuration of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from engine.base.config import Config, Tree, load, parse
from engine.base.errors import ConfigError, GrandModelError
from training.config import TrainingConfig

if TYPE_CHECKING:
    import optuna

Choice = float | int | str | bool | None
AGENTS = ("strategic_agent", "tactical_agent", "risk_agent")


class Dimension(Config):
    """One thing that is varied: a range, or a list of choices.

    Attributes:
        low, high: Of a range, both included.
        step: Of a range; whole numbers where low, high and step are.
        log: Whether the range is searched by its logarithm.
        choices: In place of a range.
        keys: Dotted keys of the configuration that take the value; by default the name of the dimension.
        layers: Where the value is the first of so many hidden layers, each half as wide as the one before it.
    """

    low: float | int | None = None
    high: float | int | None = None
    step: Annotated[float | int, Field(gt=0)] | None = None
    log: bool = False
    choices: tuple[Choice, ...] = ()
    keys: tuple[str, ...] = ()
    layers: Annotated[int, Field(ge=1, le=8)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if bool(self.choices) == ranged:
            raise ValueError("give low and high, or choices")
        if ranged and not (self.low or 0) < (self.high or 0):
            raise ValueError("low must be below high")
        if self.log and (self.step is not None or (self.low or 0) <= 0):
            raise ValueError("log wants low above 0, and no step")
        return self

    def suggest(self, name: str, trial: optuna.trial.Trial) -> Choice:
        """A value of this dimension for a trial."""
        if self.choices:
            chosen: Choice = trial.suggest_categorical(name, self.choices)
            return chosen
        assert self.low is not None and self.high is not None  # noqa: S101 - checked when it was read
        if all(isinstance(one, int) for one in (self.low, self.high, self.step or 1)):
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def value(self, chosen: Choice) -> Any:
        """What the configuration takes."""
        if self.layers is None:
            return chosen
        width = float(chosen or 0)
        return [max(1, math.floor(width / 2**layer)) for layer in range(self.layers)]

    def example(self) -> Choice:
        """A value that may be chosen."""
        return self.choices[0] if self.choices else self.low


class SearchSpace(Config):
    """A file of a search space.

    Attributes:
        parameters: By name.
    """

    parameters: dict[str, Dimension] = Field(min_length=1)

    def tree(self, chosen: Mapping[str, Any]) -> Tree:
        """Chosen values as a part of a configuration."""
        tree: Tree = {}
        for name, dimension in self.parameters.items():
            for key in dimension.keys or (name,):
                *parents, last = key.split(".")
                place = tree
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = dimension.value(chosen[name])
        return tree


def applied(config: TrainingConfig, space: SearchSpace, chosen: Mapping[str, Any]) -> TrainingConfig:
    """The configuration with chosen values.

    Raises:
        ConfigError: If they do not fit it.
    """
    from engine.base.config import merge  # noqa: PLC0415 - beside its use

    return parse(TrainingConfig, merge(config.model_dump(mode="json"), space.tree(chosen)), where="search space")


def default_space() -> SearchSpace:
    """Learning rates, batches, epochs, epsilon decay, widths, and weights of the reward."""
    rate = {"low": 1e-5, "high": 1e-2, "log": True}
    widths = [f"agents.{agent}.network_architecture.hidden_layers" for agent in AGENTS]
    parameters: dict[str, Any] = {
        **{f"agents.{agent}.learning_rate": rate for agent in AGENTS},
        "agents.strategic_agent.batch_size": {"low": 16, "high": 128, "step": 16},
        "agents.strategic_agent.epochs_per_update": {"low": 5, "high": 20},
        "agents.tactical_agent.batch_size": {"low": 8, "high": 64, "step": 8},
        "agents.risk_agent.epsilon_decay": {"low": 0.99, "high": 0.999},
        "first_hidden_layer": {"low": 64, "high": 512, "step": 64, "keys": widths, "layers": 2},
        "reward_shaping.risk_penalty": {"low": 0.1, "high": 2.0},
        "reward_shaping.sharpe_bonus": {"low": 0.0, "high": 1.0},
    }
    return parse(SearchSpace, {"parameters": parameters}, where="default search space")


def read_space(path: Path | None, config: TrainingConfig) -> SearchSpace:
    """The search space of a file, or the default one; every key is tried on the configuration.

    Raises:
        ConfigError: If the file is wrong, or the configuration knows no such key or takes no such value.
    """
    space = default_space() if path is None else load(SearchSpace, [path], [])
    for name, dimension in space.parameters.items():
        alone = SearchSpace(parameters={name: dimension})
        try:
            applied(config, alone, {name: dimension.example()})
        except GrandModelError as error:
            raise ConfigError(
                f"the search space does not fit the configuration: {error.what}",
                where=f"{path or 'default search space'}: parameters.{name}",
                expected=error.expected,
                found=error.found,
                hint=error.hint,
            ) from error
    return space
