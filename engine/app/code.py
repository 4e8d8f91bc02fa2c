"""The Python that decides in a run: recorded with its hash, and executed again only where the hash is the same.

A manifest or a journal may come from a stranger, and names the strategy file that has to be imported to run it again.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.files import sha256_file
from engine.base.log import logger

TRUST = "--trust-code"
_PRODUCTION = (".yaml", ".yml")
_OWN = frozenset({"agents", "engine", "feeds", "grandmodel", "portfolio", "training"})


def code_entries(config: Any, agent: object = None) -> list[dict[str, str]]:
    """Name and hash of every file of the user's own that decides.

    Strategy files, the modules that they import from anywhere but the installed packages, and production
    configurations. What is imported by a computed name is not found.

    Args:
        config: A RunConfig.
        agent: The agent object that took the place of a specification.
    """
    files: dict[Path, Path] = {}
    for path in (*named_files(config), *_defining(agent)):
        if path.is_file():
            for file in (path, *(imported_files(path) if path.suffix == ".py" else ())):
                files.setdefault(file.resolve(), file)
    return [
        {"path": str(path), "absolute": str(absolute), "sha256": sha256_file(path)} for absolute, path in files.items()
    ]


def named_files(config: Any) -> list[Path]:
    """The strategy files and production configurations that a configuration names, through the latter too.

    Args:
        config: A RunConfig.
    """
    found = []
    agents = (config.agent, *config.challengers.agents)
    seats = filter(None, config.ensemble.seats.model_dump().values())
    for spec in [*(one.removeprefix("ensemble:") for one in agents), *seats]:
        path = Path(spec if spec.endswith(_PRODUCTION) else spec.partition(":")[0])
        if path.suffix in _PRODUCTION and path.is_file():
            found += [path, *_of_production(path)]
        elif path.suffix in {".py", *_PRODUCTION}:
            found.append(path)
    return list(dict.fromkeys(found))


def allow_code(config: Any, recorded: object, where: str, *, trust: bool = False) -> None:
    """Let a run's own code be executed if it is the recorded one, and announce it.

    Args:
        config: What is about to run, a RunConfig.
        recorded: The `code` of the manifest or journal that the configuration comes from.
        where: That manifest or journal.
        trust: Execute it whatever it is, as the flag `--trust-code` asks.

    Raises:
        UsageError: If a file would be executed whose hash is not recorded.
        CheckFailed: If a recorded file was changed or is gone.
        DataError: If the record cannot be read.
    """
    named = [path for path in named_files(config) if path.suffix == ".py" and path.is_file()]
    entries = recorded_code(recorded, where)
    if not trust:
        changed = changed_code(entries)
        if changed is not None:
            entry, found = changed
            raise CheckFailed(
                "a file that the run depends on was changed",
                where=entry["path"],
                expected=f"sha256 {entry['sha256']}",
                found=found,
                hint=f"put the old file back; or, if you know what it does, {TRUST} runs it as it is",
            )
        unknown = next((path for path in named if not _is_recorded(path, entries)), None)
        if unknown is not None:
            raise UsageError(
                "the run names a strategy file and not its hash, so that any file could be executed in its place",
                where=where,
                found=str(unknown),
                hint=f"read the file; {TRUST} executes it",
            )
    why = f"{TRUST} was given" if trust else "its hash is the recorded one"
    for path in named:
        event = f"the strategy file that the run names is executed, since {why}"
        logger("code").warning(event, file=str(path), sha256=sha256_file(path))


def changed_code(entries: Sequence[Mapping[str, str]]) -> tuple[Mapping[str, str], str] | None:
    """The first recorded file that is not what it was, and what is there."""
    for entry in entries:
        # what is named is what would run; the absolute path tells where it lay
        file = next((path for path in (Path(entry["path"]), Path(entry["absolute"])) if path.is_file()), None)
        found = f"sha256 {sha256_file(file)}" if file else "no such file"
        if found != f"sha256 {entry['sha256']}":
            return entry, found
    return None


def _is_recorded(path: Path, entries: Sequence[Mapping[str, str]]) -> bool:
    file, digest = path.resolve(), sha256_file(path)
    return any(
        digest == entry["sha256"] and file in {Path(entry["path"]).resolve(), Path(entry["absolute"]).resolve()}
        for entry in entries
    )


def recorded_code(recorded: object, where: str) -> list[dict[str, str]]:
    """The entries of a manifest or journal, as `code_entries` made them.

    Raises:
        DataError: If they are something else.
    """
    entries = recorded or []
    keys = ("path", "absolute", "sha256")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in keys) for entry in entries
    ):
        raise DataError("the list of the run's code cannot be read", where=where, expected=f"entries of {keys}")
    return entries


def _of_production(path: Path) -> list[Path]:
    from agents.models.production import load_production  # noqa: PLC0415 - few runs have one

    heads = [seat.agent.partition(":")[0] for seat in load_production(path).values() if seat.agent]
    return [Path(head) for head in heads if head.endswith(".py")]


def _defining(agent: object) -> list[Path]:
    """The file that holds the class of an object, unless it is one of ours."""
    module = sys.modules.get(type(agent).__module__)
    file = getattr(module, "__file__", None)
    name = type(agent).__module__.partition(".")[0]
    return [Path(file)] if file and file.endswith(".py") and name not in _OWN and not _installed(Path(file)) else []


def imported_files(path: Path) -> list[Path]:
    """Modules that a Python file imports, and those that they import, without the installed ones; none is executed."""
    found: dict[Path, None] = {}
    open_: list[tuple[Path, str]] = [(path, "")]
    while open_:
        file, package = open_.pop()
        for spec in (spec for name in _imported_names(file, package) for spec in _specs(name)):
            origin = Path(spec.origin) if spec.has_location and spec.origin else None
            if origin is None or origin in found or origin.suffix != ".py" or _installed(origin):
                continue
            found[origin] = None
            open_.append((origin, spec.name if spec.submodule_search_locations else spec.name.rpartition(".")[0]))
    return sorted(found)


def _imported_names(file: Path, package: str) -> Iterator[str]:
    """Names of modules that may be imported somewhere in a file; of `from a import b`, both `a` and `a.b`."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # importing it will say what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join(filter(None, [*parts, node.module or ""]))
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _specs(name: str) -> Iterator[ModuleSpec]:
    """The modules on the way to a name, outermost first, found without importing any."""
    if name.partition(".")[0] in _OWN | sys.stdlib_module_names:
        return
    places: Any = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:count]), places)
        except (ImportError, ValueError):
            return
        if spec is None:
            return
        yield spec
        places = spec.submodule_search_locations
        if places is None:
            return


def _installed(file: Path) -> bool:
    """Whether a file came with Python or a package."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    resolved = file.resolve()
    if {"site-packages", "dist-packages"} & set(resolved.parts):  # also that of another environment on the path
        return True
    return any(resolved.is_relative_to(Path(folder).resolve()) for folder in folders if folder)
