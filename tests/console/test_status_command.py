"""`wattshift status` of a site whose power is not wholly measured: what it prints is what the page shows."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from tests.api import blind
from tests.api.metered import some_meters

if TYPE_CHECKING:
    from orchestrator.domain.snapshot import Snapshot
    from tests.api.fake_desk import FakeDesk
    from tests.console.conftest import Served


async def status(served: "Served", change: "Callable[[Snapshot], Snapshot] | None" = None) -> str:
    if change is not None:
        served.desk.changed = change
    result = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--url", served.url])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


async def test_a_site_that_is_all_measured(served: "Served") -> None:
    told = await status(served)
    assert "76.9 MW of 100.0 MW (grid connection)" in told
    assert "grid power: all measured" in told
    assert "assumed" not in told


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (
            blind.three_silent,
            [
                "76.9 MW of 100.0 MW",
                "grid power: 75.0 MW measured, 1.9 MW assumed of 3 silent racks at the setpoint",
                "1.7 MW assumed",
                "feeder-b: 21.5 MW, 19.6 MW measured, 1.9 MW assumed",
            ],
        ),
        (
            blind.one_suspect,
            ["1 suspect reading (1.0 MW) not counted", "suspect s21/rack-0: asic_power_watts: 1000 kW drawn"],
        ),
        (blind.in_part, ["in part asic_power_watts of s21/rack-0: 167 of 168 answer; the others count at 3500 W"]),
        (
            blind.source_down,
            [
                "site held on its setpoints since 18:03 until 18:18, then brought to 12.0 MW by 18:28",
                "no readings http://prometheus:9090: 61 of 61 queries fail: All connection attempts failed",
            ],
        ),
        (
            partial(blind.source_down, minutes=18.0),
            ["site dark since 17:47, held until 18:02: at most 61.2 MW now, brought to 12.0 MW by 18:12"],
        ),
    ],
)
async def test_what_is_not_measured_is_told_apart(
    served: "Served", change: "Callable[[Snapshot], Snapshot]", texts: list[str]
) -> None:
    told = await status(served, change)
    for text in texts:
        assert text in told


async def test_behind_a_meter(served: "Served", desk: "FakeDesk") -> None:
    desk.meters = some_meters(desk.now)
    told = await status(served, blind.three_silent)
    assert "80.0 MW of 100.0 MW" in told
    assert "grid power: by the meter: 78.1 MW measured, 1.9 MW assumed of 3 silent racks" in told
