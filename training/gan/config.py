"""Settings of the training of a generator network."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.base.config import Config

Count = Annotated[int, Field(ge=1)]


class GanConfig(Config):
    """How a generator network is trained.

    Attributes:
        steps: Of the generator, at most.
        critic_steps: Of the critic before each.
        batch, window: Windows of a step, and minutes of each.
        width: Channels of both networks.
        dilations: Of the generator's layers.
        depth: Layers of the critic.
        penalty: Weight of the gradient penalty (Gulrajani et al., 2017).
        generator_rate, critic_rate: Learning rates of Adam.
        check: Steps between two looks at validation.
        patience: Looks without a better score after which the training ends.
        validation: Share of the sessions, at the end, that are not trained on.
        average: Of the generator's weights over steps, of which those that are exported are a moving average.
        seed: Of weights, windows and noise.
        threads: Of torch; more are slower on a busy machine, and sums then depend on their number.
    """

    steps: Count = 1200
    critic_steps: Count = 3
    batch: Annotated[int, Field(ge=2)] = 32
    window: Annotated[int, Field(ge=16)] = 256
    width: Annotated[int, Field(ge=4, le=256)] = 20
    dilations: Annotated[tuple[Count, ...], Field(min_length=1, max_length=10)] = (1, 2, 4, 8, 16, 32)
    depth: Count = 5
    penalty: Annotated[float, Field(gt=0)] = 10.0
    generator_rate: Annotated[float, Field(gt=0)] = 4e-4
    critic_rate: Annotated[float, Field(gt=0)] = 4e-4
    check: Count = 50
    patience: Count = 8
    validation: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    average: Annotated[float, Field(ge=0, lt=1)] = 0.98
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Count = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        length = self.window
        for _ in range(self.depth):
            length = (length - 5) // 2 + 1
        if length < 1:
            raise ValueError(f"a window of {self.window} minutes is too short for a critic of {self.depth} layers")
        return self
