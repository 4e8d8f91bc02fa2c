"""Bars per CPU second of GrandModel beside other backtesters: `python -m benchmarks.replay`.

Everybody trades the same strategy (moving averages of 10 and 30 closes, always long or short one contract, filled at
the next open, 0.1 % of notional a fill) on the same seeded one-minute bars, starting from bars in memory in the form
it likes best, and must give the same trades and the same final equity; otherwise the command fails.
"""

from __future__ import annotations

import sys

from benchmarks.command_line import guarded

if __name__ == "__main__":
    from benchmarks.replay.comparison import main

    sys.exit(guarded(main))
