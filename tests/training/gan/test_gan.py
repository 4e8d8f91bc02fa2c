"""A generator network from bars to bars: the ONNX file against torch, promises of the generator, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.base.errors import ConfigError, DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock
from engine.types.calendar import sessions_between
from engine.types.instruments import load_instrument
from feeds.gan.model import GRAPH_FILE, MODEL_FILE, Network, read_gan
from feeds.gan.noise import gan_noise, heaviness_of, heavy
from feeds.generators import START_NS, find_generator, generate
from tests.feeds.fitting.markets import bars, market
from training.gan.config import GanConfig
from training.gan.data import prepare
from training.gan.graph import write_graph
from training.gan.networks import KERNEL, OWN, SLOPE, Generator
from training.gan.scores import emd, score
from training.gan.train import train_gan

ES = load_instrument("ES")
TINY = GanConfig(steps=6, critic_steps=1, batch=4, window=64, width=4, dilations=(1, 2), depth=2, check=2, threads=1)


@pytest.fixture(scope="module")
def block() -> BarBlock:
    return generate("monte_carlo", ES, 6000, 1, {"missing": 0.01, "price": 5000})


@pytest.fixture(scope="module")
def folder(block: BarBlock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gan") / "model"
    train_gan(block, ES, made, TINY)
    return made


def test_the_onnx_file_answers_as_torch(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = Generator(6, (1, 2, 4))
    network.lean += 0.25
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    write_graph(tmp_path / "a.onnx", weights, (1, 2, 4), kernel=KERNEL, own=OWN, slope=SLOPE)
    noise = gan_noise(np.random.default_rng(0), 2500 + network.receptive - 1, 0.1)
    found = Network(tmp_path / "a.onnx", network.receptive).run(noise)
    with torch.no_grad():
        wanted = network(torch.from_numpy(noise.T[None].astype(np.float32)))[0].T.numpy()
    assert found.shape == (2500, 4)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_answer_depends_on_its_receptive_field_alone(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = Generator(6, (1, 2, 4))
    noise = torch.randn(1, 8, 60)
    with torch.no_grad():
        plain = network(noise)
        changed = noise.clone()
        changed[:, :, 40] += 1.0
        moved = (network(changed) - plain).abs().amax(dim=(0, 1)).numpy()
    first = 40 - (network.receptive - 1)
    rows = np.flatnonzero(moved > 0.0)
    assert rows.min() == first and rows.max() == 40  # output t is that of the noise t to t + receptive - 1


def test_bars_are_plausible_and_repeat(folder: Path) -> None:
    made = generate("gan", ES, 3000, 3, {"model": str(folder)})
    assert len(made) == 3000
    assert bool((made.high >= np.maximum(made.open, made.close)).all())
    assert bool((made.low <= np.minimum(made.open, made.close)).all())
    assert bool((made.volume >= 1).all())
    for column in ("open", "high", "low", "close"):
        ticks = getattr(made, column) / ES.tick_size
        assert np.array_equal(ticks, np.round(ticks))
    sessions = sessions_between(ES, int(made.ts_event[0]), int(made.ts_event[-1]))
    assert bool(sessions.is_open(made.ts_event).all())
    again = generate("gan", ES, 3000, 3, {"model": str(folder)})
    other = generate("gan", ES, 3000, 4, {"model": str(folder)})
    assert np.array_equal(made.close, again.close) and not np.array_equal(made.close, other.close)


@pytest.mark.parametrize("bars_", [1, 700, 1024, 1025, 2900])
def test_a_longer_series_begins_with_the_shorter(folder: Path, bars_: int) -> None:
    long = generate("gan", ES, 3000, 5, {"model": str(folder)})
    short = generate("gan", ES, bars_, 5, {"model": str(folder)})
    assert np.array_equal(short.ts_event, long.ts_event[:bars_])
    for column in BAR_COLUMNS:
        assert np.array_equal(getattr(short, column), getattr(long, column)[:bars_]), column


def test_the_same_seed_gives_the_same_files(block: BarBlock, folder: Path, tmp_path: Path) -> None:
    train_gan(block, ES, tmp_path / "again", TINY)
    for name in (MODEL_FILE, GRAPH_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_validation_sees_nothing_of_the_frame(block: BarBlock) -> None:
    poisoned = {name: getattr(block, name)[:, 0].copy() for name in BAR_COLUMNS}
    for name in ("open", "high", "low", "close"):
        poisoned[name][-400:] *= 1.5
    poisoned["volume"][-400:] *= 9.0
    other = BarBlock.from_columns(block.symbols, block.ts_event, poisoned)
    one, two = prepare(block, ES, 0.2), prepare(other, ES, 0.2)
    assert np.array_equal(one.training, two.training) and not np.array_equal(one.validation, two.validation)
    assert np.array_equal(one.frame.season, two.frame.season) and one.frame[4:] == two.frame[4:]


def test_the_price_is_the_last_close_of_training(block: BarBlock) -> None:
    found = prepare(block, ES, 0.2)
    closes = block.close[:, 0]
    assert np.min(np.abs(closes / found.frame.price - 1.0)) < 1e-9


def test_heaviness_is_found_again() -> None:
    normal = np.random.default_rng(0).standard_normal(400_000)
    for delta in (0.0, 0.1, 0.2):
        assert heaviness_of(heavy(normal, delta)) == pytest.approx(delta, abs=0.01)


def test_scores_tell_what_is_alike() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 5000, 4))
    assert emd(one[:, 0], one[:, 0] + 0.5) == pytest.approx(0.5)
    assert score(one, one) == 0.0 < score(one, two) < score(one, 2.0 * two)


def test_bad_input_is_named(block: BarBlock, folder: Path, tmp_path: Path) -> None:
    pair = bars(market(("ONE", "TWO"), 0.7), 3000, 5)
    with pytest.raises(DataError, match="one symbol"):
        train_gan(pair, load_instrument("GENERIC"), tmp_path / "a", TINY)
    short = generate("monte_carlo", ES, 2100, 1, {"price": 5000})
    with pytest.raises(DataError, match="too few bars"):
        train_gan(short, ES, tmp_path / "a", TINY)
    assert not (tmp_path / "a").exists()
    with pytest.raises(UsageError, match="already"):
        train_gan(block, ES, folder, TINY)
    with pytest.raises(ConfigError, match="cannot read a trained"):
        find_generator("gan", {"model": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="model"):
        find_generator("gan", {})
    with pytest.raises(UsageError, match="other sessions"):
        generate("gan", load_instrument("GENERIC"), 10, 0, {"model": str(folder)})
    with pytest.raises(ValueError, match="too short"):
        GanConfig(window=16, depth=5)


def test_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
    (tmp_path / GRAPH_FILE).write_bytes((folder / GRAPH_FILE).read_bytes() + b"x")
    with pytest.raises(DataError, match="not the one"):
        read_gan(tmp_path)


def test_generating_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; from feeds.generators import generate; from engine.types.instruments import load_instrument; "
        f"generate('gan', load_instrument('ES'), 50, 0, {{'model': {str(folder)!r}}}); "
        "assert not {'torch', 'onnx', 'training'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])


def test_the_record_says_what_was_trained(folder: Path) -> None:
    tree = json.loads((folder / MODEL_FILE).read_text())
    assert tree["steps"] == 6 and tree["chosen"] in (2, 4, 6) and tree["seed"] == 0
    assert set(tree["versions"]) == {"python", "torch", "onnx"}
    assert START_NS > 0
