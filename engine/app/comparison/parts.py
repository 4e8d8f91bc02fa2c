"""In-sample and out-of-sample: parts of one run, each judged by the metrics of a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.base.errors import UsageError
from engine.record.records import TRADE_STATS
from engine.record.tallies import EVENT_KINDS, REASONS, Rows, RowTallies, Tallies
from engine.types.blocks import Floats, Ints
from engine.types.calendar import Sessions
from engine.types.moments import written
from engine.types.records import Role
from engine.types.step import StepBlock
from feeds.reading.times.window import moment
from portfolio.benchmark import PriceSeries
from portfolio.config import StatisticsConfig
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics
from portfolio.trades import TradeBook

WHOLE, IN_SAMPLE, OUT_OF_SAMPLE = "all", "in", "out"
FEWEST_ROWS = 2
KEPT = (
    "total_return",
    "sharpe",
    "sortino",
    "max_drawdown",
    "annual_volatility",
    "mean_leverage",
    "max_leverage",
    "exposure",
    "buy_and_hold_return",
    "buy_and_hold_max_drawdown",
    "cagr",
    "short_span",
    "few_returns",
    "alpha",
    "beta",
    "information_ratio",
    "tracking_error",
    "benchmark",
    "benchmark_return",
    "benchmark_sharpe",
    "benchmark_at_exposure_return",
    "excess_at_exposure",
    "equal_risk_return",
    "excess_at_equal_risk",
    "sessions",
    "returns",
    "skew",
    "kurtosis",
    "periods_per_year",
)


@dataclass(frozen=True, slots=True)
class RunPart:
    """Consecutive rows of a run.

    Attributes:
        name: `all`, `in`, `out`, or of a fold: `fold.2`, and all before it: `before.2`.
        start: Its first row.
        stop: The row behind its last one.
    """

    name: str
    start: int
    stop: int


def parts_of(ts_event: Ints, split: str | None, folds: int | None, zone: str = "UTC") -> list[RunPart]:
    """The parts that every variant is judged on.

    Without a split there is one part, all bars. With a date, bars that close up to it are in-sample, those after it
    out-of-sample. With N folds the bars are cut into N consecutive parts of equal length: the last is out-of-sample,
    all before it in-sample, and every fold but the first has the bars before it to choose a variant by.

    Args:
        ts_event: Close times, nanoseconds UTC, shape (rows,).
        split: A date or time; a date means its start.

    Raises:
        UsageError: If both are given, the date cannot be read, or a part would have no bars.
    """
    rows = len(ts_event)
    whole = RunPart(WHOLE, 0, rows)
    if split is not None and folds is not None:
        raise UsageError("--split and --folds exclude each other", expected="one of them")
    if split is not None:
        cut = int(np.searchsorted(ts_event, _moment(split, zone), side="right"))
        if min(cut, rows - cut) < FEWEST_ROWS:
            raise UsageError(
                f"no bars {'before' if cut < FEWEST_ROWS else 'after'} the split",
                expected=f"a time between {written(ts_event[0])} and {written(ts_event[-1])}",
                found=f"--split {split}",
            )
        return [whole, RunPart(IN_SAMPLE, 0, cut), RunPart(OUT_OF_SAMPLE, cut, rows)]
    if folds is None:
        return [whole]
    if not 2 <= folds <= rows // FEWEST_ROWS:
        raise UsageError(
            "cannot cut the bars into so many folds",
            expected=f"--folds from 2 to {max(rows // FEWEST_ROWS, 2):,}",
            found=str(folds),
        )
    cuts = [rows * number // folds for number in range(folds + 1)]
    parts = [whole, RunPart(IN_SAMPLE, 0, cuts[-2]), RunPart(OUT_OF_SAMPLE, cuts[-2], rows)]
    for number in range(1, folds + 1):
        parts.append(RunPart(f"fold.{number}", cuts[number - 1], cuts[number]))
        if number > 1:
            parts.append(RunPart(f"before.{number}", 0, cuts[number - 1]))
    return parts


def _moment(text: str, zone: str) -> int:
    try:
        return moment(text, zone, end=False)
    except ValueError as error:
        raise UsageError("cannot read the split", expected="a date or a time such as 2024-01-31", found=text) from error


class _PartTally:
    """The tallies of one part; its account begins with the equity that the run had there."""

    def __init__(self, part: RunPart, symbols: Sequence[str], sessions: Sessions | None) -> None:
        self.part, self._symbols, self._sessions = part, tuple(symbols), sessions
        self.stats = np.zeros(1, TRADE_STATS)
        self._rows: RowTallies | None = None
        self._initial, self._since = 0.0, 0

    def take(self, step: StepBlock, equity_before: float, ts_before: int | None) -> None:
        """Fold the rows of a step that lie in the part; equity and time are those of the row before the step."""
        first = step.bars.seq
        start, stop = max(self.part.start - first, 0), min(self.part.stop - first, len(step))
        if stop <= start:
            return
        equity = step.column("equity")
        if self._rows is None:
            self._initial = equity_before if start == 0 else float(equity[start - 1])
            before = ts_before if start == 0 else int(step.bars.ts_event[start - 1])
            self._since = int(step.bars.ts_event[start]) if before is None else before
            self._rows = RowTallies(len(self._symbols), self._initial, self._sessions, chart_points=2)
        bars, cut = step.bars, slice(start, stop)
        prices = np.stack([bars.open[cut], bars.high[cut], bars.low[cut], bars.close[cut]], axis=-1)
        self._rows.update(
            Rows(bars.ts_event[cut], step.ledger[cut], step.positions[cut], prices, bars.volume[cut], bars.present[cut])
        )

    def metrics(self, settings: StatisticsConfig, always_open: bool, benchmark: PriceSeries | None) -> Metrics:
        """Of the part; empty where the account was gone before it."""
        if self._rows is None or self._initial <= 0:
            return dict.fromkeys(KEPT)
        rows, nothing = self._rows, np.zeros((EVENT_KINDS, REASONS), np.int64)
        roles = np.zeros(max(Role) + 1, np.int64)
        tallies = Tallies(
            self._initial, self._symbols, rows.session_ends(), rows.tally, rows.finished_drawdowns(), nothing, roles,
            None, 0, 0,
        )  # fmt: skip
        found = compute_metrics(
            tallies, self.stats, settings, always_open=always_open, benchmark=benchmark, since=self._since
        )
        return {name: found[name] for name in KEPT}


class Judge:
    """Watches a run and judges its parts.

    Args:
        points: Rows whose equity is kept for the chart, ascending.
        symbols: S names.
        initial_capital: Account currency.
        sessions: Where trading days end.
        multipliers: Account value of one contract per unit of price, one per symbol.
    """

    def __init__(
        self,
        parts: Sequence[RunPart],
        points: Ints,
        symbols: Sequence[str],
        initial_capital: float,
        sessions: Sessions | None,
        multipliers: Sequence[float],
    ) -> None:
        self._tallies = [_PartTally(part, symbols, sessions) for part in parts]
        self._book = TradeBook(multipliers)
        self._points, self._curve = points, np.full(len(points), np.nan)
        self._last = initial_capital
        self._last_ts: int | None = None
        self._initial = initial_capital

    def watch(self, step: StepBlock) -> None:
        """Take one step of the run."""
        for tally in self._tallies:
            tally.take(step, self._last, self._last_ts)
        for trade in self._book.update(step.fills):  # a trade belongs to the part in which it ends
            for tally in self._tallies:
                if tally.part.start <= trade["exit_seq"] < tally.part.stop:
                    tally.stats["trades"] += 1
        equity, first = step.column("equity"), step.bars.seq
        low, high = np.searchsorted(self._points, [first, first + len(step)])
        self._curve[low:high] = equity[self._points[low:high] - first]
        if len(step):
            self._last, self._last_ts = float(equity[-1]), int(step.bars.ts_event[-1])

    def judged(
        self, settings: StatisticsConfig, always_open: bool, benchmark: PriceSeries | None = None
    ) -> dict[str, Metrics]:
        """Metrics of each part, by its name; see `portfolio.metrics.compute_metrics` for the arguments."""
        return {
            tally.part.name: {
                **tally.metrics(settings, always_open, benchmark),
                "trades": int(tally.stats["trades"][0]),
            }
            for tally in self._tallies
        }

    @property
    def curve(self) -> Floats:
        """Return since the start at each of the points, shape (points,)."""
        return self._curve / self._initial - 1
