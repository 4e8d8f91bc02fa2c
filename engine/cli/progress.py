"""Progress of a run in the terminal: a spinner while kernels compile, a progress bar after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from engine.cli.interrupting import interruptible

if TYPE_CHECKING:
    from engine.app.preparing import Prepared
    from engine.types.blocks import BarBlock
    from engine.types.step import StepBlock


def compiled(agent: str = "flat", *others: str, challengers: Sequence[str] = (), live: bool = False) -> None:
    """Load the compiled kernels before the loop is timed; compile them, announced, the first time.

    Args:
        agent: Its specification.
        others: Those of agents that run as well.
        challengers: Those of challengers; errors say so.
        live: Whether a live session will run.
    """
    from agents.registry import check_exists
    from engine.app.warmup import Kind, is_warm, kind_of, warm_up

    for one in (agent, *others):
        check_exists(one)
    for one in challengers:
        from engine.app.challengers import about_challenger

        with about_challenger(one):
            check_exists(one)
    kinds: list[Kind] = list(dict.fromkeys(kind_of(one) for one in (agent, *others, *challengers)))
    if live:
        kinds.append("live")
    cold = not all(is_warm(kind) for kind in kinds)
    with interruptible(), _announced() if cold else nullcontext():
        for kind in kinds:
            warm_up(kind)


@contextmanager
def _announced() -> Iterator[None]:
    """A spinner on a terminal, a line elsewhere."""
    from engine.app.warmup import MESSAGE
    from engine.cli.console import err

    if err().is_terminal:
        with err().status(MESSAGE):
            yield
    else:
        err().print(MESSAGE, style="dim")
        yield


def total_rows(prepared: Prepared) -> int | None:
    """Rows the source will give, if it can tell."""
    total: int | None = getattr(prepared.source, "total_rows", None)
    return total


def _on_terminal() -> bool:
    from engine.cli.console import err

    return err().is_terminal


@contextmanager
def progress(prepared: Prepared, quiet: bool) -> Iterator[Callable[[StepBlock], None] | None]:
    """A progress bar on standard error while the body runs; nothing if it is not a terminal or not wanted."""
    if quiet or not _on_terminal():
        yield None
        return
    with _bar("backtest", total_rows(prepared)) as advance:
        yield lambda step: advance(len(step))


@contextmanager
def counted(blocks: Iterator[BarBlock], what: str, total: int | None = None) -> Iterator[Iterator[BarBlock]]:
    """The same blocks, with a progress bar on standard error while they are taken; none if it is not a terminal.

    Args:
        what: In a word, what is done with them.
        total: Rows in all, if known.
    """
    if not _on_terminal():
        yield blocks
        return
    with _bar(what, total) as advance:

        def counting() -> Iterator[BarBlock]:
            for block in blocks:
                yield block
                advance(len(block))

        yield counting()


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from engine.cli.console import err

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("bars"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(what, total=total, rate="")

        def advance(rows: int) -> None:
            bar.advance(task, rows)
            speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
            bar.update(task, rate=f"{speed:,.0f} bars/s" if speed else "")

        yield advance
