"""Running one variant: the loop of a backtest, keeping metrics and a thinned curve."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.app.agents import build_agent
from engine.app.backtest import RUN, run_backtest
from engine.app.benchmark import benchmark_of
from engine.app.comparison.bars import SharedBars
from engine.app.comparison.parts import Judge, RunPart
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared, prepare
from engine.app.trials.data import EquityReturns
from engine.app.trials.ledger import BlockSums
from engine.base.errors import GrandModelError
from engine.base.replacing import replaced_folder
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.contracts import Agent
from engine.types.instruments import Instrument, never_closes
from engine.types.step import StepBlock
from feeds.quarantine import Quarantine
from portfolio.benchmark import PriceSeries

Status = Literal["done", "refused", "failed"]
Build = Callable[[int], Agent]
CURVE_POINTS = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """What every variant of a comparison has in common; JSON-able, so that it can be sent to a worker.

    Attributes:
        config: Configuration; its agent is replaced by each variant's.
        instruments: By symbol.
        timeframe_ns: Length of the bars, nanoseconds.
        labels: What the times of the files stamp.
        labels_reason: How that was decided.
        parts: What is judged.
        synthetic: Files of made-up bars, by name.
        benchmark: Prices of a frame to compare with; those of a file are read where they are wanted.
    """

    config: BacktestConfig
    instruments: dict[str, Instrument]
    timeframe_ns: int
    labels: str
    labels_reason: str
    parts: tuple[RunPart, ...]
    synthetic: tuple[str, ...] = ()
    benchmark: PriceSeries | None = None


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """The result of a variant.

    Attributes:
        status: `done`; `refused`, if the agent cannot be built so; `failed`, if it failed while it ran.
        error: Why it is not done.
        ledger_sha256: That of the same backtest.
        config_sha256: Likewise.
        parts: Metrics of each part by its name.
        curve: Return since the start, at most CURVE_POINTS values, six digits each.
        halted: The limit that had stopped its trading at the end; None if none had.
        blocks: Sums over blocks of the bars' returns: counts, sums, sums of squares; None if it has none.
    """

    status: Status
    error: str | None = None
    ledger_sha256: str | None = None
    config_sha256: str | None = None
    parts: Mapping[str, Mapping[str, Any]] | None = None
    curve: tuple[float, ...] = ()
    halted: str | None = None
    blocks: BlockSums | None = None

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> VariantOutcome:
        """From what `asdict` makes of it, and JSON.

        Raises:
            KeyError: If something is missing.
            TypeError: If it is something else.
        """
        told = {one.name: tree[one.name] for one in fields(cls)}
        blocks = told["blocks"]
        sums = None if blocks is None else BlockSums(*(tuple(blocks[one.name]) for one in fields(BlockSums)))
        return cls(**{**told, "curve": tuple(told["curve"]), "blocks": sums})


def curve_rows(rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of the thin curve, the first and the last among them."""
    return np.unique(np.linspace(0, rows - 1, min(rows, CURVE_POINTS)).round().astype(np.int64))


def evaluate(
    setting: Setting, bars: BarBlock, spec: str, build: Build | None = None, folder: Path | None = None
) -> VariantOutcome:
    """Run one variant and judge its parts.

    Args:
        build: Builds the agent from the seed, where no specification can.
        folder: Where to keep the whole run; the bars are read from their files again, as a backtest does.
    """
    config = setting.config.model_copy(update={"agent": spec})
    with contextlib.redirect_stdout(sys.stderr):  # what a strategy prints is no part of the result
        try:
            agent = build(config.seed) if build is not None else build_agent(config)
        except GrandModelError as error:
            return VariantOutcome("refused", str(error))
        try:
            return _run(setting, bars, config, agent, folder)
        except GrandModelError as error:
            return VariantOutcome("failed", str(error))
        except Exception as error:  # a user's agent may raise anything; the other variants continue
            return VariantOutcome("failed", f"{type(error).__name__}: {error}")


def _run(setting: Setting, bars: BarBlock, config: BacktestConfig, agent: Agent, folder: Path | None) -> VariantOutcome:
    traded = list(setting.instruments.values())
    judge = Judge(
        setting.parts,
        curve_rows(len(bars)),
        bars.symbols,
        config.initial_capital,
        sessions_for(traded, int(bars.ts_event[0])),
        [item.multiplier * item.fx_rate for item in traded],
    )
    with contextlib.nullcontext() if folder is None else replaced_folder(folder, RUN, overwrite=True) as part:
        prepared = _prepared(setting, bars, config, part)
        benchmark = benchmark_of(prepared, bars)
        returns = EquityReturns(config.initial_capital)

        def watch(step: StepBlock) -> None:
            judge.watch(step)
            returns.update(step)

        run = run_backtest(config, part, prepared=prepared, agent=agent, watch=watch)
    return VariantOutcome(
        "done",
        None,
        run.manifest["ledger_sha256"],
        run.manifest["config_sha256"],
        judge.judged(config.statistics, never_closes(traded), benchmark),
        tuple(float(f"{value:.6g}") for value in judge.curve),
        None if (halted := run.metrics["halted"]) is None else str(halted),
        returns.sums(),
    )


def _prepared(setting: Setting, bars: BarBlock, config: BacktestConfig, folder: Path | None) -> Prepared:
    if folder is not None and config.data:
        prepared = prepare(config, Quarantine(folder / "quarantine.jsonl", config.replay.strict), setting.instruments)
        return replace(prepared, benchmark=setting.benchmark)
    source = SharedBars(replace(bars, seq=0), setting.timeframe_ns)
    quarantine = Quarantine(None)
    return Prepared(
        config, source, quarantine, setting.instruments, setting.timeframe_ns, setting.labels, setting.labels_reason,
        (), synthetic=setting.synthetic, benchmark=setting.benchmark,
    )  # fmt: skip
