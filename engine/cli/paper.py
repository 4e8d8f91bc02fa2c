"""`grandmodel paper`: options to configuration, a live session, and what a backtest prints at its end."""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.backtest import report_file
from engine.cli.demo import TOPIC, demo_config, demo_feed
from engine.cli.demo_learning import learning_demo_config, learning_feed, what_happened
from engine.cli.flags import RENAMED as RENAMED_EVERYWHERE
from engine.cli.flags import default_folder, given, instruments, option_names, read_learning, slug

if TYPE_CHECKING:
    from engine.app.live.config import PaperConfig
    from engine.app.live.paper import PaperRun

Feed = Annotated[
    str | None,
    typer.Option("--feed", help="kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC/#, replay:FILE?speed=60 or stdin."),
]
Symbols = Annotated[
    str | None, typer.Option("--symbols", help="Names of the symbols, A,B,C; by default those of --instrument.")
]
Others = Annotated[
    str | None,
    typer.Option(
        "--other-symbols",
        help="What becomes of messages of other symbols: refuse, or leave_out where other sessions trade them.  "
        "[default: refuse]",
    ),
]
BarLength = Annotated[str | None, typer.Option("--timeframe", help="Length of the bars.  [default: 1min]")]
Lateness = Annotated[
    float | None, typer.Option("--lateness", help="Seconds of event time that a message may be late.  [default: 0]")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Session folder; if it holds a session, that session is continued.  [default: runs/<time>-<agent>]",
        file_okay=False,
    ),
]
MaxBars = Annotated[int | None, typer.Option("--max-bars", help="End after this many bars in total.")]
Idle = Annotated[float | None, typer.Option("--idle-timeout", help="End after this many seconds without a bar.")]
Standby = Annotated[bool, typer.Option("--standby", help="Start paused, until `grandmodel ctl DIR start`.")]
WithDashboard = Annotated[bool, typer.Option("--dashboard", help="Show the terminal dashboard; it has keys.")]
Demo = Annotated[
    bool,
    typer.Option(
        "--demo",
        help="Demonstrate with a private broker and the bundled recording at 600 times its speed; with --learn, with a "
        "made-up market that turns.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first message that cannot be used or was lost.")]


RENAMED = RENAMED_EVERYWHERE | {
    "feed.address": "--feed",
    "feed.lateness_s": "--lateness",
    "end.bars": "--max-bars",
    "end.silence_s": "--idle-timeout",
}
"""Options that are not called like the last part of the key that they set."""


def paper(
    feed: Feed = None,
    instrument: options.InstrumentName = None,
    agent: options.AgentSpec = None,
    challenger: options.Challengers = None,
    learn: options.Learn = None,
    out: Out = None,
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
    symbols: Symbols = None,
    other_symbols: Others = None,
    timeframe: BarLength = None,
    lateness: Lateness = None,
    initial_capital: options.Capital = None,
    fee: options.Fee = None,
    seed: options.Seed = None,
    max_bars: MaxBars = None,
    idle_timeout: Idle = None,
    standby: Standby = False,
    as_json: options.Json = False,
    dashboard: WithDashboard = False,
    strict: Strict = False,
    demo: Demo = False,
    no_report: options.NoReport = False,
    trust_code: options.TrustCode = False,
    verbose: options.Verbose = 0,
) -> None:
    """Paper-trade live bars. Started again with the same folder, the session continues where it stopped.

    The strategy file of a session that resumes is executed only if its hash is the recorded one, or with --trust-code.

    Example: grandmodel paper --feed kafka://127.0.0.1:9092/bars --instrument ES --agent ensemble --out runs/live
    """
    began = time.perf_counter()
    from engine.base.log import configure_logging, form_of_a_session

    configure_logging(verbose, form_of_a_session())
    flags: dict[str, Any] = {
        "instrument": instruments(instrument),
        "agent": agent,
        "challengers": {"agents": challenger or None},
        "initial_capital": initial_capital,
        "fee": fee,
        "seed": seed,
        "feed": {
            "symbols": symbols.split(",") if symbols else None,
            "other_symbols": other_symbols,
            "timeframe": timeframe,
            "lateness_s": lateness,
            "strict": strict or None,
        },
        "end": {"bars": max_bars, "silence_s": idle_timeout},
        "standby": standby or None,
    }
    from engine.app.extras import need_live
    from engine.app.roles import started_before
    from engine.cli.challengers import tell_wait
    from engine.cli.progress import compiled
    from engine.journal.reading import has_begun

    need_live()
    shown = learning_demo_config() if learn else demo_config()
    files = [*([shown] if demo else []), *(config or [])]
    planned = default_folder("demo") if demo and out is None else out

    def load(address: str | None) -> PaperConfig:
        flags["feed"]["address"] = address
        return _load(out, files, flags, set_ or [], learn)

    with _learning_demo(load, planned) if demo and learn and planned and not feed else _feed(demo, feed) as address:
        settings = load(address)
        folder = planned or default_folder(slug(settings.agent))
        compiled(settings.agent, challengers=settings.challengers.agents, live=True)
        if not as_json and not has_begun(folder):
            tell_wait(settings, started_before(settings))
        if dashboard and not as_json:
            _log_to_file(folder, verbose)
        from engine.app.live.paper import run_paper
        from engine.cli.live_screens import dashboard_screen, progress_screen

        screen = dashboard_screen(settings) if dashboard else progress_screen()
        run = run_paper(settings, folder, [] if as_json else [screen], trust_code=trust_code)
    seconds = {"report": _private_report(folder, wanted=not no_report and run.exported is not None)}
    seconds["total"] = time.perf_counter() - began
    if as_json:
        typer.echo(json.dumps(result_object(run, seconds), allow_nan=False))
    else:
        _show(run, seconds, report=not no_report, demo=demo, leaving_out=settings.feed.leaving_out)
    _fail_if_short(run)
    if demo and learn:
        _fail_if_nothing_was_learned(run)


