"""A backtest's market read from files: the real ones beside the project, holes, corrections, and the site's series."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from orchestrator.adapters.prices.faults import PriceFileError
from orchestrator.backtest.market import Basis
from orchestrator.runtime.backtest.backtest_inputs import Asked, request
from orchestrator.runtime.backtest.market_files import load_history
from orchestrator.runtime.demo.demo import choose_day
from orchestrator.settings import FilePrices, Settings, load_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def settings() -> Settings:
    return load_settings(EXAMPLES / "texas-100mw.yaml", {})


@pytest.fixture
def prices_folder() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "prices"
    if not folder.is_dir():
        pytest.skip("the folder of real data, ../shared/data beside the project, is not here")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write_file(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_text(content)
        return path

    return write_file


def feed(*paths: Path, point: str | None = None, timezone: str = "UTC", usd_per_eur: float | None = None) -> FilePrices:
    return FilePrices(paths, point, timezone, usd_per_eur)


def test_holes_and_blank_prices_are_filled_and_named(settings: Settings, write: Callable[[str, str], Path]) -> None:
    path = write(
        "prices.csv",
        "interval_start_utc,real_time_usd_per_mwh\n"
        "2024-05-01T00:00Z,20\n2024-05-01T00:15Z,21\n2024-05-01T00:30Z,\n2024-05-01T01:00Z,24\n",
    )
    history = load_history(settings, feed(path))
    assert history.price_usd_per_mwh.tolist() == [20.0, 21.0, 21.0, 60.0, 24.0]
    assert history.basis.tolist() == [Basis.REAL_TIME, Basis.REAL_TIME, Basis.HELD, Basis.FALLBACK, Basis.REAL_TIME]
    assert any(note.startswith("prices.csv:4: real_time_usd_per_mwh '' is blank") for note in history.notes)
    assert any(
        note.startswith("prices.csv:5: interval_start_utc '2024-05-01T01:00Z' follows a hole")
        and "forecasts" not in note
        for note in history.notes
    )


def test_only_holes_that_the_run_looks_at_are_told(settings: Settings, write: Callable[[str, str], Path]) -> None:
    """June to September 2024 by the hour, with an hour missing on the first of each month and one blank beside it."""
    start = datetime(2024, 6, 1, tzinfo=UTC)
    lines = ["interval_start_utc,real_time_usd_per_mwh"]
    for hour in range(122 * 24):
        at = start + timedelta(hours=hour)
        if (at.day, at.hour) != (1, 12):
            lines.append(f"{at:%Y-%m-%dT%H:%MZ},{'' if (at.day, at.hour) == (1, 14) else 30}")
    path = write("prices.csv", "\n".join(lines) + "\n")
    told = {}
    for end in (datetime(2024, 8, 30, tzinfo=UTC), datetime(2024, 8, 31, tzinfo=UTC)):
        history = load_history(settings, feed(path), start=datetime(2024, 8, 1, tzinfo=UTC), end=end)
        told[end.day] = [note for note in history.notes if note.startswith("prices.csv:")]
    july, july_blank, august, august_blank = told[30]
    assert "'2024-07-01T13:00Z' follows a hole" in july
    assert july.endswith(", before the period: forecasts learn from it")
    assert july_blank.endswith("'' is blank, before the period: forecasts learn from it")
    assert august.endswith("no price from 2024-08-01T12:00:00Z to 2024-08-01T13:00:00Z")
    assert august_blank.endswith("is blank")
    assert told[31][:4] == told[30]
    assert [note.rpartition(", ")[2] for note in told[31][4:]] == ["after the period: plans look ahead to it"] * 2


def test_the_zone_that_times_without_an_offset_were_read_in_is_told(
    settings: Settings, write: Callable[[str, str], Path]
) -> None:
    path = write("prices.csv", "Datetime,Price (USD/MWh)\n2024-05-01 00:00:00,20\n2024-05-01 01:00:00,21\n")
    assert "prices.csv: times without an offset were read as America/Chicago; --timezone names another zone" in (
        load_history(settings, feed(path, timezone="America/Chicago")).notes
    )
    path = write("prices.csv", "interval_start_utc,real_time_usd_per_mwh\n2024-05-01T00:00,20\n2024-05-01T00:15,21\n")
    assert not any("without an offset" in note for note in load_history(settings, feed(path)).notes)


def test_times_without_an_offset_are_the_sites_for_the_demo_too(
    settings: Settings, write: Callable[[str, str], Path]
) -> None:
    hours = "".join(f"2023-09-06 {hour:02d}:00:00,{20 + hour}\n" for hour in range(24))
    path = write("prices.csv", "Datetime,Price (USD/MWh)\n" + hours)
    of_day = date(2023, 9, 6)
    assert choose_day(settings, path, of_day).end == datetime(2023, 9, 7, 5, tzinfo=UTC)
    assert choose_day(settings, path, of_day, timezone="UTC").end == datetime(2023, 9, 7, tzinfo=UTC)


def test_options_hold_for_the_sites_own_price_files_too(settings: Settings) -> None:
    def asked(**options: str | float | None) -> FilePrices:
        options = {"strategies": "greedy", **options}
        return request(settings, Asked(**options)).feed  # type: ignore[arg-type]  # each as named

    assert asked() == settings.prices
    changed = asked(point="HB_WEST", timezone="UTC", usd_per_eur=1.1)
    assert (changed.point, changed.timezone, changed.usd_per_eur) == ("HB_WEST", "UTC", 1.1)


def test_the_live_reader_still_refuses_them(settings: Settings, write: Callable[[str, str], Path]) -> None:
    path = write("prices.csv", "interval_start_utc,real_time_usd_per_mwh\n2024-05-01T00:00Z,x\n2024-05-01T00:15Z,1\n")
    with pytest.raises(PriceFileError, match=r"prices\.csv:2: real_time_usd_per_mwh 'x' is not a number; allowed:"):
        load_history(settings, feed(path))


def test_our_csv_carries_final_prices_in_a_column(settings: Settings, write: Callable[[str, str], Path]) -> None:
    path = write(
        "prices.csv",
        "interval_start_utc,real_time_usd_per_mwh,real_time_final_usd_per_mwh\n"
        "2024-05-01T00:00Z,20,\n2024-05-01T00:15Z,5000,35.5\n2024-05-01T00:30Z,22,22\n",
    )
    history = load_history(settings, feed(path))
    assert history.price_usd_per_mwh.tolist() == [20.0, 5000.0, 22.0]
    assert history.final_usd_per_mwh.tolist() == [20.0, 35.5, 22.0]
    assert "1 real-time prices of the period were corrected" in history.notes[0]


def test_a_bad_final_price_is_a_fault_with_its_place(settings: Settings, write: Callable[[str, str], Path]) -> None:
    path = write(
        "prices.csv",
        "interval_start_utc,real_time_usd_per_mwh,real_time_final_usd_per_mwh\n"
        "2024-05-01T00:00Z,20,\n2024-05-01T00:15Z,5000,much\n2024-05-01T00:30Z,22,\n",
    )
    with pytest.raises(PriceFileError, match=r":3: real_time_final_usd_per_mwh 'much' is not a number"):
        load_history(settings, feed(path))


def test_hashprice_comes_from_the_file_given_else_from_the_site(
    settings: Settings, write: Callable[[str, str], Path]
) -> None:
    path = write("prices.csv", "interval_start_utc,real_time_usd_per_mwh\n2024-05-01T00:00Z,20\n2024-05-01T00:15Z,21\n")
    hashprice = write("hashprice.csv", "date_utc,hashprice_usd_per_ph_day\n2024-04-30,48\n2024-05-01,49\n")
    history = load_history(settings, feed(path), hashprice=hashprice)
    assert history.hashprice_usd_per_ph_day.tolist() == [49.0, 49.0]
    assert history.hashprice_known_usd_per_ph_day.tolist() == [48.0, 48.0]
    # The site's own file is of September 2023.
    beyond = load_history(settings, feed(path))
    assert beyond.hashprice_usd_per_ph_day.tolist() == [55.0, 55.0]
    assert any(note.startswith("hashprice: no value for") for note in beyond.notes)


@pytest.mark.parametrize(
    ("names", "options", "gaps", "corrected"),
    [
        (("ercot_hubavg_2024_15min.csv",), {}, 0, False),
        (("ercot_hb_south_2024h2_15min.csv",), {}, 1, False),
        (
            ("other_us-cal-ciso_electricity_prices_2023.csv", "other_us-cal-ciso_electricity_prices_2024.csv"),
            {},
            0,
            False,
        ),
        (
            ("other_de-lu_electricity_prices_2023.csv", "other_de-lu_electricity_prices_2024.csv"),
            {"timezone": "Europe/Berlin", "usd_per_eur": 1.08},
            1,
            False,
        ),
        (
            ("ercot_report_july_2024.csv", "ercot_report_june_2024.csv", "ercot_hubavg_day_ahead_2024.csv"),
            {"point": "HB_WEST"},
            0,
            False,
        ),
        (("ercot_hubavg_2024_15min.csv", "ercot_hb_south_2024h2_15min.csv"), {}, 0, True),
    ],
)
def test_real_files_become_a_history_without_a_price_missing(
    settings: Settings,
    prices_folder: Path,
    names: tuple[str, ...],
    options: dict[str, str | float],
    gaps: int,
    corrected: bool,
) -> None:
    history = load_history(settings, feed(*(prices_folder / name for name in names), **options))  # type: ignore[arg-type]  # per row above
    period = slice(history.begin, history.end)
    assert np.isfinite(history.price_usd_per_mwh[period]).all()
    assert np.isfinite(history.final_usd_per_mwh[period]).all()
    assert len(history.gaps) == gaps
    assert any("corrected" in note for note in history.notes) is corrected


def test_a_month_of_a_year_keeps_weeks_before_it_to_learn_from(settings: Settings, prices_folder: Path) -> None:
    history = load_history(
        settings,
        feed(prices_folder / "ercot_hubavg_2024_15min.csv"),
        start=datetime(2024, 5, 1, 5, tzinfo=UTC),
        end=datetime(2024, 6, 1, 5, tzinfo=UTC),
    )
    assert (history.begin, history.end - history.begin) == (35 * 96, 31 * 96)
