"""The figures of the guide: win rate, Sharpe ratio, decision consistency, and confidence of every seat.

Each is defined here once and fed one observation after the other, so that a stream cut anyhow gives the same state.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from engine.base.restoring import parts_of
from engine.base.state import State
from engine.monitor.evidence import MeanEvidence
from engine.monitor.performance.config import (
    ConfidenceConfig,
    ConsistencyConfig,
    FigureConfig,
    SharpeConfig,
    WinRateConfig,
)
from engine.monitor.performance.thresholds import Report, Threshold

WIN_RATE, SHARPE, CONSISTENCY, CONFIDENCE = "win_rate", "sharpe_ratio", "decision_consistency", "model_confidence"
LOW_WIN_RATE, LOW_SHARPE_RATIO = "LOW_WIN_RATE", "LOW_SHARPE_RATIO"
INCONSISTENT_DECISIONS, LOW_MODEL_CONFIDENCE = "INCONSISTENT_DECISIONS", "LOW_MODEL_CONFIDENCE"
CODES = (LOW_WIN_RATE, LOW_SHARPE_RATIO, INCONSISTENT_DECISIONS, LOW_MODEL_CONFIDENCE)
DECAY = 0.94
"""Of the variance by which a day's return is scaled: RiskMetrics' daily one (J.P. Morgan 1996)."""
FEWEST_RETURNS = 10
"""Returns before the variance is used."""
LARGEST_SCORE = 4.0
"""A return beyond so many deviations counts as this many, as evidence."""
ROUNDING = 1e-12


class Figure:
    """A value over the latest observations, held against thresholds.

    Args:
        name: Of the figure.
        config: Its window.

    Attributes:
        count: Observations so far.
        thresholds: What it is held against.
    """

    def __init__(self, name: str, config: FigureConfig) -> None:
        self.name = name
        self.count = 0
        self.thresholds: list[Threshold] = []
        self._config = config
        self._window: deque[float] = deque(maxlen=config.last)

    def watch(self, code: str, threshold: float, evidence: MeanEvidence, alpha: float, report: Report) -> None:
        """Hold the figure against a threshold."""
        margin, least = self._config.margin, self._config.least
        self.thresholds.append(Threshold(self.name, code, threshold, evidence, margin, least, alpha, report))

    @property
    def value(self) -> float | None:
        """Of the latest observations; None while there are too few."""
        return self._of_window() if len(self._window) >= self._config.least else None

    @property
    def held(self) -> int:
        """Observations that the value is of."""
        return len(self._window)

    @property
    def last(self) -> int:
        """Observations that the value is of once there are so many."""
        return self._config.last

    @property
    def least(self) -> int:
        """Observations before there is a value."""
        return self._config.least

    def _of_window(self) -> float | None:
        # exact, so that the order of additions cannot show
        return math.fsum(self._window) / len(self._window)

    def _take(self, ts_event: int, observation: float, evident: tuple[float, ...]) -> None:
        """Add an observation to the window, and what it says to the evidence."""
        self.count += 1
        self._add(observation)
        if self.thresholds:
            value = self.value
            for threshold in self.thresholds:
                for one in evident:
                    threshold.evidence.add(one)
                threshold.judge(ts_event, value, self.count)

    def _add(self, observation: float) -> None:
        self._window.append(observation)

    def tree(self) -> dict[str, Any]:
        """As it stands, JSON-able."""
        window = {"count": self.count, "of": len(self._window), "last": self._config.last, "least": self._config.least}
        return {"name": self.name, "value": self.value, **window, "thresholds": [one.tree() for one in self.thresholds]}

    def snapshot(self) -> State:
        """The carried state."""
        thresholds = [one.snapshot() for one in self.thresholds]
        return {"count": self.count, "window": list(self._window), "thresholds": thresholds, "own": self._own()}

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a figure made alike.
        """
        parts = parts_of(state, ("count", "window", "thresholds", "own"))
        self.count = int(parts["count"])
        self._window.clear()
        self._fill(parts["window"])
        for one, saved in zip(self.thresholds, parts["thresholds"], strict=True):
            one.restore(saved)
        self._restore_own(parts["own"])

    def _fill(self, window: list[float]) -> None:
        self._window.extend(window)

    def _own(self) -> list[Any]:
        return []

    def _restore_own(self, _: list[Any]) -> None:
        pass


class Share(Figure):
    """A figure whose observations are 0 or 1, so that their sum can be carried."""

    def __init__(self, name: str, config: FigureConfig) -> None:
        super().__init__(name, config)
        self._ones = 0.0

    def _add(self, observation: float) -> None:
        window = self._window
        if len(window) == window.maxlen:
            self._ones -= window[0]
        window.append(observation)
        self._ones += observation

    def _fill(self, window: list[float]) -> None:
        self._window.extend(window)
        self._ones = sum(window)

    def _of_window(self) -> float:
        return self._ones / len(self._window)


class WinRate(Share):
    """Share of the last closed trades whose profit, net of fees, is above 0."""

    def __init__(self, config: WinRateConfig, alpha: float, report: Report) -> None:
        super().__init__(WIN_RATE, config)
        for code, below in ((LOW_WIN_RATE, config.below), ("", config.retrain_below)):
            self.watch(code, below, MeanEvidence(below, any_start=True), alpha, report)

    def push(self, ts_event: int, profit: float) -> None:
        """A trade has closed with this profit."""
        won = float(profit > 0.0)
        self._take(ts_event, won, (won,))


