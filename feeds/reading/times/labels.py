"""What a file's times mean: how long its bars are, and whether they are labelled by their open or their close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import Ints
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from feeds.reading.columns.names import ColumnMap, Labels
from feeds.reading.plan import FilePlan
from feeds.reading.rows.gaps import joined_sessions

_NEAR_NS = 30 * DAY_NS
_CLEAR = 5  # times as many labels on one end of the sessions as on the other


@dataclass(frozen=True, slots=True)
class LabelDecision:
    """How bars are labelled.

    Attributes:
        labels: By the open or the close.
        reason: How that was found, a sentence.
        assumed: Nothing setting.
    """

    labels: Labels
    reason: str
    assumed: bool = False


def bar_width(times: Ints, codes: Ints, where: str) -> int:
    """The most common distance between two times of a symbol, nanoseconds; the shorter of two as common.

    Args:
        times: Labels in file order, nanoseconds UTC, shape (n,).
        codes: Number of each row's symbol, shape (n,).

    Raises:
        DataError: If no symbol has two different times.
    """
    by_symbol = np.argsort(codes, kind="stable")
    steps = np.diff(times[by_symbol])[np.diff(codes[by_symbol]) == 0]
    steps = steps[steps > 0]
    if not len(steps):
        alike = len(times) > 1 and bool((times == times[0]).all())
        raise DataError(
            "cannot tell how long the bars are",
            where=where,
            expected="at least two bars of a symbol, in order of time",
            found=f"{len(times)} times, all the same" if alike else f"readable times: {len(times)}",
            hint="say how long they are: --set replay.bar_width=1min (bar_width in ReplayConfig)",
        )
    widths, counts = np.unique(steps, return_counts=True)
    return int(widths[np.argmax(counts)])


def decide(
    setting: Literal["open", "close", "auto"], columns: ColumnMap, times: Ints, instrument: Instrument
) -> LabelDecision:
    """Find out whether labels are open or close times.

    The setting comes first, then the name of the column, then the calendar: bars labelled by their open have a label
    at the open of a session and none at its close. A session counts only where the labels themselves pause with it: a
    market that trades through the calendar's pause shows nothing. Where nothing tells, open is assumed, because a wrong
    guess then makes bars known late and never early.

    Args:
        times: Labels, nanoseconds UTC, shape (n,).
        instrument: Its calendar knows the sessions.
    """
    if setting != "auto":
        return LabelDecision(setting, f"{setting} times, as the settings say")
    name = columns.by_role["timestamp"]
    if columns.labels is not None:
        return LabelDecision(columns.labels, f"{columns.labels} times, by the column name {name!r}")
    assumed = f"open times, assumed: neither the column name {name!r} nor the calendar {instrument.calendar} settles it"
    unknown = LabelDecision("open", assumed, assumed=True)
    if instrument.calendar == "24/7" or not len(times):
        return unknown
    middle = int(np.sort(times)[len(times) // 2])
    near = np.unique(times[np.abs(times - middle) < _NEAR_NS])
    sessions = joined_sessions(instrument, middle)
    steps = np.diff(near)
    pauses = steps > (np.median(steps) if len(steps) else 0)
    # the first and the last label may lie at a pause that is not seen
    at_open = near[np.isin(near, sessions.opens) & np.concatenate([[True], pauses])]
    at_close = near[np.isin(near, sessions.closes) & np.concatenate([pauses, [True]])]
    if len(at_close) > _CLEAR * len(at_open):
        return LabelDecision("close", _by_sessions("close", "open", at_close, at_open, instrument))
    if len(at_open) > _CLEAR * len(at_close):
        return LabelDecision("open", _by_sessions("open", "close", at_open, at_close, instrument))
    return unknown


def decide_file(
    setting: Literal["open", "close", "auto"], plan: FilePlan, instruments: Mapping[str, Instrument]
) -> LabelDecision:
    """Find out how one file labels its bars, from nothing but that file.

    Args:
        instruments: By symbol; of a file without a symbol column, that of its one symbol.
    """
    declared = None if plan.file.declared is None else plan.file.declared.format
    if setting == "auto" and declared is not None and declared.labels and plan.columns.labels is None:
        return LabelDecision(declared.labels, f"{declared.labels} times, as the format {declared.name} says")
    if setting == "auto" and plan.closing is not None and plan.columns.labels is None:
        return LabelDecision("close", f"close times, because {plan.closing}")
    if not plan.head_symbols:
        return decide(setting, plan.columns, plan.head_times, next(iter(instruments.values())))
    found = [
        decide(setting, plan.columns, plan.head_times[plan.head_codes == code], instruments[symbol])
        for code, symbol in enumerate(plan.head_symbols)
        if symbol in instruments
    ]
    firm = [decision for decision in found if not decision.assumed]
    if len({decision.labels for decision in firm}) > 1:
        return LabelDecision("open", "open times, assumed: the calendars of its symbols contradict each other", True)
    if not firm and not found:  # its symbols come after the head
        return decide(setting, plan.columns, plan.head_times[:0], next(iter(instruments.values())))
    return (firm or found)[0]


def _by_sessions(end: Labels, other: Labels, hits: Ints, misses: Ints, instrument: Instrument) -> str:
    clock = np.datetime_as_string(hits[:1].view("datetime64[ns]"), unit="m")[0][-5:]
    return (
        f"{end} times, by the calendar {instrument.calendar}: {len(hits)} labels fall on the {end} of a session "
        f"(such as {clock} UTC), {len(misses) or 'none'} on an {other}".replace("an close", "a close")
    )
