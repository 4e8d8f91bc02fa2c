"""Opening a live session: a new one, or the one that the folder holds, exactly where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.models.metadata import read_ensemble
from engine.app.agents import models_folder
from engine.app.challengers import ChallengersKnown, about_challenger, learner_of, models_of
from engine.app.code import allow_code, changed_code, code_entries, recorded_code
from engine.app.extras import need_training
from engine.app.journal.recovering import MERGER, SCHEMAS, SEEN, recover, seen_of
from engine.app.live.config import PaperConfig
from engine.app.live.folder import OWN_FILES
from engine.app.manifest import versions
from engine.app.models import KeptModels, follow_store
from engine.app.roles import begin_challenges, started_before, tell_store
from engine.app.wiring import Setup, make_driver
from engine.base.config import parse
from engine.base.errors import DataError, UsageError
from engine.base.log import logger
from engine.journal.entries import Entry, Ordered
from engine.journal.files import JournalError, remove
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader, has_begun
from engine.journal.reserve import Reserve
from engine.loop.driver import Driver
from engine.loop.learner import LearningEvent
from engine.loop.weights import Activation, FixedWeights
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from engine.types.moments import written
from engine.types.records import Operation
from feeds.live.merging.rows import REMEMBERED

if TYPE_CHECKING:
    from engine.app.learning.live import LiveJobs

# what a restart may change: how a session is driven, watched and ended, never what it does with a bar
NEUTRAL_KEYS = frozenset(
    {
        "feed",
        "journal",
        "end",
        "alerts",
        "metrics",
        "heartbeat_file",
        "standby",
        "instrument",
        "monitor",
        "monitor_rules",
    }
)
# of feeds, which a restart may change
RETIRED_FEED_KEYS = frozenset({"max_jump_days"})
SESSION_KEYS = frozenset({"config", "symbols", "instruments", "timeframe_ns", "models", "code", "versions"})


@dataclass
class Opened:
    """A session that is ready for its next bar.

    Attributes:
        folder: Of the session.
        journal: Open for writing.
        reserve: For commands that the journal does not take.
        setup: What the session consists of.
        driver: As after the last committed row.
        positions: Offsets at which partitions resume.
        states: Saved state of other parts, by name.
        counters: Running counts.
        recent: The last rows, in order.
        resumed: Whether the session was there before.
        owed: Commands that hold and that the journal lacks, because it cannot be written.
        halted_because: Why the session begins halted, if it does without having been told to.
        jobs: Computes the training jobs of a session that learns.
        learning_events: What has become of training jobs, and of versions that were named.
    """

    folder: Path
    journal: Journal
    reserve: Reserve
    setup: Setup
    driver: Driver
    positions: dict[str, str]
    states: dict[str, Any]
    counters: dict[str, int]
    recent: list[BarBlock]
    resumed: bool
    owed: list[Entry] = field(default_factory=list)
    halted_because: str | None = None
    jobs: LiveJobs | None = None
    learning_events: Sequence[LearningEvent] = ()


def stored_config(folder: Path) -> dict[str, Any]:
    """The configuration with which a session began, as a tree."""
    with JournalReader(folder) as reader:
        return _current(reader.session["config"])


def _current(tree: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the keys that earlier versions wrote and this one does not know."""
    feed = {key: value for key, value in tree.get("feed", {}).items() if key not in RETIRED_FEED_KEYS}
    return {**tree, "feed": feed}


def check_session_folder(folder: Path) -> None:
    """Refuse to begin a session among files that are not a session's.

    Raises:
        UsageError: If there are any.
    """
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in OWN_FILES) if folder.is_dir() else []
    if foreign:
        raise UsageError(
            "the session folder holds other files",
            where=str(folder),
            expected="a new or empty folder, or that of an earlier session, which then resumes",
            found=", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else ""),
            hint="choose another folder (--out)",
        )


