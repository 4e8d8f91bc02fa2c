"""Bars per CPU second of GrandModel beside other backtesters: `python benchmarks/replay.py`.

Everybody trades the same strategy (moving averages of 10 and 30 closes, always long or short one contract, filled at
the next open, 0.1 % of notional a fill) on the same seeded one-minute bars, starting from bars in memory in the form
it likes best, and must give the same trades and the same final equity; otherwise the command fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.comparison import main

    sys.exit(main())
