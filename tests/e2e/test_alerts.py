"""Alerts raised by what they are for: devices, prices and a controller really break, under a real Prometheus.

How long to wait is cut short (`tests/observability/hurried.py`); what is waited for is as in deploy/mixin.
"""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from tests.observability.hurried import Alert, firing, hurried_config
from tests.prometheus_server import prometheus_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Live, World

CHEAP = 20.0

SOUND = (
    "count_over_time(site:wattshift_grid_cap_used:ratio[20s]) >= 15"
    ' unless on () max_over_time(ALERTS{alertstate="firing"}[20s])'
)


@contextmanager
def served(page: Callable[[], str]) -> Iterator[ThreadingHTTPServer]:
    """An HTTP server on loopback that answers every GET with the page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def price_document() -> str:
    """A cheap price for five minutes, of which no more than 20 s are left; the next one goes before it."""
    seconds = int(datetime.now(UTC).timestamp())
    end = datetime.fromtimestamp(seconds - seconds % 10 + 20, UTC)
    entry = {"interval_start_utc": (end - timedelta(minutes=5)).isoformat(), "interval_end_utc": end.isoformat()}
    return json.dumps({"prices": [{**entry, "real_time_usd_per_mwh": CHEAP}]})


def stuck_page(live: "Live", rack: str) -> Callable[[], str]:
    """What the rack's exporter says now, for ever: its machines draw on, whatever they are told."""
    (entry,) = json.loads((live.state / "targets" / f"{rack}.json").read_text())
    page = httpx.get(f"http://{entry['targets'][0]}/metrics", trust_env=False).raise_for_status().text
    seen = r"(?m)^(asic_last_seen_timestamp_seconds\{.*\}) \S+$"
    assert re.search(seen, page)
    return lambda: re.sub(seen, rf"\g<1> {datetime.now(UTC).timestamp()}", page)


def test_what_breaks_raises_its_alert(world: "World", launch: "Callable[[Live], Live]", tmp_path: "Path") -> None:
    with served(price_document) as prices:
        world.write("", feed=f"{{kind: http, url: 'http://127.0.0.1:{prices.server_port}/', every_s: 1}}")
        site = world.site.read_text()
        for slow, fast in (
            ("warm_up_s: 120", "warm_up_s: 1"),
            ("min_on_s: 120", "min_on_s: 0"),
            ("min_off_s: 120", "min_off_s: 0"),
            ("price_max_age_s: 900", "price_max_age_s: 2"),
            ("telemetry_max_age_s: 60", "telemetry_max_age_s: 5"),
            ("tick_s: 5, verify_within_s: 60", "tick_s: 1, verify_within_s: 5"),
        ):
            assert slow in site
            site = site.replace(slow, fast)
        world.site.write_text(site)
        live = launch(world.live_serve())
        with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:

            def wait_firing(*wanted: Alert) -> dict[Alert, dict[str, Any]]:
                return world.wait_for(
                    lambda: now if set(wanted) <= (now := firing(server)).keys() else None, f"{wanted} to fire"
                )

            live.wait_observed(lambda seen: seen["measured_kw"] > world.awake_kw, "all racks at work")
            live.wait_observed(lambda seen: seen["gpus_busy"] > 0, "jobs at work")
            world.wait_for(lambda: server.get("query", query=SOUND)["result"], "fifteen seconds without an alert")

            # A rack whose machines draw on, whatever they are told: found behind another address, as after a new lease.
            page = stuck_page(live, "s21_rack-0")
            with served(page) as stuck:
                target = live.state / "targets" / "s21_rack-0.json"
                document = json.loads(target.read_text())
                document[0]["targets"] = [f"127.0.0.1:{stuck.server_port}"]
                new = target.with_suffix(".new")
                new.write_text(json.dumps(document))
                new.replace(target)

                # An exporter that does not answer any more.
                os.kill(live.processes()["asic_s19_rack-0"], signal.SIGSTOP)
                wait_firing(("WattshiftMeterStale", "warning", ""), ("WattshiftFleetNotAnswering", "warning", "s19"))

                order = {"limit_kw": 150, "for_minutes": 60, "reason": "a test"}
                assert live.post("/api/v1/curtailments", order).status_code == 201
                fired = wait_firing(
                    ("WattshiftCapBreached", "critical", "grid"),
                    ("WattshiftShedNotDelivered", "critical", ""),
                    ("WattshiftFleetNotAnswering", "warning", "s21"),
                )
                said = fired["WattshiftCapBreached", "critical", "grid"]["annotations"]["description"]
                assert "of the cap of 150kW in force" in said

                # Under that order nothing lets it start again.
                gold = next(name for name in live.processes() if name.startswith("job_gold"))
                os.kill(live.processes()[gold], signal.SIGKILL)
                wait_firing(("WattshiftGuaranteedJobInterrupted", "critical", ""))

                assert ("WattshiftPriceStale", "critical", "") not in firing(server)
                prices.shutdown()
                prices.server_close()
                wait_firing(("WattshiftPriceStale", "critical", ""))

                live.kill()
                fired = wait_firing(("WattshiftControllerSilent", "critical", ""))
                assert {alert for alert in fired if alert[0] == "WattshiftCapBreached"} == set(), (
                    "the blind say nothing"
                )
