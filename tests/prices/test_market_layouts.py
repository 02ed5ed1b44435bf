"""The layouts of ERCOT, gridstatus and hourly auctions, with their days of 92 and 100 intervals."""

import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.prices.faults import PriceFileError
from orchestrator.adapters.prices.file import read_price_file
from orchestrator.domain.market import Market, Price

Write = Callable[[str | bytes], Path]

CENTRAL = ZoneInfo("America/Chicago")
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
REPORT = (
    "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,Settlement Point Name,Settlement Point Type,"
    "Settlement Point Price\n"
)
DAY_AHEAD_REPORT = "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n"
GRIDSTATUS = "Time,Interval Start,Interval End,Location,Location Type,Market,SPP\n"


def refused(path: Path, **parameters: object) -> PriceFileError:
    with pytest.raises(PriceFileError) as caught:
        read_price_file(path, **parameters)  # type: ignore[arg-type]  # the test's own keywords
    return caught.value


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CENTRAL).astimezone(UTC)


def ercot_day(day: date, point: str = "HB_WEST", kind: str = "HU") -> list[tuple[datetime, str]]:
    """Rows of a day as ERCOT reports it, made from the instants of the day; the price is the row's number."""
    rows: list[tuple[datetime, str]] = []
    at, end = midnight(day), midnight(day + timedelta(days=1))
    while at < end:
        local = at.astimezone(CENTRAL)
        flag = "Y" if local.fold else "N"
        row = f"{local:%m/%d/%Y},{local.hour + 1},{local.minute // 15 + 1},{flag},{point},{kind},{len(rows)}\n"
        rows.append((at, row))
        at += QUARTER
    return rows


@pytest.mark.parametrize(
    ("day", "intervals"), [(date(2024, 3, 10), 92), (date(2024, 11, 3), 100), (date(2024, 7, 1), 96)]
)
def test_ercot_days_of_92_100_and_96_intervals(write: Write, day: date, intervals: int) -> None:
    rows = ercot_day(day)
    file = read_price_file(write(REPORT + "".join(row for _, row in rows)))
    assert file.layout == "ercot"
    assert [(price.start, price.usd_per_mwh) for price in file.prices] == [(at, i) for i, (at, _) in enumerate(rows)]
    assert len(file.prices) == intervals
    assert file.span(Market.REAL_TIME) == (midnight(day), midnight(day + timedelta(days=1)))


def test_ercot_repeated_hour_listed_quarter_by_quarter_beside_the_first(write: Write) -> None:
    rows = [row for _, row in ercot_day(date(2024, 11, 3))]
    beside = [row for pair in zip(rows[4:8], rows[8:12], strict=True) for row in pair]
    file = read_price_file(write(REPORT + "".join(rows[:4] + beside + rows[12:])))
    assert [price.usd_per_mwh for price in file.prices] == list(range(100))


@given(day=st.dates(date(2008, 1, 1), date(2035, 12, 31)))
def test_any_ercot_day_covers_it_from_midnight_to_midnight(tmp_path_factory: pytest.TempPathFactory, day: date) -> None:
    path = tmp_path_factory.mktemp("day") / "report.csv"
    path.write_text(REPORT + "".join(row for _, row in ercot_day(day)))
    prices = read_price_file(path).prices
    assert prices[0].start == midnight(day)
    assert prices[-1].end == midnight(day + timedelta(days=1))
    assert all(later.start == earlier.end for earlier, later in itertools.pairwise(prices))


def test_ercot_point_has_to_be_chosen_among_several(write: Write) -> None:
    day = date(2024, 7, 1)
    text = REPORT + "".join(row for _, row in ercot_day(day, "HB_WEST") + ercot_day(day, "LZ_WEST", "LZ"))
    for error in (refused(write(text)), refused(write(text), point="HB_WETS")):
        (fault,) = error.faults
        assert fault.allowed == "point = one of HB_WEST, LZ_WEST"
    assert len(read_price_file(write(text), point="LZ_WEST").prices) == 96


def test_ercot_energy_weighted_zone_is_another_point(write: Write) -> None:
    day = date(2024, 7, 1)
    weighted = [(at, row.replace(",LZEW,", ",LZEW,1")) for at, row in ercot_day(day, "LZ_WEST", "LZEW")]
    text = REPORT + "".join(row for _, row in ercot_day(day, "LZ_WEST", "LZ") + weighted)
    assert read_price_file(write(text), point="LZ_WEST").prices[3].usd_per_mwh == 3.0
    assert read_price_file(write(text), point="LZ_WEST_EW").prices[3].usd_per_mwh == 13.0


