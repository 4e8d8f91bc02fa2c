"""The ensemble's carried state: what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest

from agents.ensemble.state import make_memory, memory_restored, memory_snapshot
from engine.base.errors import DataError

STATE = memory_snapshot(make_memory(2, 3))


@pytest.mark.parametrize(
    "state", [memory_snapshot(make_memory(1, 3)), {**STATE, "level": STATE["level"].astype(float)}, {}, b"", None]
)
def test_a_state_of_another_size_is_refused(state: Any) -> None:
    with pytest.raises(DataError, match="snapshot"):
        memory_restored(state, make_memory(2, 3))


def test_scratch_is_no_part_of_the_state() -> None:
    found = memory_restored(STATE, make_memory(2, 5))
    assert len(found.scratch) == len(make_memory(2, 5).scratch)
