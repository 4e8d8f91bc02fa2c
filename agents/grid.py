"""Ranges of parameters in an agent's specification: `sma_cross:fast=5..20:5,slow=30|60`.

The one grammar, for every command that takes more than one variant of an agent:

    SPECIFICATION  NAME[:PARAMETERS] or FILE.py:CLASS[:PARAMETERS]
    PARAMETERS     key=VALUES,key=VALUES,...       every combination is a variant, the last key changing fastest
    VALUES         ALTERNATIVE|ALTERNATIVE|...
    ALTERNATIVE    LOW..HIGH:STEP                  LOW, LOW + STEP, ... up to HIGH, which is included if it is met
                   LOW..HIGH                       whole numbers one apart
                   anything else                   as it stands; "in quotes" for text that holds | or ..

Steps are added in decimals, so that 0.1..0.3:0.1 ends with 0.3 and not beside it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from engine.base.errors import UsageError
from engine.base.nearest import nearest
from engine.base.quoting import quoted, shortened

MOST_VARIANTS = 100_000
_MOST_DIGITS = 300  # before or behind the decimal point
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


@dataclass(frozen=True, slots=True)
class Variant:
    """One agent of a comparison.

    Attributes:
        spec: Its specification, as `grandmodel backtest --agent` takes it.
        agent: The specification without parameters.
        parameters: Names and values that were given, as written.
        varied: Names of the parameters that were given several values.
    """

    spec: str
    agent: str
    parameters: tuple[tuple[str, str], ...] = ()
    varied: tuple[str, ...] = ()


def split_spec(spec: str) -> tuple[str, str]:
    """A specification as the agent and its parameters: `("my.py:Breakout", "length=20")`."""
    head, _, tail = spec.partition(":")
    if not head.endswith(".py"):
        return (spec, "") if head == "ensemble" else (head, tail)
    class_name, _, arguments = tail.partition(":")
    return (f"{head}:{class_name}" if class_name else head), arguments


def split_parameters(spec: str, text: str) -> list[tuple[str, str]]:
    """Names and values as written.

    Raises:
        UsageError: If one is not `key=value`, or a key is given twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, separator, value = part.partition("=")
        key = key.strip()
        if not separator or not key:
            raise UsageError(f"cannot read {quoted(part)}", where=_agent(spec), expected="key=value")
        if key in found:
            raise UsageError(f"the parameter {quoted(key)} is given twice", where=_agent(spec))
        found[key] = value.strip()
    return list(found.items())


def expand(spec: str) -> list[Variant]:
    """The variants that a specification stands for, in order; one if it holds no range.

    Raises:
        UsageError: If a range cannot be read or is empty, or there are too many variants.
    """
    agent, arguments = split_spec(spec)
    parameters = split_parameters(spec, arguments)
    values = [values_of(key, text, spec) for key, text in parameters]
    names = [key for key, _ in parameters]
    count = math.prod(map(len, values))
    if count > MOST_VARIANTS:
        raise UsageError(
            "too many variants",
            where=_agent(spec),
            expected=f"at most {MOST_VARIANTS:,}",
            found=f"{count:,}",
            hint="a wider step, or fewer parameters at a time",
        )
    varied = tuple(name for name, options in zip(names, values, strict=True) if len(options) > 1)
    found = []
    for combination in itertools.product(*values):
        pairs = tuple(zip(names, combination, strict=True))
        written = ",".join(f"{key}={value}" for key, value in pairs)
        found.append(Variant(f"{agent}:{written}" if written else agent, agent, pairs, varied))
    return found


def values_of(key: str, text: str, spec: str) -> list[str]:
    """The values of one parameter, as written or as decimals, without duplicates.

    Raises:
        UsageError: If a range cannot be read or is empty.
    """
    if text[:1] in {"'", '"'}:
        return [text]
    found: dict[str, None] = {}
    for part in text.split("|"):
        alternative = part.strip()
        if not alternative and "|" in text:
            raise UsageError(f"an alternative of {quoted(key)} is empty", where=_agent(spec), found=_given(key, text))
        low, dots, _ = alternative.partition("..")
        is_range = bool(dots) and _NUMBER.match(low) is not None
        found |= dict.fromkeys(_steps(key, alternative, spec) if is_range else [alternative])
    return list(found)


def _steps(key: str, text: str, spec: str) -> list[str]:
    low_text, _, rest = text.partition("..")
    high_text, _, step_text = rest.partition(":")
    expected = "LOW..HIGH or LOW..HIGH:STEP, for example 60..240:60"
    try:
        low, high = Decimal(low_text), Decimal(high_text)
        step = Decimal(step_text) if step_text else Decimal(1)
        if any(number.is_finite() and abs(number.adjusted()) > _MOST_DIGITS for number in (low, high, step)):
            raise InvalidOperation  # sums of such numbers would have as many digits
    except InvalidOperation:
        raise UsageError(
            f"cannot read the range of {quoted(key)}", where=_agent(spec), expected=expected, found=_given(key, text)
        ) from None
    if not (low.is_finite() and high.is_finite() and step.is_finite()):
        raise UsageError(f"the range of {quoted(key)} must be finite", where=_agent(spec), found=_given(key, text))
    whole = low == low.to_integral_value() and high == high.to_integral_value()
    if not step_text and not whole:
        raise UsageError(
            f"the range of {quoted(key)} needs a step",
            where=_agent(spec),
            found=_given(key, text),
            expected=f"{_given(key, text)}:STEP, since its ends are not whole numbers",
        )
    if step <= 0 or high < low:
        raise UsageError(
            f"the range of {quoted(key)} is empty",
            where=_agent(spec),
            found=_given(key, text),
            expected=f"{expected}, with LOW at most HIGH and STEP above 0",
        )
    count = int((high - low) / step) + 1
    if count > MOST_VARIANTS:
        raise UsageError(
            f"the range of {quoted(key)} is too long",
            where=_agent(spec),
            expected=f"at most {MOST_VARIANTS:,} values",
            found=f"{count:,}",
        )
    return [_written(low + step * number) for number in range(count)]


def _written(value: Decimal) -> str:
    """Without an exponent, which YAML would take for text, and without zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def refuse_range(spec: str) -> None:
    """Refuse a specification that stands for several variants, where one agent is wanted.

    Raises:
        UsageError: If it does.
    """
    variants = expand(spec)
    if len(variants) > 1:
        raise UsageError(
            f"this specification stands for {len(variants):,} variants",
            where=_agent(spec),
            expected=f"one value a parameter, for example {variants[0].spec}",
            hint="`grandmodel compare` runs them all",
        )


def unknown_parameter(spec: str, name: str, known: Sequence[str]) -> UsageError:
    """The error for a parameter that the agent does not take, naming the nearest that it does."""
    near = nearest(name, known)
    return UsageError(
        f"{_agent(spec)}: unknown parameter {quoted(name)}",
        expected=", ".join(known) or "no parameters",
        hint=f"did you mean {near!r}?" if near else None,
    )


def _agent(spec: str) -> str:
    return f"agent {shortened(spec)}"


def _given(key: str, text: str) -> str:
    return shortened(f"{key}={text}")
