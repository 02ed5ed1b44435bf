"""Program: the simulated machines of one fleet and their exporter, for agents in pods (docs/mock-site.md).

`PUT /racks/<n>` keeps a rack in a mode for `ttl_s`; without another one in that time, or after `DELETE`, it sleeps.
"""

import argparse
import json
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.sim.metrics_server import (
    ALL_ADDRESSES,
    Refused,
    body_of,
    metrics_app,
    refuse_method,
    routed,
    serve,
)
from orchestrator.sim.process import start_in_pod, wait_for_sigterm
from orchestrator.sim.racks.asic_rack import RackModel, RackReport
from orchestrator.sim.racks.fleet_options import add_fleet_options, fleet_of
from orchestrator.sim.racks.rack_collector import RackCollector

LONGEST_TTL_S = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beat:
    """What an agent wants of its rack."""

    mode: str
    agent: str
    generation: int
    """Of the setpoints that name the agent."""
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    beat: Beat
    until: float
    """Unix seconds."""


class RackRow:
    """The racks of a fleet. Time moves when somebody asks; a rack whose hold ran out fell asleep at that moment."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        now = time.time()
        self._racks = [RackModel(fleet, rack, seed=seed, at=now) for rack in fleet.rack_names()]
        self._holds: dict[int, Hold] = {}
        self._lock = threading.Lock()

    def hold(self, number: int, beat: Beat) -> None:
        """Keep the rack in the beat's mode; Refused while another agent with setpoints as new holds it."""
        with self._lock:
            now = self._pass(number)
            hold = self._holds.get(number)
            if hold is not None and hold.beat.agent != beat.agent:
                if hold.beat.generation >= beat.generation:
                    raise Refused(
                        "409 Conflict",
                        f"{self._racks[number].name} is held by {hold.beat.agent} with generation "
                        f"{hold.beat.generation}; a newer one than that is needed, not {beat.generation}",
                    )
                log.info("%s: %s takes over from %s", self._racks[number].name, beat.agent, hold.beat.agent)
            if self._racks[number].setpoint != beat.mode:
                log.info("%s: %s for %s", self._racks[number].name, beat.mode, beat.agent)
            self._racks[number].set_mode(beat.mode, now)
            self._holds[number] = Hold(beat, now + beat.ttl_s)

    def release(self, number: int, agent: str) -> None:
        """Put the rack to sleep; Refused if another agent holds it."""
        with self._lock:
            now = self._pass(number)
            hold = self._holds.get(number)
            if hold is None:
                return
            if hold.beat.agent != agent:
                raise Refused("409 Conflict", f"{self._racks[number].name} is held by {hold.beat.agent}, not {agent}")
            log.info("%s: sleeps, released by %s", self._racks[number].name, agent)
            self._sleep(number, now)

    def reports(self) -> Sequence[tuple[str, RackReport]]:
        with self._lock:
            for number in range(len(self._racks)):
                self._pass(number)
            return [(rack.name, rack.report()) for rack in self._racks]

    def state(self) -> Mapping[str, object]:
        """Every rack as it is held now."""
        with self._lock:
            racks: dict[str, object] = {}
            for number, rack in enumerate(self._racks):
                now = self._pass(number)
                hold = self._holds.get(number)
                racks[rack.name] = {
                    "mode": rack.setpoint,
                    "agent": hold.beat.agent if hold else None,
                    "generation": hold.beat.generation if hold else None,
                    "ttl_left_s": round(hold.until - now, 3) if hold else 0.0,
                    "power_w": round(rack.power_w),
                }
            return {"fleet": self._fleet.name, "racks": racks}

    def number_of(self, text: str) -> int:
        """The rack of that number; Refused if there is none."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
        if number not in range(len(self._racks)):
            raise Refused("404 Not Found", f"no rack {text!r}; there is 0 to {len(self._racks) - 1}")
        return number

    def modes(self) -> list[str]:
        return [SLEEP, *(mode.name for mode in self._fleet.modes)]

    def _pass(self, number: int) -> float:
        """Let time pass until now, which is returned; a hold that ran out ends when it did."""
        now = time.time()
        hold = self._holds.get(number)
        if hold is not None and hold.until <= now:
            log.warning("%s: sleeps, no beat of %s for its ttl", self._racks[number].name, hold.beat.agent)
            self._sleep(number, hold.until)
        self._racks[number].advance(now)
        return now

    def _sleep(self, number: int, at: float) -> None:
        del self._holds[number]
        self._racks[number].set_mode(SLEEP, at)


def answer_rack(row: RackRow, environ: WSGIEnvironment) -> object:
    """`GET /racks`, `PUT` and `DELETE /racks/<n>`."""
    path, method = str(environ.get("PATH_INFO", "")).removeprefix("/racks").strip("/"), environ["REQUEST_METHOD"]
    if not path:
        if method != "GET":
            refuse_method(environ, "GET; PUT and DELETE need the rack: /racks/<n>")
        return row.state()
    number = row.number_of(path)
    if method == "PUT":
        row.hold(number, _beat_of(body_of(environ), row.modes()))
    elif method == "DELETE":
        agent = parse_qs(str(environ.get("QUERY_STRING", ""))).get("agent")
        if not agent:
            raise Refused("400 Bad Request", "needs who asks: /racks/<n>?agent=<pod>")
        row.release(number, agent[0])
    else:
        refuse_method(environ, "PUT, DELETE")
    return None


def _beat_of(body: bytes, modes: list[str]) -> Beat:
    try:
        document: dict[str, Any] = json.loads(body)
        mode, agent = document["mode"], document["agent"]
        generation, ttl_s = document["generation"], document["ttl_s"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("400 Bad Request", f"needs mode, agent, generation, ttl_s as JSON: {error!r}") from error
    if mode not in modes:
        raise Refused("400 Bad Request", f"mode: {mode!r}; allowed: {', '.join(modes)}")
    if not isinstance(agent, str) or not agent:
        raise Refused("400 Bad Request", f"agent: {agent!r}; allowed: the name of a pod")
    if not isinstance(generation, int) or isinstance(generation, bool):
        raise Refused("400 Bad Request", f"generation: {generation!r}; allowed: a whole number")
    number = isinstance(ttl_s, int | float) and not isinstance(ttl_s, bool)
    if not number or not math.isfinite(ttl_s) or not 0.0 < ttl_s <= LONGEST_TTL_S:
        raise Refused("400 Bad Request", f"ttl_s: {ttl_s!r}; allowed: seconds over 0, up to {LONGEST_TTL_S:g}")
    return Beat(mode=mode, agent=agent, generation=generation, ttl_s=float(ttl_s))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="rack_row", description=__doc__)
    parser.add_argument("--fleet", required=True)
    parser.add_argument("--racks", type=int, required=True)
    add_fleet_options(parser)
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    if options.racks < 1 or options.machines < 1:
        parser.error("--racks and --machines: 1 or more")

    start_in_pod("rack_row")
    row = RackRow(fleet_of(options, options.fleet, options.racks), options.seed)
    app = routed(
        metrics_app(RackCollector(options.model, row.reports)), racks=lambda environ: answer_rack(row, environ)
    )
    port = serve(app, options.host, options.port)
    log.info("%d racks of %s at port %d, asleep until an agent beats", options.racks, options.fleet, port)
    wait_for_sigterm()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
