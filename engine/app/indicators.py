"""The economic indicators of a run, read and joined to its bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.base.errors import ConfigError, UsageError
from engine.types.blocks import BarBlock
from feeds.indicators.config import IndicatorConfig
from feeds.indicators.joining import Indicator, entries_of, read_indicators


def indicators_of(configs: Sequence[IndicatorConfig]) -> tuple[Indicator, ...]:
    """Read the indicators that a configuration names.

    Raises:
        ConfigError: If one is called like an indicator over bars, which strategies ask for in the same way.
        UsageError: If a file does not exist, or does not say when its values were known.
        DataError: If it cannot be read.
    """
    if not configs:
        return ()
    from agents.indicators.kinds import KINDS  # noqa: PLC0415 - compiles what most runs need later

    for config in configs:
        if config.name in KINDS:
            raise ConfigError(
                f"an economic indicator cannot be called {config.name}: an indicator over bars is called so",
                where="indicators",
                expected=f"another name than {', '.join(KINDS)}",
            )
    return tuple(read_indicators(configs))


def refuse_taken(configs: Sequence[IndicatorConfig], block: BarBlock) -> None:
    """Refuse bars of a feed that have a column with the name of an indicator themselves.

    Raises:
        UsageError: If they do.
    """
    for config in configs:
        if config.name in block.extra:
            raise UsageError(
                f"the bars have a column {config.name!r} already",
                where=f"indicators, {config.name}",
                expected="a name that no column of the bars has",
                hint="give the indicator another name",
            )


def indicator_entries(indicators: Sequence[Indicator]) -> dict[str, list[dict[str, Any]]]:
    """What the manifest says of indicators; nothing where there are none."""
    return {"indicators": entries_of(indicators)} if indicators else {}
