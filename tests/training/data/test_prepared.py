"""What is prepared by streaming is what a training on the same bars would come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.base.errors import DataError
from engine.types.blocks import reblock
from engine.types.instruments import load_instrument
from feeds.generators import generate
from training.config import Preprocessing, Split
from training.data.normalise import fit_statistics
from training.data.parts import SourceRows, divide
from training.data.prepared import SEATS, FeatureRowsFile, divide_rows
from training.environment.market import Market

ES = load_instrument("ES")
BARS = generate("conditions", ES, 20_000, 5, {})
SPLIT = Split()


@pytest.fixture(scope="module", params=[(20_000,), (1, 700, 3)], ids=["at once", "in pieces"])
def seats(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FeatureRowsFile]:
    folder = tmp_path_factory.mktemp("prepared")
    first = int(BARS.ts_event[0])
    made = {name: FeatureRowsFile(name, ES, BARS.symbols[0], first, folder / f"{name}.parquet") for name in SEATS}
    for block in reblock([BARS], request.param):
        for one in made.values():
            one.add(block)
    for one in made.values():
        one.close()
    return made


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.build(ES, [("bars", BARS)])


def test_parts_and_episodes_are_those_of_a_training(seats: dict[str, FeatureRowsFile], market: Market) -> None:
    parts = divide([SourceRows(0, len(BARS), 0, historical=True)], SPLIT)
    found = {part.name: part for part in divide_rows(len(BARS), seats, SPLIT, 1000)}
    for name in ("training", "validation", "test"):
        (expected,) = getattr(parts, name)
        assert (found[name].first, found[name].stop) == expected
        assert found[name].starts.tolist() == market.starts(expected, 1000).tolist()
    assert len(found["training"].starts) > 10


def test_statistics_are_those_of_a_training(seats: dict[str, FeatureRowsFile], market: Market) -> None:
    (training,) = divide([SourceRows(0, len(BARS), 0, historical=True)], SPLIT).training
    fitted = fit_statistics(market, [training], Preprocessing())
    for name, one in seats.items():
        mean, deviation = one.statistics(training[1])
        np.testing.assert_allclose(mean, fitted[name].mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(deviation, fitted[name].std, rtol=1e-6)


def test_normalised_rows_have_mean_0_and_deviation_1(
    seats: dict[str, FeatureRowsFile], market: Market, tmp_path: Path
) -> None:
    one = seats["strategic"]
    mean, deviation = one.statistics(len(BARS))
    one.normalise(mean, deviation, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    values = np.stack([table.column(name).to_numpy() for name in one.names], axis=1)
    np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=2e-5)
    raw = market.strategic_rows
    np.testing.assert_allclose(values, (raw - mean.astype("f4")) / deviation.astype("f4"), rtol=1e-6)
    assert table.column("row").to_pylist() == one.known_at.tolist()


def test_too_few_bars_are_refused(seats: dict[str, FeatureRowsFile]) -> None:
    with pytest.raises(DataError, match="no observation of the strategic agent"):
        seats["strategic"].statistics(500)
