"""A day on a virtual clock: the controller as it is, on simulated devices in this process, as fast as it computes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.controller import VERIFY_EVERY, Controller, Doors, Policy
from orchestrator.controller.planner import Planner, answer, planned
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job
from orchestrator.ports import Store
from orchestrator.runtime.demo.overhead import pue_by_time
from orchestrator.runtime.feeds import Series
from orchestrator.sim.virtual import VirtualSite


@dataclass(frozen=True, slots=True)
class Day:
    """What is replayed: prices and the stream of jobs from `start` to `end`."""

    start: datetime
    end: datetime
    prices: ReplayedPrices
    series: Series
    jobs: Sequence[Job]
    seed: int


async def replay(
    site: Site,
    day: Day,
    store: Store,
    *,
    step: timedelta,
    policy: Policy | None = None,
    devices: VirtualSite | None = None,
    on_progress: Callable[[datetime], None] = lambda now: None,
) -> None:
    """Run the controller over the day; all it saw, decided and earned is in `store` when this returns.

    `step` is the time between observations while nothing is under way. Without a `policy` it plans a day ahead, each
    plan in force from the observation it was made on. Without `devices` fleets begin asleep, and devices vary and break
    by the day's seed.
    """
    planner = Planner(site) if policy is None else None
    if devices is None:
        pue = await pue_by_time(site, day.series.weather, day.start, day.end)
        devices = VirtualSite(site, start=day.start, seed=day.seed, pue=pue)
    controller = Controller(
        site,
        Doors(
            prices=day.prices,
            hashprice=day.series.hashprice,
            weather=day.series.weather,
            metrics=devices,
            workloads=devices,
            store=store,
        ),
        now=day.start,
        policy=policy if planner is None else planned(planner),
    )
    step = min(step, site.controls.lease / 3)  # agents whose lease runs out between two rounds would fall asleep
    jobs = sorted(day.jobs, key=lambda job: job.submitted_at)
    submitted = 0
    now = day.start
    while True:
        while submitted < len(jobs) and jobs[submitted].submitted_at <= now:
            devices.submit(jobs[submitted], now)
            submitted += 1
        await controller.tick(now, final=now >= day.end)
        if planner is not None and controller.snapshot is not None and planner.due(controller.snapshot):
            planner.take(answer(planner.question(controller.snapshot, await controller.past(now))))
        on_progress(now)
        if now >= day.end:
            return
        then = now + (VERIFY_EVERY if controller.unsettled else step)
        change = day.prices.next_change(now)
        now = min(then, day.end, *([change] if change is not None else []))
