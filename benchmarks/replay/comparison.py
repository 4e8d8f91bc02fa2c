"""The replay benchmark's command: start the peers, let them take turns, compare the results, print."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.peers.children import Child
from benchmarks.peers.grandmodel import BLOCK_VARIABLE
from benchmarks.peers.loop import replay
from benchmarks.peers.serve import CAPITAL, Bars
from benchmarks.replay.bars import benchmark_bars, opening_at_last_close, save
from benchmarks.replay.results import OURS, Measured, Results, as_markdown, as_table, conditions, disagreement
from engine.app.config import DEFAULT_BLOCK
from engine.base.errors import CheckFailed

SLOW_PEERS = frozenset({"backtesting", "nautilus"})
LAST_CLOSE_PEERS = frozenset({"nautilus"})  # their market orders fill at the last price, see peers/nautilus.py
PEERS = ("vectorbt", "loop", "backtesting", "nautilus")
CONDITIONS = (
    "one contract, fills at the next open, 0.1 % of notional a fill; CPU time of the run only: conversion, "
    "compilation and closing statistics are not counted for anybody"
)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replay", description="Replay speed beside other backtesters."
    )
    parser.add_argument("--bars", type=_sizes, default=[100_000, 1_000_000], help="Numbers of bars, with commas.")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--slow-rounds", type=_positive, default=2, help=f"For {', '.join(sorted(SLOW_PEERS))}.")
    parser.add_argument("--slow-bars", type=_positive, default=100_000, help="Most bars that slow peers are given.")
    parser.add_argument("--peers", type=_peers, default=list(PEERS), help=f"With commas: {', '.join(PEERS)}.")
    parser.add_argument("--block", type=_positive, default=DEFAULT_BLOCK, help="Rows of GrandModel's blocks.")
    parser.add_argument("--seed", type=_positive, default=1, help="Of the synthetic bars.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    parser.add_argument("--markdown", action="store_true", help="Print the table as Markdown.")
    return parser.parse_args(given)


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return number


def _sizes(text: str) -> list[int]:
    return sorted({_positive(part) for part in text.split(",")})


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name and name != OURS]
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"no peer is called {name!r}; expected some of {', '.join(PEERS)}")
    return names


def start(peers: Sequence[str], block: int, results: Results) -> tuple[list[Child], dict[str, dict[str, str]]]:
    """Start GrandModel and its peers; those that are not installed are noted."""
    children, versions = [], {}
    for peer in (OURS, *peers):
        child = Child(peer, {BLOCK_VARIABLE: str(block)})
        if "missing" in child.hello:
            results.absent[peer] = f"not installed ({child.hello['missing']})"
            child.close()
            continue
        results.notes.update(child.hello["systems"])
        results.absent.update(child.hello["absent"])
        versions[peer] = child.hello["versions"]
        children.append(child)
    return children, versions


# The memory allocator keeps what it once got from the system only after some rounds, for every system alike.
WARM_UPS = 3


def run_size(children: Sequence[Child], bars: Bars, rounds: int, slow_rounds: int) -> dict[str, Measured]:
    """Let every system replay the same bars, taking turns round by round after warming up."""
    measured: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        save(bars, path)
        for child in children:
            child.ask(load=str(path))
    for number in range(1 - WARM_UPS, rounds + 1):
        for child in children:
            if child.peer in SLOW_PEERS and not 0 <= number <= slow_rounds:
                continue
            for system in child.hello["systems"]:
                answer = child.ask(run=system)
                found = measured.setdefault(system, Measured())
                found.trades, found.profit = answer["trades"], answer["profit"]
                if number > 0:
                    found.seconds.append(answer["seconds"])
    return measured


def expected(bars: Bars) -> tuple[int, float]:
    """Trades and profit of the plain loop."""
    equity, fills = replay(bars.columns["open"].tolist(), bars.columns["close"].tolist())
    return len(fills), equity[-1] - CAPITAL


def compare(children: Sequence[Child], bars: Bars, measured: dict[str, Measured]) -> list[str]:
    """Sentences about systems that disagree with the plain loop on the bars they saw."""
    usual, at_last_close = expected(bars), expected(opening_at_last_close(bars))
    found = []
    for child in children:
        reference = at_last_close if child.peer in LAST_CLOSE_PEERS else usual
        for system in child.hello["systems"]:
            sentence = disagreement(system, len(bars), measured[system], *reference)
            found += [sentence] if sentence else []
    return found


def run(options: argparse.Namespace) -> Results:
    """Measure as the command line asks."""
    results = Results()
    children, versions = start(options.peers, options.block, results)
    try:
        results.conditions = conditions(versions, options.rounds, options.slow_rounds, options.block)
        for rows in options.bars:
            chosen = [child for child in children if child.peer not in SLOW_PEERS or rows <= options.slow_bars]
            bars = benchmark_bars(rows, options.seed)
            results.measured[rows] = run_size(chosen, bars, options.rounds, options.slow_rounds)
            results.disagreements += compare(chosen, bars, results.measured[rows])
    finally:
        for child in children:
            child.close()
    return results


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 if two systems disagree or a peer died."""
    options = arguments(given)
    errors = Console(stderr=True)
    try:
        results = run(options)
    except CheckFailed as error:
        errors.print(str(error), style="red", markup=False)
        return 1
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    if options.markdown:
        print(as_markdown(results))
    else:
        Console().print(as_table(results))
    slow = [rows for rows in options.bars if rows > options.slow_bars]
    for name, text in {"conditions": CONDITIONS, **results.conditions}.items():
        errors.print(f"{name}: {text}", style="dim", markup=False, highlight=False)
    if slow and SLOW_PEERS & set(options.peers):
        errors.print(f"slow systems ran on at most {options.slow_bars:,} bars (--slow-bars)", style="dim")
    for sentence in results.disagreements:
        errors.print(f"disagreement: {sentence}", style="bold red", markup=False)
    return 1 if results.disagreements else 0