def open_session(
    folder: Path,
    config: PaperConfig,
    instruments: Mapping[str, Instrument],
    timeframe_ns: int,
    trace: Callable[[str], object] | None = None,
    *,
    trust_code: bool = False,
) -> Opened:
    """Start a session, or resume the one in the folder.

    Args:
        folder: Of the session; the caller holds its lock.
        instruments: By symbol, in the order of the columns.
        timeframe_ns: Length of the bars, nanoseconds.
        trace: As in `Journal`.
        trust_code: Execute the strategy file that the folder's session names though its hash is not recorded.

    Raises:
        UsageError: If the folder's session has other settings, or the folder holds other things.
        GrandModelError: If the session cannot be recovered.
    """
    resumed, reserve = has_begun(folder), Reserve(folder)
    lost = not reserve.is_there and reserve.unended
    if resumed and not lost and _untouched(folder) and not reserve.lacking(0):
        remove(folder)  # settings of a first attempt that found no broker are not binding
        resumed = False
    if not resumed:
        check_session_folder(folder)
        return _new(folder, config, instruments, timeframe_ns, trace, reserve)
    with JournalReader(folder) as reader:
        wrong = reader.check()
        _check_clock(reader, config, timeframe_ns)
        _same_settings(reader, config, instruments, timeframe_ns)
        setup = runnable_setup(reader, trust_code=trust_code)
        driver = recover(reader, setup)
        positions, counters = reader.positions(), reader.counters()
        states = {name: state for name, (_, state) in reader.states(MERGER, SEEN, SCHEMAS).items()}
        if SEEN in wrong:
            states[SEEN] = seen_of(reader)
        recent = _recent(reader, driver.next_seq)
        events = reader.learning_events()
        decided = reader.role_changes()
    journal = Journal(folder, config.journal.durability, trace)
    if wrong:
        reasons = "; ".join(wrong[name].what for name in sorted(wrong))
        logger("journal").warning(
            "saved states that cannot be used have been rebuilt", reasons=reasons, rows=driver.next_seq
        )
        journal.drop_states(wrong)
    owed = late_orders(journal, reserve, driver)
    missing = not reserve.is_there
    lost = missing and (not reserve.take_room() or lost)
    because = _halt(folder, driver, owed) if lost else None
    if not reserve.begin():
        raise JournalError(
            "there is no room for the commands of an operator",
            where=str(folder),
            hint="free some space on the disk, then start again",
        )
    commit_owed(journal, reserve, owed)
    tell_store(decided, models_of(driver), setup.config, folder)  # what a kill may have kept from it
    driver = with_weights(driver, config, folder)
    opened = Opened(folder, journal, reserve, setup, driver, positions, states, counters, recent, resumed)
    opened.owed, opened.halted_because = owed, because
    opened.learning_events, opened.jobs = events, _with_jobs(driver, setup, folder, events)
    return opened


def _halt(folder: Path, driver: Driver, owed: list[Entry]) -> str | None:
    """Halt a session that may have been told so; returns why, None if it is halted already."""
    if driver.flags[1]:
        return None
    driver.operate(Operation.HALT)
    seq = driver.next_seq
    owed.append(Entry(seq=seq, operation=Ordered(seq, driver.last_ns, Operation.HALT, "start")))
    return (
        "a command may be lost: the session did not end in order, or the disk is full, and the place that keeps "
        f"commands beside the journal is missing; `grandmodel ctl {folder} reset-halt` lets it trade again"
    )


def commit_owed(journal: Journal, reserve: Reserve, owed: list[Entry]) -> None:
    """Commit what holds already, as far as the journal can be written; what it cannot take stays."""
    try:
        while owed:
            journal.commit(owed[0])
            owed.pop(0)
        reserve.clear()
    except JournalError as error:
        logger("journal").warning("commands that hold cannot be written yet", reason=error.what, commands=len(owed))


def late_orders(journal: Journal, reserve: Reserve, driver: Driver) -> list[Entry]:
    """Obey the commands that the session obeyed before it was killed, and that its journal could not take.

    They hold from the next row on: what came between is delivered again, and is not traded as if nobody had spoken.

    Returns:
        What the journal lacks.

    Raises:
        DataError: If they cannot be read.
    """
    owed: list[Entry] = []
    for order in reserve.lacking(journal.last_operation):
        name = order.kind.name.lower()
        try:
            driver.operate(order.kind, order.name)
        except UsageError as error:  # a reset of what never came to be
            logger("journal").warning("a command that waited for the disk is void", command=name, why=error.what)
            continue
        seq = driver.next_seq
        owed.append(Entry(seq=seq, operation=order._replace(seq=seq, ts_event=driver.last_ns)))
        logger("journal").warning(
            "a command that waited for the disk holds from here", command=name, by=order.by, row=seq
        )
    return owed


