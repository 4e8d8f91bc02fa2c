"""Fit a market to bars: what `grandmodel data fit` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.base.errors import DataError
from engine.base.files import sha256_file
from engine.base.replacing import refuse_existing, replaced_file
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from engine.types.timeframe import MINUTE_NS, format_timeframe
from feeds.fitting.fit_garch_model import fit_symbols
from feeds.fitting.model import Dropped, FittedModel, Sampled, Source, arrays_path, write_model
from feeds.fitting.sampling import sample_sessions

Kind = Literal["garch", "bootstrap"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_bars(timeframe_ns: int, instruments: Sequence[Instrument]) -> None:
    """Refuse bars that no model can be fitted to.

    Raises:
        DataError: If they are not of a minute, or symbols have different sessions.
    """
    if timeframe_ns != MINUTE_NS:
        raise DataError(
            "a market is fitted to 1-minute bars",
            expected="bars of 1min",
            found=f"bars of {format_timeframe(timeframe_ns)}",
        )
    calendars = {(one.calendar, one.daily_halt) for one in instruments}
    if len(calendars) > 1:
        raise DataError(
            "symbols with different sessions cannot be fitted together",
            expected="instruments of one calendar and daily halt",
            found=", ".join(sorted({one.calendar for one in instruments})),
            hint="fit them apart",
        )


def fit_market(
    block: BarBlock,
    instruments: Sequence[Instrument],
    kind: Kind,
    out: Path,
    *,
    files: Sequence[Path] = (),
    bad_rows: int = 0,
    starts: int = 4,
    seed: int = 0,
    overwrite: bool = False,
) -> FittedModel:
    """Fit a model and write it.

    Args:
        block: 1-minute bars of one or several symbols.
        instruments: Of the symbols.
        kind: Of the model.
        out: File to write; of a bootstrap, the sessions go into an NPZ file beside it.
        files: Where the bars come from, for the record.
        bad_rows: That were put aside while reading, for the record.
        starts, seed: Of the searches for parameters.
        overwrite: Whether files that exist are replaced.

    Raises:
        DataError: If the bars are too few, or cannot be fitted.
        UsageError: If a file exists, or cannot be written.
    """
    refuse_existing(out, overwrite=overwrite)
    head: dict[str, Any] = {
        "model": kind,
        "data": tuple(Source(path=str(file), sha256=sha256_file(file)) for file in files),
        "first": _iso(int(block.ts_event[0])),
        "last": _iso(int(block.ts_event[-1])),
        "bars": int(np.count_nonzero(block.present)),
    }
    if kind == "garch":
        fitted, joint = fit_symbols(block, instruments, starts, seed)
        model = FittedModel(
            **head,
            sessions=len(np.unique(fitted[0].key >> 20)),
            dropped=Dropped(
                bad_rows=bad_rows,
                outside=sum(one.outside for one in fitted),
                after_gaps=sum(one.after_gaps for one in fitted),
            ),
            symbols=tuple(one.model for one in fitted),
            joint=joint,
        )
    else:
        model = _bootstrap(block, instruments, out, head, bad_rows, overwrite=overwrite)
    write_model(out, model, overwrite=overwrite)
    return model


def _bootstrap(
    block: BarBlock, instruments: Sequence[Instrument], out: Path, head: dict[str, Any], bad_rows: int, *,
    overwrite: bool,
) -> FittedModel:  # fmt: skip
    found, arrays = sample_sessions(block, instruments), arrays_path(out)
    with replaced_file(arrays, overwrite=overwrite) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **found.arrays)
    kept, minutes, _ = found.arrays["change"].shape
    sampled = Sampled(
        arrays=arrays.name,
        sha256=sha256_file(arrays),
        sessions=kept,
        minutes=minutes,
        run=found.run,
        drift=tuple(found.drift),
        prices=tuple(found.prices),
        names=block.symbols,
        instruments=tuple(instruments),
        volume=tuple(bool(np.isfinite(found.arrays["volume"][:, :, k]).any()) for k in range(len(instruments))),
    )
    return FittedModel(
        **head,
        sessions=kept + found.dropped,
        dropped=Dropped(bad_rows=bad_rows, outside=found.outside, sessions=found.dropped),
        sampled=sampled,
    )


def _iso(ns: int) -> str:
    return (EPOCH + timedelta(microseconds=ns // 1000)).isoformat().replace("+00:00", "Z")
