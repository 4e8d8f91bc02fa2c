"""Which instrument the bars of each symbol are traded as, and what of that was assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.app.config import ASSUMED, AUTO, RunConfig
from engine.base.errors import UsageError
from engine.types.instruments import Instrument, find_instrument, known_beginning
from feeds.reading.files.bar_file import BarFile


class Markets:
    """The instruments of a run.

    The configuration comes first; then the symbol, where it is the name or a synonym of an instrument that ships (of a
    symbol that is the name of a file, its beginning suffices); then GENERIC. A single file without names of its own is
    called like its instrument.

    Args:
        files: What it reads; the symbol of a single one may be renamed.
        known: Instruments by symbol of a manifest, in place of all that.
    """

    def __init__(
        self, config: RunConfig, files: Sequence[BarFile], known: Mapping[str, Instrument] | None = None
    ) -> None:
        self._config = config
        self._known = dict(known or {})
        self._given = config.instrument
        self._beginnings = {} if known else {file.symbol: _beginning(file) for file in files if not file.named}
        self._origin: dict[str, str] = {}
        if len(files) == 1 and not files[0].named and not known and isinstance(self._given, str):
            self._rename(files[0])

    def of(self, symbol: str) -> Instrument:
        """The instrument of a symbol.

        Raises:
            UsageError: If a mapping or a manifest leaves it out and nothing else tells.
            ConfigError: If its file does not fit.
        """
        if self._known:
            if symbol not in self._known:
                raise _no_instrument(symbol, self._known)
            return self._known[symbol]
        if self._is_open(symbol) and isinstance(self._given, dict) and self._found(symbol) is None:
            raise _no_instrument(symbol, self._given)
        return self._config.instrument_for(self._beginnings.get(symbol) or symbol)

    def assumptions(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """What a user should know about the choice, a sentence each.

        Args:
            symbols: Those of the bars.

        Raises:
            UsageError: If one instrument is given, and a symbol of the data is known to be another.
        """
        if self._known:
            return ()
        if self._is_one_given():
            return self._shared(symbols)
        chosen: dict[str, list[str]] = {}
        for symbol in filter(self._is_open, symbols):
            chosen.setdefault(self.of(symbol).name, []).append(self._origin.get(symbol, symbol))
        return tuple(self._line(name, origins, symbols) for name, origins in chosen.items())

    def _line(self, name: str, origins: Sequence[str], symbols: Sequence[str]) -> str:
        market = next(market for market in map(self.of, symbols) if market.name == name)
        how = "assumed, because no option and no known symbol tells" if name == ASSUMED else "found by the symbol"
        return f"instrument {name} for {_listed(origins)}, {how}: {describe_instrument(market)}"

    def warnings(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """What is probably a mistake of the choice, a sentence each: a file named like another instrument."""
        given = self._config.instrument_for() if self._is_one_given() else None
        return tuple(
            f"{self._origin[symbol]!r}, the name of the data, is known as {found}, but {given.name} was asked for: "
            f"every price counts as one of {given.name} ({describe_instrument(given)})"
            for symbol, found in self._others(symbols).items()
            if given is not None and symbol in self._origin
        )

    def _shared(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """What there is to know where one instrument is given for everything."""
        given = self._config.instrument_for()
        for symbol, found in self._others(symbols).items():
            if len(symbols) > 1:
                raise UsageError(
                    f"one instrument is given for several symbols, but {symbol!r} is known as {found}",
                    expected="an instrument for each symbol",
                    found=f"{given.name} for {_listed(symbols)}",
                    hint=f"--instrument {symbol}={found} (repeatable), or leave --instrument out",
                )
            if symbol not in self._origin:  # the data say so themselves, which the name of a file does not
                raise UsageError(
                    f"the data are of {symbol!r}, which is known as {found}, but {given.name} was asked for",
                    expected=f"--instrument {found}, or none, which finds it by the symbol",
                    found=f"--instrument {given.name}",
                    hint=f"if {given.name} is meant, map the symbol to it: --instrument {symbol}={given.name} "
                    f"(in Python instrument={{{symbol!r}: {given.name!r}}})",
                )
        if len(symbols) > 1:
            return (f"one instrument, {given.name}, for {len(symbols)} symbols: {_listed(symbols)}",)
        return ()

    def _is_one_given(self) -> bool:
        """Whether the configuration names one instrument for everything."""
        return not self._known and isinstance(self._given, str) and self._given != AUTO

    def _others(self, symbols: Sequence[str]) -> dict[str, str]:
        """Symbols that are known as another instrument than the one given for everything, and as which."""
        if not self._is_one_given() or (given := self._config.instrument_for()).name == ASSUMED:
            return {}
        return {s: found for s in symbols if (found := self._found(s)) is not None and found != given.name}

    def _is_open(self, symbol: str) -> bool:
        """Whether the configuration leaves the instrument of a symbol open."""
        if isinstance(self._given, str):
            return self._given == AUTO
        return self._given.get(symbol, self._given.get("default", AUTO)) == AUTO

    def _found(self, symbol: str) -> str | None:
        """The instrument that the symbol by itself tells."""
        origin = self._origin.get(symbol, symbol)
        known = find_instrument(self._beginnings.get(origin) or origin)
        return None if known is None or known.name == ASSUMED else known.name

    def _rename(self, file: BarFile) -> None:
        found = find_instrument(self._beginnings[file.symbol] or "")
        chosen = found if self._given == AUTO else self._config.instrument_for()
        if chosen is not None and chosen.name != ASSUMED:
            self._origin[chosen.name] = file.symbol
            file.symbol = chosen.name


def describe_instrument(market: Instrument) -> str:
    """An instrument in one line: price step, value, fees, margin, hours."""
    fees = [f"{market.fees.rate * 100:g} % of notional"] if market.fees.rate else []
    fees += [f"{market.fees.per_contract:g} a contract"] if market.fees.per_contract else []
    margin = market.initial_margin
    needed = [f"margin {margin.rate * 100:.3g} %"] if 0 < margin.rate < 1 else []
    needed += [f"margin {margin.per_contract:g} a contract"] if margin.per_contract else []
    return ", ".join(
        [
            f"ticks of {_decimal(market.tick_size)}" if market.tick_size else "continuous prices",
            *([f"{market.multiplier:g} {market.currency} a point"] if market.multiplier != 1 else []),
            f"sizes in steps of {_decimal(market.size_step)}" if market.size_step >= 1e-3 else "any size",
            f"fee {' and '.join(fees) or 'none'}",
            " and ".join(needed) or "no leverage",
            "always open" if market.calendar == "24/7" else f"hours of {market.calendar}",
        ]
    )


def _decimal(number: float) -> str:
    return f"{number:.10f}".rstrip("0").rstrip(".")


def _beginning(file: BarFile) -> str | None:
    """The part of a file's name that is a known symbol; of the bars of a recording, that of its folder."""
    path = Path(file.source)
    name = path.parent.name if path.name == "bars.parquet" else file.symbol
    return known_beginning(name)


def _no_instrument(symbol: str, given: Mapping[str, object]) -> UsageError:
    return UsageError(
        f"no instrument is given for the symbol {symbol!r}",
        expected=f"one for each symbol; there are some for {', '.join(given)}",
        hint=f"--instrument {symbol}=NAME, or --instrument default=NAME for all others",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