def _private_report(folder: Path, wanted: bool) -> float:
    """The report tells as much as the session's own files, so nobody else may read it; returns the seconds it took."""
    umask = os.umask(0o077)
    try:
        return report_file(folder, wanted)
    finally:
        os.umask(umask)


def _fail_if_short(run: PaperRun) -> None:
    """Exit code 1 for a session that refused most of its messages or got fewer bars than were announced."""
    from engine.cli.console import note

    failures = [text for text in (run.ended.refused, run.ended.short) if text is not None]
    for text in failures:
        note(f"failed {text}")
    if failures:
        raise typer.Exit(1)


def _fail_if_nothing_was_learned(run: PaperRun) -> None:
    """The last line of the demonstration; exit code 1 where no candidate has become the champion."""
    from engine.cli.console import note

    said, succeeded = what_happened(run.exported.manifest if run.exported else {})
    note(f"{'learned' if succeeded else 'failed'} {said}")
    if not succeeded:
        raise typer.Exit(1)


def _learning_demo(load: Callable[[str | None], PaperConfig], session: Path) -> AbstractContextManager[str]:
    """The feed of the demonstration of learning.

    Raises:
        UsageError: If the configuration does not fit the demonstration.
    """
    from engine.base.errors import UsageError
    from engine.journal.reading import has_begun

    if has_begun(session):
        raise UsageError(
            "the demonstration begins a session of its own",
            where=str(session),
            hint="leave --out out, or name another folder",
        )
    settings = load(f"kafka://127.0.0.1/{TOPIC}")
    if settings.learning is None or settings.end.bars is None:
        raise UsageError(
            "the demonstration ends after a number of bars", where="end.bars", hint="name it with --max-bars"
        )
    return learning_feed(settings.learning, session, settings.end.bars)


@contextmanager
def _feed(demo: bool, feed: str | None) -> Iterator[str | None]:
    """The address of the feed; for the demonstration, of a broker that lasts as long."""
    from engine.base.errors import UsageError
    from feeds.live.address import parse_address

    if not demo:
        if feed is not None:
            parse_address(feed)  # its mistakes are reported as such, not as mistakes of a configuration
        yield feed
        return
    if feed is not None:
        raise UsageError("--demo uses its own feed", found=f"--feed {feed}", hint="leave one of them out")
    with demo_feed() as address:
        yield address


def _load(
    out: Path | None, files: list[Path], flags: dict[str, Any], settings: list[str], learn: Path | None = None
) -> PaperConfig:
    """Defaults, then those of the folder's session, then files, --learn, then options, then --set."""
    from engine.app.live.config import PaperConfig
    from engine.app.live.open_or_resume import stored_config
    from engine.base.config import merge, override, parse, places, read_yaml
    from engine.base.errors import UsageError
    from engine.journal.reading import has_begun

    tree: dict[str, Any] = {}
    if out is not None and has_begun(out):
        # when it ends, and what stops it, is given again at every start
        tree = {key: value for key, value in stored_config(out).items() if key not in {"end", "standby"}}
        tree["feed"].pop("strict", None)
    for file in files:
        tree = merge(tree, read_yaml(file))
    if learn is not None:
        tree, files = merge(tree, read_learning(learn)), [*files, learn]
    tree = override(merge(tree, given(flags)), settings)
    where = places(files, settings or given(flags))
    config = parse(PaperConfig, tree, where=where, names=option_names(flags, settings, RENAMED))
    if not config.feed.address:
        raise UsageError(
            "no feed was given" if out is None else "this folder holds no session to resume, and no feed was given",
            where=None if out is None else str(out),
            expected="--feed kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC, replay:FILE or stdin",
            hint="--feed starts a session; `grandmodel paper --demo` shows one with a private broker",
        )
    return config


