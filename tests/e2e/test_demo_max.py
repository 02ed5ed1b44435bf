"""`wattshift demo --speed max`: figures that add up, the same each time, and files that cannot be played."""

import json
import math
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import World

QUARTER = timedelta(minutes=15)
QUIET, SPIKE = [20.0] * 12, [4000.0] * 6
"""An hour, and half an hour, of 5 min intervals, USD/MWh."""


def played(world: "World", *arguments: str, state: Path | None = None) -> dict[str, Any]:
    """The figures of the small site's day."""
    folder = state or world.state
    figures = world.folder / f"{folder.name}.json"
    ended = world.demo("--speed", "max", "--json", str(figures), "--state", str(folder), *arguments)
    assert ended.code == 0, ended
    assert "virtual clock" in ended.out
    document: dict[str, Any] = json.loads(figures.read_text())
    return document


def check_figures(figures: dict[str, Any], record: Path) -> None:
    """All keys are there, nothing was above a cap, and the record adds up to the figures by plain SQL."""
    for run in (figures, figures["always_on"]):
        assert run["seconds_above_limit"] >= 0
        assert set(run["revenue_usd"]) == {"mining", "hpc"}
        assert set(run["energy_kwh"]) == {"mining", "hpc", "overhead"}
        assert set(run["interruptions"]) == {"guaranteed", "flexible", "best_effort"}
        assert set(run["reaction_seconds"]) >= {"acknowledged", "measured"}
        for spread in ("acknowledged", "measured"):
            assert set(run["reaction_seconds"][spread]) >= {"median", "p99"}
        profit_usd = sum(run["revenue_usd"].values()) - run["energy_cost_usd"] - run["sla_credits_usd"]
        assert run["profit_usd"] == pytest.approx(profit_usd, abs=0.001)
        assert all(kwh >= 0 for kwh in run["energy_kwh"].values())
        assert isinstance(run["decisions"], int)
    assert figures["seconds_above_limit"] == 0
    assert figures["interruptions"]["guaranteed"] == 0
    with closing(sqlite3.connect(record)) as store:
        ((cost_usd, credits_usd),) = store.execute(
            "SELECT sum(energy_kwh * price_usd_per_mwh) / 1000, sum(credit_usd) FROM ledger"
        )
        by_account = store.execute("SELECT account, sum(energy_kwh), sum(revenue_usd) FROM ledger GROUP BY account")
        energy_kwh, revenue_usd = {}, {}
        for account, kwh, usd in by_account:
            energy_kwh[account], revenue_usd[account] = kwh, usd
        ((decided,),) = store.execute("SELECT count(*) FROM decisions")
        prices = {price for (price,) in store.execute("SELECT DISTINCT price_usd_per_mwh FROM observations")}
        paid = {price for (price,) in store.execute("SELECT DISTINCT price_usd_per_mwh FROM ledger")}
    assert figures["energy_cost_usd"] == pytest.approx(cost_usd, abs=0.00501)
    assert figures["sla_credits_usd"] == pytest.approx(credits_usd, abs=0.00501)
    for account in ("mining", "hpc"):
        assert figures["revenue_usd"][account] == pytest.approx(revenue_usd.get(account, 0.0), abs=0.00501)
    for account, kwh in figures["energy_kwh"].items():
        assert kwh == pytest.approx(energy_kwh.get(account, 0.0), abs=0.000501)
    assert figures["decisions"] == decided
    assert paid <= prices, "every line of the ledger has a price that was seen"


def test_the_event_day_on_the_example_site(world: "World") -> None:
    figures = world.folder / "out.json"
    ended = world.run(
        *("demo", "--until-end", "--headless", "--speed", "max"),
        *("--json", str(figures), "--state", str(world.state)),
    )
    assert ended.code == 0, ended
    document = json.loads(figures.read_text())
    check_figures(document, world.state / "wattshift-max.db")
    assert document["simulated"] is True
    assert document["profit_usd"] > document["always_on"]["profit_usd"]
    assert document["decisions"] > 0
    assert 0 < document["energy_kwh"]["mining"] < 24 * 100_000
    for spread in ("acknowledged", "measured"):
        spent = document["reaction_seconds"][spread]
        assert 0 <= spent["median"] <= spent["p99"] < math.inf
    # The table says the same.
    assert f"{document['profit_usd']:,.2f}" in ended.out
    assert f"{document['always_on']['profit_usd']:,.2f}" in ended.out


