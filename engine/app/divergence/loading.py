"""Reading what a run consisted of: from a session's journal, a backtest's folder, or files of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.models.metadata import read_ensemble
from agents.models.store import ModelStore
from engine.app.agents import models_folder
from engine.app.code import allow_code
from engine.app.config import BacktestConfig, RunConfig
from engine.app.divergence.parts import START, Command, Models, Recorded, Replacement
from engine.app.journal.recovering import known_challengers
from engine.app.learning.folder import CANDIDATE, LEARNING_FOLDER
from engine.app.live.folder import is_running
from engine.app.live.open_or_resume import runnable_setup
from engine.app.manifest import HASH_FORM
from engine.app.models import KeptModels
from engine.app.preparing import Prepared, prepare
from engine.app.verify import read_manifest, recorded_config
from engine.base.config import parse
from engine.base.errors import DataError, UsageError
from engine.base.nearest import nearest_folder
from engine.challengers.config import ChallengersConfig
from engine.journal.entries import letters_by_reason
from engine.journal.files import FILE
from engine.journal.reading import JournalReader
from engine.journal.reserve import Reserve
from engine.loop.driver import FOR_RIVALS
from engine.loop.learner import FOR_LEARNER
from engine.loop.ledger_hash import FORM, LedgerHash
from engine.types.blocks import BarBlock, concat
from engine.types.instruments import find_instrument
from engine.types.records import Operation
from engine.types.timeframe import format_timeframe
from feeds.quarantine import Quarantine

CHUNK_ROWS = 16_384
ABOUT_ROLES = FOR_RIVALS | FOR_LEARNER
"""Commands that mean nothing where models are replaced at rows that are given."""
MANIFEST = "manifest.json"


def is_session(folder: Path) -> bool:
    """Whether a folder holds the journal of a session."""
    return (folder / FILE).is_file()


def read_run(folder: Path, *, trust_code: bool = False) -> Recorded:
    """A session, or a finished backtest.

    Args:
        trust_code: Execute the strategy file that the run names though its hash is not recorded.

    Raises:
        UsageError: If the folder is neither, or the session is running.
        DataError: If it is damaged.
        CheckFailed: If its data or code are not those that it had.
    """
    if is_session(folder):
        return _session(folder, trust_code=trust_code)
    if not (folder / MANIFEST).is_file():
        raise UsageError(
            "this folder holds neither a session nor a finished run",
            where=str(folder),
            expected=f"a folder with {FILE}, which `grandmodel paper` writes, or with {MANIFEST}, which a backtest "
            "writes at its end",
            hint=nearest_folder(folder, FILE)
            or nearest_folder(folder, MANIFEST)
            or "`grandmodel runs` lists the runs that there are",
        )
    try:
        return _backtest(folder, trust_code=trust_code)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # of a manifest that was modified
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"cannot read the manifest: {reason}", where=str(folder / MANIFEST)) from error


def own_backtest(run: Recorded) -> Recorded:
    """The backtest of the bars of a session: nobody gives commands, and the models are those of the beginning."""
    models = replace(run.models, replaced=())
    return replace(run, name="its backtest", commands=(), models=models, ledger_sha256=None, refused={}, unended=False)


def backtest_of_files(run: Recorded, files: Sequence[str], history: int, **replay: Any) -> Recorded:
    """The backtest that a session would have been on the bars of files, in its period.

    Args:
        history: Rows before the session's first one with which the backtest begins.
        replay: Further keys of `feeds.replay.ReplayConfig`, such as `labels`.

    Raises:
        UsageError: If a file is called like an instrument that the session does not trade.
        GrandModelError: If the files cannot be read, or hold no bar of the period.
    """
    for file in files:
        _check_instrument(Path(file), run)
    read = {"symbols": run.symbols, "timeframe": format_timeframe(run.timeframe_ns), **replay}
    config = parse(BacktestConfig, {"data": tuple(files), "replay": read}, where="--data")
    prepared = prepare(config, Quarantine(None), dict(run.instruments))
    bars = _within(prepared, int(run.bars.ts_event[0]), int(run.bars.ts_event[-1]), history)
    if bars is None:
        raise DataError("the files hold no bar of the session's period", where=", ".join(files))
    found = replace(own_backtest(run), bars=bars, timeframe_ns=prepared.timeframe_ns)
    return replace(found, name="the backtest of the files")


def _check_instrument(file: Path, run: Recorded) -> None:
    """A file without a column of symbols is read as the session's one symbol, so its name must not speak against it."""
    name = file.name.partition(".")[0]
    instrument = find_instrument(name)
    traded = {each.name for each in run.instruments.values()}
    if instrument is None or instrument.name in traded or name.upper() in {symbol.upper() for symbol in run.symbols}:
        return
    raise UsageError(
        "the file is called like an instrument that the session does not trade",
        where=str(file),
        expected=f"bars of {', '.join(run.symbols)}",
        found=f"by its name, bars of {instrument.name}",
        hint="give the bars of the same instrument; if these are, rename the file",
    )


def _within(prepared: Prepared, first_ns: int, last_ns: int, history: int) -> BarBlock | None:
    """The rows of a period, and at most `history` rows before it; None if the period has none."""
    before: list[BarBlock] = []
    inside: list[BarBlock] = []
    for block in prepared.source.blocks(CHUNK_ROWS):
        start, stop = (int(at) for at in block.ts_event.searchsorted([first_ns, last_ns + 1]))
        before = [*before, block.slice(0, start)] if history else []
        while sum(map(len, before[1:])) >= max(history, 1):
            before.pop(0)
        inside.append(block.slice(start, stop))
        if stop < len(block):
            break
    if not any(map(len, inside)):
        return None
    early, whole = sum(map(len, before)), concat([*before, *inside])
    return replace(whole.slice(max(0, early - history), len(whole)), seq=0)


