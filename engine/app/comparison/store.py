"""What a comparison has finished, kept line by line, so that an interrupted one continues where it stood."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.models.metadata import read_ensemble
from engine.app.agents import models_folder
from engine.app.code import code_entries
from engine.app.comparison.differences import flat
from engine.app.comparison.evaluation import Setting, VariantOutcome
from engine.app.manifest import HASH_FORM, NEUTRAL_KEYS, config_sha256, versions
from engine.base.aside import held_folder, is_leftover
from engine.base.errors import GrandModelError, UsageError
from engine.base.files import read_json
from engine.loop.ledger_hash import FORM
from engine.types.blocks import BarBlock
from portfolio.benchmark import PriceSeries

FILE, SUMMARY, TABLE, PAGE, RUNS = "variants.jsonl", "comparison.json", "comparison.csv", "compare.html", "variants"
FILES = {FILE, SUMMARY, TABLE, PAGE, RUNS}
_ARRAYS = ("ts_event", "open", "high", "low", "close", "volume", "present")
_BESIDE = {"agent", "data", *NEUTRAL_KEYS}


def check_comparison_folder(folder: Path) -> None:
    """Refuse to mix a comparison with other files.

    Raises:
        UsageError: If the folder holds anything else than an earlier comparison.
    """
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    foreign = sorted(name for name in found if name not in FILES and not is_leftover(name))
    if foreign:
        raise UsageError(
            "the folder holds other files than those of a comparison",
            where=str(folder),
            expected="a new or empty folder, or that of an earlier comparison, which is continued",
            found=", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else ""),
            hint="choose another folder (--out)",
        )


@contextmanager
def held_comparison(folder: Path) -> Iterator[None]:
    """Keep other comparisons out of a folder.

    Raises:
        UsageError: If another process compares there, or the folder holds anything else than an earlier comparison.
    """
    check_comparison_folder(folder)
    with held_folder(folder, "a comparison"):
        yield


def check_continues(folder: Path, setting: Setting, bars: str, specs: Sequence[str]) -> None:
    """Refuse to replace a finished comparison by one that does not continue it.

    Args:
        bars: From `bars_sha256`.

    Raises:
        UsageError: If settings, bars or parts differ, or a variant is missing.
    """
    try:
        held = read_json(folder / SUMMARY)
        before = {**_decisive(held["config"]), "bars": held["bars_sha256"], "parts": _by_name(held["parts"])}
        missing = [one["variant"] for one in held["variants"] if one["variant"] not in specs]
    except (OSError, ValueError, KeyError, TypeError):
        return  # none, or none that could be used
    parts = _by_name(asdict(part) for part in setting.parts)
    now = {**_decisive(setting.config.model_dump(mode="json")), "bars": bars, "parts": parts}
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed or missing:
        what = "of other settings" if changed else "with further variants"
        named = changed or missing
        raise UsageError(
            f"the folder holds a finished comparison {what}",
            where=str(folder),
            expected="the same settings and bars, and at least the same variants, to continue it",
            found=f"{'different' if changed else 'not named now'}: {', '.join(named[:5])}"
            + (", ..." if len(named) > 5 else ""),
            hint="choose another folder (--out)",
        )


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that decide results, by dotted key; the bars themselves are compared, not where they were read."""
    return {key: value for key, value in flat(config).items() if key.partition(".")[0] not in _BESIDE}


def _by_name(parts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted((dict(part) for part in parts), key=lambda part: str(part["name"]))


def bars_sha256(bars: BarBlock) -> str:
    """Hash of all bars as they were read, and of their symbols."""
    digest = hashlib.sha256(json.dumps(bars.symbols).encode())
    for name in _ARRAYS:
        digest.update(memoryview(getattr(bars, name)).cast("B"))
    for name in sorted(bars.extra):
        digest.update(name.encode() + np.ascontiguousarray(bars.extra[name]).tobytes())
    return digest.hexdigest()


def series_sha256(series: PriceSeries | None) -> str:
    """Hash of the prices of a benchmark; empty for none."""
    if series is None:
        return ""
    return hashlib.sha256(series.ts_event.tobytes() + series.close.tobytes()).hexdigest()


class Keys:
    """Names what decides a variant's outcome: configuration, bars, parts, code, models and versions.

    Args:
        hashes: From `bars_sha256` and `series_sha256`.
    """

    def __init__(self, setting: Setting, hashes: Sequence[str]) -> None:
        self._setting = setting
        shared = {
            "bars": list(hashes),
            "parts": _by_name(map(asdict, setting.parts)),
            "versions": versions(),
            HASH_FORM: FORM,
        }
        self._shared = json.dumps(shared, sort_keys=True)
        self._models: dict[str, str] = {}
        self._code: dict[str, list[str]] = {}

    def key(self, spec: str) -> str:
        """Hash of all that decides the outcome of a specification."""
        config = self._setting.config.model_copy(update={"agent": spec})
        head = spec.partition(":")[0]
        if head not in self._code or head == "ensemble":
            self._code[head] = [entry["sha256"] for entry in code_entries(config)]
        parts = [config_sha256(config), self._shared, json.dumps(self._code[head]), self._models_of(spec)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _models_of(self, spec: str) -> str:
        if spec.partition(":")[0] != "ensemble":
            return ""
        if spec not in self._models:
            try:
                folder = models_folder(self._setting.config.model_copy(update={"agent": spec}))
                self._models[spec] = "" if folder is None else read_ensemble(folder)[1]
            except GrandModelError:
                self._models[spec] = ""  # the variant will say what is wrong with them
        return self._models[spec]


class OutcomeStore:
    """Outcomes on the disk, a line each.

    Args:
        folder: Of the comparison; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self.found: dict[str, VariantOutcome] = {}
        if self._path is not None and self._path.is_file():
            self._read(self._path)

    def _read(self, path: Path) -> None:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                tree = json.loads(line)
                self.found[str(tree["key"])] = VariantOutcome.of(tree["outcome"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line that was cut off when the comparison was interrupted

    def add(self, key: str, spec: str, outcome: VariantOutcome) -> None:
        """Append one outcome, if it is done: what failed is tried again the next time."""
        if self._path is None or outcome.status != "done":
            return
        line = json.dumps({"key": key, "spec": spec, "outcome": asdict(outcome)}, allow_nan=False)
        with self._path.open("a+b") as file:
            file.seek(0, 2)
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")  # after a line that was cut off
            file.write(line.encode() + b"\n")
