"""Program: the agent of one simulated ASIC rack. Follows its setpoint and exports its metrics (docs/mock-site.md)."""

import argparse
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from orchestrator.domain.site.machines import SLEEP
from orchestrator.sim.agent import Agent, log
from orchestrator.sim.lapse import lapse_s
from orchestrator.sim.racks.asic_rack import RackModel, RackReport
from orchestrator.sim.racks.fleet_options import add_fleet_options, fleet_of
from orchestrator.sim.racks.rack_collector import RackCollector


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="asic_exporter", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rack", required=True, help="fleet/rack-n")
    add_fleet_options(parser)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--awake", help="start warm in this mode, not asleep")
    options = parser.parse_args(argv)

    fleet = fleet_of(options, options.rack.split("/")[0], racks=1)
    agent = Agent(options.run, options.rack, "asic")
    model = RackModel(fleet, options.rack, seed=options.seed, at=agent.now().timestamp(), awake=options.awake)
    lock = threading.Lock()

    def reports() -> Sequence[tuple[str, RackReport]]:
        with lock:
            model.advance(agent.now().timestamp())
            return [(model.name, model.report())]

    agent.draw(model.power_w, model.energy_j)  # before it is told of: a meter is to miss nobody
    agent.serve(RackCollector(options.model, reports), options.port)
    refused = ""
    while agent.alive():
        now = agent.now()
        asked = model.setpoint
        if agent.setpoints is not None:
            asked = agent.setpoints.racks.get(options.rack, asked)
            lapse = timedelta(seconds=lapse_s(options.rack, agent.setpoints.lapse_over_s))
            if now >= agent.setpoints.lease_until + lapse:
                asked = SLEEP  # a lost controller must not leave power on that nobody watches
        try:
            with lock:
                model.set_mode(asked, now.timestamp())
        except KeyError as error:
            if asked != refused:
                log.warning("rack %s: %s; it stays in %s", options.rack, error, model.setpoint)
            refused = asked
        with lock:
            agent.draw(model.power_w, model.energy_j)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
