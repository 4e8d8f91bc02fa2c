"""Compiling before a run: everything that a run needs, announced once, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.app.warmup import MESSAGE, RECIPE, kind_of_object, warm_up_announced
from engine.base.compiled import cache_dir

ROOT = Path(__file__).resolve().parents[3]
LOADED_AFTER = """
import sys
from numba.core.registry import CPUDispatcher
import grandmodel as gm
from engine.app.warmup import warm_up
from feeds.memory import MemorySource
from tests.bars import random_bars


class Trader(gm.Strategy):
    def on_start(self, context):
        self.average = context.indicator("sma", 3)
        self.larger = context.bars("5min").indicator("atr", 3)

    def on_bar(self, context):
        step = context.seq % 10
        if step == 0:
            context.buy(fraction=0.1)
        elif step == 2:
            context.sell(notional=1000)
        elif step == 4:
            context.buy(risk=0.001, stop_distance=0.01)
        elif step == 6:
            context.close()
        elif step == 8:
            context.target(1)


def loaded():
    return {
        (module, name, str(signature))
        for module, inside in list(sys.modules.items())
        if module.partition(".")[0] in {"agents", "engine", "feeds", "portfolio"}
        for name, kernel in vars(inside).items()
        if isinstance(kernel, CPUDispatcher)
        for signature in kernel.signatures
    }


kind = sys.argv[1]
warm_up(kind)
before = loaded()
agent, rows = (Trader, 300) if kind == "strategy" else ("ensemble", 12_000)
run = gm.backtest(MemorySource(random_bars(rows)), agent=agent)
assert run.metrics["fills"] > 20
gm.backtest("es-drift", agent=agent, start="2024-02-09")
gm.backtest("es-drift", "GBPUSD", agent, start="2024-02-09")  # its sessions are an array of pandas, read-only
print(sorted(name for _, name, _ in loaded() - before))
"""


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=whole, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("kind", ["strategy", "ensemble"])
def test_a_warm_run_compiles_and_loads_nothing_in_its_loop(kind: str) -> None:
    assert run(LOADED_AFTER, kind).stdout == "[]\n"


def test_the_kind_of_an_object() -> None:
    from agents.rules import Flat
    from tests.agents.strategies.breakout import Breakout

    assert kind_of_object(Flat()) == "rules"
    assert kind_of_object(Breakout()) == "strategy"


def test_compiling_is_announced_once_and_not_when_unwanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # the kernels themselves come from the cache of these tests: only what remembers that they are there is new
    monkeypatch.setattr("engine.app.warmup.cache_dir", lambda: tmp_path / "new")
    warm_up_announced(["rules"], quiet=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("engine.app.warmup.cache_dir", lambda: tmp_path / "other")
    for expected in (MESSAGE + "\n", ""):
        warm_up_announced(["rules", "rules"])
        assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(("quiet", "said"), [("", MESSAGE + "\n"), (", quiet=True", "")])
def test_a_call_from_python_says_why_the_first_takes_so_long(tmp_path: Path, quiet: str, said: str) -> None:
    # a copy of the compiled kernels without the marks of completeness: nothing is compiled, and it is not known
    folder = tmp_path / "grandmodel" / "kernels" / cache_dir().name
    folder.mkdir(parents=True)
    for path in cache_dir().iterdir():
        if not path.name.startswith("complete-"):
            (folder / path.name).symlink_to(path)
    call = (
        "import grandmodel as gm; from feeds.memory import MemorySource; from tests.bars import random_bars\n"
        "for _ in range(2): gm.{0}(MemorySource(random_bars(50)), {1}{2})"
    )
    for name, agent in (("backtest", "agent='flat'"), ("compare", "agents='flat'")):
        (folder / f"complete-rules-{RECIPE}").unlink(missing_ok=True)
        assert run(call.format(name, agent, quiet), GRANDMODEL_CACHE_DIR=str(tmp_path)).stderr == said