def test_ercot_live_day_ahead_report(write: Write) -> None:
    text = DAY_AHEAD_REPORT + "".join(f"07/01/2024,{hour:02}:00,HB_WEST,{hour}.5,N\n" for hour in range(1, 25))
    file = read_price_file(write(text))
    assert file.prices[0] == Price(
        datetime(2024, 7, 1, 5, tzinfo=UTC), datetime(2024, 7, 1, 6, tzinfo=UTC), 1.5, Market.DAY_AHEAD
    )
    assert len(file.prices) == 24


@pytest.mark.parametrize(
    ("index", "row", "column", "problem"),
    [
        (5, "07/01/2024,25,2,N,HB_WEST,HU,1\n", "Delivery Hour", "not an hour"),
        (5, "07/01/2024,0,2,N,HB_WEST,HU,1\n", "Delivery Hour", "not an hour"),
        (5, "07/01/2024,2,5,N,HB_WEST,HU,1\n", "Delivery Interval", "not a quarter"),
        (5, "13/01/2024,2,2,N,HB_WEST,HU,1\n", "Delivery Date", "not a date"),
        (5, "07/01/9999,2,2,N,HB_WEST,HU,1\n", "Delivery Date", "not a date"),
        (5, "07/01/2024,2,2,X,HB_WEST,HU,1\n", "Repeated Hour Flag", "not a flag"),
        (5, "07/01/2024,2,2,Y,HB_WEST,HU,1\n", "Repeated Hour Flag", "as repeated"),
        (5, "07/01/2024,2,2,N,HB_WEST,HU,\n", "Settlement Point Price", "is blank"),
    ],
)
def test_ercot_bad_rows_are_named(write: Write, index: int, row: str, column: str, problem: str) -> None:
    rows = [row for _, row in ercot_day(date(2024, 7, 1))]
    rows[index] = row
    (fault,) = refused(write(REPORT + "".join(rows))).faults
    assert (fault.line, fault.column) == (index + 2, column)
    assert problem in fault.problem


def test_ercot_hour_that_clocks_leave_out_is_refused(write: Write) -> None:
    rows = [row for _, row in ercot_day(date(2024, 3, 10))]
    (fault,) = refused(write(REPORT + "".join(rows) + "03/10/2024,3,1,N,HB_WEST,HU,1\n")).faults
    assert (fault.column, fault.value) == ("Delivery Hour", "3")


def test_ercot_hole_is_named(write: Write) -> None:
    rows = [row for _, row in ercot_day(date(2024, 7, 1))]
    (fault,) = refused(write(REPORT + "".join(rows[:10] + rows[11:]))).faults
    assert "no price from 2024-07-01T07:30:00Z to 2024-07-01T07:45:00Z" in fault.problem


# --- gridstatus


def gridstatus_rows(start: datetime, count: int, length: timedelta, market: str, location: str = "LZ_WEST") -> str:
    lines = []
    for index in range(count):
        begin = (start + index * length).astimezone(CENTRAL)
        end = (start + (index + 1) * length).astimezone(CENTRAL)
        lines.append(f"{begin},{begin},{end},{location},Load Zone,{market},{index}.25\n")
    return "".join(lines)


def test_gridstatus_both_markets_across_the_repeated_hour(write: Write) -> None:
    start = datetime(2024, 11, 3, 5, tzinfo=UTC)
    text = GRIDSTATUS + gridstatus_rows(start, 100, QUARTER, "REAL_TIME_15_MIN")
    text += gridstatus_rows(start, 25, HOUR, "DAY_AHEAD_HOURLY")
    file = read_price_file(write(text))
    assert file.layout == "gridstatus"
    assert file.span(Market.REAL_TIME) == file.span(Market.DAY_AHEAD) == (start, start + 25 * HOUR)
    assert len(file.prices) == 125


