"""Price files of each layout: what is read, and how each kind of bad row is named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.prices.faults import KEPT_FAULTS, PriceFileError
from orchestrator.adapters.prices.file import PriceFile, read_price_file
from orchestrator.domain.market import Market, Price

Write = Callable[[str | bytes], Path]

OWN = "interval_start_utc,real_time_usd_per_mwh,day_ahead_usd_per_mwh\n"
START = datetime(2023, 9, 6, 5, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def own_rows(*prices: str, step: timedelta = QUARTER) -> str:
    return "".join(f"{START + index * step:%FT%TZ},{price}\n" for index, price in enumerate(prices))


def of(file: PriceFile, market: Market) -> list[tuple[datetime, float]]:
    return [(price.start, price.usd_per_mwh) for price in file.prices if price.market is market]


def refused(path: Path, **parameters: object) -> PriceFileError:
    with pytest.raises(PriceFileError) as caught:
        read_price_file(path, **parameters)  # type: ignore[arg-type]  # the test's own keywords
    return caught.value


# --- our own layout


def test_own_layout_gives_both_markets(write: Write) -> None:
    file = read_price_file(write(OWN + own_rows("24.82,22.81", "-3.5,22.81", "5000,22.81")))
    assert file.layout == "wattshift"
    assert of(file, Market.REAL_TIME) == [(START, 24.82), (START + QUARTER, -3.5), (START + 2 * QUARTER, 5000.0)]
    assert [price.end - price.start for price in file.prices] == [QUARTER] * 6
    assert file.span(Market.DAY_AHEAD) == (START, START + 3 * QUARTER)


def test_day_ahead_alone_has_no_real_time(write: Write) -> None:
    hour = timedelta(hours=1)
    header = "interval_start_utc,day_ahead_usd_per_mwh\n"
    file = read_price_file(write(header + own_rows("1", "2", step=hour)))
    assert file.span(Market.REAL_TIME) is None
    assert file.span(Market.DAY_AHEAD) == (START, START + 2 * hour)


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_interval_length_is_taken_from_the_rows(write: Write, minutes: int) -> None:
    step = timedelta(minutes=minutes)
    file = read_price_file(write(OWN + own_rows("1,2", "3,4", step=step)))
    assert {price.end - price.start for price in file.prices} == {step}


def test_other_columns_comments_bom_crlf_quotes_and_blank_ends_are_no_fault(write: Write) -> None:
    text = (
        "# typed from a report\r\n#\r\ninterval_start_utc,load_mw,real_time_usd_per_mwh,temperature_c\r\n"
        '"2023-09-06T05:00:00Z",,"24.82",\r\n2023-09-06T05:15:00+00:00,1,25,2\r\n2023-09-06T00:30:00-05:00,1, 26 ,2\r\n'
        "\r\n,,,\r\n\r\n"
    )
    file = read_price_file(write(b"\xef\xbb\xbf" + text.encode()))
    assert of(file, Market.REAL_TIME) == [(START, 24.82), (START + QUARTER, 25.0), (START + 2 * QUARTER, 26.0)]


def test_rows_that_repeat_earlier_ones_are_taken_once(write: Write) -> None:
    rows = own_rows("1,9", "2,9", "3,9")
    again = "".join(rows.splitlines(keepends=True)[1:])
    later = f"{START + 3 * QUARTER:%FT%TZ},4,9\n"
    file = read_price_file(write(OWN + rows + again + later))
    assert [value for _, value in of(file, Market.REAL_TIME)] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("abc,1", "is not a number"),
        ("nan,1", "is not a number"),
        ("inf,1", "is not a number"),
        ("-Infinity,1", "is not a number"),
        ("1_000,1", "is not a number"),
        ("0x10,1", "is not a number"),
        ('"1,000",1', "is not a number"),
        (",1", "is blank"),
        ("50000.01,1", "beyond any market's cap"),
        ("-5000.01,1", "beyond any market's cap"),
        ("1e400,1", "is not a number"),
    ],
)
def test_a_bad_price_is_named_with_line_column_and_value(write: Write, bad: str, problem: str) -> None:
    error = refused(write(OWN + own_rows("1,1", bad, "3,1")))
    assert error.count == 1
    (fault,) = error.faults
    assert (fault.line, fault.column) == (3, "real_time_usd_per_mwh")
    assert fault.value == bad.removesuffix(",1").strip('"')
    assert problem in fault.problem
    assert "from -5000 to 50000 USD/MWh" in fault.allowed
    assert f"{fault.file}:3: real_time_usd_per_mwh" in str(error)


@pytest.mark.parametrize(
    "bad", ["2023-09-06", "06/09/2023 05:15", "yesterday", "", "2023-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]
)
def test_a_bad_time_is_named_and_makes_no_false_hole(write: Write, bad: str) -> None:
    rows = own_rows("1,1", "2,1", "3,1").splitlines(keepends=True)
    rows[1] = f"{bad},2,1\n"
    error = refused(write(OWN + "".join(rows)))
    assert error.count == 1
    (fault,) = error.faults
    assert (fault.line, fault.column, fault.value) == (3, "interval_start_utc", bad)


def test_all_bad_rows_are_counted_and_the_first_twenty_named(write: Write) -> None:
    error = refused(write(OWN + own_rows(*["x,1"] * 50)))
    assert error.count == 50
    assert [fault.line for fault in error.faults] == list(range(2, 2 + KEPT_FAULTS))
    assert str(error).endswith("... and 30 more")


def test_a_hole_is_named_with_its_start_and_end(write: Write) -> None:
    rows = own_rows(*["1,1"] * 6).splitlines(keepends=True)
    error = refused(write(OWN + "".join(rows[:2] + rows[4:])))
    (fault,) = error.faults
    assert fault.line == 4
    assert "no price from 2023-09-06T05:30:00Z to 2023-09-06T06:00:00Z" in fault.problem


def test_a_second_price_for_an_interval_is_named_with_the_line_of_the_first(write: Write) -> None:
    text = OWN + own_rows("1,1", "2,1", "3,1") + f"{START + QUARTER:%FT%TZ},2.5,1\n"
    (fault,) = refused(write(text)).faults
    assert fault.line == 5
    assert "line 3 with another price" in fault.problem


def test_rows_out_of_order_are_refused(write: Write) -> None:
    rows = own_rows(*["1,1"] * 4).splitlines(keepends=True)
    error = refused(write(OWN + rows[1] + rows[2] + rows[0] + rows[3]))
    assert (error.faults[0].line, error.count) == (4, 1)
    assert "comes after 2023-09-06T05:30:00Z" in error.faults[0].problem


def test_a_row_of_another_decade_is_no_hole(write: Write) -> None:
    path = write(OWN + own_rows("1,1", "2,1") + "2044-01-01T00:00:00Z,3,1\n")
    with pytest.raises(PriceFileError, match=r":4: .* '2044-01-01T00:00:00Z' is more than 366 days after 2023"):
        read_price_file(path, holes_allowed=True)


def test_a_change_of_interval_length_is_named_once(write: Write) -> None:
    hours = "".join(f"{START + timedelta(hours=hour):%FT%TZ},1,1\n" for hour in (3, 4, 5, 6))
    (fault,) = refused(write(OWN + own_rows(*["1,1"] * 9) + hours)).faults
    assert "change from 15 min to 60 min" in fault.problem
    assert fault.line == 10


@pytest.mark.parametrize("minutes", [1, 10, 1440])
def test_an_interval_length_that_no_market_has_is_refused(write: Write, minutes: int) -> None:
    (fault,) = refused(write(OWN + own_rows("1,1", "2,1", "3,1", step=timedelta(minutes=minutes)))).faults
    assert f"is {minutes} min" in fault.problem
    assert fault.allowed == "5, 15, 30 or 60 min"


def test_one_row_does_not_say_how_long_its_interval_is(write: Write) -> None:
    assert "fewer than two rows" in str(refused(write(OWN + own_rows("1,1"))))


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        ("", "is empty", None),
        ("\n \n", "is empty", None),
        ("# only a comment\n", "is empty", None),
        (OWN, "no rows", 1),
        (OWN + own_rows("1,1", "2", "3,1"), "has 2 cells", 3),
        (OWN + own_rows("1,1", "2,1,7", "3,1"), "has 4 cells", 3),
        (OWN + own_rows("1,1", '"2,1', "3,1"), "a quoted cell goes on to line 4", 3),
        (OWN + own_rows("1,1", '"2,1') + own_rows("3,1") * 6_000, "field larger than field limit", 3),
        (OWN + own_rows('1,"1"x'), "is not CSV", 2),
        (OWN + own_rows("1,1", '"2\n",1', "3,1,4"), "has 4 cells", 5),
        (OWN + own_rows("1,1") + "\n" + own_rows("1,1"), "has 0 cells", 3),
        ((OWN + own_rows("1,1")).encode() + b"\xff\xfe,1,1\n", "is not UTF-8", 3),
        ((OWN + own_rows("1,1", "2,1")).encode("utf-16"), "is not UTF-8", 1),
        (OWN.replace("day_ahead", "real_time") + own_rows("1,1"), "more than once", 1),
    ],
)
def test_a_broken_file_is_named(write: Write, content: str | bytes, problem: str, line: int | None) -> None:
    error = refused(write(content))
    assert problem in str(error)
    assert error.faults[0].line == line


def test_a_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in str(refused(tmp_path / "absent.csv"))
    assert "is a directory" in str(refused(tmp_path))


def test_an_unknown_header_is_named_with_what_is_allowed(write: Write) -> None:
    (fault,) = refused(write("time;price\n2023-09-06;1\n")).faults
    assert fault.value == "time;price"
    for layout in ("interval_start_utc", "Delivery Date", "Interval Start", "Datetime"):
        assert layout in fault.allowed


@given(
    step=st.sampled_from([5, 15, 30, 60]),
    values=st.lists(st.tuples(st.floats(-5000, 50_000), st.floats(-5000, 50_000)), min_size=2, max_size=120),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 hypothesis draws naive ones
)
def test_own_layout_round_trip(
    tmp_path_factory: pytest.TempPathFactory, step: int, values: list[tuple[float, float]], start: datetime
) -> None:
    first = start.replace(microsecond=0, tzinfo=UTC)
    length = timedelta(minutes=step)
    starts = [first + index * length for index in range(len(values))]
    path = tmp_path_factory.mktemp("round") / "own.csv"
    path.write_text(
        OWN
        + "".join(f"{at.isoformat()},{real!r},{ahead!r}\n" for at, (real, ahead) in zip(starts, values, strict=True))
    )
    expected = {
        Price(at, at + length, real, Market.REAL_TIME) for at, (real, _) in zip(starts, values, strict=True)
    } | {Price(at, at + length, ahead, Market.DAY_AHEAD) for at, (_, ahead) in zip(starts, values, strict=True)}
    assert set(read_price_file(path).prices) == expected
