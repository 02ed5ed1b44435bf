"""Program: one mining pod, the agent of a rack in a cluster (docs/mock-site.md).

The setpoints name the pod's rack and its mode. The agent keeps the rack in it by a beat every second, and puts it to
sleep when the setpoints no longer name a pod for it, when their lease runs out, and on SIGTERM.
"""

import argparse
import logging
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from orchestrator.sim.cluster.connection import ConnectionUnknownError, connect, own_namespace, plain_client
from orchestrator.sim.cluster.setpoints import ClusterSetpoints, SetpointWatch
from orchestrator.sim.lapse import lapse_s
from orchestrator.sim.metrics_server import ALL_ADDRESSES, metrics_app, routed, serve
from orchestrator.sim.process import start_in_pod, wait_for_sigterm

BEAT_S = 1.0
TTL_S = 3.0
REQUEST_S = 0.4
"""For an answer of the rack row: a beat that hangs and the farewell after it take less than END_S."""
END_S = 0.9
"""After SIGTERM the pod is gone by then, whatever hangs; the rack then sleeps when its ttl is over."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """A rack `fleet/rack-n` to be kept in a mode."""

    rack: str
    mode: str
    generation: int


def task_of(pod: str, fleet: str, setpoints: ClusterSetpoints | None) -> Task | None:
    """What the setpoints ask of `pod`; None if they give it no rack of its fleet."""
    for rack, agent in setpoints.agents.items() if setpoints is not None else ():
        if agent == pod and rack.startswith(f"{fleet}/rack-"):
            assert setpoints is not None, "it was looped over"
            mode = setpoints.racks.get(rack)
            return Task(rack, mode, setpoints.generation) if mode is not None else None
    return None


class RackAgent:
    """Keeps the pod's rack by beats, in a thread of its own."""

    def __init__(self, pod: str, fleet: str, devices: httpx.Client) -> None:
        self.wake = threading.Event()
        """Set it when there may be something to do before the next beat."""
        self._pod = pod
        self._fleet = fleet
        self._devices = devices
        self._ending = False
        self._task: Task | None = None
        self._told = ""

    def run(self, watch: SetpointWatch) -> None:
        """Until `end`; the rack then sleeps."""
        while not self._ending:
            self.wake.clear()
            setpoints = watch.setpoints
            task = task_of(self._pod, self._fleet, setpoints)
            over_s = lapse_s(task.rack, setpoints.lapse_over_s) if task is not None and setpoints is not None else 0.0
            lapsed = watch.lapsed(datetime.now(UTC) - timedelta(seconds=over_s))
            self._follow(None if lapsed else task, setpoints, lapsed)
            self.wake.wait(BEAT_S)
        if self._task is not None:
            self._release(self._task.rack)

    def end(self) -> None:
        self._ending = True
        self.wake.set()

    def _follow(self, task: Task | None, setpoints: ClusterSetpoints | None, lapsed: bool) -> None:
        before, self._task = self._task, task
        if before is not None and (task is None or task.rack != before.rack):
            handed_on = not lapsed and setpoints is not None and before.rack in setpoints.agents
            if handed_on:
                # Its new agent beats already. To put it to sleep first would cost it a warm-up.
                log.info("%s: handed on", before.rack)
            else:
                log.info("%s: put to sleep, %s", before.rack, "the lease is out" if lapsed else "no longer ours")
                self._release(before.rack)
        if task is not None:
            if before is None or (before.rack, before.mode) != (task.rack, task.mode):
                log.info("%s: %s (generation %d)", task.rack, task.mode, task.generation)
            beat = {"mode": task.mode, "agent": self._pod, "generation": task.generation, "ttl_s": TTL_S}
            self._ask("PUT", task.rack, json=beat)

    def _release(self, rack: str) -> None:
        self._ask("DELETE", rack, params={"agent": self._pod})

    def _ask(self, method: str, rack: str, *, json: object = None, params: dict[str, str] | None = None) -> None:
        number = rack.removeprefix(f"{self._fleet}/rack-")
        told = ""
        try:
            answer = self._devices.request(method, f"/racks/{number}", json=json, params=params)
            if not answer.is_success:
                told = f"{rack}: {method} answers {answer.status_code} {answer.text[:300]}"
        except httpx.HTTPError as error:
            told = f"{rack}: {method} gets no answer: {type(error).__name__}: {error}"
        if told and told != self._told:
            log.warning(told)
        self._told = told


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="rack_agent", description=__doc__)
    parser.add_argument("--fleet", required=True)
    parser.add_argument(
        "--name", default="wattshift", help="the setpoints are the ConfigMap and Lease <name>-setpoints"
    )
    parser.add_argument("--devices", required=True, help="URL of the fleet's rack row")
    parser.add_argument("--api-server", help="URL; default: that of the pod's cluster")
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    pod = os.environ.get("POD_NAME")
    if not pod:
        parser.error("POD_NAME is not set in the environment; it is the name of this pod")

    start_in_pod("rack_agent")
    try:
        client, namespace = connect(options.api_server), own_namespace()
    except ConnectionUnknownError as error:
        parser.error(str(error))
    agent = RackAgent(pod, options.fleet, plain_client(options.devices, REQUEST_S))
    watch = SetpointWatch(client, namespace, options.name, agent.wake.set)
    serve(routed(metrics_app(watch)), options.host, options.port)
    watch.start()
    beats = threading.Thread(target=agent.run, args=(watch,), daemon=True)
    beats.start()
    wait_for_sigterm()
    agent.end()
    beats.join(END_S)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
