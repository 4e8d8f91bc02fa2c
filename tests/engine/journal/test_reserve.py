from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import DataError
from engine.journal.entries import Ordered
from engine.journal.reserve import BYTES, RESERVE, Reserve
from engine.types.records import Operation

HALT = Ordered(7, 1_704_067_260_000_000_000, Operation.HALT, "ctl")
RESET = Ordered(7, 1_704_067_260_000_000_000, Operation.RESET_HALT, "night watch")


def test_what_is_kept_is_found_by_the_next_process_until_the_journal_has_it(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert not (tmp_path / RESERVE).exists()
    reserve.take_room()
    assert (tmp_path / RESERVE).stat().st_size == BYTES
    assert Reserve(tmp_path).lacking(0) == []
    assert reserve.keep(3, [HALT, RESET])
    assert Reserve(tmp_path).lacking(3) == [HALT, RESET]
    assert Reserve(tmp_path).lacking(4) == [RESET]  # killed between the two
    assert Reserve(tmp_path).lacking(5) == []  # killed before it was cleared
    assert (tmp_path / RESERVE).stat().st_size == BYTES
    reserve.clear()
    assert Reserve(tmp_path).lacking(3) == []


def test_what_does_not_fit_or_has_no_place_is_not_kept(tmp_path: Path) -> None:
    assert not Reserve(tmp_path / "missing").keep(0, [HALT])
    reserve = Reserve(tmp_path)
    assert not reserve.keep(0, [HALT] * 200)
    assert reserve.lacking(0) == []


def test_a_place_that_could_not_take_the_last_command_is_given_up(tmp_path: Path) -> None:
    """In place of telling the next start of the command before it."""
    reserve = Reserve(tmp_path)
    assert reserve.take_room() and not reserve.unended
    assert reserve.begin() and reserve.unended
    assert reserve.keep(0, [RESET])
    assert not reserve.keep(0, [HALT] * 200)
    left = Reserve(tmp_path)
    assert left.unended and not left.is_there and left.lacking(0) == []
    reserve.clear()  # the journal has them
    assert reserve.is_there
    reserve.end()
    assert not reserve.unended


def test_a_reserve_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.keep(0, [HALT])
    whole = (tmp_path / RESERVE).read_bytes()
    (tmp_path / RESERVE).write_bytes(whole.replace(b"ctl", b"cat"))
    with pytest.raises(DataError, match="cannot be read"):
        Reserve(tmp_path).lacking(0)