class Sharpe(Figure):
    """Sharpe ratio of the last trading days: mean over deviation (n - 1) of their returns, times the root of a year.

    The risk-free rate is 0, as in `portfolio.ratios`. As evidence, a return is divided by the deviation expected the
    day before and clipped to +-4, and the mean of that is held against threshold / sqrt(periods_per_year).

    Args:
        periods_per_year: Trading days in a year.
        initial: Equity before the first day, account currency.
    """

    def __init__(
        self, config: SharpeConfig, periods_per_year: float, initial: float, alpha: float, report: Report
    ) -> None:
        super().__init__(SHARPE, config)
        self._root = math.sqrt(periods_per_year)
        self._equity, self._variance, self._returns = initial, 0.0, 0
        evidence = MeanEvidence(config.below / self._root, low=-LARGEST_SCORE, high=LARGEST_SCORE, any_start=True)
        self.watch(LOW_SHARPE_RATIO, config.below, evidence, alpha, report)

    def begin(self, equity: float) -> None:
        """Take this as the equity before the first day."""
        self._equity = equity

    def push(self, ts_event: int, equity: float) -> None:
        """A trading day has ended with this equity."""
        change = equity / self._equity - 1.0 if self._equity > 0.0 else 0.0
        self._equity = equity
        evident: tuple[float, ...] = ()
        if self._returns >= FEWEST_RETURNS and self._variance > 0.0:
            score = change / math.sqrt(self._variance)
            evident = (min(max(score, -LARGEST_SCORE), LARGEST_SCORE),)
        self._returns += 1
        # the mean of the squares at first, weights that fall from then on
        weight = max(1.0 / self._returns, 1.0 - DECAY)
        self._variance += weight * (change * change - self._variance)
        self._take(ts_event, change, evident)

    def _of_window(self) -> float | None:
        returns = self._window
        if max(returns) - min(returns) <= ROUNDING:
            return None
        mean = math.fsum(returns) / len(returns)
        squares = math.fsum((one - mean) ** 2 for one in returns)
        return mean / math.sqrt(squares / (len(returns) - 1)) * self._root

    def _own(self) -> list[Any]:
        return [self._equity, self._variance, self._returns]

    def _restore_own(self, own: list[Any]) -> None:
        self._equity, self._variance, self._returns = own


class Consistency(Share):
    """Share of the last strategic decisions for a side that none of the next `bars` of the symbol was against.

    A decision is due at every strategic bar. One for neutral is no observation: it neither holds nor reverses.

    As evidence, the outcomes of `bars` decisions in a row are one observation, and the next `bars` are left out: one
    reversal speaks against every decision just before it, and observations must not share any.
    """

    def __init__(self, config: ConsistencyConfig, alpha: float, report: Report) -> None:
        super().__init__(CONSISTENCY, config)
        self._bars = config.bars
        self._pending: dict[int, deque[float]] = {}
        self._batch: dict[int, list[float]] = {}
        self.watch(INCONSISTENT_DECISIONS, config.below, MeanEvidence(config.below, any_start=True), alpha, report)

    def push(self, ts_event: int, symbol: int, side: float) -> None:
        """A strategic decision: -1, 0 or 1."""
        pending = self._pending.setdefault(symbol, deque())
        if len(pending) == self._bars:
            first = pending.popleft()
            if first:
                kept = float(side * first >= 0.0 and all(later * first >= 0.0 for later in pending))
                self._take(ts_event, kept, self._evident(symbol, kept))
        pending.append(side)

    def _evident(self, symbol: int, kept: float) -> tuple[float, ...]:
        batch = self._batch.setdefault(symbol, [])
        batch.append(kept)
        if len(batch) == 2 * self._bars:
            batch.clear()
        return (math.fsum(batch) / self._bars,) if len(batch) == self._bars else ()

    def _own(self) -> list[Any]:
        return [[symbol, list(self._pending[symbol]), self._batch.get(symbol, [])] for symbol in sorted(self._pending)]

    def _restore_own(self, own: list[Any]) -> None:
        self._pending = {symbol: deque(pending) for symbol, pending, _ in own}
        self._batch = {symbol: list(batch) for symbol, _, batch in own}


class Confidence(Figure):
    """Mean confidence of a seat's last decisions; `agents.serving.outputs.confidence` defines it for each network.

    As evidence, the mean of `batch` decisions in a row is one observation: what a network looks at overlaps from
    decision to decision, and so they are alike for about as long as it looks back.
    """

    def __init__(self, seat: str, config: ConfidenceConfig, alpha: float, report: Report) -> None:
        super().__init__(f"{CONFIDENCE}.{seat}", config)
        self._size = config.batch
        self._batch: list[float] = []
        below = getattr(config, seat)
        if below is not None:
            self.watch(LOW_MODEL_CONFIDENCE, below, MeanEvidence(below, any_start=True), alpha, report)

    def push(self, ts_event: int, confidence: float) -> None:
        """A decision of the seat, 0..1."""
        self._batch.append(confidence)
        evident: tuple[float, ...] = ()
        if len(self._batch) == self._size:
            evident = (min(max(math.fsum(self._batch) / self._size, 0.0), 1.0),)
            self._batch.clear()
        self._take(ts_event, confidence, evident)

    def _own(self) -> list[Any]:
        return list(self._batch)

    def _restore_own(self, own: list[Any]) -> None:
        self._batch = list(own)
