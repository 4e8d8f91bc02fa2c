"""Which instrument the bars of a symbol are traded as, and what the user is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.api.calls import backtest
from engine.base.errors import UsageError
from engine.types.instruments import find_instrument, known_beginning, load_instrument

BARS = "".join(f"2024-03-14 00:{minute:02},100,101,99,100,5\n" for minute in range(40))
HEADER = "timestamp,open,high,low,close,volume\n"


def write(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / f"{name}.csv").write_text(HEADER + BARS)
    return [str(folder / f"{name}.csv") for name in names]


def told(data: Any, instrument: Any = None) -> tuple[dict[str, str], list[str]]:
    """The instrument of each symbol, and the assumptions."""
    manifest = backtest(data, instrument, agent="flat").manifest
    return {symbol: item["name"] for symbol, item in manifest["instruments"].items()}, manifest["assumptions"]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("ESH4", "ES"),
        ("esz25", "ES"),
        ("ESH4.XCME", "ES"),
        ("ES=F", "ES"),
        ("CME_MINI:ES1!", "ES"),
        ("ES.c.0", "ES"),
        ("6EH4.XCME", "6E"),
        ("6E=F", "6E"),
        ("BTCUSDT", "BTC-PERP"),
        ("BTC/USDT:USDT", "BTC-PERP"),
        ("XBTUSD", "BTC-PERP"),
        ("BTC-PERPETUAL", "BTC-PERP"),
        ("EURUSD=X", "EURUSD"),
        ("gbp/usd", "GBPUSD"),
        ("ESTX", None),
        ("ESA4", None),
        ("TEST", None),
        ("BTC", None),
        ("", None),
    ],
)
def test_synonyms(symbol: str, name: str | None) -> None:
    found = find_instrument(symbol)
    assert (found.name if found else None) == name
    if name is not None:
        assert load_instrument(symbol).name == name


@pytest.mark.parametrize(
    ("file", "beginning"),
    [
        ("6EH4_1min_bars_20240101_20240131", "6EH4"),
        ("btc-perp-20211231-20220201_1m", "btc-perp"),
        ("ES_2023_2024", "ES"),
        ("GBPUSD=X 2024", "GBPUSD=X"),
        ("bars_ES", None),
        ("essay_1min", None),
        ("_", None),
    ],
)
def test_the_beginning_of_a_file_name(file: str, beginning: str | None) -> None:
    assert known_beginning(file) == beginning


def test_a_known_file_name_gives_the_run_that_naming_it_gives(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "ESH4_1min")
    found, asked = (backtest(file, name, agent="buy_and_hold") for name in (None, "ES"))
    assert found.ledger_sha256 == asked.ledger_sha256
    assert found.manifest["assumptions"] == [
        (
            "instrument ES for ESH4_1min, found by the symbol: ticks of 0.25, 50 USD a point, sizes in steps of 1, "
            "fee 2.25 a contract, margin 13000 a contract, hours of CMES"
        )
    ]
    assert asked.manifest["assumptions"] == []


def test_an_unknown_symbol_is_generic_and_reported(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "prices")
    assert told(file) == (
        {"prices": "GENERIC"},
        [
            (
                "instrument GENERIC for prices, assumed, because no option and no known symbol tells: "
                "continuous prices, any size, fee 0.1 % of notional, no leverage, always open"
            )
        ],
    )
    assert told(file, "GENERIC") == ({"prices": "GENERIC"}, [])


def test_each_symbol_finds_its_own(tmp_path: Path) -> None:
    both = tmp_path / "both.csv"
    lines = [f"{line},{symbol}" for line in BARS.splitlines() for symbol in ("ESH4", "6EH4", "FOO")]
    both.write_text(HEADER.strip() + ",symbol\n" + "\n".join(lines) + "\n")
    found, lines = told(str(both))
    assert found == {"ESH4": "ES", "6EH4": "6E", "FOO": "GENERIC"}
    assert [line.split(":")[0] for line in lines] == [
        "instrument ES for ESH4, found by the symbol",
        "instrument 6E for 6EH4, found by the symbol",
        "instrument GENERIC for FOO, assumed, because no option and no known symbol tells",
    ]
    assert told(str(both), {"ESH4": "ES", "6EH4": "6E", "default": "BTC-PERP"})[0]["FOO"] == "BTC-PERP"
    with pytest.raises(UsageError, match="no instrument is given for the symbol 'FOO'"):
        told(str(both), {"ESH4": "ES"})


def test_one_instrument_for_several_symbols_is_reported_or_refused(tmp_path: Path) -> None:
    found, lines = told(write(tmp_path, "AAA", "BBB"), "ES")
    assert found == {"AAA": "ES", "BBB": "ES"}
    assert lines == ["one instrument, ES, for 2 symbols: AAA, BBB"]
    with pytest.raises(UsageError, match="'6EH4' is known as 6E") as caught:
        told(write(tmp_path, "6EH4", "ESH4"), "ES")
    assert "--instrument 6EH4=6E" in str(caught.value.hint)
    assert told(write(tmp_path, "6EH4"), "ES") == ({"ES": "ES"}, [])


def test_a_file_named_like_another_instrument_is_warned_of(tmp_path: Path) -> None:
    (file,) = write(tmp_path, "6EH4_1min")
    result = backtest(file, "ES", agent="flat")
    (warning,) = result.manifest["warnings"]
    assert warning.startswith("'6EH4_1min', the name of the data, is known as 6E, but ES was asked for: every price")
    assert "! '6EH4_1min', the name of the data" in str(result)
    for asked in (None, "6E", "GENERIC"):
        assert backtest(file, asked, agent="flat").manifest["warnings"] == []


def test_data_of_another_instrument_are_refused_unless_mapped(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(HEADER.strip() + ",symbol\n" + "".join(f"{line},6EH4\n" for line in BARS.splitlines()))
    frame = pd.read_csv(file)
    for data in (str(file), frame, {"6EH4": frame.drop(columns="symbol")}):
        with pytest.raises(
            UsageError, match="the data are of '6EH4', which is known as 6E, but ES was asked"
        ) as caught:
            told(data, "ES")
        assert "--instrument 6EH4=ES (in Python instrument={'6EH4': 'ES'})" in str(caught.value.hint)
        assert told(data, {"6EH4": "ES"}) == ({"6EH4": "ES"}, [])
        assert told(data, "6E")[0] == told(data)[0] == {"6EH4": "6E"}
