"""The seats of the ensemble that depend only on the market: strategic and tactical, by model or by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.base import MarketAgent
from agents.ensemble.kernels.ranges import RANGE_STATE, average_ranges
from agents.features.stream import WARMUP, FeatureStream
from agents.features.windows import WindowBatch, Windows
from agents.serving.answers import WrongAnswer
from agents.serving.onnx_model import OnnxModel
from agents.serving.outputs import Outputs, confidence, outputs_of
from agents.spec import AGENTS, TACTICAL_AGENT, AgentSpec
from engine.base.errors import UsageError
from engine.base.restoring import array_of, frozen, parts_of
from engine.base.state import State, Stateful
from engine.loop.aggregate import Aggregator
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import Sessions
from engine.types.instruments import Instrument
from engine.types.records import Records


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What one seat decided within a block, in order of the rows at which it became known.

    Attributes:
        known_at: Number of the source row at whose close the decision is made, shape (m,).
        symbol: Index of the symbol, shape (m,).
        action: Strategic: the side (-1, 0, 1). Tactical: timing, stop distance, scale. Shape (m, components).
        confidence: From the policy's own distribution, 0..1, shape (m,).
        first_ts, last_ts: Close times of the first and last bar observed, nanoseconds UTC, shape (m,).
    """

    known_at: Ints
    symbol: Ints
    action: Floats
    confidence: Floats
    first_ts: Ints
    last_ts: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Average true range of the tactical bars, price units, by the row at which it became known."""

    known_at: Ints
    atr: Floats


class StoodIn(NamedTuple):
    """Why the stand-in of a seat decides in place of its network.

    Attributes:
        seq: Number of the row at whose close it decided first.
        symbol: Index of the symbol that the network was asked about.
        because: What the network answered.
    """

    seq: int
    symbol: int
    because: str


class WrongDecision(Exception):  # noqa: N818 - reads as what happened
    """A network gave an answer that nothing can be decided by, where no stand-in may take its seat.

    Attributes:
        first: Where it was.
        answer: The error as the network raised it.
    """

    def __init__(self, first: StoodIn, answer: WrongAnswer) -> None:
        super().__init__(first, answer)
        self.first, self.answer = first, answer


class Seat(Stateful, Protocol):
    """A seat that maps bars to decisions.

    Its snapshot is None if an agent of the user's sits there whose state cannot be saved.
    """

    def push(self, block: BarBlock) -> Decisions:
        """Decisions that the block's bars lead to."""
        ...

    @property
    def ranges(self) -> Ranges:
        """Average true ranges of the bars completed by the last push."""
        ...

    @property
    def unready_because(self) -> str | None:
        """What is still missing before the first decision; None once one was made."""
        ...


