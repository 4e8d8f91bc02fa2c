"""Configuration of a training: the keys, nesting and defaults of `configs/training/marl_training.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from agents.ensemble.config import EnsembleConfig
from agents.features.declared import FeaturesConfig
from agents.serving.onnx_sizes import WIDEST
from engine.base.config import Config
from engine.types.instruments import IS_FRACTION, NonNegative, Positive
from engine.types.timeframe import parse_timeframe
from feeds.indicators.config import IndicatorConfig, check_names
from portfolio.config import PortfolioConfig, SizingConfig

MOST_TRANSITIONS = 50_000_000
"""Of a replay buffer: some ten gigabytes with both of them full."""
Count = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class ModeConfig(Config):
    """What is trained and how many environments run side by side.

    Attributes:
        mode: Three agents together.
        environment: Interface of the environment.
        parallel_envs: Environments stepped by one compiled call.
    """

    mode: Literal["marl_training"] = "marl_training"
    environment: Literal["pettingzoo"] = "pettingzoo"
    parallel_envs: Annotated[int, Field(ge=1, le=4096)] = 4


class HistoricalSource(Config):
    """Bars from a file.

    Attributes:
        path: CSV (plain, gzip, zstd), Parquet or Feather, or the name of a recording that ships.
        timeframe: Bars that the agents see; the first is the length of a step, the others must be its multiples.
        labels: What bar times mean: open, close or auto.
        timezone: Of times without an offset; otherwise that of the file's format, or UTC.
        format, columns, adjusted: The form of the file, as in `feeds.replay.ReplayConfig`.
        start, end: First and last date or time.
        bars: What bars to make of trades or quotes, such as time:1min; they are aggregated to a step.
    """

    type: Literal["historical"]
    path: str
    timeframe: tuple[str, ...] = ("1min", "5min", "30min")
    labels: Literal["open", "close", "auto"] = "auto"
    timezone: str | None = None
    start: str | None = None
    end: str | None = None
    format: str | None = None
    columns: str | tuple[str, ...] = ()
    adjusted: bool = False
    bars: str | None = None

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # YAML makes a date of 2024-01-31

    @field_validator("timeframe")
    @classmethod
    def _known_lengths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        lengths = {parse_timeframe(text) // 60_000_000_000 for text in value}
        if not {5, 30} <= lengths or not lengths <= {1, 5, 30}:
            raise ValueError("the tactical agent sees 5min and the strategic agent 30min bars: [1min, 5min, 30min]")
        return value


class SyntheticSource(Config):
    """Bars that a generator makes.

    Attributes:
        generator: Its name; see `feeds.generators`; `fitted` and `gan` read what their parameter `model` names.
        scenarios: How many series.
        length: Bars of each; null is enough for one episode after the agents' warm-up.
        parameters: Of the generator, by name.
    """

    type: Literal["synthetic"]
    generator: str = "monte_carlo"
    scenarios: Count = 1000
    length: Count | None = None
    parameters: dict[str, float | str] = Field(default_factory=dict)


Source = Annotated[HistoricalSource | SyntheticSource, Field(discriminator="type")]


class Preprocessing(Config):
    """What is done to the features; the choice travels inside the exported networks as their statistics.

    Attributes:
        normalize: By mean and deviation over the training range; otherwise they are used as they are.
        feature_engineering: Otherwise only returns, volume and the session are seen; the others read 0.
        regime_detection: Otherwise the two regime features read 0.
    """

    normalize: bool = True
    feature_engineering: bool = True
    regime_detection: bool = True


class Split(Config):
    """How history is divided: training first, then validation, then test, each later in time.

    Attributes:
        validation, test: Shares of each historical file, and of the scenarios where there is no history.
        embargo: Bars left out between the parts, at least the longest window (48 bars of 30 minutes).
    """

    validation: Share = 0.15
    test: Share = 0.15
    embargo: Annotated[int, Field(ge=0)] = 1440

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError("validation and test leave nothing to train on")
        return self

    def scenarios(self, count: int) -> tuple[int, int]:
        """How many of so many scenarios are kept whole for validation and for the test."""
        validation, test = (max(1, round(share * count)) if share else 0 for share in (self.validation, self.test))
        return validation, test


class DataConfig(Config):
    """Where bars come from.

    Attributes:
        sources: Files and generators.
        preprocessing: Of the features.
        split: Into training, validation and test.
        indicators: Economic indicators, each an extra column of the bars of every source.
    """

    sources: tuple[Source, ...] = Field(min_length=1)
    preprocessing: Preprocessing = Preprocessing()
    split: Split = Split()
    indicators: tuple[IndicatorConfig, ...] = ()

    @field_validator("indicators")
    @classmethod
    def _indicators_differ(cls, value: tuple[IndicatorConfig, ...]) -> tuple[IndicatorConfig, ...]:
        return check_names(value)

    @model_validator(mode="after")
    def _scenarios_for_each_part(self) -> Self:
        if any(isinstance(source, HistoricalSource) for source in self.sources):
            return self  # which is what scenarios are validated and tested on
        for number, source in enumerate(self.sources):
            kept = sum(self.split.scenarios(source.scenarios)) if isinstance(source, SyntheticSource) else 0
            if isinstance(source, SyntheticSource) and source.length is None and kept >= source.scenarios:
                raise ValueError(
                    f"sources.{number}.scenarios is {source.scenarios}, of which {kept} are kept for validation and "
                    "test, so that none is left to train on: give more scenarios, or a `length` that is long enough "
                    "to divide each of them by time"
                )
        return self


class Network(Config):
    """A network.

    Attributes:
        hidden_layers: Units. Of the strategic network, all but the last are shared by policy and value, whose own
            layers have the last number and half of it.
        activation: Of hidden layers.
        dropout: Share of hidden units that are left out in updates.
    """

    hidden_layers: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
    activation: Literal["relu", "tanh"]
    dropout: Share = 0.0


class SecondStart(Config):
    """How the strategic agent begins anew in the middle of its turn; it ends the turn as the best that it was.

    A policy that begins with equal probabilities learns to stay out of markets whose moves outlast a decision: among
    neutral decisions every entry is charged for both ways, though a position that is kept is not. One that begins
    without a liking for neutral finds them, but trades more of the noise elsewhere.

    Attributes:
        initial_neutral: Probability of the neutral action at first.
        outcome_replay: Earlier decisions that an update learns from again, for each fresh one: what an action was worth
            on the same bars does not age.
        kl_stop: As of the agent; replayed outcomes want more (0.1), since they are fitted less closely than fresh ones.
        entropy: As of the agent, in units of the worths' deviation. Where every action's worth is known it does not
            change which action is best, and keeps the policy from being sure before it knows.
    """

    initial_neutral: Annotated[float, Field(gt=0, lt=1)] = 0.06
    outcome_replay: Annotated[int, Field(ge=0, le=64)] = 0
    kl_stop: Positive | None = 0.01
    entropy: NonNegative = 0.3


class Imitation(Config):
    """How the strategic agent first begins: as a network that does what a regression would (behaviour cloning).

    What a position earns after each decision of the training part is regressed on the agent's windows, linearly and
    with averages of several half-lives and their products (`training.regression`); the network imitates the one that
    earns more, after costs, on decisions that were not fitted. From there on PPO learns as ever. Where no regression
    earns anything the network begins with equal probabilities.

    Attributes:
        updates: Of 256 decisions each, at most; no decision is seen more than 40 times.
        learning_rate: At first; it falls to 0.
        least_errors: What the regression has to earn, in its standard errors, to be imitated.
    """

    updates: Count = 1500
    learning_rate: Positive = 1e-3
    least_errors: Positive = 3.0


class PPOConfig(Config):
    """Proximal policy optimization (Schulman et al., 2017).

    Attributes:
        rollout_steps: Decisions of all environments together between updates.
        gae_lambda: Of generalized advantage estimation (Schulman et al., 2016).
        kl_stop: An update ends before its last epoch once the policy has moved so far from where it began (mean
            Kullback-Leibler divergence); null never does. Of exact credit only.
        anneal: Whether the learning rate falls linearly to 0 over the training.
        imitation: How the first start begins; null begins with equal probabilities. Of exact credit only.
        second_start: Of the second half of the agent's turn; null gives the whole turn to the first start. Of exact
            credit only.
    """

    algorithm: Literal["PPO"] = "PPO"
    network_architecture: Network = Network(hidden_layers=(256, 128, 64), activation="relu", dropout=0.1)
    learning_rate: Positive = 3e-4
    batch_size: Annotated[int, Field(ge=2)] = 64
    epochs_per_update: Count = 10
    rollout_steps: Annotated[int, Field(ge=2)] = 2048
    gamma: Probability = 0.99
    gae_lambda: Probability = 0.95
    clip: Positive = 0.2
    entropy: NonNegative = 0.01
    value_loss: NonNegative = 0.5
    gradient_norm: Positive = 0.5
    kl_stop: Positive | None = 0.01
    anneal: bool = True
    imitation: Imitation | None = Imitation()
    second_start: SecondStart | None = SecondStart()

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if len(self.network_architecture.hidden_layers) < 2:
            raise ValueError("network_architecture.hidden_layers needs at least 2 numbers: shared layers, and the head")
        if self.rollout_steps < self.batch_size:
            raise ValueError("rollout_steps must be at least batch_size")
        return self


class SACConfig(Config):
    """Soft actor-critic (Haarnoja et al., 2018).

    Attributes:
        join_episode: Episodes before it decides itself; until then a stand-in enters at once with scale 1.
        target_update_frequency: Updates between soft updates of the target critics.
        alpha: Weight of the entropy; `auto` tunes it towards an entropy of minus the number of action components.
        gradient_steps: Updates for each step of the environments.
        anneal: Whether the learning rate falls linearly to 0 over the agent's turn. Of exact credit only.
    """

    algorithm: Literal["SAC"] = "SAC"
    join_episode: Annotated[int, Field(ge=0)] = 0
    network_architecture: Network = Network(hidden_layers=(128, 64, 32), activation="tanh", dropout=0.05)
    learning_rate: Positive = 1e-3
    batch_size: Annotated[int, Field(ge=2)] = 32
    target_update_frequency: Count = 100
    tau: Annotated[float, Field(gt=0, le=1)] = 0.005
    alpha: Positive | Literal["auto"] = 0.2
    gradient_steps: Count = 1
    gamma: Probability = 0.99
    anneal: bool = True


class DQNConfig(Config):
    """Dueling double deep Q-learning (Wang et al., 2016; van Hasselt et al., 2016).

    Attributes:
        join_episode: Episodes before it decides itself; until then a stand-in gives full exposure.
        epsilon_start, epsilon_end, epsilon_decay: Share of random actions; multiplied by the decay after each episode.
        target_update_frequency: Updates between updates of the target network.
        tau: Share of the network that an update of the target takes over; 1 copies it.
        gradient_steps: Updates for each step of the environments.
        anneal: Whether the learning rate falls linearly to 0 over the agent's turn. Of exact credit only.
    """

    algorithm: Literal["DQN"] = "DQN"
    join_episode: Annotated[int, Field(ge=0)] = 0
    network_architecture: Network = Network(hidden_layers=(64, 32), activation="relu", dropout=0.0)
    learning_rate: Positive = 5e-4
    batch_size: Annotated[int, Field(ge=2)] = 16
    epsilon_start: Probability = 1.0
    epsilon_end: Probability = 0.01
    epsilon_decay: Annotated[float, Field(gt=0, le=1)] = 0.995
    target_update_frequency: Count = 1000
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0
    gradient_steps: Count = 1
    gamma: Probability = 0.99
    gradient_norm: Positive = 10.0
    anneal: bool = True

    @model_validator(mode="after")
    def _served_in_the_scan(self) -> Self:
        if len(self.network_architecture.hidden_layers) != 2 or self.network_architecture.activation != "relu":
            raise ValueError("the risk network is served inside the compiled scan: 2 hidden layers with relu")
        return self


class AgentsConfig(Config):
    """The three learners."""

    strategic_agent: PPOConfig = PPOConfig()
    tactical_agent: SACConfig = SACConfig()
    risk_agent: DQNConfig = DQNConfig()


class EarlyStopping(Config):
    """When to stop before the end.

    Attributes:
        patience: Episodes without improvement of the evaluated mean reward.
        min_improvement: Least change that counts.
    """

    patience: Count = 1000
    min_improvement: NonNegative = 0.01


class Collapse(Config):
    """What is done about an agent that has settled on something useless, such as never trading.

    Attributes:
        restarts: How often an agent begins anew; after that its turn, or the training, ends early. 0 only tells.
    """

    restarts: Annotated[int, Field(ge=0)] = 1


class Turns(Config):
    """Shares of the episodes in which each agent learns, one after the other.

    Attributes:
        strategic, tactical, risk: Of `total_episodes`; together 1.
    """

    strategic: Share = 0.5
    tactical: Share = 0.3
    risk: Share = 0.2

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.strategic + self.tactical + self.risk
        if abs(total - 1.0) > 1e-9:
            raise ValueError(
                f"strategic, tactical and risk must add up to 1: {self.strategic:g}, {self.tactical:g} and "
                f"{self.risk:g} add up to {total:.12g}"
            )
        if not self.strategic:
            raise ValueError("strategic must be above 0: without directions the others have nothing to learn")
        return self


class TrainingParams(Config):
    """How long, and how often to look.

    Attributes:
        credit: How agents are rewarded. exact: in turns, each by the difference that it makes to the same bars, and its
            network takes its seat only where that adds on validation. account: all together, by what the account
            earned, from `join_episode` on.
        turns: Of exact credit.
        total_episodes: Episodes of all environments together.
        episode_length: Bars.
        evaluation_frequency: Episodes between evaluations on the validation range.
        evaluation_episodes: Of each evaluation, without exploration.
        checkpoint_frequency: Episodes between checkpoints.
        early_stopping: null is off.
        collapse: Signs of a collapse are looked for, told and answered; null does not look.
    """

    credit: Literal["exact", "account"] = "exact"
    turns: Turns = Turns()
    total_episodes: Count = 10_000
    episode_length: Annotated[int, Field(ge=60)] = 2000
    evaluation_frequency: Count = 100
    evaluation_episodes: Count = 10
    checkpoint_frequency: Count = 500
    early_stopping: EarlyStopping | None = EarlyStopping()
    collapse: Collapse | None = Collapse()


class ExperienceReplayConfig(Config):
    """Experience replay of the tactical and risk agents.

    Attributes:
        buffer_size: Transitions kept by each; at least a batch of either.
        min_size_to_train: Transitions before the first update.
        prioritized_replay: Of the risk agent (Schaul et al., 2016).
        alpha: How much priorities matter.
        beta: Importance-sampling exponent at the start; rises linearly to 1 over the training.
    """

    buffer_size: Annotated[int, Field(ge=1, le=MOST_TRANSITIONS)] = 100_000
    min_size_to_train: Count = 1000
    prioritized_replay: bool = True
    alpha: Probability = 0.6
    beta: Probability = 0.4


class RewardShaping(Config):
    """What the agents are rewarded for; see `training.environment.rewards` for the formulas.

    Attributes:
        profit_weight: Of profit before costs.
        risk_penalty: Of the squared return.
        transaction_cost: Fees of the training simulator as a fraction of notional; null is the instrument's own.
        sharpe_bonus: Of the differential Sharpe ratio.
        max_drawdown_penalty: Of the change of the present drawdown.
    """

    profit_weight: NonNegative = 1.0
    risk_penalty: NonNegative = 0.5
    transaction_cost: Annotated[float, Field(ge=0, lt=1), IS_FRACTION] | None = 0.001
    sharpe_bonus: NonNegative = 0.2
    max_drawdown_penalty: NonNegative = 1.0


class LoggingConfig(Config):
    """What is written while training.

    Attributes:
        log_frequency: Episodes between lines of the log.
    """

    tensorboard: bool = True
    wandb: bool = False
    checkpoint_dir: Path = Path("models/checkpoints/")
    log_frequency: Count = 10


class TrainingSizing(SizingConfig):
    """What one unit is worth: half the account's equity, unless mode or value say otherwise.

    A value alone keeps the mode. A mode alone takes that mode's own value, since a fraction of the equity says nothing
    about contracts or volatility.
    """

    mode: Literal["fixed", "equity_fraction", "volatility_target"] = "equity_fraction"
    value: Positive = 0.5

    @model_validator(mode="before")
    @classmethod
    def _value_of_the_mode(cls, given: Any) -> Any:
        other = isinstance(given, Mapping) and given.get("mode", "equity_fraction") != "equity_fraction"
        return {"value": SizingConfig.model_fields["value"].default, **given} if other else given


class TrainingPortfolio(PortfolioConfig):
    """Simulator of the training environments.

    Attributes:
        sizing: By default a unit is worth half the account's equity: what agents do matters at any price, and the
            largest position scale, 2, is within the margin of an instrument without leverage. With whole contracts
            that are worth more than the account, give a number of contracts (`fixed`).
    """

    sizing: TrainingSizing = TrainingSizing()


class TrainingConfig(Config):
    """A whole training configuration file.

    Attributes:
        instrument: What is traded: ticks, multiplier, fees, calendar.
        portfolio: Simulator of the training environments: capital, slippage, sizing, limits.
        ensemble: How the three agents decide together.
        seed: Of weights, exploration, episodes and generators.
        features: Extra columns of the bars that agents see beside their own features.
    """

    schema_command: ClassVar[str] = "grandmodel config schema --training"

    training: ModeConfig = ModeConfig()
    data: DataConfig
    agents: AgentsConfig = AgentsConfig()
    training_params: TrainingParams = TrainingParams()
    experience_replay: ExperienceReplayConfig = ExperienceReplayConfig()
    reward_shaping: RewardShaping = RewardShaping()
    logging: LoggingConfig = LoggingConfig()
    instrument: str = "GENERIC"
    portfolio: TrainingPortfolio = TrainingPortfolio()
    ensemble: EnsembleConfig = EnsembleConfig()
    seed: Annotated[int, Field(ge=0)] = 42
    features: FeaturesConfig = FeaturesConfig()

    @model_validator(mode="after")
    def _models_in_every_seat(self) -> Self:
        taken = [name for name, spec in self.ensemble.seats.model_dump().items() if spec]
        if taken:
            raise ValueError(f"ensemble.seats.{taken[0]}: a seat that trains takes no rule agent")
        last = max(self.agents.tactical_agent.join_episode, self.agents.risk_agent.join_episode)
        if last and self.training_params.credit == "exact":
            raise ValueError(
                "agents: join_episode is for training_params.credit: account; with exact credit agents learn in turns "
                "(training_params.turns)"
            )
        if last >= self.training_params.total_episodes:
            raise ValueError("agents: join_episode must be below training_params.total_episodes")
        if self.experience_replay.min_size_to_train > self.experience_replay.buffer_size:
            raise ValueError("experience_replay.min_size_to_train cannot exceed buffer_size")
        for name in ("tactical_agent", "risk_agent"):
            if (batch := getattr(self.agents, name).batch_size) > self.experience_replay.buffer_size:
                raise ValueError(
                    f"agents.{name}.batch_size ({batch}) cannot exceed experience_replay.buffer_size "
                    f"({self.experience_replay.buffer_size}): the agent would never learn"
                )
        return self
