"""Alerts raised by what they are for: devices, prices and a controller really break, under a real Prometheus.

How long to wait is cut short (`tests/observability/hurried.py`); what is waited for is as in deploy/mixin.
"""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.e2e.faults import (
    move_target,
    price_document,
    served,
    stuck_page,
    wait_firing,
    wait_full_power,
    wait_sound,
    write_hurried_site,
)
from tests.observability.hurried import firing, hurried_config
from tests.prometheus_server import prometheus_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Live, World

CHEAP, DEAR = 20.0, 4000.0
MEASURED = "site:wattshift_grid_cap_used:ratio"


def test_what_breaks_raises_its_alert(world: "World", launch: "Callable[[Live], Live]", tmp_path: "Path") -> None:
    with served(lambda: price_document(CHEAP)) as prices:
        write_hurried_site(world, prices)
        live = launch(world.live_serve())
        with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
            live.wait_observed(lambda seen: seen["measured_kw"] > world.awake_kw, "all racks at work")
            live.wait_observed(lambda seen: seen["gpus_busy"] > 0, "jobs at work")
            wait_sound(world, server, MEASURED)

            _, page = wait_full_power(world, live, ["s21_rack-0"])
            with served(stuck_page(page)) as stuck:
                move_target(live, "s21_rack-0", stuck)
                # An exporter that does not answer any more.
                os.kill(live.processes()["asic_s19_rack-0"], signal.SIGSTOP)
                wait_firing(
                    world,
                    server,
                    ("WattshiftMeterStale", "warning", ""),
                    ("WattshiftFleetNotAnswering", "warning", "s19"),
                )

                order = {"limit_kw": 150, "for_minutes": 60, "reason": "a test"}
                assert live.post("/api/v1/curtailments", order).status_code == 201
                fired = wait_firing(
                    world,
                    server,
                    ("WattshiftCapBreached", "critical", "grid"),
                    ("WattshiftShedNotDelivered", "critical", ""),
                    ("WattshiftFleetNotAnswering", "warning", "s21"),
                )
                said = fired["WattshiftCapBreached", "critical", "grid"]["annotations"]["description"]
                assert "of the cap of 150kW in force" in said

                # Under that order nothing lets it start again.
                gold = next(name for name in live.processes() if name.startswith("job_gold"))
                os.kill(live.processes()[gold], signal.SIGKILL)
                wait_firing(world, server, ("WattshiftGuaranteedJobInterrupted", "critical", ""))

                assert ("WattshiftPriceStale", "critical", "") not in firing(server)
                prices.shutdown()
                prices.server_close()
                wait_firing(world, server, ("WattshiftPriceStale", "critical", ""))

                live.kill()
                fired = wait_firing(world, server, ("WattshiftControllerSilent", "critical", ""))
                assert {alert for alert in fired if alert[0] == "WattshiftCapBreached"} == set(), (
                    "the blind say nothing"
                )


def test_machines_that_do_as_they_like_raise_alerts_without_an_order(
    world: "World", launch: "Callable[[Live], Live]", tmp_path: "Path"
) -> None:
    price = CHEAP
    shed, feeder = ("WattshiftShedNotDelivered", "warning", ""), ("WattshiftCapBreached", "critical", "feeder")
    partly, dark = ("WattshiftMeterStale", "warning", ""), ("WattshiftMeterStale", "critical", "")
    with served(lambda: price_document(price)) as prices, ExitStack() as stuck:
        # Two of the three S21 racks may run, and no part of a third, which always-on would take: one takes 221 kW.
        feeder_limit = ("{name: a, limit_kw: 800}", "{name: a, limit_kw: 450}")
        write_hurried_site(world, prices, feeder_limit)
        live = launch(world.live_serve())

        def draws_on(rack: str, page: str) -> None:
            move_target(live, rack, stuck.enter_context(served(stuck_page(page))))

        with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
            live.wait_observed(lambda seen: seen["racks_awake"] == world.racks - 1, "all but one rack told to run")
            live.wait_observed(lambda seen: seen["measured_kw"] > 950, "five racks at work")
            wait_sound(world, server, MEASURED)

            # One of them does not go to sleep when power is dear.
            racks = [f"s21_rack-{number}" for number in range(3)]
            awake, page = wait_full_power(world, live, racks)
            draws_on(awake, page)
            price = DEAR
            fired = wait_firing(world, server, shed)
            assert "1 of fleet s21, with no order in force" in fired[shed]["annotations"]["description"]
            assert feeder not in fired, "one rack is within what the feeder carries"

            # The others lose power, boot into the mode that they are set to, and listen to nobody.
            for rack in racks:
                if rack != awake:
                    name, new = awake.partition("_")[2], rack.partition("_")[2]
                    draws_on(rack, page.replace(f'rack="{name}"', f'rack="{new}"'))
            fired = wait_firing(world, server, feeder)
            assert fired[feeder]["labels"]["feeder"] == "a"
            assert "of its limit of 450kW" in fired[feeder]["annotations"]["description"]

            # The network of one fleet goes, then that of the other.
            stuck.close()
            fired = wait_firing(world, server, partly)
            assert dark not in fired, "the other fleet is measured"
            for name, pid in live.processes().items():
                if name.startswith("asic_s19"):
                    os.kill(pid, signal.SIGSTOP)
            fired = wait_firing(world, server, dark)
            assert partly not in fired
