"""What breaks at a site, for tests of alerts: exporters that say what is not so, prices that somebody serves."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from tests.observability.hurried import firing

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World
    from tests.observability.hurried import Alert
    from tests.prometheus_server import Prometheus


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


def price_document(usd_per_mwh: float) -> str:
    """A price for five minutes, the last ten seconds of which are to come.

    Another interval each second, and what was metered is settled at each: so money of seconds is as exact as a day's.
    """
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    entry = {"interval_start_utc": (end - timedelta(minutes=5)).isoformat(), "interval_end_utc": end.isoformat()}
    return json.dumps({"prices": [{**entry, "real_time_usd_per_mwh": usd_per_mwh}]})


def write_hurried_site(world: "World", prices: ThreadingHTTPServer, *others: tuple[str, str]) -> None:
    """The small site with prices from there, and with seconds where it has minutes; `others` are replaced as well."""
    world.write("", feed=f"{{kind: http, url: 'http://127.0.0.1:{prices.server_port}/', every_s: 1}}")
    site = world.site.read_text()
    for before, after in (
        ("warm_up_s: 120", "warm_up_s: 1"),
        ("min_on_s: 120", "min_on_s: 0"),
        ("min_off_s: 120", "min_off_s: 0"),
        ("price_max_age_s: 900", "price_max_age_s: 2"),
        ("telemetry_max_age_s: 60", "telemetry_max_age_s: 5"),
        # A rack that goes to sleep is at rest after 20 s, so after 30 s only one that does not is late.
        ("tick_s: 5, verify_within_s: 60", "tick_s: 1, verify_within_s: 30"),
        *others,
    ):
        assert before in site, before
        site = site.replace(before, after)
    world.site.write_text(site)


def wait_full_power(world: "World", live: "Live", racks: Sequence[str]) -> tuple[str, str]:
    """One of these S21 racks (as `s21_rack-0`) that draws more than 200 kW, and its exporter's page then."""

    def found() -> tuple[str, str] | None:
        for rack in racks:
            (entry,) = json.loads((live.state / "targets" / f"{rack}.json").read_text())
            page = httpx.get(f"http://{entry['targets'][0]}/metrics", trust_env=False).raise_for_status().text
            watts = re.search(r"(?m)^asic_power_watts\{.*\} (\S+)$", page)
            assert watts
            if float(watts[1]) > 200_000:
                return rack, page
        return None

    return world.wait_for(found, "an S21 rack at full power")


def stuck_page(page: str) -> Callable[[], str]:
    """The page for ever, as if it were new: its machines go on as they are, whatever they are told."""
    seen = r"(?m)^(asic_last_seen_timestamp_seconds\{.*\}) \S+$"
    assert re.search(seen, page)
    return lambda: re.sub(seen, rf"\g<1> {datetime.now(UTC).timestamp()}", page)


def move_target(live: "Live", rack: str, server: ThreadingHTTPServer) -> None:
    """The rack's exporter is found behind another address, as after a new lease of it."""
    target = live.state / "targets" / f"{rack}.json"
    document = json.loads(target.read_text())
    document[0]["targets"] = [f"127.0.0.1:{server.server_port}"]
    new = target.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.replace(target)


def wait_sound(world: "World", server: "Prometheus", series: str, **alert: str) -> None:
    """For fifteen seconds the series has been there and no alert with these labels has fired."""
    labels = ",".join(f'{label}="{value}"' for label, value in {"alertstate": "firing", **alert}.items())
    query = f"count_over_time({series}[20s]) >= 15 unless on () max_over_time(ALERTS{{{labels}}}[20s])"
    world.wait_for(lambda: server.get("query", query=query)["result"], f"fifteen seconds of {series} without an alert")


def wait_firing(world: "World", server: "Prometheus", *wanted: "Alert") -> dict["Alert", dict[str, Any]]:
    """All that fires at the first moment at which all of these do."""
    return world.wait_for(lambda: now if set(wanted) <= (now := firing(server)).keys() else None, f"{wanted} to fire")
