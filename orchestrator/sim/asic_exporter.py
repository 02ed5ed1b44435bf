"""Program: the agent of one simulated ASIC rack. Follows its setpoint and exports its metrics (docs/mock-site.md)."""

import argparse
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.domain.site import SLEEP, Fleet, Mode
from orchestrator.sim.agent import Agent, log
from orchestrator.sim.asic_rack import RackModel


class RackCollector(Collector):
    """The rack's metrics at the moment of the scrape."""

    def __init__(self, agent: Agent, model: RackModel, asic_model: str) -> None:
        self._agent = agent
        self._model = model
        self._labels = [*model.name.split("/", 1), asic_model]

    def collect(self) -> Iterable[Metric]:
        with self._agent.lock:
            self._model.advance(self._agent.now().timestamp())
            report = self._model.report()
        names = ["fleet", "rack", "model"]
        for name, value, text in (
            ("asic_power_watts", report.power_w, "Power drawn by the rack."),
            ("asic_power_limit_watts", report.power_limit_w, "Nameplate power of the rack's setpoint."),
            ("asic_hashrate_hashes_per_second", report.hashrate_hs, "Hashes per second of the rack."),
            ("asic_temperature_celsius", report.temperature_c, "Mean chip temperature."),
            ("asic_last_seen_timestamp_seconds", report.at, "When the machines last answered, site time."),
        ):
            gauge = GaugeMetricFamily(name, text, labels=names)
            gauge.add_metric(self._labels, value)
            yield gauge
        info = GaugeMetricFamily("asic_info", "The rack and its mode.", labels=[*names, "mode"])
        info.add_metric([*self._labels, report.mode], 1.0)
        yield info
        machines = GaugeMetricFamily("asic_machines", "Machines by state.", labels=[*names, "state"])
        for state in ("hashing", "warming", "asleep", "failed", "hung"):
            machines.add_metric([*self._labels, state], getattr(report, state))
        yield machines
        for name, value, text in (
            ("asic_energy_joules", report.energy_j, "Energy drawn since the agent started."),
            ("asic_hashes", report.hashes, "Hashes done since the agent started."),
        ):
            counter = CounterMetricFamily(name, text, labels=names)
            counter.add_metric(self._labels, value)
            yield counter


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="asic_exporter", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rack", required=True, help="fleet/rack-n")
    parser.add_argument("--model", required=True)
    parser.add_argument("--machines", type=int, required=True)
    parser.add_argument("--mode", type=_mode, action="append", required=True, help="name:watts:TH/s of one machine")
    parser.add_argument("--sleep-w", type=float, required=True, help="one machine asleep")
    parser.add_argument("--warm-up-s", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--awake", help="start warm in this mode, not asleep")
    options = parser.parse_args(argv)

    modes = sorted(options.mode, key=lambda mode: mode.power_w)
    fleet = Fleet(
        name=options.rack.split("/")[0],
        model=options.model,
        feeder="",
        racks=1,
        machines_per_rack=options.machines,
        modes=tuple(modes),
        default_mode=modes[-1].name,
        sleep_w=options.sleep_w,
        warm_up=timedelta(seconds=options.warm_up_s),
        min_on=timedelta(0),
        min_off=timedelta(0),
    )
    agent = Agent(options.run, options.rack, "asic")
    model = RackModel(fleet, options.rack, seed=options.seed, at=agent.now().timestamp(), awake=options.awake)
    agent.serve(RackCollector(agent, model, options.model), options.port)
    refused = ""
    while agent.alive():
        now = agent.now()
        asked = model.setpoint
        if agent.setpoints is not None:
            asked = agent.setpoints.racks.get(options.rack, asked)
            if now >= agent.setpoints.lease_until:
                asked = SLEEP  # a lost controller must not leave power on that nobody watches
        try:
            with agent.lock:
                model.set_mode(asked, now.timestamp())
        except KeyError as error:
            if asked != refused:
                log.warning("rack %s: %s; it stays in %s", options.rack, error, model.setpoint)
            refused = asked
    return 0


def _mode(text: str) -> Mode:
    try:
        name, power_w, hashrate_ths = text.split(":")
        return Mode(name, float(power_w), float(hashrate_ths))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not name:watts:TH/s") from None


if __name__ == "__main__":
    raise SystemExit(main())
