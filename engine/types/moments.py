"""Times in nanoseconds since 1970 as people read them, UTC."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.types.timeframe import MINUTE_NS


def written(time_ns: int, unit: Literal["D", "m", "s"] = "m") -> str:
    """A time to the day, minute or second: 2024-01-31, 2024-01-31 09:30, 2024-01-31 09:30:00."""
    return str(np.datetime_as_string(np.datetime64(int(time_ns), "ns"), unit)).replace("T", " ")


def briefly(time_ns: int) -> str:
    """A time to the minute, or to the second if it is within a minute."""
    return written(time_ns, "s" if time_ns % MINUTE_NS else "m")


def iso(time_ns: int) -> str:
    """A time to the second as JSON has it: 2024-01-31T09:30:00Z."""
    return written(time_ns, "s").replace(" ", "T") + "Z"
