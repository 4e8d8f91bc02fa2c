"""Compiled strategies: what may be cached, and what is said of code that does not compile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = """
import grandmodel as gm


class Long(gm.CompiledStrategy):
    @staticmethod
    def decide(i, bars, signals, account, positions, orders, params, memory, out):
        return 0
"""

PROGRAM = """
import sys
from agents.compiled import compile_decide
space = {"__name__": "nowhere"}
path = sys.argv[1]
exec(compile(open(path).read(), path, "exec"), space)
compile_decide(space["Long"].decide, "Long")
"""


def test_code_without_a_module_runs_in_a_second_process_too(tmp_path: Path) -> None:
    source = tmp_path / "cell.py"
    source.write_text(SOURCE, encoding="utf-8")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM, str(source)], check=True, cwd=Path(__file__).parents[2])
