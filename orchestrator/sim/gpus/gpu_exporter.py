"""Program: a row of simulated GPU nodes of a run directory (docs/mock-site.md)."""

import argparse
from functools import partial
from pathlib import Path

from orchestrator.sim.agent import Agent
from orchestrator.sim.atomic_file import write_atomically
from orchestrator.sim.gpus.gpu_nodes import NodeRow, add_pool_options, answer_job, pool_of


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gpu_exporter", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--nodes", required=True, help="host names, comma separated")
    add_pool_options(parser)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)

    hosts = options.nodes.split(",")
    pool = pool_of(options, nodes=len(hosts))
    agent = Agent(options.run, hosts[0], "gpu")
    row = NodeRow(agent.clock, pool, hosts)
    agent.draw(*row.drawn())  # before it is told of: a meter is to miss nobody
    port = agent.serve(row, options.port, jobs=partial(answer_job, row))
    endpoints = [options.run / "endpoints" / host for host in hosts]
    for endpoint in endpoints:
        write_atomically(endpoint, f"http://127.0.0.1:{port}")
    while agent.alive():
        row.expire()
        if agent.setpoints is not None:
            # A lapsed lease changes nothing here: guaranteed jobs run on at the last power limit.
            row.set_limit(agent.setpoints.gpu_limit_w.get(pool.name, pool.gpu_power_w))
        agent.draw(*row.drawn())
    for endpoint in endpoints:
        endpoint.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
