"""`grandmodel doctor`: whether this machine has what the system needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import typer

from engine.cli import options

NEEDED = ("numba", "numpy", "polars", "pandas", "pyarrow", "pydantic", "onnxruntime", "exchange_calendars")
OPTIONAL = {
    "torch": "train",
    "pettingzoo": "train",
    "gymnasium": "train",
    "aiokafka": "live",
    "aiomqtt": "live",
    "msgspec": "live",
}


class DoctorFinding(NamedTuple):
    """One line of the examination; `ok` is None for what is merely not installed."""

    name: str
    ok: bool | None
    text: str


def doctor(as_json: options.Json = False) -> None:
    """Examine this installation; exit code 1 if something that is needed fails.

    Example: grandmodel doctor
    """
    findings = list(examine())
    if as_json:
        import json

        typer.echo(json.dumps({finding.name: {"ok": finding.ok, "text": finding.text} for finding in findings}))
    else:
        _show(findings)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[DoctorFinding]:
    """Every check, in order."""
    good = sys.version_info >= (3, 11)
    yield DoctorFinding(
        "python", good, f"{sys.version.split()[0]} at {sys.prefix}" + ("" if good else "; 3.11 is needed")
    )
    yield DoctorFinding("processors", True, str(os.cpu_count()))
    for package in NEEDED:
        yield _import(package)
    for package, extra in OPTIONAL.items():
        yield _optional(package, extra)
    for name, check in CHECKS.items():
        yield _checked(name, check)


def _import(package: str) -> DoctorFinding:
    import importlib

    try:
        module = importlib.import_module(package)
    except Exception as error:  # whatever a broken installation raises is the finding
        return DoctorFinding(package, False, f"{type(error).__name__}: {error}")
    return DoctorFinding(package, True, str(getattr(module, "__version__", "installed")))


def _optional(package: str, extra: str) -> DoctorFinding:
    import importlib.util
    from importlib.metadata import PackageNotFoundError, version

    if importlib.util.find_spec(package) is None:
        return DoctorFinding(package, None, f"not installed (pip install 'grandmodel[{extra}]')")
    try:
        return DoctorFinding(package, True, version(package))
    except PackageNotFoundError:
        return DoctorFinding(package, True, "installed")


def _checked(name: str, check: Callable[[], str]) -> DoctorFinding:
    try:
        return DoctorFinding(name, True, check())
    except Exception as error:  # likewise
        return DoctorFinding(name, False, f"{type(error).__name__}: {error}")


def _cache() -> str:
    from engine.app.warmup import is_warm
    from engine.base.compiled import cache_dir

    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / "probe"
    probe.write_text("")
    probe.unlink()
    return f"{folder} ({'compiled' if is_warm() else 'empty: the first run compiles for half a minute'})"


def _instruments() -> str:
    from engine.types.instruments import load_instrument, shipped_instruments

    return ", ".join(load_instrument(name).name for name in shipped_instruments())


def _recordings() -> str:
    from engine.base.paths import shipped

    found = sorted(path.parent.name for path in shipped("replays").glob("*/manifest.json"))
    if not found:
        raise FileNotFoundError(f"no recording in {shipped('replays')}")
    return ", ".join(found)


CHECKS: dict[str, Callable[[], str]] = {
    "kernel cache": _cache,
    "instruments": _instruments,
    "recordings": _recordings,
}


def _show(findings: list[DoctorFinding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import out

    table = Table(show_header=False, box=None, pad_edge=False)
    signs = {True: Text("ok", style="green"), False: Text("FAILS", style="bold red"), None: Text("-", style="dim")}
    for finding in findings:
        table.add_row(finding.name, signs[finding.ok], Text(finding.text))
    out().print(table)