def _log_to_file(folder: Path, verbose: int) -> None:
    """A log on the terminal would draw over the dashboard."""
    from engine.app.live.folder import LOG, make_private
    from engine.base.log import configure_logging, most_log_bytes, tell_dropped
    from engine.base.outbox import LAST_WAIT_S, Outbox
    from engine.base.rotating import RotatingFile

    most_bytes = most_log_bytes()
    make_private(folder)
    # open as long as the process is there; a disk that hangs holds up nobody
    outbox = Outbox(RotatingFile(folder / LOG, most_bytes), tell_dropped)
    atexit.register(outbox.finish, LAST_WAIT_S)
    configure_logging(max(verbose, 1), "json", file=outbox)


def result_object(run: PaperRun, seconds: dict[str, float]) -> dict[str, Any]:
    """What `--json` prints: what `backtest --json` does, of the whole session, and how this run of it went."""
    from engine.journal.entries import letters_by_reason

    ended, exported = run.ended, run.exported
    metrics: dict[str, Any] = dict(exported.metrics) if exported else {}
    manifest = exported.manifest if exported else {}
    letters = letters_by_reason(run.counters)
    fifty, most = ended.latencies.percentile(0.5), ended.latencies.percentile(0.99)
    return {
        "run_dir": str(run.folder),
        "bars": run.counters.get("bars", 0),
        "fills": metrics.get("fills", 0),
        "trades": metrics.get("trades", 0),
        "final_equity": metrics.get("final_equity"),
        "total_return": metrics.get("total_return"),
        "sharpe": metrics.get("sharpe"),
        "max_drawdown": metrics.get("max_drawdown"),
        "fees": metrics.get("fees"),
        "quarantined": sum(letters.values()),
        "gaps": run.counters.get("gaps", 0),
        "seconds": round(ended.seconds, 6),
        "bars_per_second": round(ended.bars / ended.seconds) if ended.seconds > 0 else None,
        "ledger_sha256": manifest.get("ledger_sha256"),
        "config_sha256": manifest.get("config_sha256"),
        "report_seconds": round(seconds["report"], 6),
        "total_seconds": round(seconds["total"], 6),
        "rows": manifest.get("rows", 0),
        **{name: manifest[name] for name in ("challengers", "roles", "learning") if name in manifest},
        "ended": ended.because,
        "mostly_refused": ended.refused,
        "fewer_than_expected": ended.short,
        "resumed": run.resumed,
        "recovery_seconds": round(run.recovery_seconds, 6),
        "bars_this_run": ended.bars,
        "dead_letters": letters,
        "milliseconds_50": None if fifty is None else round(fifty * 1e3, 3),
        "milliseconds_99": None if most is None else round(most * 1e3, 3),
    }


def _show(run: PaperRun, seconds: dict[str, float], report: bool, demo: bool, leaving_out: str) -> None:
    from engine.cli.console import note, out
    from engine.journal.entries import letters_by_reason
    from engine.report.summary import RunSummary

    ended, exported = run.ended, run.exported
    if exported is None:
        note(f"nothing was traded: {ended.because}")
        if letters := letters_by_reason(run.counters):
            aside = ", ".join(f"{count:,} {reason}" for reason, count in letters.items())
            note(f"messages refused: {aside}; `grandmodel journal dead-letters {run.folder}` shows them")
        if skipped := run.counters.get("skipped", 0):
            note(f"left out by {leaving_out}: {skipped:,}; `grandmodel feed inspect ADDRESS` shows what comes")
        note(f"run    {run.folder}")
        return
    out().print(RunSummary(exported.metrics, exported.manifest, exported.curve))
    fifty, most = ended.latencies.percentile(0.5), ended.latencies.percentile(0.99)
    if fifty is not None and most is not None:
        note(
            f"{ended.bars:,} bars since this start, in {ended.seconds:.1f} s; from receipt to commit "
            f"{1e3 * fifty:.2f} ms (99 %: {1e3 * most:.2f} ms); everything {seconds['total']:.1f} s"
        )
    note(f"ended  {ended.because}")
    note(f"ledger {exported.manifest['ledger_sha256']}")
    note(f"run    {run.folder}" + (f", report {run.folder / 'report.html'}" if report else ""))
    if not demo and sys.stdin is not None and sys.stdin.isatty():
        note(f"again  grandmodel paper --out {run.folder}   resumes from here")
