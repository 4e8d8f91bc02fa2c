"""Functions of TA-Lib, where that package is installed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from agents.indicators.kinds import by_name
from engine.base.errors import UsageError
from engine.types.blocks import BAR_COLUMNS, Floats

PREFIX = "talib."


class TalibFunction:
    """One function with its parameters.

    Args:
        name: As TA-Lib has it, such as ADX; case does not matter.
        values: Parameters in the order of TA-Lib.
        named: Parameters by name, such as `timeperiod=14`.
        of: The column that a function of one price looks at.

    Raises:
        UsageError: If TA-Lib is not installed, has no such function, or refuses the parameters.
    """

    def __init__(self, name: str, values: Sequence[float], named: Mapping[str, Any], of: str | None) -> None:
        try:
            talib: Any = import_module("talib")
            abstract: Any = import_module("talib.abstract")
        except ImportError as error:
            hint = "pip install TA-Lib"
            raise UsageError("TA-Lib is not installed", expected="the package TA-Lib", hint=hint) from error
        known: list[str] = talib.get_functions()
        if name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=3)
            raise UsageError(
                f"TA-Lib has no function {name!r}", expected=", ".join(near) or "one that `talib.get_functions()` lists"
            )
        self.name = name.upper()
        self._function: Any = abstract.Function(self.name)
        self.outputs: tuple[str, ...] = tuple(self._function.output_names)
        self._parameters = by_name(PREFIX + self.name, list(self._function.parameters), values, named)
        inputs = self._function.input_names
        if of is not None:
            if list(inputs) != ["price"]:
                raise UsageError(f"{PREFIX}{self.name} does not look at one price", found=f"of={of!r}")
            self._parameters["price"] = of
        if any("periods" in key for key in inputs):
            raise UsageError(f"{PREFIX}{self.name} wants a second series, which bars do not have")
        # a trial, because TA-Lib looks at parameters only when it is called
        self.values(np.full((len(BAR_COLUMNS), 3), 1.0))

    def values(self, bars: Floats) -> Floats:
        """All outputs, shape (outputs, n), float64, of the bars of one symbol, shape (5, n); NaN until warm.

        Raises:
            UsageError: If TA-Lib refuses the parameters.
        """
        columns = dict(zip(BAR_COLUMNS, np.ascontiguousarray(bars), strict=True))
        try:
            found = self._function(columns, **self._parameters)
        except Exception as error:  # TA-Lib raises plain Exception
            raise UsageError(f"{PREFIX}{self.name}: {error}", found=str(self._parameters)) from error
        outputs = [found] if isinstance(found, np.ndarray) else list(found)
        return np.vstack([np.asarray(output, np.float64) for output in outputs])
