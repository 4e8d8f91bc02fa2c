"""A new project's folder: a strategy, a configuration, a test and a notebook that run as they are."""

from __future__ import annotations

from pathlib import Path

from engine.base.errors import GrandModelError, UsageError
from engine.base.paths import shipped

FILES = ("strategy.py", "config.yaml", "test_strategy.py", "notebook.ipynb", "README.md")
NAME = "{{name}}"


def make_project(folder: Path) -> list[Path]:
    """Write a new project.

    Args:
        folder: Its folder, whose name is that of the project; made if need be.

    Returns:
        The files, as paths.

    Raises:
        UsageError: If the folder holds something already, or the name is unusable.
        GrandModelError: If the disk refuses.
    """
    name = folder.resolve().name
    if not name or not name.isprintable():
        raise UsageError("this cannot name a project", found=repr(name))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "there is something already",
            where=str(folder),
            expected="a new or empty folder",
            hint="choose another name",
        )
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            text = (shipped("configs") / "project" / file).read_text(encoding="utf-8")
            path = folder / file
            path.write_text(text.replace(NAME, _written(name, file)), encoding="utf-8")
            written.append(path)
        (folder / ".gitignore").write_text("runs/\n__pycache__/\n.ipynb_checkpoints/\n", encoding="utf-8")
    except OSError as error:
        raise GrandModelError(f"cannot write the project: {error}", where=str(folder)) from error
    return written


def _written(name: str, file: str) -> str:
    """The name as the file's language has it: in JSON a quotation mark ends a text."""
    return name.replace("\\", "\\\\").replace('"', '\\"') if file.endswith(".ipynb") else name
