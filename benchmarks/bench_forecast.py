"""How good forecasts of prices are, by hours ahead, on the real data beside the project, and how long one takes.

Not a test. `python benchmarks/bench_forecast.py [--data ../shared/data] [--json FILE]`
docs/forecasts.md has its figures.
"""

import argparse
import csv
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.adapters.prices.file import read_price_file
from orchestrator.adapters.prices.layouts import hourly
from orchestrator.backtest.market import FilePriced, MarketHistory, market_history
from orchestrator.backtest.series import Series
from orchestrator.domain.market import PricePolicy
from orchestrator.forecast.forecast import BesidePrices, outlook_at
from orchestrator.forecast.price_history import Track, price_track
from orchestrator.forecast.price_model import PriceModel, fit_model, prices_ahead
from orchestrator.forecast.skill import Skill, forecast_skill

HOURS = (1, 2, 4, 8, 12, 18, 24)
MARKETS = {
    "ERCOT hub average 2024": (("ercot_hubavg_2024_15min.csv",), "America/Chicago", None, True),
    "ERCOT hub average 2024, real-time prices alone": (
        ("ercot_hubavg_2024_15min.csv",),
        "America/Chicago",
        None,
        False,
    ),
    "ERCOT HB_SOUTH June to December 2024": (("ercot_hb_south_2024h2_15min.csv",), "America/Chicago", None, True),
    "DE-LU 2023 and 2024, no day-ahead price known (USD at 1.08)": (
        ("other_de-lu_electricity_prices_2023.csv", "other_de-lu_electricity_prices_2024.csv"),
        "Europe/Berlin",
        1.08,
        False,
    ),
    "CAISO 2024, no day-ahead price known": (
        ("other_us-cal-ciso_electricity_prices_2024.csv",),
        "America/Los_Angeles",
        None,
        False,
    ),
}


def history_of(folder: Path, names: tuple[str, ...], zone: str, usd_per_eur: float | None) -> MarketHistory:
    files = []
    for name in names:
        # The Californian files are in UTC, the German ones in local time.
        timezone = zone if usd_per_eur is not None else "UTC"
        file = read_price_file(folder / name, timezone=timezone, usd_per_eur=usd_per_eur, holes_allowed=True)
        files.append(FilePriced(name, file.prices, file.final, file.layout == hourly.LAYOUT))
    constant = Series(np.array([0.0]), np.array([20.0]), np.inf, 20.0)
    return market_history(files, PricePolicy(timedelta(minutes=15), 60.0), constant, constant)


def microseconds(track: Track, model: PriceModel, rows: int) -> float:
    """Of one outlook of 24 hours, median."""
    taken = []
    for row in range(rows // 2, rows // 2 + 2000):
        begun = time.perf_counter()
        outlook_at(
            track,
            model,
            row,
            track.steps_a_day,
            BesidePrices(50.0, 20.0, 60.0),
        )
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken) * 1e6)


def show(title: str, skill: Mapping[str, Skill]) -> None:
    print(f"\n{title}\n| | " + " | ".join(f"{hour} h" for hour in HOURS) + " |")
    print("|---|" + "--:|" * len(HOURS))
    for name, of in skill.items():
        print(f"| {name}: MAE | " + " | ".join(f"{value:.2f}" for value in of.mae) + " |")
    ours = skill["ours"]
    assert ours.pinball is not None
    assert ours.coverage is not None
    print("| ours: bias | " + " | ".join(f"{value:+.2f}" for value in ours.bias) + " |")
    print("| ours: pinball loss | " + " | ".join(f"{value:.2f}" for value in ours.pinball) + " |")
    for probability in (min(ours.coverage), max(ours.coverage)):
        shares = " | ".join(f"{100 * value:.0f} %" for value in ours.coverage[probability])
        print(f"| ours: prices under the {100 * probability:.0f} % quantile | {shares} |")


def published_forecasts(folder: Path) -> None:
    """The German day-ahead auction, told the morning before: ours as of midnight beside the published ones."""
    with (folder / "epf_forecasts_de_2016_2017.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    real = np.array([float(row["Real price"]) for row in rows])
    days = real.reshape(-1, 24)
    # What is known of a day when its forecast is made is the prices up to the end of the day before.
    start, hour = datetime.fromisoformat(rows[0][""]).replace(tzinfo=UTC), timedelta(hours=1)
    track = price_track(start, hour, real, np.full(len(real), np.nan), UTC)
    model = fit_model(track)
    ours = np.array([prices_ahead(track, model, day * 24 - 1, 25)[1:] for day in range(29, len(days))])
    truth = days[29:]
    print("\nDE 2016 and 2017, the auction of a day as told on the day before (EUR/MWh)\n| | MAE |\n|---|--:|")
    for name in ("LEAR Ensemble", "DNN Ensemble"):
        told = np.array([float(row[name]) for row in rows]).reshape(-1, 24)[29:]
        print(f"| {name}, published (with load, wind and solar forecasts) | {np.abs(told - truth).mean():.2f} |")
    print(f"| ours | {np.abs(ours - truth).mean():.2f} |")
    print(f"| yesterday | {np.abs(days[28:-1] - truth).mean():.2f} |")
    print(f"| a week ago | {np.abs(days[22:-7] - truth).mean():.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = arguments.data / "prices"
    figures: dict[str, object] = {}
    for title, (names, zone, usd_per_eur, forward) in MARKETS.items():
        history = history_of(folder, names, zone, usd_per_eur)
        day_ahead = history.day_ahead_usd_per_mwh if forward else np.full(len(history), np.nan)
        begun = time.perf_counter()
        track = price_track(history.start, history.step, history.real_time_usd_per_mwh, day_ahead, ZoneInfo(zone))
        model = fit_model(track)
        fitted_s = time.perf_counter() - begun
        skill = forecast_skill(track, model, len(history), HOURS)
        show(title, skill)
        print(f"fitted in {fitted_s:.2f} s; one outlook {microseconds(track, model, len(history)):.0f} us")
        figures[title] = {name: {"mae": of.mae.tolist(), "bias": of.bias.tolist()} for name, of in skill.items()}
    published_forecasts(folder)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"hours": HOURS, "markets": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
