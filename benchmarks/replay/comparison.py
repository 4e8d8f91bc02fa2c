"""The replay benchmark's command: start the peers, let them take turns, compare the results, print."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command_line import parser, positive, positives, present
from benchmarks.peers.children import Child
from benchmarks.peers.grandmodel import BLOCK_VARIABLE
from benchmarks.peers.loop import replay
from benchmarks.peers.serve import CAPITAL, Bars
from benchmarks.replay.bars import benchmark_bars, opening_at_last_close, save
from benchmarks.replay.results import OURS, Measured, Results, conditions, disagreement
from engine.app.config import DEFAULT_BLOCK

SLOW_PEERS = frozenset({"backtesting", "nautilus"})
LAST_CLOSE_PEERS = frozenset({"nautilus"})  # their market orders fill at the last price, see peers/nautilus.py
# The memory allocator keeps what it once got from the system only after some rounds, for every system alike.
WARM_UPS = 3
PEERS = ("vectorbt", "lrvx", "loop", "backtesting", "nautilus")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    options = parser("replay", "Replay speed beside other backtesters.", check=False)
    options.add_argument("--bars", type=positives, default=[100_000, 1_000_000], help="Numbers of bars, with commas.")
    options.add_argument("--rounds", type=positive, default=5)
    options.add_argument("--slow-rounds", type=positive, default=2, help=f"For {', '.join(sorted(SLOW_PEERS))}.")
    options.add_argument("--slow-bars", type=positive, default=100_000, help="Most bars that slow peers are given.")
    options.add_argument("--peers", type=_peers, default=list(PEERS), help=f"With commas: {', '.join(PEERS)}.")
    options.add_argument("--block", type=positive, default=DEFAULT_BLOCK, help="Rows of GrandModel's blocks.")
    options.add_argument("--seed", type=positive, default=1, help="Of the synthetic bars.")
    return options.parse_args()


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
        if max(options.bars) > options.slow_bars and SLOW_PEERS & set(options.peers):
            results.conditions["slow systems"] = f"at most {options.slow_bars:,} bars (--slow-bars)"
        for rows in options.bars:
            chosen = [child for child in children if child.peer not in SLOW_PEERS or rows <= options.slow_bars]
            bars = benchmark_bars(rows, options.seed)
            results.measured[rows] = run_size(chosen, bars, options.rounds, options.slow_rounds)
            results.disagreements += compare(chosen, bars, results.measured[rows])
    finally:
        for child in children:
            child.close()
    return results


def main() -> int:
    """Run the benchmark; returns 1 if two systems disagree."""
    options = arguments()
    return present(run(options), options)