def test_a_spike_of_half_an_hour_gives_the_same_figures_twice(world: "World") -> None:
    world.write(world.lines(QUIET + SPIKE + QUIET))
    first = played(world)
    check_figures(first, world.state / "wattshift-max.db")
    assert first["profit_usd"] > first["always_on"]["profit_usd"]
    assert first["reaction_seconds"]["measured"]["count"] >= 1
    assert played(world, state=world.folder / "again") == first
    assert played(world, "--seed", "2")["energy_kwh"] != first["energy_kwh"]


def test_a_day_of_negative_prices_pays_for_every_kwh(world: "World") -> None:
    world.write(world.lines([-25.0] * 36))
    figures = played(world)
    check_figures(figures, world.state / "wattshift-max.db")
    assert figures["energy_cost_usd"] < 0
    assert figures["profit_usd"] > 0
    assert figures["profit_usd"] >= figures["always_on"]["profit_usd"] - 0.01


def test_a_day_too_dear_for_mining_leaves_the_racks_asleep(world: "World") -> None:
    world.write(world.lines([900.0] * 24))
    figures = played(world)
    check_figures(figures, world.state / "wattshift-max.db")
    assert figures["revenue_usd"]["mining"] == 0
    assert figures["profit_usd"] > figures["always_on"]["profit_usd"]


def test_the_day_asked_for_is_played_and_else_the_dearest(world: "World") -> None:
    world.write(world.lines([20.0] * 288 + [300.0] * 12))
    assert "2023-09-07" in played(world)["day"]
    figures = played(world, "--date", "2023-09-06", "--from", "22:30")
    assert "2023-09-06" in figures["day"]
    assert figures["start"] == "2023-09-06T22:30:00+00:00"
    assert figures["end"] == "2023-09-07T00:00:00+00:00"


ERCOT = (
    "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,"
    "Settlement Point Name,Settlement Point Type,Settlement Point Price\n{}\n"
)
GRIDSTATUS = "Interval Start,Interval End,Market,Location,Location Type,SPP\n{}\n"


def ercot_rows() -> str:
    return "\n".join(
        f"09/06/2023,{hour},{quarter},N,{point},HU,{price}"
        for hour in (1, 2)
        for quarter in (1, 2, 3, 4)
        for point, price in (("HB_WEST", 25 if hour == 1 else 2500), ("HB_NORTH", 30))
    )


def gridstatus_rows() -> str:
    starts = [datetime(2023, 9, 6, 5, tzinfo=UTC) + number * QUARTER for number in range(8)]
    return "\n".join(
        f"{start},{start + QUARTER},REAL_TIME_15_MIN,HB_WEST,Trading Hub,{25 if start.hour == 5 else 2500}"
        for start in starts
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param(ERCOT.format(ercot_rows()), ("--point", "HB_WEST"), id="ERCOT's report"),
        pytest.param(GRIDSTATUS.format(gridstatus_rows()), (), id="gridstatus"),
        pytest.param(
            "Datetime,Price (EUR/MWh)\n2023-09-06 00:00:00,25\n2023-09-06 01:00:00,2500\n",
            ("--usd-per-eur", "1.1", "--timezone", "Europe/Berlin"),
            id="hourly",
        ),
        pytest.param(
            "Datetime,Price (EUR/MWh)\n2023-09-06 00:00:00,25\n2023-09-06 01:00:00,2500\n",
            ("--usd-per-eur", "1.1", "--timezone", "Asia/Kolkata", "--from", "event"),
            id="opened within an interval that does not begin at a full hour",
        ),
    ],
)
def test_other_layouts_are_played(world: "World", text: str, options: tuple[str, ...]) -> None:
    world.write(world.lines(QUIET))
    file = world.folder / "market.csv"
    file.write_text(text)
    figures = played(world, "--day", str(file), *options)
    check_figures(figures, world.state / "wattshift-max.db")
    assert figures["profit_usd"] > figures["always_on"]["profit_usd"]
    with closing(sqlite3.connect(world.state / "wattshift-max.db")) as store:
        seen = [price for (price,) in store.execute("SELECT DISTINCT price_usd_per_mwh FROM ledger ORDER BY 1")]
    rate = 1.1 if "--usd-per-eur" in options else 1.0
    assert seen == pytest.approx([25 * rate, 2500 * rate])


def refused(world: "World", *arguments: str, settings: dict[str, str] | None = None) -> str:
    said: str = world.refused_demo(*arguments, "--headless", settings=settings)
    assert not list(world.state.glob("*")), "a refused command leaves nothing behind"
    return said


