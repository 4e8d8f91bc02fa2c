"""Champion and challengers: books beside the champion's, and the rules by which one of them takes its place.

Everything follows from the steps: the same bars, commands and cuts give the same promotions. Roles change at cuts only,
except that a challenger that fails is retired where it fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.base.errors import DataError, GrandModelError, UsageError, recast
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.challengers.books import Book, Contender, Failed
from engine.challengers.config import ChallengersConfig
from engine.challengers.failures import in_words, warn_of_failure
from engine.challengers.paired import PairedTest, threshold
from engine.challengers.standing import Standing, wait_from
from engine.loop.learner import Entrant
from engine.loop.rivals import BY_EVIDENCE, BY_GATE, BY_ORDER, FAILURE, Role, RoleChange, TakeOver
from engine.loop.weights import Activation
from engine.monitor.numbers import percent
from engine.types.contracts import Agent, Simulator
from engine.types.records import Operation, Reason
from engine.types.step import StepBlock

HARD_LIMITS = frozenset({Reason.MAX_DAILY_LOSS, Reason.MAX_DRAWDOWN, Reason.BANKRUPT, Reason.MARGIN_CALL})
NO_ORDER = 0


class Stage(Protocol):
    """What the arena needs of the world around it; made where agents and accounts are known."""

    def account(self) -> Simulator:
        """A new account, as the champion's was at the beginning."""
        ...

    def bind(self, agent: Agent) -> None:
        """Let an agent learn what is traded."""
        ...

    def contender(self, entrant: Entrant) -> Contender:
        """Somebody who enters in the middle of a run.

        Raises:
            GrandModelError: If its models are not there.
        """
        ...

    def acquaint(self, agent: Agent, champion: Agent) -> None:
        """Let an agent that enters know the market as the champion does: its windows need not fill first."""
        ...

    def stand_by(self, agent: Agent) -> Agent:
        """One that goes on as the champion would have, once it is replaced: itself, or a copy of it.

        Raises:
            UsageError: If there can be none.
        """
        ...

    def take_over(self, champion: Agent, newcomer: Agent, simulator: Simulator) -> Agent:
        """Let a newcomer decide in the champion's account; gives the agent that decides from here on."""
        ...


class Candidates(NamedTuple):
    """What becomes of the candidates of training jobs.

    Attributes:
        most: How many trade at once.
        at_once: Whether they take over where they enter, rather than by their evidence.
    """

    most: int
    at_once: bool


class _Retired(NamedTuple):
    """What is left of one who no longer trades."""

    standing: Standing
    contender: Contender


