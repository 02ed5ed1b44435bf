"""Program: the simulated GPU nodes of one pool and their exporter, for jobs in pods (docs/mock-site.md).

The GPUs' power limit follows the setpoints of the cluster; it stays when their lease runs out.
"""

import argparse
import logging

from orchestrator.clock import wall_clock
from orchestrator.sim.cluster.connection import ConnectionUnknownError, connect, own_namespace
from orchestrator.sim.cluster.setpoints import SetpointWatch
from orchestrator.sim.gpus.gpu_nodes import NodeRow, add_pool_options, answer_job, pool_of
from orchestrator.sim.metrics_server import ALL_ADDRESSES, metrics_app, routed, serve
from orchestrator.sim.process import sigterm_within, start_in_pod

LOOK_S = 0.5
"""How often claims that ran out are looked for."""

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gpu_row", description=__doc__)
    parser.add_argument("--name", default="wattshift", help="the setpoints are the ConfigMap <name>-setpoints")
    parser.add_argument("--nodes", type=int, required=True, help="how many; they are <pool>-node-0 and so on")
    add_pool_options(parser)
    parser.add_argument("--api-server", help="URL; default: that of the pod's cluster")
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    if options.nodes < 1 or options.gpus_per_node < 1:
        parser.error("--nodes and --gpus-per-node: 1 or more")

    start_in_pod("gpu_row")
    try:
        client, namespace = connect(options.api_server), own_namespace()
    except ConnectionUnknownError as error:
        parser.error(str(error))
    pool = pool_of(options, options.nodes)
    row = NodeRow(wall_clock(), pool, pool.node_names())

    def follow() -> None:
        if watch.setpoints is not None:
            row.set_limit(watch.setpoints.gpu_limit_w.get(pool.name, pool.gpu_power_w))

    watch = SetpointWatch(client, namespace, options.name, follow)
    watch.start()
    app = routed(metrics_app(row, watch), jobs=lambda environ: answer_job(row, environ))
    port = serve(app, options.host, options.port)
    log.info("%d GPUs of %s at port %d", pool.gpus, pool.name, port)
    while not sigterm_within(LOOK_S):
        row.expire()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
