"""Program: one simulated HPC job in a pod of a `batch/v1` Job (docs/mock-site.md).

Exits 0 when its work is done, 3 after SIGTERM with its checkpoint written, so that the Job does not count it as done.
"""

import argparse
import logging
from pathlib import Path

from orchestrator.clock import wall_clock
from orchestrator.sim.jobs.job_program import STOPPED, TTL_S, JobProgram, Spec, ask_nodes, read_checkpoint
from orchestrator.sim.metrics_server import ALL_ADDRESSES, metrics_app, routed, serve
from orchestrator.sim.process import sigterm_within, start_in_pod

log = logging.getLogger(__name__)


class CountedGpus:
    """A number of GPUs of a pool; its nodes say which."""

    def __init__(self, url: str, job: str, tenant: str, count: int) -> None:
        self._url = url
        self._job = job
        self._tenant = tenant
        self._count = count

    def beat(self, utilisation: float) -> float:
        body = {"count": self._count, "tenant": self._tenant, "utilisation": utilisation, "ttl_s": TTL_S}
        answer = ask_nodes(self._url, self._job, "PUT", body)
        return float(answer["throughput"]) if answer else 0.0

    def release(self) -> None:
        ask_nodes(self._url, self._job, "DELETE", None)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pod_job", description=__doc__)
    parser.add_argument("--job", required=True, help="name of the Job")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("--work-gpu-seconds", type=float, required=True)
    parser.add_argument("--checkpoint-every-s", type=float, required=True)
    parser.add_argument("--restart-s", type=float, required=True, help="from start to progress")
    parser.add_argument("--exporter", required=True, help="URL of the pool's gpu_row")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder that outlives the pod")
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    if options.gpus < 1 or not options.checkpoint_every_s > 0.0:
        parser.error("--gpus: 1 or more; --checkpoint-every-s: over 0")

    start_in_pod("pod_job")
    checkpoint_file = options.checkpoints / f"{options.job}.json"
    try:
        done_gpu_seconds, finished = read_checkpoint(checkpoint_file)
    except ValueError as error:
        log.error("%s", error)
        return 1
    if finished:
        log.info("%s: was finished before", options.job)
        return 0
    spec = Spec(
        tenant=options.tenant,
        gpus=options.gpus,
        work_gpu_seconds=options.work_gpu_seconds,
        checkpoint_every_s=options.checkpoint_every_s,
        restart_s=options.restart_s,
    )
    gpus = CountedGpus(options.exporter, options.job, options.tenant, options.gpus)
    program = JobProgram(wall_clock(), options.job, spec, gpus, checkpoint_file)
    serve(routed(metrics_app(program)), options.host, options.port)
    log.info("%s: starts at %.0f of %.0f GPU seconds", options.job, done_gpu_seconds, options.work_gpu_seconds)
    wait_s = 0.0
    while not sigterm_within(wait_s):
        wait_s = program.step()
        if program.model.finished_at is not None:
            program.release()
            log.info("%s: finished", options.job)
            return 0
    program.stop()
    program.release()
    log.info("%s: stopped, %.0f GPU seconds are kept", options.job, program.model.checkpoint_gpu_seconds)
    return 0 if program.model.finished_at is not None else STOPPED


if __name__ == "__main__":
    raise SystemExit(main())