def _session(folder: Path, *, trust_code: bool) -> Recorded:
    if is_running(folder):
        raise UsageError(
            "a session is running in this folder",
            where=str(folder),
            expected="a session that no process is running",
            hint=f"stop it first: `grandmodel ctl {folder} stop`",
        )
    with JournalReader(folder) as reader:
        reader.check()
        if reader.first_seq > 0:
            raise UsageError(
                "the first rows of this session are gone",
                where=str(reader.path),
                expected="all rows from the first on",
                found=f"rows from {reader.first_seq} on",
                hint="keep them: journal.archive=true",
            )
        setup = runnable_setup(reader, trust_code=trust_code)
        digest, blocks = LedgerHash(), []
        for step in reader.steps(0, CHUNK_ROWS):
            digest.update(step)
            blocks.append(step.bars)
        if not blocks:
            raise DataError("the session has no bar yet", where=str(reader.path))
        bars = concat(blocks)
        learned = setup.config.learning is not None or bool(reader.learning_events())
        config = _as_replaced(setup.config) if learned else setup.config
        commands = tuple(
            _command(bars, one.seq, one.kind, one.name)
            for one in reader.operations()
            if not learned or one.kind not in ABOUT_ROLES
        )
        return Recorded(
            str(folder),
            bars,
            commands,
            _models_of_session(reader, config, bars),
            config,
            setup.instruments,
            setup.timeframe_ns,
            digest.hexdigest(),
            letters_by_reason(reader.counters()),
            Reserve(folder).unended,
        )


def _as_replaced(config: RunConfig) -> RunConfig:
    """The configuration of a run in whose middle versions entered, of which only those count that took over."""
    return config.model_copy(update={"learning": None, "challengers": ChallengersConfig()})


def _command(bars: BarBlock, seq: int, kind: Operation, name: str) -> Command:
    return Command(int(bars.ts_event[min(seq, len(bars)) - 1]) if seq else START, kind, name)


def _models_of_session(reader: JournalReader, config: RunConfig, bars: BarBlock) -> Models:
    kept, activations = KeptModels(reader.folder), reader.activations()
    first = next((one for one in activations if one.seq == 0), None)
    # where challengers may take over, they do so by the rules
    by_order = config.cuts.follow_store or not config.challengers.agents
    later = [one for one in activations if 0 < one.seq < len(bars)] if by_order else []
    return Models(
        None if first is None else kept.find(first.sha256),
        None if first is None else first.sha256,
        tuple(
            Replacement(int(bars.ts_event[one.seq]), one.version, one.sha256, kept.find(one.sha256)) for one in later
        ),
        config.cuts,
        config.challengers,
        known_challengers(reader, kept),
    )


def _backtest(folder: Path, *, trust_code: bool) -> Recorded:
    path = folder / MANIFEST
    manifest = read_manifest(path)
    if manifest.get("first_row"):
        raise UsageError("the first rows of this run are gone", where=str(path), expected="a run with all rows")
    config, known = recorded_config(path, manifest)
    allow_code(config, manifest.get("code"), str(path), trust=trust_code)
    prepared = prepare(config, Quarantine(None, config.replay.strict), known)
    blocks = [block for block in prepared.source.blocks(CHUNK_ROWS) if len(block)]
    if not blocks:
        raise DataError("this run has no bars", where=str(path))
    bars = concat(blocks)
    learned = bool(manifest.get("learning"))
    told = [
        _command(bars, int(one["seq"]), Operation[str(one["kind"]).upper()], str(one.get("name", "")))
        for one in manifest.get("operations") or ()
    ]
    commands = tuple(one for one in told if not learned or one.kind not in ABOUT_ROLES)
    chosen = _as_replaced(config) if learned else config
    return Recorded(
        str(folder),
        bars,
        commands,
        _models_of_manifest(manifest, chosen, bars, path),
        chosen,
        prepared.instruments,
        prepared.timeframe_ns,
        # a hash of another form says nothing of this one
        str(manifest["ledger_sha256"]) if manifest.get(HASH_FORM) == FORM else None,
    )


def _models_of_manifest(manifest: Mapping[str, Any], config: RunConfig, bars: BarBlock, path: Path) -> Models:
    first = (manifest.get("models") or {}).get("sha256")
    named = models_folder(config)
    by_order = config.cuts.follow_store or not config.challengers.agents
    later = [one for one in manifest.get("activations") or () if 0 < int(one["seq"]) < len(bars)] if by_order else []
    return Models(
        None if named is None else _version(first, named, path),
        None if named is None else first,
        tuple(
            Replacement(
                int(bars.ts_event[int(one["seq"])]),
                str(one["version"]),
                str(one["sha256"]),
                _version(str(one["sha256"]), named, path),
            )
            for one in later
        ),
        config.cuts,
        config.challengers,
    )


def _version(sha256: str | None, named: Path | None, manifest: Path) -> Path:
    """The folder of a version by its hash: the configured one, one of the model store, or one that the run learned.

    Raises:
        DataError: If it is in none of these places.
    """
    store = ModelStore()
    places: list[Path] = [*([] if named is None else [named]), *map(store.path, store.versions())]
    places += sorted((manifest.parent / LEARNING_FOLDER).glob(f"*/{CANDIDATE}"))
    for folder in places:
        if sha256 in {None, read_ensemble(folder)[1]}:
            return folder
    raise DataError(
        "the models of this run are gone",
        where=str(manifest),
        expected=f"a version with sha256 {sha256}",
        hint="add it to the model store again",
    )
