"""Where real market data for trial runs may lie; tests that use it skip where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
EURO_FX = FOLDER / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
BITCOIN = FOLDER / "btc-perp-20211231-20220201_1m.csv"
STERLING_BID = FOLDER / "gbpusd-m1-bid-2012.csv"
STERLING_ASK = FOLDER / "gbpusd-m1-ask-2012.csv"

needs_real_data = pytest.mark.skipif(not EURO_FX.is_file(), reason="the folder of real market data is not here")
