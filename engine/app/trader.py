"""What decides in a live session: agent, simulator and ledger hash, with all of their state. Knows no clock and no I/O.

The session drives it with live bars; recovery and `grandmodel journal replay` drive the same code with the bars of the
journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.ensemble.ensemble import Ensemble
from agents.models.loading import load_ensemble
from engine.app.agents import build_agent
from engine.app.config import RunConfig
from engine.app.wiring import Wiring, warn_of_obstacles, wire
from engine.base.errors import UsageError
from engine.journal.journal import Activation
from engine.loop.ledger_hash import LedgerHash
from engine.types.agent import Agent, resume_from, saved_state
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from engine.types.records import Operation
from engine.types.step import StepBlock

Lookup = Callable[[int, str], Path | None]
AGENT, SIMULATOR, HASH = "agent", "simulator", "hash"


@dataclass(frozen=True)
class Setup:
    """What a session consists of, fixed when it begins.

    Attributes:
        config: What decides.
        instruments: By symbol, in the order of the blocks.
        timeframe_ns: Length of the bars, nanoseconds.
        models: Folder of the ensemble's version at the beginning; None for an agent without one.
    """

    config: RunConfig
    instruments: Mapping[str, Instrument]
    timeframe_ns: int
    models: Path | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return tuple(self.instruments)


class Trader:
    """Bars in, steps out.

    Args:
        setup: What the session consists of.
        lookup: At a declared cut: given its row and the hash of the present models, the folder of the models that take
            over there, or None.

    Attributes:
        lookup: As given; may be replaced.
        next_seq: Number of the row that comes next.
        activations: Models that took over since they were last taken out of this list.
    """

    def __init__(self, setup: Setup, lookup: Lookup | None = None) -> None:
        self._setup = setup
        self.lookup = lookup
        self._agent: Agent = build_agent(setup.config, setup.models)
        self._wiring: Wiring | None = None
        self._early: list[Operation] = []
        self._hash = LedgerHash(resumable=True)
        self.next_seq = 0
        self.activations: list[Activation] = []

    def begin(self, first_ns: int, first_seq: int = 0) -> None:
        """Wire the parts; sessions are known from the close of the first bar on."""
        setup = self._setup
        self._wiring = wire(
            setup.config, setup.instruments, setup.timeframe_ns, first_ns, self._agent, self._on_cut, first_seq
        )
        self.next_seq = first_seq
        for operation in self._early:
            self._wiring.simulator.operate(operation, 0)
        self._early.clear()

    def process(self, block: BarBlock) -> list[StepBlock]:
        """Step through the rows of a block, split at its cuts."""
        if self._wiring is None:
            self.begin(int(block.ts_event[0]))
            warn_of_obstacles(self._setup.config, self._setup.instruments, block, self._agent)
        steps = list(self._wired.pipeline.process(block))
        for step in steps:
            self._hash.update(step)
        self.next_seq = block.seq + len(block)
        return steps

    def operate(self, operation: Operation) -> None:
        """Carry out a command of the operator, between the last row and the next.

        Raises:
            UsageError: If the order cannot be obeyed now.
        """
        if self._wiring is None:
            if operation is Operation.RESET_HALT and Operation.HALT not in self._early:
                raise UsageError("the session is not halted")
            self._early.append(operation)
            return
        simulator = self._wiring.simulator
        simulator.operate(operation, int(simulator.account["ts_event"][0]))

    @property
    def flags(self) -> tuple[bool, int]:
        """Whether trading is paused, and the Reason of a halt or 0."""
        if self._wiring is None:
            paused = [op for op in self._early if op in {Operation.PAUSE, Operation.FLATTEN, Operation.RESUME}]
            return bool(paused) and paused[-1] is not Operation.RESUME, 0
        account = self._wiring.simulator.account[0]
        return bool(account["paused"]), int(account["halted"])

    @property
    def wiring(self) -> Wiring | None:
        """The parts; None before the first bar."""
        return self._wiring

    @property
    def agent(self) -> Agent:
        """What decides."""
        return self._agent

    @property
    def ledger_sha256(self) -> str:
        """Hash of the rows so far."""
        return self._hash.hexdigest()

    def states(self) -> dict[str, bytes] | None:
        """The carried state of every part by name; None if the agent's cannot be saved."""
        agent = saved_state(self._agent)
        if agent is None:
            return None
        return {AGENT: agent, SIMULATOR: self._wired.simulator.snapshot(), HASH: self._hash.snapshot()}

    def restore(self, states: Mapping[str, bytes], first_ns: int, next_seq: int) -> None:
        """Go on from saved states, before any other bar."""
        self.begin(first_ns, next_seq)
        resume_from(self._agent, states[AGENT])
        self._wired.simulator.restore(states[SIMULATOR])
        self._hash.restore(states[HASH])

    @property
    def _wired(self) -> Wiring:
        if self._wiring is None:
            raise UsageError("no bar was seen yet")
        return self._wiring

    def _on_cut(self, seq: int) -> None:
        agent = self._agent
        if self.lookup is None or not isinstance(agent, Ensemble) or not agent.learned_seats:
            return
        folder = self.lookup(seq, str(agent.model_provenance.get("sha256")))
        if folder is None:
            return
        agent.swap(load_ensemble(folder))
        agent.on_cut()
        provenance = agent.model_provenance
        self.activations.append(Activation(seq, str(provenance["version"]), str(provenance["sha256"])))