class Arena:
    """Those who trade beside the champion; what the driver knows as `engine.loop.rivals.Rivals`.

    Args:
        config: The rules.
        bound: Loss in one block that counts in full, as a fraction.
        champion: Who decides at the beginning.
        challengers: Who trades beside it, in order.
        stage: As above.
        started: Challengers that were ever started before.
        failed: Of a run that is repeated: by the name of a challenger, the change that retired it because it failed.
        candidates: What becomes of the candidates of training jobs; None for a run without jobs.
    """

    def __init__(
        self,
        config: ChallengersConfig,
        bound: float,
        champion: Contender,
        challengers: Sequence[tuple[Contender, Agent]],
        stage: Stage,
        *,
        started: int = 0,
        failed: Mapping[str, RoleChange] | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        self.config, self.bound, self._candidates = config, bound, candidates
        self._stage = stage
        self._entered: dict[str, Entrant] = {}
        self._contenders = {one.name: one for one in (champion, *(contender for contender, _ in challengers))}
        self._first = list(challengers)
        self._champion = champion
        self._books: list[Book] = []
        self._retired: list[_Retired] = []
        self._failed = dict(failed or {})
        self._changes: list[RoleChange] = []
        # challengers ever started, row until which nobody is promoted, row of the last promotion or -1, an order, and
        # the halt that a promoted one found
        self._counts = np.array([started, 0, -1, NO_ORDER, 0], np.int64)
        self._named = ""  # whom an order to promote names
        self._high = np.zeros(2)  # of the champion since it was promoted: highest equity, largest fall
        self._equity = 0.0
        self._account: Simulator | None = None

    @property
    def champion(self) -> str:
        """Name of the one that decides now."""
        return self._champion.name

    @property
    def trading(self) -> frozenset[str]:
        """Names of the champion and of those who trade beside it."""
        return frozenset({self.champion, *(book.contender.name for book in self._books)})

    @property
    def models(self) -> dict[str, str]:
        """Hashes of the models of all contenders, by name; without those that have none."""
        return {name: one.sha256 for name, one in self._contenders.items() if one.sha256 is not None}

    def open(self) -> None:
        """Open an account for every challenger."""
        if self._account is not None:
            return
        self._account = self._stage.account()
        self._equity = float(self._account.account["equity"][0])
        for contender, agent in self._first:
            self._stage.bind(agent)
            account = self._stage.account()
            self._books.append(Book(contender, agent, account, self._test(), self._next_number(), 0, self._equity))

    def follow(self, step: StepBlock) -> None:
        """Trade the bars of a step of the champion's; one who fails is retired."""
        self._watch_champion(step)
        retired: list[tuple[int, Book, Failed | None]] = []
        for book in self._books:
            recorded = self._failed.get(book.contender.name)
            bars, equity = step.bars, step.column("equity")
            if recorded is not None and bars.seq <= recorded.seq < bars.seq + len(step):
                rows = recorded.seq - bars.seq
                bars, equity = bars.slice(0, rows), equity[:rows]
            else:
                recorded = None
            failed = book.follow(bars, equity, self.config.block_bars, self._stage.account)
            if failed is not None:
                retired.append((failed.seq, book, failed))
            elif recorded is not None:
                retired.append((recorded.seq, book, None))
        for seq, book, failed in sorted(retired, key=lambda one: one[0]):  # in the order of rows, as live
            if failed is None:
                recorded = self._failed[book.contender.name]
                self._retire(book, seq, recorded.because, recorded.by, recorded)
            else:
                warn_of_failure(book.contender.name, failed)
                self._retire(book, seq, f"it failed: {in_words(failed.error)}", FAILURE)

    def admit(self, seq: int, entrant: Entrant, agent: Agent) -> None:
        """Let a version trade from the row `seq` on, with what the champion knows of the market and a new account.

        Raises:
            UsageError: If one of that name trades already, or its models cannot be used.
        """
        if entrant.name in self.trading:
            raise UsageError(f"{entrant.name} trades already", found=", ".join(sorted(self.trading)))
        try:
            contender = self._stage.contender(entrant)
            newcomer = contender.build()
            self._stage.bind(newcomer)
            self._stage.acquaint(newcomer, agent)
        except GrandModelError as error:
            raise recast(error, UsageError) from error
        if entrant.candidate:
            self._make_way(seq, entrant)
        self._entered[entrant.name], self._contenders[entrant.name] = entrant, contender
        account = self._stage.account()
        self._books.append(Book(contender, newcomer, account, self._test(), self._next_number(), seq, self._equity))

    def _make_way(self, seq: int, entrant: Entrant) -> None:
        """Retire one candidate where as many trade as may: the oldest without evidence, else the one with the least."""
        trading = [book for book in self._books if book.contender.candidate and book.role == "challenger"]
        if self._candidates is None or len(trading) < self._candidates.most:
            return
        without = (book for book in trading if book.test.e_value <= 1.0)
        leaves = next(without, None) or min(trading, key=lambda book: book.test.e_value)
        self._retire(leaves, seq, f"it makes way for {entrant.name}", "rule")

    def at_cut(self, seq: int, agent: Agent, simulator: Simulator) -> TakeOver | None:
        """Retire, roll back or promote before the row `seq`, by the rules or by the operator's order."""
        self._equity = float(simulator.account["equity"][0])
        ordered, self._counts[3] = int(self._counts[3]), NO_ORDER
        named, self._named = self._named, ""
        halted = int(simulator.account["halted"][0])
        self._counts[4] = self._counts[4] if halted else 0
        shadow = self._shadow
        if shadow is not None and (why := self._taken_back(shadow, simulator, ordered)) is not None:
            return self._take_over(shadow, seq, agent, simulator, *why)
        for book in list(self._books):
            if (because := self._spent(book)) is not None:
                self._retire(book, seq, because, "rule")
        if ordered == Operation.PROMOTE:
            best, why = self._leading(self._named_by(named)), (BY_ORDER, "operator")
        elif (accepted := self._accepted(seq, simulator)) is not None:
            best, why = accepted, (BY_GATE, "job")
        else:
            best, why = self._leading(self._convincing(seq, simulator)), (BY_EVIDENCE, "test")
        return None if best is None else self._take_over(best, seq, agent, simulator, *why)

    def replaced(self, activation: Activation) -> None:
        """Other models took over in the champion: what was measured against the one before says nothing of it."""
        self._champion = replace(self._champion, version=activation.version, sha256=activation.sha256)
        for book in self._books:
            book.compare_from(self._test(), self._next_number(), activation.seq, self._equity)

    def operate(self, operation: Operation, ts_event: int, name: str = "") -> None:
        """Let the challengers obey what the champion obeys, or take an order about roles until the next cut.

        Raises:
            UsageError: If nobody can be promoted, or not the one that is named, or there is nothing to roll back.
        """
        if operation is Operation.PROMOTE:
            if not self._eligible:
                raise UsageError("there is no challenger that could be promoted", found=self._why_nobody())
            if not self._named_by(name):
                raise UsageError(
                    f"{name} is no challenger that could be promoted",
                    expected=", ".join(book.contender.name for book in self._eligible),
                    found=next((book.because for book in self._books if book.contender.name == name), None) or name,
                )
            self._counts[3], self._named = int(operation), name
        elif operation is Operation.ROLLBACK:
            if self._shadow is None:
                raise UsageError(
                    "there is no promotion that could be rolled back",
                    expected="a champion that was promoted, and has not been rolled back since",
                    found="the champion with which the session began, or to which it has returned",
                    hint="`grandmodel ctl DIR status` shows roles; `grandmodel ctl DIR promote` orders a promotion",
                )
            self._counts[3] = int(operation)
        else:
            for book in self._books:
                if operation is not Operation.RESET_HALT or _can_reset(book.simulator):
                    book.simulator.operate(operation, ts_event)

    def take_changes(self) -> list[RoleChange]:
        """Changes of roles since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def standings(self, equity: float, ledger_sha256: str = "") -> list[Standing]:
        """The champion first, then those who trade beside it, then those who no longer do.

        Args:
            equity: Of the champion.
            ledger_sha256: Of the run.
        """
        leads = self._champion
        first = Standing(
            leads.name, "champion", equity, ledger_sha256=ledger_sha256, version=leads.version, sha256=leads.sha256
        )
        return [first, *map(self._standing, self._books), *(one.standing for one in self._retired)]

    def leading(self, name: str = "") -> Standing | None:
        """Whom an order to promote would promote."""
        best = self._leading(self._named_by(name))
        return None if best is None else self._standing(best)

    @property
    def _shadow(self) -> Book | None:
        return next((book for book in self._books if book.role == "shadow"), None)

    @property
    def _cap(self) -> float:
        return self.bound / 2.0

    def _test(self) -> PairedTest:
        return PairedTest(bound=self.bound, gain_cap=self._cap, margin=self.config.margin)

    def _next_number(self) -> int:
        self._counts[0] += 1
        return int(self._counts[0])

    def _wanted(self, book: Book) -> float:
        """Evidence that changes roles: a shadow tests what was promoted already, so that no lucky one is searched."""
        return 1.0 / self.config.alpha if book.role == "shadow" else threshold(self.config.alpha, book.number)

    def _watch_champion(self, step: StepBlock) -> None:
        equity = step.column("equity")
        self._equity = float(equity[-1])
        if self._counts[2] < 0:
            return
        peaks = np.maximum(np.maximum.accumulate(equity), self._high[0])
        if peaks[0] > 0.0:
            self._high[1] = max(self._high[1], float((1.0 - equity / peaks).max()))
        self._high[0] = peaks[-1]

    def _taken_back(self, shadow: Book, champion: Simulator, ordered: int) -> tuple[str, str] | None:
        """Why the promotion is taken back now, and by whom; None if it stays."""
        if ordered == Operation.ROLLBACK:
            return "the operator rolled the promotion back", "operator"
        if not self.config.promote and self._candidates is None:
            return None
        if int(champion.account["halted"][0]) in HARD_LIMITS and not self._counts[4]:
            return "the promoted one met a hard limit", "rule"
        if self._high[1] > self.config.rollback_drawdown and self._equity < shadow.equity:
            return f"the promoted one fell by {percent(self._high[1], 1)} and earned less than its predecessor", "rule"
        if shadow.test.e_value >= self._wanted(shadow):
            return "its predecessor is better", "test"
        return None

    def _spent(self, book: Book) -> str | None:
        """Why a book ends here; None if it goes on."""
        config = self.config
        if book.test.blocks >= config.max_blocks:
            return f"no decision in {book.test.blocks:,} blocks"
        if book.role == "shadow":
            return None
        if book.test.beyond:
            return f"it lost more than {percent(self.bound, 1)} against the champion in one block"
        if book.drawdown > config.max_drawdown:
            return f"it fell by {percent(book.drawdown, 1)} from its highest equity"
        if int(book.simulator.account["halted"][0]) in HARD_LIMITS:
            return "it met a hard limit"
        return None

    @property
    def _eligible(self) -> list[Book]:
        """Challengers that can take the champion's place, whatever their evidence."""
        return [book for book in self._books if book.role == "challenger" and book.contender.only_watched is None]

    def _named_by(self, name: str) -> list[Book]:
        """Those that an order to promote is about: of one name, or of their version; all where it names nobody."""
        found = self._eligible
        exact = [book for book in found if book.contender.name == name]
        return exact or [book for book in found if not name or book.contender.version == name]

    def _accepted(self, seq: int, champion: Simulator) -> Book | None:
        """The candidate that enters before the row `seq`, where it takes over at once."""
        if self._candidates is None or not self._candidates.at_once or int(champion.account["halted"][0]):
            return None
        return next((book for book in self._eligible if book.contender.candidate and book.since == seq), None)

    def _convincing(self, seq: int, champion: Simulator) -> list[Book]:
        """Those whose evidence suffices, where the rules let anybody be promoted now."""
        if seq < self._counts[1] or int(champion.account["halted"][0]):
            return []
        return [
            book
            for book in self._eligible
            if (self.config.promote or book.contender.candidate)
            and book.test.blocks >= self.config.min_blocks
            and not book.test.correlated
            and book.test.e_value >= self._wanted(book)
        ]

    def _leading(self, books: Sequence[Book]) -> Book | None:
        """The one with the most evidence, the earlier one of equals."""
        return max(books, key=lambda book: book.test.e_value / self._wanted(book), default=None)

    def _why_nobody(self) -> str:
        reasons = [f"{book.contender.name}: {book.because}" for book in self._books if book.because]
        return "; ".join(reasons) or "nobody trades beside the champion"

    def _take_over(
        self, book: Book, seq: int, agent: Agent, simulator: Simulator, because: str, by: str
    ) -> TakeOver | None:
        """The owner of a book becomes the champion; one that was promoted leaves its predecessor as a shadow."""
        back, before = book.role == "shadow", self._champion
        try:
            left = None if back else self._left_behind(seq, agent, simulator)
        except UsageError as error:
            self._retire(book, seq, f"it cannot take over: {error.what}", "rule")
            return None
        self._note(seq, book, "champion", because, by)
        self._leave(book)
        if left is not None and (shadow := self._shadow) is not None:
            self._retire(shadow, seq, "another champion was promoted", "rule")
        decides = self._stage.take_over(agent, book.agent, simulator)
        self._champion = book.contender
        for other in self._books:
            other.compare_from(self._test(), self._next_number(), seq, self._equity)
        if left is None:
            gone = Standing(before.name, "retired", self._equity, because=f"taken back: {because}")
            self._retired.append(_Retired(gone, before))
            self._changes.append(RoleChange(seq, before.name, "retired", because, by))
        else:
            self._books.insert(0, left)
            self._note(seq, left, "shadow", f"{book.contender.name} took its place", by)
        self._counts[2] = -1 if back else seq
        self._counts[4] = int(simulator.account["halted"][0])
        self._high[:] = self._equity, 0.0
        self._counts[1] = seq + self.config.cooldown_blocks * self.config.block_bars
        sha256 = book.contender.sha256
        return TakeOver(decides, None if sha256 is None else Activation(seq, book.contender.version, sha256))

    def _left_behind(self, seq: int, agent: Agent, simulator: Simulator) -> Book:
        """The book of the champion that is about to be replaced, which goes on from where it is.

        Raises:
            UsageError: If the agent cannot go on beside its successor.
        """
        account = self._stage.account()
        account.restore(simulator.snapshot())
        stays = self._stage.stand_by(agent)
        return Book(self._champion, stays, account, self._test(), 0, seq, self._equity, role="shadow")

    def _leave(self, book: Book) -> None:
        self._books = [other for other in self._books if other is not book]

    def _retire(self, book: Book, seq: int, because: str, by: str, recorded: RoleChange | None = None) -> None:
        book.role, book.because = "retired", because
        self._leave(book)
        self._retired.append(_Retired(self._standing(book), book.contender))
        if recorded is None:
            self._note(seq, book, "retired", because, by)
        else:
            self._changes.append(recorded)

    def _note(self, seq: int, book: Book, role: Role, because: str, by: str) -> None:
        test = book.test
        self._changes.append(
            RoleChange(seq, book.contender.name, role, because, by, test.blocks, test.e_value, self._wanted(book))
        )

    def _standing(self, book: Book) -> Standing:
        test, wanted = book.test, self._wanted(book)
        trades = book.role != "retired"
        return Standing(
            book.contender.name,
            book.role,
            book.equity,
            book.drawdown,
            test.blocks,
            test.e_value,
            wanted,
            wait_from(test, wanted, self.bound, self._cap, self.config.margin) if trades else None,
            test.mean,
            test.deviation,
            test.correlation,
            book.because,
            book.ledger_sha256,
            book.contender.version,
            book.contender.sha256,
        )

    def snapshot(self) -> State | None:
        """The carried state; None if that of an agent cannot be saved."""
        books = [book.snapshot() for book in self._books]
        if None in books:
            return None
        owners = [{"name": book.contender.name, "role": book.role} for book in self._books]
        retired = [one.standing.tree() for one in self._retired]
        numbers = snapshot_of({}, self._carried())
        leads = {"name": self.champion, "version": self._champion.version, "sha256": self._champion.sha256}
        state: State = {"champion": leads, "owners": owners, "books": books, "retired": retired, "numbers": numbers}
        # nothing is written where nobody has entered, as versions wrote it in which nobody could
        entered = {"entered": [one._asdict() for one in self._entered.values()]} if self._entered else {}
        return state | entered | ({"named": self._named} if self._named else {})

    def restore(self, state: Any, agent: Agent) -> Agent:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of an arena made alike.
        """
        more = [key for key in ("entered", "named") if isinstance(state, dict) and key in state]
        parts = parts_of(state, ("champion", "owners", "books", "retired", "numbers", *more))
        self._named = str(parts.get("named", ""))
        for tree in parts.get("entered", ()):
            self._entered[tree["name"]] = Entrant(**tree)
            self._contenders[tree["name"]] = self._stage.contender(self._entered[tree["name"]])
        found = arrays_of(parts["numbers"], {}, self._carried())
        self._counts, self._high, self._equity = found["counts"], found["high"], float(found["equity"][0])
        fresh = {contender.name: made for contender, made in self._first}
        self._books = [self._restored(owner, book, fresh) for owner, book in self._pairs(parts)]
        self._retired = [_Retired(Standing(**tree), self._known(str(tree["name"]))) for tree in parts["retired"]]
        leads = parts_of(parts["champion"], ("name", "version", "sha256"))
        before, known = self._champion, self._known(str(leads["name"]))
        self._champion = replace(known, version=leads["version"], sha256=leads["sha256"])
        if known is before or known.sha256 is not None:
            return agent  # models took over within it
        decides = known.build()
        self._stage.bind(decides)
        return decides

    def _pairs(self, parts: State) -> list[tuple[State, State]]:
        return list(zip(parts["owners"], parts["books"], strict=True))

    def _restored(self, owner: State, state: State, fresh: dict[str, Agent]) -> Book:
        contender = self._known(str(owner["name"]))
        agent = fresh.pop(contender.name, None) or contender.build()
        self._stage.bind(agent)
        book = Book(contender, agent, self._stage.account(), self._test(), 0, 0, 0.0, role=owner["role"])
        book.restore(state)
        return book

    def _known(self, name: str) -> Contender:
        if name not in self._contenders:
            raise DataError("the snapshot has another challenger", expected=", ".join(self._contenders), found=name)
        return self._contenders[name]

    def _carried(self) -> dict[str, Any]:
        return {"counts": self._counts, "high": self._high, "equity": np.array([self._equity])}


def evidence_in(state: State) -> Iterator[tuple[str, State]]:
    """What decides about roles in a snapshot of an arena, by name: the counts, then every book's ledger and test."""
    yield "all of them", {name: state[name] for name in ("champion", "owners", "numbers")}
    for owner, book in zip(state["owners"], state["books"], strict=True):
        yield str(owner["name"]), {name: book[name] for name in ("simulator", "hash", "test", "numbers")}


def _can_reset(simulator: Simulator) -> bool:
    """Whether a halt of an account can be reset: it is halted, flat and solvent."""
    account = simulator.account[0]
    flat = not np.any(simulator.positions["quantity"]) and not np.any(simulator.orders["state"])
    return bool(account["halted"]) and flat and float(account["equity"]) > 0.0
