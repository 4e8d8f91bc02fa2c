"""PyArrow without pandas, for a process that runs no code but this program's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType


class _Absent:
    """Finds no pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=name)


def leave_out_pandas() -> None:
    """Let PyArrow take pandas for absent, from now to the end of the process.

    At the first conversion from or to NumPy it imports pandas, if that is installed, so that it would recognise a
    Series. That takes longer than most backtests. Whoever imports pandas still gets it; what is lost is that PyArrow
    converts from and to pandas, so call this only where no strategy of a user runs.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa  # noqa: PLC0415 - takes a moment

    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.scalar(0)  # looks for pandas, and does not look again
    finally:
        sys.meta_path.remove(absent)
