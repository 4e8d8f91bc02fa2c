"""`grandmodel health` on the files that a heartbeat writes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.base.errors import CheckFailed
from engine.cli.health import health
from engine.monitor.heartbeat import Heartbeat


@pytest.fixture
def beating(tmp_path: Path) -> Callable[..., Path]:
    """A file as a heartbeat leaves it, `age` seconds old."""

    def write(turn: Callable[[Heartbeat], None], age: float = 0.0) -> Path:
        path = tmp_path / "heartbeat.json"
        turn(Heartbeat(path, environ={}, wall=lambda: time.time() - age))
        return path

    return write


def test_a_session_that_is_ready_is_healthy(beating: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    health(beating(lambda beat: beat.ready("trading, row 7, connected to localhost:9092")))
    assert capsys.readouterr().out == "ok: trading, row 7, connected to localhost:9092\n"


def test_one_that_waits_for_its_feed_is_not(beating: Callable[..., Path]) -> None:
    def starting(beat: Heartbeat) -> None:
        beat.say("waiting, row 0, connecting to localhost:9092")
        beat.beat()

    with pytest.raises(CheckFailed, match="not ready") as caught:
        health(beating(starting))
    assert caught.value.found == "waiting, row 0, connecting to localhost:9092"


def test_one_that_ends_is_not(beating: Callable[..., Path]) -> None:
    def ending(beat: Heartbeat) -> None:
        beat.ready("trading")
        beat.stopping()

    with pytest.raises(CheckFailed, match="not ready"):
        health(beating(ending))


@pytest.mark.parametrize(("age", "most", "good"), [(40.0, 30.0, False), (40.0, 60.0, True), (-40.0, 30.0, False)])
def test_the_age_decides(beating: Callable[..., Path], age: float, most: float, good: bool) -> None:
    path = beating(lambda beat: beat.ready("trading"), age)
    if good:
        health(path, most)
        return
    with pytest.raises(CheckFailed, match="too old" if age > 0 else "dated ahead"):
        health(path, most)


@pytest.mark.parametrize("text", ["", "[]", '{"time": "now"}', '{"time": 1}'])
def test_another_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(CheckFailed, match="not a heartbeat file"):
        health(path)


def test_no_file_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="No such file") as caught:
        health(tmp_path / "none.json")
    assert caught.value.exit_code == 1


def test_it_starts_without_what_trades(tmp_path: Path) -> None:
    """A health check runs every few seconds, beside the session and on its processor."""
    path = tmp_path / "heartbeat.json"
    Heartbeat(path, environ={}).ready("trading")
    program = (
        "import sys\nfrom pathlib import Path\nfrom engine.cli.health import health\n"
        "health(Path(sys.argv[1]))\n"
        "print([name for name in ('numpy', 'numba', 'pydantic', 'polars', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "ok: trading\n[]\n"


def test_it_is_a_command(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    Heartbeat(path, environ={}).ready("trading")
    app = typer.Typer()
    app.command()(health)
    assert CliRunner().invoke(app, [str(path), "--max-age", "5"]).output == "ok: trading\n"
    assert CliRunner().invoke(app, [str(path), "--max-age", "0"]).exit_code == 2