def test_gridstatus_lmp_columns_with_an_index_and_one_of_two_locations(write: Write) -> None:
    text = ",Time,Interval Start,Interval End,Market,Location,Location Type,LMP,Energy,Congestion,Loss\n"
    for index in range(3):
        for location in ("TH_NP15", "TH_SP15"):
            begin, end = f"2024-01-01 00:{5 * index:02}:00-08:00", f"2024-01-01 00:{5 * index + 5:02}:00-08:00"
            text += f"{index},{begin},{begin},{end},REAL_TIME_5_MIN,{location},Trading Hub,{index},1,1,1\n"
    file = read_price_file(write(text), point="TH_SP15")
    assert [price.usd_per_mwh for price in file.prices] == [0.0, 1.0, 2.0]
    assert file.prices[0].end == datetime(2024, 1, 1, 8, 5, tzinfo=UTC)
    assert "TH_NP15, TH_SP15" in str(refused(write(text)))


def test_gridstatus_old_frames_with_time_alone(write: Write) -> None:
    text = "Location,Time,Market,Location Type,SPP\n" + "".join(
        f"LZ_WEST,2023-01-01 00:{minute}:00-06:00,REAL_TIME_15_MIN,Load Zone,1\n" for minute in ("00", "15", "30")
    )
    file = read_price_file(write(text))
    assert file.span(Market.REAL_TIME) == (
        datetime(2023, 1, 1, 6, tzinfo=UTC),
        datetime(2023, 1, 1, 6, 45, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("old", "new", "column", "problem"),
    [
        ("2024-07-01 00:15:00-05:00,2024-07-01 00:15:00-05:00", "x,2024-07-01 00:15:00", "Interval Start", "no UTC"),
        ("REAL_TIME_15_MIN,1.25", "REAL_TIME_15_MIN,NaN", "SPP", "not a number"),
        ("REAL_TIME_15_MIN,1.25", "ANCILLARY,1.25", "Market", "not a market"),
        ("REAL_TIME_15_MIN,1.25", "REAL_TIME_5_MIN,1.25", "Market", "second market"),
    ],
)
def test_gridstatus_bad_rows_are_named(write: Write, old: str, new: str, column: str, problem: str) -> None:
    text = GRIDSTATUS + gridstatus_rows(datetime(2024, 7, 1, 5, tzinfo=UTC), 4, QUARTER, "REAL_TIME_15_MIN")
    assert old in text
    fault = next(f for f in refused(write(text.replace(old, new))).faults if f.column == column)
    assert fault.line == 3
    assert problem in fault.problem


def test_gridstatus_interval_end_that_differs_is_named(write: Write) -> None:
    text = GRIDSTATUS + gridstatus_rows(datetime(2024, 7, 1, 5, tzinfo=UTC), 4, QUARTER, "REAL_TIME_15_MIN")
    text = text.replace("00:30:00-05:00,LZ_WEST", "00:20:00-05:00,LZ_WEST")
    (fault,) = refused(write(text)).faults
    assert fault.line == 3
    assert "is 5 min long" in fault.problem


# --- hourly, local time


def hourly(currency: str, *rows: str) -> str:
    return f"Datetime,Price ({currency}/MWh)\n" + "".join(f"{row}\n" for row in rows)


def test_hourly_prices_are_in_force_and_known_the_day_before(write: Write) -> None:
    file = read_price_file(write(hourly("USD", "2024-01-01 08:00:00,1", "2024-01-01 09:00:00,-2")))
    assert file.layout == "hourly"
    start = datetime(2024, 1, 1, 8, tzinfo=UTC)
    for market in Market:
        assert [price for price in file.prices if price.market is market] == [
            Price(start, start + HOUR, 1.0, market),
            Price(start + HOUR, start + 2 * HOUR, -2.0, market),
        ]


def test_euro_is_refused_without_a_rate_and_converted_with_one(write: Write) -> None:
    path = write(hourly("EUR", "2024-01-01 00:00:00,100", "2024-01-01 01:00:00,-10"))
    assert "usd_per_eur" in str(refused(path))
    file = read_price_file(path, timezone="Europe/Berlin", usd_per_eur=1.1)
    assert [price.usd_per_mwh for price in file.prices[:2]] == [pytest.approx(110.0), pytest.approx(-11.0)]
    assert file.prices[0].start == datetime(2023, 12, 31, 23, tzinfo=UTC)
    for rate in (0.0, -1.0, float("nan")):
        assert "not a rate" in str(refused(path, usd_per_eur=rate))


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "America", "../etc"])
def test_an_unknown_time_zone_is_named_in_any_layout(write: Write, timezone: str) -> None:
    for content in (
        hourly("USD", "2024-01-01 00:00:00,1", "2024-01-01 01:00:00,1"),
        "interval_start_utc,real_time_usd_per_mwh\n2024-01-01T00:00Z,1\n2024-01-01T00:15Z,1\n",
    ):
        assert "not a time zone" in str(refused(write(content), timezone=timezone))


