"""Which rows are for training, which for validation and which for the test.

History is divided by time: training first, then validation, then test, with an embargo between them that is left
out. An observation reaches 48 bars of 30 minutes back. With an embargo of that length, the first episode of a part sees
no bar of the part before; with a shorter one it sees some, which is no look into the future (features are causal) but
makes the first episodes of a part resemble the last ones of the part before.

Scenarios of generators all go to training where there is history. Without history, whole scenarios are kept for
validation and test; where there are too few of them (a single long one), each is divided by time like history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.base.errors import UsageError
from training.config import Split
from training.environment.market import Market

Range = tuple[int, int]
"""Rows from the first to before the second."""

NAMES = ("training", "validation", "test")
WINDOW_BARS = 48 * 30
"""Minutes that the longest observation reaches back."""


@dataclass(frozen=True)
class Parts:
    """Row ranges of a market, each within one source.

    Attributes:
        training: To learn from.
        validation: To evaluate on while training; empty if its share is 0.
        test: For the end; empty if its share is 0.
        remarks: Notes about the data, one sentence each.
    """

    training: tuple[Range, ...]
    validation: tuple[Range, ...]
    test: tuple[Range, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceRows:
    """One source of a market.

    Attributes:
        start, stop: Its rows.
        group: Number of the entry in `data.sources` that it comes from.
        historical: From a file, rather than a generator.
    """

    start: int
    stop: int
    group: int
    historical: bool

    def __len__(self) -> int:
        return self.stop - self.start


def divide(series: Sequence[SourceRows], split: Split) -> Parts:
    """Divide the sources of a market; see the module.

    Args:
        series: In the order of the market.
        split: Shares and embargo.
    """
    divided: list[tuple[Range, Range, Range]] = []
    history = any(one.historical for one in series)
    for group in sorted({one.group for one in series}):
        members = [one for one in series if one.group == group]
        if members[0].historical:
            divided += [by_time(one, split) for one in members]
        elif history:
            divided += [((one.start, one.stop), (0, 0), (0, 0)) for one in members]
        else:
            divided += _scenarios(members, split)
    return Parts(*(tuple(part for part in column if part[1] > part[0]) for column in zip(*divided, strict=True)))


def by_time(one: SourceRows, split: Split) -> tuple[Range, Range, Range]:
    """Training, validation and test rows of one source; a part without a share is empty.

    Validation and test have their full shares; the embargoes are taken from the rows before them.
    """
    ends = one.stop
    found: list[Range] = []
    for share in (split.test, split.validation):
        rows = round(share * len(one))
        begin = max(one.start, ends - rows)
        found.append((begin, ends) if rows else (0, 0))
        ends = max(one.start, begin - split.embargo) if rows else ends
    return (one.start, ends), found[1], found[0]


def _scenarios(members: Sequence[SourceRows], split: Split) -> list[tuple[Range, Range, Range]]:
    validation, test = split.scenarios(len(members))
    if validation + test >= len(members):
        return [by_time(one, split) for one in members]
    first = len(members) - validation - test
    none = (0, 0)
    return [
        ((one.start, one.stop), none, none)
        if place < first
        else (none, (one.start, one.stop), none)
        if place < first + validation
        else (none, none, (one.start, one.stop))
        for place, one in enumerate(members)
    ]


def require_episodes(market: Market, parts: Parts, split: Split, length: int, step_minutes: int = 1) -> None:
    """Refuse parts in which no episode can begin.

    Args:
        market: Knows where episodes may begin.
        parts: Of its rows.
        split: The shares behind them, to know which parts must hold something.
        length: Bars of an episode.
        step_minutes: Length of a bar.

    Raises:
        UsageError: Naming the part, the bars that it needs and has, and the keys to change.
    """
    wanted = (("training", 1.0), ("validation", split.validation), ("test", split.test))
    for name, share in wanted:
        ranges: tuple[Range, ...] = getattr(parts, name)
        if share and not any(len(market.starts(one, length)) for one in ranges):
            raise _too_short(name, ranges, length, step_minutes)


def _too_short(name: str, ranges: Sequence[Range], length: int, step_minutes: int) -> UsageError:
    longest = max((stop - start for start, stop in ranges), default=0)
    warmup = WARMUP_MINUTES // step_minutes
    key = "data.split (lower validation, test or embargo)" if name == "training" else f"data.split.{name}"
    return UsageError(
        f"the {name} part is too short for one episode",
        where="data",
        expected=f"at least {length + 30 // step_minutes:,} bars of one source for an episode of {length:,}, and "
        f"{warmup:,} more where the source begins: the agents' first observation reaches so far back",
        found=f"{longest:,} bars in its longest source",
        hint=f"give more bars, shorten training_params.episode_length, or change {key}",
    )


WARMUP_MINUTES = (49 + 47) * 30
"""Minutes from the first bar of a source to the first strategic observation: 49 bars of 30 minutes until every feature
exists, 47 more until a window is complete."""


def remarks(split: Split, step_minutes: int = 1) -> tuple[str, ...]:
    """Notes about a split that is allowed but unusual."""
    least = WINDOW_BARS // step_minutes
    notes = []
    if (split.validation or split.test) and split.embargo < least:
        notes.append(
            f"data.split.embargo is {split.embargo} bars: the first episodes of validation and test see up to "
            f"{least - split.embargo} bars of the part before, so they are not quite independent of it"
        )
    if not split.validation:
        notes.append("data.split.validation is 0: nothing is held out to evaluate on during training")
    return tuple(notes)
