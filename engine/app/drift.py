"""Drift of a finished run or of a session, and references to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.app.live.open_or_resume import stored_setup
from engine.app.verify import recorded_bars
from engine.base.errors import DataError
from engine.journal.files import FILE
from engine.journal.reading import JournalReader
from engine.monitor.drift.detector import DriftDetector
from engine.monitor.drift.reference import Reference, build_reference
from engine.monitor.drift.streams import Observations, Streams, joined
from engine.report.monitoring import table_observations

BLOCK_ROWS = 16_384


def reference_of(folder: Path, run_length: float) -> Reference:
    """Statistics of a session or of a finished run, for others to be compared with.

    Args:
        run_length: Mean number of observations between false alarms of a stream.

    Raises:
        UsageError: If there is no session or run.
        DataError: If it is too short, or damaged.
        CheckFailed: If the bars of a run are not those that its manifest names.
    """
    streams, found = _observed(folder)
    kept = [one.copied() for one in found]
    if not kept:
        raise DataError("there is nothing to compare with", where=str(folder), found="no bars")
    return build_reference(streams.names, streams.timeframe_ns, joined(kept), run_length)


def drift_of_run(folder: Path, reference: Reference) -> DriftDetector:
    """Watch a finished run for drift.

    Raises:
        UsageError: If the reference is of another market.
        GrandModelError: As `reference_of`.
    """
    streams, found = _observed(folder)
    detector = DriftDetector(reference, streams.symbols, streams.timeframe_ns)
    detector.watch(found)
    return detector


def _observed(folder: Path) -> tuple[Streams, Iterator[Observations]]:
    """What a session or run says; each part holds until the next."""
    if (folder / FILE).is_file():
        with JournalReader(folder) as reader:
            setup = stored_setup(reader)
        streams = Streams(setup.symbols, setup.timeframe_ns)
        return streams, _of_session(folder, streams)
    prepared = recorded_bars(folder)
    streams = Streams(prepared.source.symbols, prepared.timeframe_ns)
    blocks = prepared.source.blocks(BLOCK_ROWS)

    def parts() -> Iterator[Observations]:
        yield from map(streams.bars, blocks)
        yield from table_observations(folder, streams)

    return streams, parts()


def _of_session(folder: Path, streams: Streams) -> Iterator[Observations]:
    with JournalReader(folder) as reader:
        for step in reader.steps(reader.first_seq):
            yield from streams.observe(step)
