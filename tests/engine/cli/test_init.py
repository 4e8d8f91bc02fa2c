"""`grandmodel init`: what it writes runs, all of it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.app.project import FILES, make_project
from engine.base.errors import GrandModelError, UsageError

ROOT = Path(__file__).parents[3]


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    printed = run(folder, "-m", "grandmodel", "init", 'my "first"')
    assert printed.splitlines() == [f'my "first"/{name}' for name in FILES]
    return folder / 'my "first"'


def test_its_configuration_runs_its_strategy(project: Path) -> None:
    result = json.loads(run(project, "-m", "grandmodel", "backtest", "-c", "config.yaml", "--json"))
    assert result["trades"] > 10
    assert (project / result["run_dir"] / "report.html").is_file()


def test_its_tests_pass(project: Path) -> None:
    printed = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default")
    assert "3 passed in" in printed, printed  # and no warning between the two words


def test_the_cells_of_its_notebook_run(project: Path) -> None:
    notebook = json.loads((project / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    title, *rest = notebook["cells"]
    assert title["source"][0].strip() == '# my "first"'
    code = ["".join(cell["source"]) for cell in rest if cell["cell_type"] == "code"]
    assert len(code) == 4
    script = "\n\n".join([*code, "print(result._repr_html_()[:4])"])  # what a notebook shows for `result`
    assert run(project, "-c", script).strip() == "<div"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="something already"):
        make_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_project_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks fill up while a later file is written: nothing of the project is left, and the next attempt succeeds."""
    write = Path.write_text

    def full(self: Path, *words: Any, **more: Any) -> int:
        if self.name == FILES[-1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(GrandModelError, match="No space left"):
            make_project(tmp_path / "new" / "first")
    assert not list(tmp_path.iterdir())
    (tmp_path / "first" / ".config.yaml.1-0.part").mkdir(parents=True)  # of an attempt that was killed
    assert make_project(tmp_path / "first") == [tmp_path / "first" / name for name in FILES]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted([".gitignore", *FILES])