def _recent(reader: JournalReader, end: int) -> list[BarBlock]:
    """The last rows before one, as many as the merger remembers or more."""
    back = REMEMBERED
    while end - back > reader.first_seq:
        block = next(reader.stored(end - back), None)
        if block is not None and block.seq <= end - REMEMBERED:
            break
        back *= 2
    return [step.bars for step in reader.steps(max(reader.first_seq, end - back))]


def _check_clock(reader: JournalReader, config: PaperConfig, timeframe_ns: int) -> None:
    """Refuse to resume after rows that are ahead of the clock: every new message would be late."""
    ahead, last = config.feed.ahead_ns, reader.last_ts
    now = int(time.time() * 1e9)
    if ahead is not None and last is not None and last > now + ahead + timeframe_ns:
        raise DataError(
            "the last rows of this session are ahead of the clock, so every new message would be late",
            where=str(reader.path),
            expected=f"rows up to {written(now, 's')} UTC",
            found=f"a row that closes at {written(last, 's')} UTC",
            hint=f"correct this machine's clock; or remove them: `grandmodel journal mend {reader.folder}`; or, for "
            "a feed whose times run ahead of the clock, set feed.max_ahead_s to null",
        )


def _untouched(folder: Path) -> bool:
    with JournalReader(folder) as reader:
        return reader.untouched


def stored_setup(reader: JournalReader) -> Setup:
    """What the session of a journal consists of.

    Raises:
        GrandModelError: If what the journal says of it is damaged.
    """
    session, where = reader.session, str(reader.path)
    if missing := SESSION_KEYS - session.keys():
        raise DataError("the journal has no record of what is traded", where=where, expected=", ".join(sorted(missing)))
    config = parse(PaperConfig, _current(session["config"]), where=f"{where}, config")
    instruments = {
        symbol: parse(Instrument, session["instruments"][symbol], where=f"{where}, instruments.{symbol}")
        for symbol in session["symbols"]
    }
    return Setup(config, instruments, int(session["timeframe_ns"]), stands_in=True)


def runnable_setup(reader: JournalReader, *, trust_code: bool = False) -> Setup:
    """What the session of a journal consists of, to be run: its strategy file is checked, and announced.

    Raises:
        GrandModelError: As `stored_setup` and `engine.app.code.allow_code`.
    """
    setup = stored_setup(reader)
    allow_code(setup.config, reader.session["code"], str(reader.path), trust=trust_code)
    return setup


def _new(
    folder: Path,
    config: PaperConfig,
    instruments: Mapping[str, Instrument],
    timeframe_ns: int,
    trace: Callable[[str], object] | None,
    reserve: Reserve,
) -> Opened:
    version = models_folder(config)
    setup = Setup(config, instruments, timeframe_ns, stands_in=True)
    activations: tuple[Activation, ...] = ()
    if version is not None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = KeptModels(folder).keep(version)
        metadata, digest = read_ensemble(kept)
        setup = replace(setup, models=kept)
        activations = (Activation(0, metadata.version, digest),)
    models = _kept_challengers(folder, config)
    started = started_before(config)
    known = ChallengersKnown({spec: kept for spec, (kept, _) in models.items()}, started)
    setup = replace(setup, challengers=known, find_models=KeptModels(folder).find)
    driver = make_driver(setup)
    jobs = _with_jobs(driver, setup, folder, ())
    if jobs is not None:
        _check_learning(jobs, setup)
    journal = Journal(folder, config.journal.durability, trace)
    standby = None
    if config.standby:
        driver.operate(Operation.PAUSE)
        standby = Ordered(0, 0, Operation.PAUSE, "standby")
    shas = {spec: sha256 for spec, (_, sha256) in models.items()}
    told = {"challengers": {"models": shas, "started": started}} if config.has_arena else {}
    meta = {"session": json.dumps(_session(config, instruments, timeframe_ns, driver) | told)}
    reserve.take_room()
    journal.commit(Entry(meta=meta, activations=activations, operation=standby))
    reserve.begin()
    begin_challenges(config, folder)
    driver = with_weights(driver, config, folder)
    return Opened(folder, journal, reserve, setup, driver, {}, {}, {}, [], resumed=False, jobs=jobs)


