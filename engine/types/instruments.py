"""Instrument definitions: what a contract is worth, what it costs to trade and when it trades."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from engine.base.config import Config, parse, read_yaml
from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.base.paths import shipped
from engine.base.zones import check_zone


def _fraction(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Explain a bound that was exceeded: what is too large was probably meant as a percentage."""
    try:
        return check(value)
    except ValidationError as error:
        (problem,) = error.errors()
        if not problem["type"].startswith("less_than"):
            raise
        expected = problem["msg"].replace("Input should be", "Input should be a fraction")
        raise ValueError(f"{expected}; 0.001 means 0.1 %") from None


IS_FRACTION = WrapValidator(_fraction)
Rate = Annotated[float, Field(ge=0, le=1), IS_FRACTION]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Fees(Config):
    """Commission of one fill: `per_contract * quantity + rate * notional`, in account currency."""

    per_contract: NonNegative = 0.0
    rate: NonNegative = 0.0


class Margin(Config):
    """Margin of a position: `per_contract * quantity + rate * notional`, in account currency."""

    per_contract: NonNegative = 0.0
    rate: Rate = 0.0


class DailyHalt(Config):
    """A daily pause inside the calendar's session, in local time."""

    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return check_zone(value)


class Instrument(Config):
    """One tradable instrument.

    Attributes:
        name: How it is called on the command line.
        tick_size: Smallest price step in quote currency; 0 means prices are continuous.
        multiplier: Account value of one contract per unit of price.
        currency: Currency in which profit and loss arise.
        fx_rate: Account currency per unit of `currency`.
        size_step: Quantities are whole multiples of this.
        min_size: Smallest order that opens or increases a position.
        fees: Commission.
        initial_margin: Needed to open.
        maintenance_margin: Below it the position is liquidated.
        calendar: Name of an exchange_calendars calendar; "24/7" never closes.
        daily_halt: A pause the calendar does not know of.
        synonyms: Other names, with `*`, `?` and `[...]` as in names of files: `ES[HMUZ][0-9]` for every quarter's
            contract. Case does not matter.
    """

    name: str
    description: str = ""
    tick_size: NonNegative = 0.0
    multiplier: Positive = 1.0
    currency: str = "USD"
    fx_rate: Positive = 1.0
    size_step: Positive = 1e-8
    min_size: NonNegative = 0.0
    fees: Fees = Fees()
    initial_margin: Margin = Margin(rate=1.0)
    maintenance_margin: Margin = Margin()
    calendar: str = "24/7"
    daily_halt: DailyHalt | None = None
    synonyms: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _maintenance_below_initial(self) -> Self:
        low, high = self.maintenance_margin, self.initial_margin
        if low.rate > high.rate and low.per_contract >= high.per_contract:
            raise ValueError("maintenance_margin must not exceed initial_margin")
        return self


@cache
def shipped_instruments() -> dict[str, Path]:
    """Names (upper case) of the instruments that ship, and their files."""
    return {path.stem.upper(): path for path in sorted((shipped("configs") / "instruments").glob("*.yaml"))}


@cache
def _all_shipped() -> tuple[Instrument, ...]:
    return tuple(parse(Instrument, read_yaml(path), where=str(path)) for path in shipped_instruments().values())


def find_instrument(symbol: str) -> Instrument | None:
    """The bundled instrument with this name or synonym, if there is one."""
    wanted = symbol.upper()
    for instrument in _all_shipped():
        names = (instrument.name, *instrument.synonyms)
        if any(fnmatchcase(wanted, name.upper()) for name in names):
            return instrument
    return None


def known_beginning(name: str) -> str | None:
    """The beginning of a file's name that is the name of an instrument or a synonym: `es` of `es_2024_1min`.

    The whole name is tried first, then what stands before each separator, from the last to the first.
    """
    ends = [len(name), *(match.start() for match in reversed(list(re.finditer(r"[-_. ]", name))))]
    return next((name[:end] for end in ends if end and find_instrument(name[:end]) is not None), None)


def load_instrument(name_or_file: str) -> Instrument:
    """Find an instrument by name, synonym or YAML file.

    Raises:
        UsageError: If there is no such instrument; names the nearest.
        ConfigError: If its file does not fit.
    """
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        return parse(Instrument, read_yaml(path), where=name_or_file)
    wanted = name_or_file.upper()
    known = shipped_instruments()
    if wanted in known:
        return parse(Instrument, read_yaml(known[wanted]), where=str(known[wanted]))
    instrument = find_instrument(name_or_file)
    if instrument is not None:
        return instrument
    raise UsageError(
        f"no instrument is called {name_or_file!r}",
        expected=f"one of {', '.join(known)}, or a YAML file",
        hint=did_you_mean(wanted, known) or "write a YAML file like those in configs/instruments",
    )


def never_closes(instruments: Iterable[Instrument]) -> bool:
    """Whether one of these markets is open around the clock."""
    return any(instrument.calendar == "24/7" for instrument in instruments)
