"""Networks with a declared feature from training to trading: learned, exported, served, and the same in both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.metadata import read_ensemble
from agents.spec import AGENTS
from engine.app.config import BacktestConfig
from engine.app.evaluation import run_evaluation
from engine.app.indicators import indicators_of
from engine.base.config import parse
from engine.base.errors import ConfigError, DataError, UsageError
from feeds.generators import START_NS
from feeds.indicators.joining import Indicators
from tests.bars import MINUTE
from tests.training.environment.served import backtest
from tests.training.environment.test_parity_with_backtest import assert_same, confidences
from tests.training.learned import by_torch, checkpoint
from tests.training.trainer.small import small_config, small_trainer
from training.checkpoint import load as load_checkpoint
from training.config import TrainingConfig
from training.data.sources import load_market, training_instrument
from training.environment.market import Market
from training.export import export
from training.online.parent import read_parent

FEATURES = {"strategic": [{"column": "rate", "scale": 2.0}], "tactical": [{"column": "rate", "limit": 3.0}]}


def indicator(folder: Path) -> dict[str, Any]:
    """An indicator that becomes known again and again while the generated bars run."""
    rng = np.random.default_rng(4)
    rows = 40
    times = np.datetime64(START_NS, "ns") + np.arange(rows) * np.timedelta64(97, "m")
    periods = [f"{2000 + k // 12}-{k % 12 + 1:02d}" for k in range(rows)]
    known = np.datetime_as_string(times, "s").tolist()
    path = folder / "rate.csv"
    pl.DataFrame({"period": periods, "value": rng.normal(0, 3, rows), "known_at": known}).write_csv(path)
    return {"name": "rate", "path": str(path)}


def config_of(folder: Path, **changes: Any) -> TrainingConfig:
    return small_config(data={"indicators": [indicator(folder)]}, **({"features": FEATURES} | changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingConfig, LoadedEnsemble]:
    """Trained for a few episodes and exported."""
    folder = tmp_path_factory.mktemp("trained")
    config = config_of(folder)
    trainer, _ = small_trainer(folder / "checkpoints", config)
    trainer.run()
    last = sorted((folder / "checkpoints").glob("*.ckpt"))[-1]
    export(load_checkpoint(last), folder / "models", "mine", last=True)
    return config, load_ensemble(folder / "models", check_batches=True)


def test_what_was_learned_is_served_and_trades_as_in_the_environment(
    trained: tuple[TrainingConfig, LoadedEnsemble],
) -> None:
    config, loaded = trained
    market, _ = load_market(config, config.seed)
    segment = market.segments[0]
    instrument = training_instrument(config)
    block = market.block(segment.start, segment.stop)
    joined = Indicators(indicators_of(config.data.indicators))(block)
    assert len(np.unique(joined.extra["rate"][~np.isnan(joined.extra["rate"])])) > 5
    run = {"instrument": instrument.name, "initial_capital": 1_000_000, "fee": instrument.fees.rate}
    tree = {**run, "indicators": [one.model_dump() for one in config.data.indicators]}
    backtested = parse(BacktestConfig, tree, where="test")
    models = (loaded.strategic, loaded.tactical, loaded.risk)
    assert loaded.strategic is not None and loaded.tactical is not None and loaded.risk is not None
    assert loaded.strategic.seat.observation == (48, 14) and loaded.tactical.seat.observation == (60, 8)
    played = backtest(joined, backtested, *models, MINUTE)  # type: ignore[arg-type] # seen above
    own = Market.build(backtested.instrument_for(), [("bars", joined)], agents=market.agents)
    # what training sees of the source is what is served
    assert own.strategic_rows.tobytes() == market.strategic_rows[: len(own.strategic_rows)].tobytes()
    found = assert_same(own, backtested, played, models)  # type: ignore[arg-type] # seen above
    confidences(played, found, loaded.risk)


def test_an_evaluation_wants_the_features_of_the_training(
    trained: tuple[TrainingConfig, LoadedEnsemble], tmp_path: Path
) -> None:
    config, loaded = trained
    done = run_evaluation(config, str(loaded.folder), episodes=2, contributions=False)
    assert done.tree["about"]["model"] == "mine"
    with pytest.raises(UsageError, match="was made for other declared features"):
        run_evaluation(config_of(tmp_path, features={}), str(loaded.folder), episodes=2)


def test_a_training_refuses_bars_without_the_column() -> None:
    with pytest.raises(DataError, match="strategic agent needs a column 'rate'") as refused:
        load_market(small_config(features=FEATURES), 1)
    assert "regime_drift 0" in str(refused.value)
    with pytest.raises(ConfigError, match="colum"):
        small_config(features={"strategic": [{"colum": "rate"}]})


@pytest.mark.parametrize("seat", ["strategic", "tactical"])
def test_a_wider_network_is_exported_and_read_back(tmp_path: Path, seat: str) -> None:
    made = checkpoint(tmp_path / "x.ckpt", 3, features=FEATURES)
    export(made, tmp_path / "out", "wide")
    loaded = load_ensemble(tmp_path / "out", check_batches=True)
    model = getattr(loaded, seat)
    shape = model.seat.observation
    assert shape == (AGENTS[seat].observation[0], AGENTS[seat].observation[1] + 1)
    rows = np.random.default_rng(4).normal(0.5, 2.0, (500, *shape)).astype(np.float32)
    activation = made.note["config"]["agents"][f"{seat}_agent"]["network_architecture"]["activation"]
    learned = made.state["learners"][seat]["weights"], made.state["statistics"][seat]
    ours = by_torch(seat, *learned, rows, activation)
    for name, values in ours.items():
        np.testing.assert_allclose(model.run(rows)[name], values, rtol=1e-5, atol=1e-5)
    metadata, _ = read_ensemble(tmp_path / "out")
    schema = metadata.schemas[seat].content
    assert schema["features"][-1] == "rate" and schema["declared"][0]["column"] == "rate"
    assert "declared" not in metadata.schemas["risk"].content
    # a later training goes on with the same features
    parent = read_parent(tmp_path / "out")
    assert parent.networks[seat].agent.observation == shape
    first = {"strategic": "shared.0.weight", "tactical": "trunk.0.weight"}[seat]
    assert math.prod(shape) == parent.networks[seat].weights[first].shape[1]
