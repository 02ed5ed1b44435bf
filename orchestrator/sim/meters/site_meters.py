"""Program: the meters of a simulated site in a run directory, as Prometheus series and as a Modbus server."""

import argparse
import json
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.sim.agent import Agent
from orchestrator.sim.atomic_file import write_atomically
from orchestrator.sim.meters.meter_model import MeterBank, PueCurve, Shown
from orchestrator.sim.meters.modbus_map import serve_modbus
from orchestrator.sim.meters.power_files import read_power
from orchestrator.sim.metrics_server import LOOPBACK

NAME = "meters"
_KEPT_S = 0.1
"""On the wall: who asks within this gets the same readings, since a meter shows one figure at a time."""


class SiteMeters(Collector):
    """The meters that the document `meters.json` of a run directory describes."""

    def __init__(self, run: Path, agent: Agent, document: Mapping[str, Any]) -> None:
        self._run = run
        self._agent = agent
        self._labels: Mapping[str, str] = {name: meter["label"] for name, meter in document["meters"].items()}
        behind: Mapping[str, list[str]] = {name: meter["devices"] for name, meter in document["meters"].items()}
        self._devices = sorted({device for devices in behind.values() for device in devices})
        pue = PueCurve([(float(at), float(pue)) for at, pue in document["pue"]])
        self._bank = MeterBank(behind, pue, int(document["seed"]))
        self._lock = threading.Lock()
        self._looked_at = -_KEPT_S
        self._shown: Mapping[str, Shown] = {}

    def look(self) -> Mapping[str, Shown]:
        """What every meter shows now, by name."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _KEPT_S:
                drawn = {device: read_power(self._run, device) for device in self._devices}
                there = {device: now for device, now in drawn.items() if now is not None}
                self._shown = self._bank.read(there, self._agent.now().timestamp())
                self._looked_at = time.monotonic()
            return self._shown

    def collect(self) -> Iterable[Metric]:
        shown = self.look()
        power = GaugeMetricFamily("meter_power_watts", "Power that comes by the meter.", labels=["meter"])
        energy = CounterMetricFamily("meter_energy_joules", "Energy since the meter started.", labels=["meter"])
        for name, label in self._labels.items():
            power.add_metric([label], shown[name].power_w)
            energy.add_metric([label], shown[name].energy_j)
        yield from (power, energy)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="site_meters", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args(argv)

    document = json.loads((options.run / "meters.json").read_text())
    agent = Agent(options.run, NAME, "meter")
    meters = SiteMeters(options.run, agent, document)
    meters.look()  # energy counts from now on
    endpoints: dict[str, dict[str, object]] = {}
    for port, units in document["modbus"].items():
        full_w = {name: float(document["meters"][name]["full_w"]) for name in units.values()}
        served = {int(unit): (name, full_w[name]) for unit, name in units.items()}
        listening = serve_modbus(served, meters.look, LOOPBACK, int(port))
        endpoints |= {name: {"host": LOOPBACK, "port": listening, "unit": unit} for unit, (name, _) in served.items()}
    endpoint = options.run / "endpoints" / NAME
    write_atomically(endpoint, json.dumps(endpoints))
    agent.serve(meters, 0)
    while agent.alive():
        meters.look()
    endpoint.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
