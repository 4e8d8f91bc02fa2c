"""What the benchmarks' command lines share: options, threads, child processes, the machine, and what is printed.

Nothing here may import NumPy, whose threads are counted when it is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rich.console import Console
from rich.table import Table

from engine.base.errors import CheckFailed, GrandModelError

ROOT = Path(__file__).resolve().parents[1]
# Worker threads of numeric libraries spin before they sleep, which would count as CPU time of what is measured.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "NUMBA", "RAYON")}
PARTS = {"reading": "reading_seconds", "loop": "seconds", "recording": "recording_seconds", "report": "report_seconds"}
"""Where the time of a backtest goes: titles, and keys of what the command prints as JSON."""


def one_thread() -> None:
    """Keep numeric libraries on one thread, here and in child processes; to be called before NumPy is imported."""
    for name, count in ONE_THREAD.items():
        os.environ.setdefault(name, count)


def run_python(*words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python on this checkout.

    Args:
        words: Its arguments.
        given: For its standard input.
        variables: Of its environment, besides those of this process.

    Raises:
        CheckFailed: If it fails; with what it wrote to standard error.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # bytecode is one of the caches that users have
    command = [sys.executable, *words]
    done = subprocess.run(command, input=given, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        found = done.stderr.strip()[-2000:] or f"exit code {done.returncode}"
        raise CheckFailed("a process of the benchmark failed", where=" ".join(words), found=found)
    return done


def parser(name: str, description: str, *, check: bool = True) -> argparse.ArgumentParser:
    """A benchmark's parser with the options that all have.

    Args:
        name: Of the module.
        description: One sentence.
        check: Whether a missed aim fails only on demand; else it always does.
    """
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    made.add_argument("--markdown", action="store_true", help="Print the tables as Markdown.")
    if check:
        made.add_argument("--check", action="store_true", help="End with 1 if an aim is missed.")
    else:
        made.set_defaults(check=True)
    return made


def from_up(least: int) -> Callable[[str], int]:
    """Reads whole numbers, such as 1_000_000, that are not smaller; a type of argparse."""

    def read(text: str) -> int:
        digits = text.replace("_", "")
        if not digits.isdecimal() or int(digits) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, found {text}")
        return int(digits)

    return read


positive = from_up(1)


def positives(text: str) -> list[int]:
    """Reads whole numbers with commas between, smallest first; a type of argparse."""
    return sorted({positive(part) for part in text.split(",")})


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine(*packages: str) -> dict[str, str]:
    """The conditions of every number: processor, system, and the versions of Python and packages."""
    versions = [f"Python {platform.python_version()}"]
    for name in packages:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"{name} not installed")
    where = f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return {"processor": where, "versions": ", ".join(versions)}


class Sheet(NamedTuple):
    """A table.

    Attributes:
        title: Above it, in a terminal.
        header: Of the columns.
        rows: Cells.
        texts: Numbers of the columns that hold text; the others hold numbers, and are aligned to the right.
        bold: First cell of the row that is printed in bold.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Collection[int] = (0,)
    bold: str | None = None

    def as_table(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title)
        for number, name in enumerate(self.header):
            table.add_column(name, justify="left" if number in self.texts else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*row, style="bold" if row[0] == self.bold else None)
        return table

    def as_markdown(self) -> str:
        """For a document."""
        rules = ["---" if number in self.texts else "---:" for number in range(len(self.header))]
        return "\n".join("| " + " | ".join(line) + " |" for line in (self.header, rules, *self.rows))


class Report(ABC):
    """What a benchmark found, as it is printed and judged.

    Attributes:
        conditions: What the numbers depend on.
    """

    verdict: ClassVar[str] = "missed"
    conditions: dict[str, str]

    @abstractmethod
    def sheets(self) -> list[Sheet]:
        """All tables; those without rows are not printed."""

    @abstractmethod
    def missed(self) -> list[str]:
        """Sentences about aims that were not reached."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""

    def remarks(self) -> list[str]:
        """Sentences below the tables."""
        return []

    def as_markdown(self) -> str:
        """For a document."""
        parts = [sheet.as_markdown() for sheet in self.sheets() if sheet.rows]
        listed = "\n".join(f"* {name}: {text}" for name, text in self.conditions.items())
        return "\n\n".join(part for part in (*parts, "\n".join(self.remarks()), listed) if part)


def present(report: Report, options: argparse.Namespace) -> int:
    """Write and print what was found as `parser`'s options ask; returns 1 if an aim is missed and that counts."""
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    errors = Console(stderr=True)
    if options.markdown:
        print(report.as_markdown())
    else:
        # a file or a pipe has no width of its own
        console = Console(width=None if sys.stdout.isatty() else 120)
        for sheet in report.sheets():
            if sheet.rows:
                console.print(sheet.as_table())
        for sentence in report.remarks():
            console.print(sentence, markup=False, highlight=False)
        for name, text in report.conditions.items():
            errors.print(f"{name}: {text}", style="dim", markup=False, highlight=False)
    missed = report.missed()
    for sentence in missed:
        errors.print(f"{report.verdict}: {sentence}", style="yellow", markup=False)
    return 1 if missed and options.check else 0


def guarded(main: Callable[[], int]) -> int:
    """Run a benchmark; an error that ends it is printed without a traceback, and the exit code is 1."""
    try:
        return main()
    except GrandModelError as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        return 1