class TestRefusals:
    """One sentence that says what is wrong, where, and what is allowed."""

    @pytest.fixture(autouse=True)
    def site(self, world: "World") -> None:
        world.write(world.lines(QUIET))

    def test_a_hole(self, world: "World") -> None:
        text = world.lines(QUIET).splitlines()
        world.prices.write_text("\n".join([*text[:4], *text[6:]]) + "\n")
        said = refused(world, "--speed", "max")
        assert "prices.csv:5" in said
        assert "2023-09-06T00:15" in said, "the hole's start is named"
        assert "2023-09-06T00:25" in said, "and its end"

    @pytest.mark.parametrize("value", ["n/a", "", "nan"])
    def test_a_garbage_price(self, world: "World", value: str) -> None:
        text = world.lines(QUIET).splitlines()
        text[3] = text[3].replace("20.0", value)
        world.prices.write_text("\n".join(text) + "\n")
        said = refused(world, "--speed", "60", "--port", "0")
        assert "prices.csv:4" in said
        assert f"'{value}'" in said

    def test_several_points_without_a_choice(self, world: "World") -> None:
        file = world.folder / "ercot.csv"
        file.write_text(ERCOT.format(ercot_rows()))
        said = refused(world, "--speed", "max", "--day", str(file))
        assert "HB_WEST" in said
        assert "HB_NORTH" in said
        assert "HB_EAST" in refused(world, "--speed", "max", "--day", str(file), "--point", "HB_EAST")

    def test_a_price_file_that_is_not_there(self, world: "World") -> None:
        assert "nowhere.csv" in refused(world, "--speed", "max", "--day", str(world.folder / "nowhere.csv"))

    def test_a_site_file_that_is_not_there(self, world: "World") -> None:
        world.site.unlink()
        assert "site.yaml" in refused(world)

    def test_a_site_file_with_a_wrong_value(self, world: "World") -> None:
        world.site.write_text(world.site.read_text().replace("racks: 3", "racks: many", 1))
        said = refused(world)
        assert "site.yaml:" in said
        assert "fleets[0].racks" in said
        assert "many" in said

    def test_a_date_that_the_file_lacks(self, world: "World") -> None:
        said = refused(world, "--speed", "max", "--date", "2024-01-01")
        assert "2024-01-01" in said
        assert "2023-09-06" in said

    @pytest.mark.parametrize("date", ["2023-13-01", "06.09.2023"])
    def test_a_date_that_is_none(self, world: "World", date: str) -> None:
        said = refused(world, "--speed", "max", "--date", date)
        assert date in said
        assert "%Y-%m-%d" in said

    @pytest.mark.parametrize("speed", ["0", "fast", "nan", "100000"])
    def test_a_speed_that_is_none(self, world: "World", speed: str) -> None:
        said = refused(world, "--speed", speed)
        assert "--speed" in said
        assert "max" in said

    @pytest.mark.parametrize("begin", ["noon", "23:00"])
    def test_a_beginning_that_is_not_on_the_day(self, world: "World", begin: str) -> None:
        assert begin in refused(world, "--speed", "max", "--from", begin)

    def test_a_port_in_use(self, world: "World") -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            said = refused(world, "--port", str(port))
        assert str(port) in said
        assert "--port" in said

    def test_an_address_for_others_without_a_key(self, world: "World") -> None:
        assert "WATTSHIFT_API_KEY" in refused(world, "--host", "0.0.0.0", "--port", "0")

    def test_an_address_that_is_not_ours(self, world: "World") -> None:
        said = refused(world, "--host", "192.0.2.1", "--port", "0", settings={"WATTSHIFT_API_KEY": "k" * 20})
        assert "192.0.2.1" in said

    def test_a_hashprice_file_that_is_not_there(self, world: "World") -> None:
        world.site.write_text(
            world.site.read_text().replace("hashprice: {usd_per_ph_day: 60}", "hashprice: {file: no.csv}")
        )
        assert "no.csv" in refused(world, "--speed", "max")

    def test_figures_that_cannot_be_written(self, world: "World") -> None:
        assert "figures.json" in refused(world, "--speed", "max", "--json", str(world.folder / "none" / "figures.json"))

    def test_a_state_folder_that_cannot_be_made(self, world: "World") -> None:
        file = world.folder / "file"
        file.write_text("")
        for speed in ("max", "60"):
            said = world.refused_demo("--speed", speed, "--port", "0", "--state", str(file / "state"), "--headless")
            assert "file" in said
