"""A backtest against the order book of a real file, whose fills docs/books.md follows by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import grandmodel as gm
from engine.base.errors import ConfigError
from tests.real import FOLDER

pytest.importorskip("databento_dbn")
ES = FOLDER / "esh4-glbx-mdp3-20231224.mbo.dbn.zst"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "books.md"

pytestmark = pytest.mark.skipif(not ES.is_file(), reason="the folder of real market data is not here")


@pytest.fixture
def strategy(tmp_path: Path) -> str:
    """The strategy as the page prints it."""
    found = re.search(r"```python\n(import grandmodel as gm\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "walk.py").write_text(found[1], encoding="utf-8")
    return f"{tmp_path / 'walk.py'}:Walk"


def test_the_fills_are_those_of_the_page(strategy: str) -> None:
    settings = {"data": ES, "agent": strategy, "initial_capital": 2_000_000, "end": "2023-12-24T13:10", "quiet": True}
    result = gm.backtest(**settings, execution={"fills": "book"}, replay={"bars": "time:1min"})
    fills = result.fills
    found = [
        (f"{fill.ts_event:%H:%M}", fill.side, float(fill.quantity), float(fill.price)) for fill in fills.itertuples()
    ]
    assert found == [
        ("13:02", "buy", 23.0, 4799.50),
        ("13:02", "buy", 7.0, 4799.75),
        ("13:03", "buy", 15.0, 4799.75),
        ("13:03", "buy", 15.0, 4800.00),
        ("13:04", "sell", 16.0, 4799.00),
        ("13:05", "sell", 21.0, 4798.75),
        ("13:05", "sell", 18.0, 4798.50),
        ("13:05", "sell", 1.0, 4798.25),
    ]
    spent = 50 * (23 * 4799.50 + 22 * 4799.75 + 15 * 4800.00)
    earned = 50 * (16 * 4799.00 + 21 * 4798.75 + 18 * 4798.50 + 1 * 4798.25 + 4 * 4799.25)
    assert earned - spent == -2850.0
    assert float(result.equity.iloc[-1]) == pytest.approx(2_000_000 - 2850.0 - 116 * 2.25, abs=1e-6)
    again = gm.backtest(**settings, execution={"fills": "book"}, replay={"bars": "time:1min"}, block=1)
    assert again.fills.equals(fills)
    page = PAGE.read_text(encoding="utf-8")
    for text in ("23 at 4799.50, 7 at 4799.75", "15 at 4799.75, 15 at 4800.00", "1,996,889.00"):
        assert text in page


def test_bars_of_a_file_of_bars_have_no_book() -> None:
    with pytest.raises(gm.GrandModelError, match="need bars of an order book"):
        gm.backtest(data="es-synthetic", execution={"fills": "book"}, quiet=True)


def test_slippage_beside_a_book_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave slippage and participation out"):
        gm.backtest(data=ES, execution={"fills": "book", "slippage": {"ticks": 1}}, quiet=True)