class ModelSeat:
    """An ONNX model over windows of features.

    Args:
        name: "strategic" or "tactical".
        model: Its network; may be replaced between blocks.
        symbols: S names.
        sessions: For the aggregation.
        stands_in: Whether the seat's stand-in decides from the first answer on that cannot be used.

    Attributes:
        stood_in: Since when the stand-in decides; None while the network does.
    """

    def __init__(
        self, name: str, model: OnnxModel, symbols: Sequence[str], sessions: Sessions, *, stands_in: bool = False
    ) -> None:
        self.name, self.model, self._stands_in = name, model, stands_in
        self.stood_in: StoodIn | None = None
        spec = agent_of(name, model)
        self._stream = FeatureStream(spec, symbols, sessions)
        length, features = spec.observation
        self._windows = Windows(length, features, len(symbols))
        self.ranges = self._no_ranges = Ranges(np.empty(0, np.int64), np.empty((0, len(symbols))))
        self._nothing = _nothing(name)
        self._decided, self._rows = False, 0

    def push(self, block: BarBlock) -> Decisions:
        """Features, windows and one batched inference for all decisions of the block.

        Raises:
            WrongDecision: If an answer cannot be used, and no stand-in may take the seat.
        """
        rows = self._stream.push(block)
        if not len(rows):
            self.ranges = self._no_ranges
            return self._nothing
        self._rows += len(rows.known_at)
        self.ranges = Ranges(rows.known_at, rows.atr)
        windows = self._windows.push(rows)
        if not len(windows.known_at):
            return self._nothing
        self._decided = True
        outputs, stood = self._answers(windows)
        action, sure = _action(self.name, outputs), confidence(self.name, outputs)
        if self.stood_in is not None:
            action[stood], sure[stood] = _stand_in(self.name), 1.0
        return Decisions(windows.known_at, windows.symbol, action, sure, windows.first_ts, windows.last_ts)

    def _answers(self, windows: WindowBatch) -> tuple[Outputs, NDArray[np.bool_]]:
        """What the network answers, and where the stand-in decides in its place: there the answers mean nothing."""
        if self.stood_in is not None:  # the network is not asked any more
            return _blank_outputs(self.name, len(windows.known_at)), np.ones(len(windows.known_at), np.bool_)
        try:
            return self.model.run(windows.observations), np.zeros(0, np.bool_)
        except WrongAnswer as error:
            at = int(np.flatnonzero(error.wrong)[np.argmin(windows.known_at[error.wrong])])
            first = StoodIn(int(windows.known_at[at]), int(windows.symbol[at]), _because(error, at))
            if not self._stands_in:
                raise WrongDecision(first, error) from error
            self.stood_in = first
            stood = windows.known_at >= first.seq  # by row, so that it holds however the rows were cut into blocks
            blank = _blank_outputs(self.name, len(stood))
            for name, values in blank.items():
                values[~stood] = error.outputs[name][~stood]
            return blank, stood

    def snapshot(self) -> State:
        """Features, windows, and what there was so far."""
        seen = [self._decided, self._rows]
        stood = {} if self.stood_in is None else {"stood_in": list(self.stood_in)}
        return {"stream": self._stream.snapshot(), "windows": self._windows.snapshot(), "seen": seen, **stood}

    def restore(self, state: Any) -> None:
        """Continue from the snapshot of a seat made alike.

        Raises:
            DataError: If it was not made alike.
        """
        # nothing is written of a stand-in that never decided, as versions without one did
        stood = ("stood_in",) if isinstance(state, dict) and "stood_in" in state else ()
        parts = parts_of(state, ("stream", "windows", "seen", *stood))
        self.stood_in = StoodIn(*parts["stood_in"]) if stood else None
        self._stream.restore(parts["stream"])
        self._windows.restore(parts["windows"])
        self._decided, self._rows = parts["seen"]

    @property
    def unready_because(self) -> str | None:
        """How many bars the first decision needs, and how many there were."""
        if self._decided:
            return None
        minutes = AGENTS[self.name].timeframe_ns // 60_000_000_000
        needed = WARMUP[self.name] + self._windows.length - 1
        wanted = f"the {self.name} agent needs {needed} bars of {minutes} minutes before its first decision"
        return f"{wanted}, and saw {self._rows}"


