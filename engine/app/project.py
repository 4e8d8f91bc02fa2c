"""A new project's folder: a strategy, a configuration, a test and a notebook that run as they are."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from engine.base.aside import held_folder, is_leftover
from engine.base.errors import GrandModelError, UsageError
from engine.base.paths import shipped
from engine.base.replacing import replaced_file

FILES = ("strategy.py", "config.yaml", "test_strategy.py", "notebook.ipynb", "README.md")
NAME = "{{name}}"
IGNORED = "runs/\n__pycache__/\n.ipynb_checkpoints/\n"


def make_project(folder: Path) -> list[Path]:
    """Write a new project: all of its files, or none if one cannot be written.

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
    if folder.exists() and (not folder.is_dir() or not all(is_leftover(path.name) for path in folder.iterdir())):
        raise UsageError(
            "there is something already",
            where=str(folder),
            expected="a new or empty folder",
            hint="choose another name",
        )
    texts = {file: (shipped("configs") / "project" / file).read_text(encoding="utf-8") for file in FILES}
    texts = {file: text.replace(NAME, _written(name, file)) for file, text in texts.items()}
    try:
        with held_folder(folder, "a project"), ExitStack() as parts:
            for file, text in {".gitignore": IGNORED, **texts}.items():
                parts.enter_context(replaced_file(folder / file, overwrite=False)).write_text(text, encoding="utf-8")
    except OSError as error:
        raise GrandModelError(f"cannot write the project: {error}", where=str(folder)) from error
    return [folder / file for file in FILES]


def _written(name: str, file: str) -> str:
    """The name as the file's language has it: in JSON a quotation mark ends a text."""
    return name.replace("\\", "\\\\").replace('"', '\\"') if file.endswith(".ipynb") else name
