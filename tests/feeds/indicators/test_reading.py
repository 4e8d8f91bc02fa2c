"""Files of vintages, with times of publication, and with a declared lag; what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from engine.base.errors import DataError, UsageError
from tests.feeds.indicators.files import FRED, LONG, OECD, WIDE, at, config_of, course, ns, table_of, written
from tests.real import FOLDER

INTEREST = FOLDER / "short-term-interest.csv"


def test_wide_vintages_are_known_at_the_end_of_their_day(tmp_path: Path) -> None:
    table = table_of(written(tmp_path, WIDE))
    assert table.series == "GDPC1"
    assert table.whole
    assert len(table) == 11
    assert sorted(set(table.known_at.tolist())) == [ns("2023-10-27"), ns("2024-01-26"), ns("2024-02-29")]
    assert table.vintage.tolist() == [0] * 3 + [1] * 4 + [2] * 4
    assert at(course(tmp_path / "series.csv"), "2023-10-26T23:59:59", "2023-10-27", "2024-01-26", "2024-03-01") == [
        pytest.approx(np.nan, nan_ok=True),
        121.0,
        132.0,
        264.0,
    ]


def test_a_release_time_moves_the_vintage_into_its_day(tmp_path: Path) -> None:
    table = table_of(written(tmp_path, WIDE), release_time="08:30", timezone="America/New_York")
    assert int(table.known_at[0]) == ns("2023-10-26T12:30")
    assert int(table.known_at[-1]) == ns("2024-02-28T13:30")


def test_growth_stays_in_one_vintage(tmp_path: Path) -> None:
    found = course(written(tmp_path, WIDE), transform="growth")
    # never 264 / 120, the new base over the old one
    assert np.allclose(found.value, [0.1, 0.1, 0.1])
    assert np.allclose(
        course(tmp_path / "series.csv", transform="change", over=3).value, [np.nan, 32, 64], equal_nan=True
    )


def test_fred_needs_a_lag_which_counts_from_the_end_of_the_period(tmp_path: Path) -> None:
    path = written(tmp_path, FRED)
    with pytest.raises(UsageError, match="does not say when") as refused:
        table_of(path)
    assert "lag: 45d" in str(refused.value)
    table = table_of(path, lag="12d")
    assert table.length == "month"
    assert table.revised
    # the end of the 12th of February for January; the empty cell of March is no value
    assert table.known_at.tolist() == [ns("2024-02-13"), ns("2024-03-13"), ns("2024-05-13")]
    assert int(table_of(path, lag="36h").known_at[0]) == ns("2024-02-02T12:00")
    assert int(table_of(path, lag="2w", release_time="13:30").known_at[0]) == ns("2024-02-14T13:30")


def test_dates_a_quarter_apart_are_quarters(tmp_path: Path) -> None:
    path = written(tmp_path, "DATE,GDP\n2023-01-01,1\n2023-04-01,2\n")
    assert int(table_of(path, lag="30d").known_at[0]) == ns("2023-05-01")
    assert int(table_of(path, lag="30d", period="month").known_at[0]) == ns("2023-03-03")


def test_what_comes_later_does_not_decide_how_first_dates_are_taken(tmp_path: Path) -> None:
    path = written(tmp_path, "DATE,GDP\n2023-01-01,1\n2023-04-01,2\n2023-05-01,3\n")
    with pytest.raises(UsageError, match="closer to each other than a quarter"):
        table_of(path, lag="30d")
    assert table_of(path, lag="30d", period="month").length == "month"
    alone = written(tmp_path, "DATE,GDP\n2023-01-01,1\n")
    with pytest.raises(UsageError, match="cannot be found from the dates"):
        table_of(alone, lag="30d")


def test_the_latest_announcement_is_not_the_latest_period(tmp_path: Path) -> None:
    found = course(written(tmp_path, LONG))
    assert at(found, "2024-01-16", "2024-02-16", "2024-03-16") == [50.0, 52.0, 52.0]
    # the revision of December counts in a change from the day it was published
    assert at(course(tmp_path / "series.csv", transform="change"), "2024-02-16") == [1.0]


def test_a_value_is_withdrawn_when_its_validity_ends(tmp_path: Path) -> None:
    ended = LONG.replace("2024-02-15,9999-12-31,2024-01-01", "2024-02-15,2024-02-29,2024-01-01")
    assert at(course(written(tmp_path, ended)), "2024-02-16", "2024-03-01", "2024-03-02") == [52.0, 52.0, 51.0]


def test_times_of_publication_of_a_plain_table(tmp_path: Path) -> None:
    text = "period,value,known_at\n2024-01,1.5,2024-02-02T08:30:00-05:00\n2024-02,2.5,2024-03-01T08:30\n"
    table = table_of(written(tmp_path, text), timezone="America/New_York")
    assert table.known_at.tolist() == [ns("2024-02-02T13:30"), ns("2024-03-01T13:30")]
    with pytest.raises(UsageError, match="leave the lag out"):
        table_of(tmp_path / "series.csv", lag="1d")


def test_parquet_with_dates_reads_like_text(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"date": [date(2024, 1, 1), date(2024, 2, 1)], "value": [1.0, None], "vintage": ["2024-02-10"] * 2}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    table = table_of(tmp_path / "x.parquet")
    assert (table.value.tolist(), table.known_at.tolist()) == ([1.0], [ns("2024-02-11")])


def test_a_series_of_a_long_file_is_chosen_by_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path, OECD)
    with pytest.raises(UsageError, match="several series"):
        table_of(path, lag="10d")
    with pytest.raises(UsageError, match="no value 'Usa'") as refused:
        table_of(path, lag="10d", series={"LOCATION": "Usa"})
    assert "USA" in str(refused.value)
    table = table_of(path, lag="10d", series={"location": "USA", "FREQUENCY": "M"})
    assert table.series == "USA.STINT.M"
    assert table.known_at.tolist() == [ns("2023-12-11"), ns("2024-01-11")]


def test_series_side_by_side_are_chosen_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, "DATE,GDP,CPI\n2023-01-01,1,5\n2023-02-01,2,6\n")
    with pytest.raises(UsageError, match="several series"):
        table_of(path, lag="1d")
    with pytest.raises(UsageError, match="no series 'CPY'") as refused:
        table_of(path, lag="1d", series="CPY")
    assert "CPI" in str(refused.value)
    assert table_of(path, lag="1d", series="CPI").value.tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,value,known_at\n2024-13-01,1,2024-02-01\n", "a period cannot be read"),
        ("date,value,known_at\n2024-01-01,1,soon\n", "a time of publication cannot be read"),
        ("date,value,known_at\n2024-01-01,1;5,2024-02-01\n", "a value is no number"),
        ("date,value,known_at\n2024-01-01,inf,2024-02-01\n", "a value is no number"),
        ("date,value,known_at\n2024-01-01,1,2024-02-01\n2024-01-01,2,2024-02-01\n", "two values of one period"),
        ("date,value,known_at\n2024-01-01,.,2024-02-01\n", "holds no values"),
        ("day,value,known_at\n2024-01-01,1,2024-02-01\n", "no column holds the periods"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        table_of(written(tmp_path, text))
    assert "series.csv" in str(refused.value)


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for keys in (
        {"lag": "3 months"},
        {"lag": "3d", "known_at": "x"},
        {"lag": "3h", "release_time": "08:30"},
        {"over": 3},
        {"name": "spread"},
        {"name": "order_flow_imbalance_2"},
        {"name": "Cpi"},
        {"timezone": "Mars/Base"},
    ):
        with pytest.raises(ValidationError):
            config_of(tmp_path / "x.csv", **keys)


@pytest.mark.skipif(not INTEREST.is_file(), reason="the folder of real market data is not here")
def test_the_oecd_file_of_short_term_interest_rates() -> None:
    keys = {"series": {"LOCATION": "USA", "FREQUENCY": "M"}, "lag": "15d"}
    table = table_of(INTEREST, **keys)
    frame = pl.read_csv(INTEREST).filter((pl.col("LOCATION") == "USA") & (pl.col("FREQUENCY") == "M")).sort("TIME")
    assert table.value.tolist() == frame["Value"].to_list()
    assert table.length == "month"
    # of every month, the value is known 15 days after its end and never earlier
    firsts = [table.first_day(row) for row in range(len(table))]
    ends = pl.Series(firsts).dt.offset_by("1mo").dt.offset_by("15d").dt.epoch("ns").to_list()
    assert table.known_at.tolist() == ends
    with pytest.raises(UsageError, match="does not say when"):
        table_of(INTEREST, series=keys["series"])