class RuleSeat:
    """A rule agent, or a class of the user's, on the seat's own bars.

    The sign of its wanted position is the strategic direction; its size is the tactical scale, entered at the market,
    unless the agent has a method `tactics(block)` that gives timing, stop distance and scale, shape (rows, S, 3).

    Args:
        name: "strategic" or "tactical".
        agent: Not yet bound.
        symbols: S names.
        instruments: One a symbol.
        sessions: For the aggregation.
        stop_distance: For an agent without `tactics`.
    """

    def __init__(
        self,
        name: str,
        agent: MarketAgent,
        symbols: Sequence[str],
        instruments: Sequence[Instrument],
        sessions: Sessions,
        stop_distance: float,
    ) -> None:
        if not isinstance(agent, MarketAgent):
            raise UsageError(
                f"the {name} seat takes an agent that depends only on the market",
                expected="a rule agent, or a subclass of agents.base.MarketAgent",
                found=type(agent).__name__,
            )
        agent.bind(symbols, instruments, AGENTS[name].timeframe_ns)
        self.name, self._agent, self._stop = name, agent, stop_distance
        self._symbols = tuple(symbols)
        self._aggregator = Aggregator(AGENTS[name].timeframe_ns, sessions)
        self._ranges = TrueRange(len(symbols))
        self.ranges = Ranges(np.empty(0, np.int64), np.empty((0, len(symbols))))
        self._decided = False

    def push(self, block: BarBlock) -> Decisions:
        """One decision for every completed bar of every symbol."""
        aggregated = self._aggregator.push(block)
        bars = aggregated.bars
        if not len(bars):
            self.ranges = Ranges(np.empty(0, np.int64), np.empty((0, len(block.symbols))))
            return _nothing(self.name)
        self.ranges = Ranges(aggregated.known_at, self._ranges.push(bars))
        actions = self._actions(bars)
        row, symbol = np.nonzero(bars.present & np.isfinite(actions).all(axis=2))
        self._decided |= len(row) > 0
        ts = bars.ts_event[row]
        return Decisions(aggregated.known_at[row], symbol, actions[row, symbol], np.ones(len(row)), ts, ts)

    def snapshot(self) -> State | None:
        """The agent's state and that of the bars that it sees; None if the agent's cannot be saved."""
        agent = self._agent.snapshot()
        if agent is None:
            return None
        bars, ranges = self._aggregator.snapshot(), frozen(self._ranges.state)
        return {"agent": agent, "bars": bars, "ranges": ranges, "decided": self._decided}

    def restore(self, state: State) -> None:
        """Continue from the snapshot of a seat made alike.

        Raises:
            DataError: If it was not made alike.
        """
        parts = parts_of(state, ("agent", "bars", "ranges", "decided"))
        self._agent.restore(parts["agent"])
        self._aggregator.restore(parts["bars"])
        self._ranges.state = array_of(parts["ranges"], self._ranges.state, "ranges")
        self._decided = bool(parts["decided"])

    def _actions(self, bars: BarBlock) -> Floats:
        if self.name == "tactical" and hasattr(self._agent, "tactics"):
            given = _shaped("tactics", self._agent.tactics(bars), (len(bars), len(bars.symbols), 3))
            return np.clip(given, TACTICAL_AGENT.low, TACTICAL_AGENT.high)
        targets = _shaped("targets", self._agent.targets(bars), (len(bars), len(bars.symbols)))
        if self.name == "strategic":
            return np.sign(targets)[:, :, None]
        scale = np.clip(np.abs(targets), TACTICAL_AGENT.low[2], TACTICAL_AGENT.high[2])
        return np.stack([np.ones_like(scale), np.full_like(scale, self._stop), scale], axis=2)

    @property
    def unready_because(self) -> str | None:
        """Whether a bar of the seat's timeframe was ever completed."""
        return None if self._decided else f"the {self.name} agent never saw a complete bar of its timeframe"


class TrueRange:
    """Average true range with carried state: Wilder's smoothing over 14 bars.

    From bar 15 of a symbol on, it is what the feature stream computes; before that, the mean of the ranges so far,
    since rule agents decide from the first bar on.

    Attributes:
        state: RANGE_STATE, shape (S,).
    """

    def __init__(self, symbols: int) -> None:
        self.state: Records = np.zeros(symbols, RANGE_STATE)
        self.state["last"] = np.nan

    def push(self, bars: BarBlock) -> Floats:
        """Average after each bar, shape (rows, S); NaN before a symbol's first bar."""
        out = np.empty(bars.close.shape)
        average_ranges(bars.kernel_view(), self.state, out)
        return out


def agent_of(name: str, model: object) -> AgentSpec:
    """The agent that a network was made for: with its declared features, where it has any."""
    seat = getattr(model, "seat", None)
    return seat if isinstance(seat, AgentSpec) else AGENTS[name]


def _shaped(method: str, given: Any, expected: tuple[int, ...]) -> Floats:
    """What a method of the user's gave, as numbers of that shape."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{method} gives no array of numbers: {error}", expected=f"shape {expected}") from error
    if array.shape != expected:
        raise UsageError(f"{method} has the wrong shape", expected=str(expected), found=str(array.shape))
    return array


def _action(name: str, outputs: dict[str, NDArray[Any]]) -> Floats:
    if name == "strategic":
        return (outputs["action"].astype(np.float64) - 1.0).reshape(-1, 1)
    return outputs["action"].astype(np.float64).clip(TACTICAL_AGENT.low, TACTICAL_AGENT.high)


def _stand_in(name: str) -> Floats:
    """What a seat's stand-in always decides, in the form of `Decisions.action`."""
    action = np.array(AGENTS[name].stand_in)
    return action - 1.0 if name == "strategic" else action


def _blank_outputs(name: str, count: int) -> Outputs:
    return {out: np.zeros((count, *kind.shape), kind.dtype) for out, kind in outputs_of(AGENTS[name]).items()}


def _because(error: WrongAnswer, at: int) -> str:
    answers = (f"{name} {values[at].tolist()}" for name, values in error.outputs.items())
    return f"it answered {', '.join(answers)}"


def _nothing(name: str) -> Decisions:
    none, integers = np.empty(0), np.empty(0, np.int64)
    return Decisions(integers, integers, np.empty((0, AGENTS[name].width)), none, integers, integers)