def _with_jobs(driver: Driver, setup: Setup, folder: Path, events: Sequence[LearningEvent]) -> LiveJobs | None:
    """Let a session compute its training jobs, and the one that had not ended; None where it does not learn."""
    learner, learning = learner_of(driver), setup.config.learning
    if learner is None or learning is None:
        return None
    from engine.app.learning.live import LiveJobs  # noqa: PLC0415 - few sessions learn

    admitted = frozenset(one.job for one in events if one.status == "admitted" and one.job is not None)
    learner.jobs = jobs = LiveJobs(setup, learning, folder, admitted)
    if learner.job is not None:
        jobs.start(learner.job)
    return jobs


def _check_learning(jobs: LiveJobs, setup: Setup) -> None:
    """See that a new session can learn.

    Raises:
        GrandModelError: If it cannot.
    """
    try:
        need_training()
        if setup.models is None:
            raise UsageError("an ensemble without networks cannot learn", expected="networks in all seats")
        jobs.check(setup.models)
    except BaseException:
        jobs.close()
        raise


def _kept_challengers(folder: Path, config: PaperConfig) -> dict[str, tuple[Path, str]]:
    """Versions of the challengers that are ensembles, copied to the session: folders and hashes by specification."""
    found: dict[str, tuple[Path, str]] = {}
    for spec in config.challengers.agents:
        with about_challenger(spec):
            version = models_folder(config.model_copy(update={"agent": spec}))
            if version is not None:
                folder.mkdir(parents=True, exist_ok=True)
                kept = KeptModels(folder).keep(version)
                found[spec] = kept, read_ensemble(kept)[1]
    return found


def _session(
    config: PaperConfig, instruments: Mapping[str, Instrument], timeframe_ns: int, driver: Driver
) -> dict[str, Any]:
    return {
        "kind": "paper",
        "config": config.model_dump(mode="json"),
        "symbols": list(instruments),
        "instruments": {symbol: item.model_dump(mode="json") for symbol, item in instruments.items()},
        "timeframe_ns": timeframe_ns,
        "models": dict(driver.agent.model_provenance),
        "code": code_entries(config),
        "versions": versions(),
    }


def _same_settings(
    reader: JournalReader, config: PaperConfig, instruments: Mapping[str, Instrument], timeframe_ns: int
) -> None:
    session, stored = reader.session, stored_setup(reader).config
    # as read by this release, which may have settings that the stored text lacks
    then = {**_decisive(stored.model_dump(mode="json")), "timeframe_ns": session["timeframe_ns"]}
    then |= {key: session[key] for key in ("symbols", "instruments")}
    now = {**_decisive(config.model_dump(mode="json")), "symbols": list(instruments), "timeframe_ns": timeframe_ns}
    now["instruments"] = {symbol: item.model_dump(mode="json") for symbol, item in instruments.items()}
    if then["symbols"] != now["symbols"]:  # which says more than what each of them is made of
        del then["instruments"], now["instruments"]
    before, after = dict(_leaves(then)), dict(_leaves(now))
    changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if changed:
        shown = [f"{key}: {before.get(key)} there, {after.get(key)} here" for key in sorted(changed)[:5]]
        raise UsageError(
            "the session in this folder has other settings",
            where=str(reader.folder),
            expected="settings that affect decisions cannot change within a session",
            found="; ".join(shown) + ("; ..." if len(changed) > 5 else ""),
            hint="use the same settings (or only --out), or start a new session in another folder",
        )
    other = changed_code(recorded_code(session["code"], str(reader.path)))
    if other is not None:
        entry, found = other
        raise UsageError(
            "a file that affects decisions has changed since the session started",
            where=entry["path"],
            expected=f"sha256 {entry['sha256']}",
            found=found,
            hint="restore the old file, or start a new session in another folder",
        )


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in NEUTRAL_KEYS}


def _leaves(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, tree


def with_weights(driver: Driver, config: PaperConfig, folder: Path) -> Driver:
    """Let the driver look into the model store at its cuts, if it is to follow it; versions are copied and kept."""
    follows = config.cuts.follow_store
    driver.weights = follow_store(driver.agent, KeptModels(folder).keep) if follows else FixedWeights()
    return driver