def test_it_is_told_in_which_zone_times_without_an_offset_were_read(write: Write) -> None:
    naive = hourly("USD", "2024-01-01 00:00:00,1", "2024-01-01 01:00:00,1")
    aware = hourly("USD", "2024-01-01 00:00:00+01:00,1", "2024-01-01 01:00:00+01:00,1")
    found = [read_price_file(write(content), timezone="Europe/Berlin") for content in (naive, aware)]
    assert [file.naive_in for file in found] == ["Europe/Berlin", None]
    assert found[0].prices == found[1].prices


def test_times_of_another_zone_show_in_the_hour_that_clocks_skip(write: Write) -> None:
    """A file in UTC, read as Central: its 12 March 2023 has the hour that clocks there leave out."""
    path = write(hourly("USD", *(f"2023-03-12 {hour:02d}:00:00,{hour}" for hour in range(24))))
    (fault,) = refused(path, timezone="America/Chicago").faults
    assert (fault.line, fault.value) == (5, "2023-03-12 03:00:00")
    assert fault.problem == (
        "is the same hour as '2023-03-12 02:00:00' on line 4, with another price: clocks in America/Chicago skip from "
        "2023-03-12 02:00 to 03:00"
    )
    assert "--timezone" in fault.allowed
    assert len(read_price_file(path, timezone="UTC").prices) == 48


def test_faults_show_times_as_the_file_has_them(write: Write) -> None:
    rows = [f"2024-07-01 {hour:02d}:00:00,{hour}" for hour in (0, 1, 2, 1, 4)]
    rows[3] = rows[3].replace(",1", ",7")
    found = refused(write(hourly("USD", *rows)), timezone="America/Chicago").faults
    assert [(fault.line, fault.value) for fault in found] == [(5, "2024-07-01 01:00:00"), (6, "2024-07-01 04:00:00")]
    report = [row for _, row in ercot_day(date(2024, 11, 3))]
    (fault,) = refused(write(REPORT + "".join([*report, report[9].replace(",9\n", ",8\n")]))).faults
    assert fault.value == "11/03/2024 hour 2 interval 2 repeated"


def test_the_spring_hour_that_clocks_leave_out_may_be_absent_or_filled(write: Write) -> None:
    absent = ["2024-03-31 01:00:00,1", "2024-03-31 03:00:00,3", "2024-03-31 04:00:00,4"]
    filled = [absent[0], "2024-03-31 02:00:00,3", *absent[1:]]
    read = [read_price_file(write(hourly("USD", *rows)), timezone="Europe/Berlin").prices for rows in (absent, filled)]
    assert read[0] == read[1]
    assert read[0][0].start == datetime(2024, 3, 31, 0, tzinfo=UTC)
    assert len(read[0]) == 6
    blank = [absent[0], "2024-03-31 02:00:00,", *absent[1:]]  # there is no such hour, and no price
    assert read_price_file(write(hourly("USD", *blank)), timezone="Europe/Berlin").prices == read[0]
    wrong = [absent[0], "2024-03-31 02:00:00,2", *absent[1:]]
    assert "another price" in str(refused(write(hourly("USD", *wrong)), timezone="Europe/Berlin"))


def test_the_autumn_hour_that_clocks_repeat_may_stand_once_or_twice(write: Write) -> None:
    start = datetime(2024, 10, 26, 23, tzinfo=UTC)
    rows = ["2024-10-27 01:00:00,1", "2024-10-27 02:00:00,2", "2024-10-27 03:00:00,4"]
    once = read_price_file(write(hourly("USD", *rows)), timezone="Europe/Berlin").prices
    assert [(p.start, p.usd_per_mwh) for p in once if p.market is Market.REAL_TIME] == [
        (start, 1.0),
        (start + HOUR, 2.0),
        (start + 2 * HOUR, 2.0),
        (start + 3 * HOUR, 4.0),
    ]
    rows.insert(2, "2024-10-27 02:00:00,3")
    twice = read_price_file(write(hourly("USD", *rows)), timezone="Europe/Berlin").prices
    assert [p.usd_per_mwh for p in twice if p.market is Market.REAL_TIME] == [1.0, 2.0, 3.0, 4.0]
