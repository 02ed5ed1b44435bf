"""A site of processes on this machine: `WorkloadDriver` on a run directory (its layout is in docs/mock-site.md).

Rack agents and GPU nodes follow `setpoints.json`; a job is a process. What was accepted, and what a workload was
before, is on disk before `apply` returns, so a controller that dies forgets nothing and the next one goes on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

from orchestrator.adapters.workloads.processes.devices import Device, devices
from orchestrator.adapters.workloads.processes.documents import read_document, write_document
from orchestrator.adapters.workloads.processes.process_jobs import ProcessJobs
from orchestrator.adapters.workloads.processes.process_table import ProcessTable
from orchestrator.adapters.workloads.processes.setpoints import Setpoints, asleep, load_setpoints, save_setpoints
from orchestrator.adapters.workloads.processes.site_meters import (
    DOCUMENT,
    PueByTime,
    meters_document,
    meters_program,
    simulated_meters,
)
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import Ack, LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.rack_mix import choose_racks
from orchestrator.domain.refusals import fleet_refusal, limit_refusal
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, Workloads

log = logging.getLogger(__name__)

_FIRST_LEASE_S = 600.0
"""On the wall, for the time until the controller renews it. Every rack is asleep then."""
_STEADY_AFTER_S = 10.0
_LONGEST_BACK_OFF_S = 60.0


class ProcessSite:
    """The site's racks, GPU nodes and jobs as processes; those of an earlier controller are taken over.

    Jobs that do not end within `stop_grace_s` (wall) of being asked to are killed. ValueError names the file of the
    run directory that cannot be read, or a clock that is not the one its processes run by.
    """

    def __init__(
        self,
        site: Site,
        run_dir: Path,
        clock: SiteClock,
        seed: int = 0,
        *,
        nodes_per_exporter: int = 16,
        stop_grace_s: float = 10.0,
        pue: PueByTime = (),
    ) -> None:
        """`pue` is what the meters go by, where the site has any; without it that of the assumed temperature."""
        run_dir = run_dir.resolve()
        _agree_on_clock(run_dir / "clock.json", clock)
        self._site = site
        self._clock = clock
        self._file = run_dir / "setpoints.json"
        self._setpoints = load_setpoints(self._file, site) or asleep(site, clock.at(time.time() + _FIRST_LEASE_S))
        self._synced = True
        self._signature = self._write(self._setpoints)
        self._processes = ProcessTable(run_dir)
        self._jobs = ProcessJobs(site, run_dir, clock, self._processes, stop_grace_s)
        programs = (*devices(site, run_dir, seed, nodes_per_exporter), *meters_program(site, run_dir))
        self._devices = {device.process: device for device in programs}
        if simulated_meters(site):
            assumed = [(clock.site_origin, site.cooling.pue(site.stale.temperature_assume_c))]
            write_document(run_dir / DOCUMENT, meters_document(site, seed, nodes_per_exporter, pue or assumed))
        self._restarts: dict[str, tuple[float, float]] = {}
        self._supervising = False

    async def start(
        self, on_progress: Callable[[int, int], None] = lambda started, total: None, deadline_s: float = 180.0
    ) -> None:
        """Start the devices that do not run, all at once, and wait until every one answers.

        `on_progress(started, total)` is called whenever another one does. RuntimeError names a program that ended
        or did not get there in `deadline_s` (wall), with the last line that it printed.
        """
        for device in self._devices.values():
            if not self._processes.alive(device.process):
                self._launch(device)
                await asyncio.sleep(0)
        deadline = time.monotonic() + deadline_s
        waiting = dict(self._devices)
        while True:
            listening = [name for name, device in waiting.items() if _is_ready(device)]
            for name in listening:
                del waiting[name]
            if listening or not self._devices:
                on_progress(len(self._devices) - len(waiting), len(self._devices))
            if not waiting:
                break
            late = time.monotonic() > deadline
            for name in waiting:
                if late or not self._processes.alive(name):
                    why = f"not ready after {deadline_s:.0f} s" if late else self._processes.exit_status(name)
                    raise RuntimeError(f"{name}: {why}: {self._processes.last_log_line(name) or 'it printed nothing'}")
            await asyncio.sleep(0.05)
        self._supervising = True

    async def stop(self, deadline_s: float = 5.0) -> None:
        """End every process; jobs write their checkpoint first. What is not gone in `deadline_s` (wall) is killed."""
        self._supervising = False
        self._jobs.prepare_stop(self._clock.at(time.time()))
        await self._processes.stop_all(deadline_s)
        self._jobs.views(self._clock.at(time.time()))

    def submit(self, job: Job, now: datetime) -> None:
        """Take in a job, on disk when it returns; of two with one name the first holds.

        ValueError for a job that could never run here.
        """
        self._jobs.submit(job, now)

    async def observe(self, now: datetime) -> Workloads:
        """Setpoints and phases as accepted. Unsynced while `setpoints.json`, changed by someone else, is unreadable."""
        self._look()
        self.supervise()
        return Workloads(
            at=now,
            synced=self._synced,
            fleets=MappingProxyType({fleet.name: self._setpoints.fleet_view(fleet) for fleet in self._site.fleets}),
            jobs=MappingProxyType(dict(self._jobs.views(now))),
            pools=MappingProxyType({pool.name: self._setpoints.pool_view(pool.name) for pool in self._site.pools}),
            lapsed_at=self._setpoints.lease_until if self._setpoints.lease_until <= now else None,
        )

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        return replace(self._carry_out(move, reason, now), at=self._clock.at(time.time()))

    def _carry_out(self, move: Move, reason: str, now: datetime) -> Ack:
        self._look()
        try:
            match move:
                case SetFleet():
                    return self._set_fleet(move, reason, now)
                case LimitGpus():
                    return self._limit_gpus(move, now)
                case RunJob():
                    return self._jobs.run(move, reason, now)
                case PauseJob():
                    return self._jobs.pause(move.job, reason, now)
        except OSError as error:  # a full disk, no more processes
            return Ack(accepted=False, at=now, detail=f"{move.target}: {error}")
        assert_never(move)

    async def renew(self, until: datetime, now: datetime) -> None:
        self._look()
        self._accept(replace(self._setpoints, lease_until=until))

    def supervise(self) -> None:
        """Start devices that ended by themselves again, as a kubelet would; later each time one ends early."""
        if not self._supervising:
            return
        wall = time.monotonic()
        for name, device in self._devices.items():
            if self._processes.alive(name):
                continue
            started, back_off_s = self._restarts.get(name, (-_LONGEST_BACK_OFF_S, 0.0))
            if wall - started < back_off_s:
                continue
            steady = wall - started > back_off_s + _STEADY_AFTER_S
            self._restarts[name] = (wall, 1.0 if steady else min(back_off_s * 2, _LONGEST_BACK_OFF_S))
            log.warning("%s ended (%s); started again", name, self._processes.exit_status(name))
            try:
                self._launch(device)
            except OSError as error:
                log.warning("%s could not be started: %s", name, error)

    def _set_fleet(self, move: SetFleet, reason: str, now: datetime) -> Ack:
        if why := fleet_refusal(self._site.fleets, move):
            return Ack(accepted=False, at=now, detail=why)
        fleet = self._site.fleet(move.fleet)
        racks = fleet.rack_names()
        modes = choose_racks(fleet, self._setpoints.racks, move.racks, move.sleep_first)
        if any(modes[rack] != self._setpoints.racks[rack] for rack in racks):
            self._accept(self._setpoints.with_fleet(fleet, modes, reason, now))
        return Ack(accepted=True, at=now)

    def _limit_gpus(self, move: LimitGpus, now: datetime) -> Ack:
        if why := limit_refusal(self._site.pools, move):
            return Ack(accepted=False, at=now, detail=why)
        if self._setpoints.gpu_limit_w[move.pool] != move.gpu_limit_w:
            limits = {**self._setpoints.gpu_limit_w, move.pool: move.gpu_limit_w}
            self._accept(replace(self._setpoints, gpu_limit_w=limits))
        return Ack(accepted=True, at=now)

    def _launch(self, device: Device) -> None:
        for file in device.ready:
            file.unlink(missing_ok=True)
        self._processes.start(device.process, device.arguments)

    def _accept(self, setpoints: Setpoints) -> None:
        setpoints = replace(setpoints, generation=setpoints.generation + 1)
        self._signature = self._write(setpoints)
        self._setpoints = setpoints
        self._synced = True

    def _write(self, setpoints: Setpoints) -> tuple[int, int]:
        save_setpoints(self._file, setpoints, self._site.controls.lapse_over)
        return _signature(self._file)

    def _look(self) -> None:
        """Take over setpoints that someone else has written; unreadable ones are replaced at the second look."""
        signature = _signature(self._file)
        if signature == self._signature:
            if not self._synced:  # nobody has mended the file, and agents still hold what was last good
                self._accept(self._setpoints)
            return
        self._signature = signature
        try:
            self._setpoints = load_setpoints(self._file, self._site) or self._setpoints
            self._synced = True
        except ValueError as error:
            self._synced = False
            log.warning("%s; the last good setpoints hold and are written again if it stays so", error)


def _is_ready(device: Device) -> bool:
    return all(file.exists() for file in device.ready)


def _signature(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)


def _agree_on_clock(file: Path, clock: SiteClock) -> None:
    document: Mapping[str, object] | None = read_document(file)
    if document is None:
        write_document(file, clock.to_json())
    elif SiteClock.from_json(dict(document)) != clock:
        raise ValueError(f"{file} holds another clock than {clock}; processes of this run directory follow the file")
