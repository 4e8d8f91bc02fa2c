"""Division into training, validation and test."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from tests.training.data.configs import small, synthetic
from training.config import Split
from training.data.parts import Parts, SourceRows, by_time, divide, remarks, require_episodes
from training.data.sources import load_market


def rows(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {row for start, stop in ranges for row in range(start, stop)}


def test_history_is_divided_by_time() -> None:
    parts = divide([SourceRows(100, 10_100, 0, True)], Split(validation=0.2, test=0.1, embargo=500))
    assert parts == Parts(((100, 6100),), ((6600, 8600),), ((9100, 10_100),))


def test_a_part_without_a_share_takes_no_embargo() -> None:
    one = SourceRows(0, 1000, 0, True)
    assert by_time(one, Split(validation=0.0, test=0.0, embargo=100)) == ((0, 1000), (0, 0), (0, 0))
    assert by_time(one, Split(validation=0.0, test=0.2, embargo=100)) == ((0, 700), (0, 0), (800, 1000))
    assert by_time(one, Split(validation=0.2, test=0.0, embargo=100)) == ((0, 700), (800, 1000), (0, 0))


def test_scenarios_go_to_training_where_there_is_history() -> None:
    series = [SourceRows(0, 1000, 0, True), SourceRows(1000, 1500, 1, False), SourceRows(1500, 2000, 1, False)]
    parts = divide(series, Split(embargo=0))
    assert parts.training == ((0, 700), (1000, 1500), (1500, 2000))
    assert parts.validation == ((700, 850),)
    assert parts.test == ((850, 1000),)


def test_without_history_whole_scenarios_are_held_out() -> None:
    series = [SourceRows(10 * k, 10 * k + 10, 0, False) for k in range(20)]
    parts = divide(series, Split(validation=0.1, test=0.2))
    assert [len(part) for part in (parts.training, parts.validation, parts.test)] == [14, 2, 4]
    assert rows(parts.training) | rows(parts.validation) | rows(parts.test) == set(range(200))


def test_few_scenarios_still_give_every_part_one_and_fewer_are_divided_by_time() -> None:
    series = [SourceRows(1000 * k, 1000 * k + 1000, 0, False) for k in range(3)]
    assert divide(series, Split()) == Parts(((0, 1000),), ((1000, 2000),), ((2000, 3000),))
    halves = divide(series[:2], Split(embargo=0))
    assert halves.training == ((0, 700), (1000, 1700))
    assert halves.test == ((850, 1000), (1850, 2000))


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    kinds=st.lists(st.booleans(), min_size=6, max_size=6),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.15, 0.5]),
    embargo=st.integers(0, 100),
)
def test_parts_never_overlap_and_come_in_order_of_time(
    lengths: list[int], kinds: list[bool], validation: float, test: float, embargo: int
) -> None:
    series, start = [], 0
    for number, length in enumerate(lengths):
        series.append(SourceRows(start, start + length, number, kinds[number]))
        start += length
    parts = divide(series, Split(validation=validation, test=test, embargo=embargo))
    found = [rows(part) for part in (parts.training, parts.validation, parts.test)]
    assert sum(map(len, found)) == len(set().union(*found))
    assert max(set().union(*found), default=0) < start
    for one in series:
        inside = [sorted(part & set(range(one.start, one.stop))) for part in found]
        filled = [part for part in inside if part]
        for earlier, later in itertools.pairwise(filled):
            assert later[0] - earlier[-1] - 1 >= embargo


def test_a_part_that_is_too_short_names_bars_and_keys() -> None:
    source = synthetic(scenarios=1, length=9000)
    with pytest.raises(UsageError) as caught:
        load_market(small([source], data={"split": {"embargo": 0}}, training_params={"episode_length": 1400}), 1)
    said = str(caught.value)
    assert "the validation part is too short for one episode" in said
    assert "1,430 bars" in said
    assert "1,350 bars" in said
    assert "training_params.episode_length" in said
    assert "data.split.validation" in said
    with pytest.raises(UsageError, match="the training part is too short") as caught:
        load_market(small([synthetic(length=2900)]), 1)
    assert "2,880 more" in str(caught.value)


def test_parts_without_a_share_need_no_episode() -> None:
    market, _ = load_market(small([synthetic(scenarios=3)]), 1)
    parts = Parts(((0, len(market)),), (), ())
    require_episodes(market, parts, Split(validation=0.0, test=0.0), 200)
    with pytest.raises(UsageError, match="the validation part"):
        require_episodes(market, parts, Split(test=0.0), 200)


def test_a_short_embargo_and_a_missing_validation_are_remarked() -> None:
    assert remarks(Split()) == ()
    assert "up to 1440 bars" in remarks(Split(embargo=0))[0]
    assert remarks(Split(embargo=288), step_minutes=5) == ()
    assert remarks(Split(validation=0.0, test=0.0, embargo=0)) != ()
