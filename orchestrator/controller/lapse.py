"""After a lease that ran out: what agents did by themselves is taken over as it is before anything is renewed.

Were the lease renewed on the setpoints of before, every rack would wake at once, unasked and faster than any ramp.
"""

import logging
from datetime import datetime

from orchestrator.domain.decision import SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Workloads
from orchestrator.ports import WorkloadDriver

log = logging.getLogger(__name__)


async def taken_over(site: Site, driver: WorkloadDriver, workloads: Workloads, now: datetime) -> Workloads:
    """The driver's view with all asleep that fell asleep. It is asked for nothing that is not so already; from then on
    racks are woken as ever, into measured room and by the ramp."""
    if workloads.lapsed_at is None or not workloads.synced:
        return workloads
    reason = (
        f"asleep since {workloads.lapsed_at:%H:%M:%S} UTC: the lease on the setpoints ran out and nobody renewed it"
    )
    awake = [
        fleet for fleet in site.fleets if fleet.name in workloads.fleets and workloads.fleets[fleet.name].racks.awake
    ]
    for fleet in awake:
        ack = await driver.apply(SetFleet(fleet.name, RackMix({SLEEP: fleet.racks})), reason, workloads.lapsed_at)
        if ack.accepted:
            log.warning("fleet %s: %s", fleet.name, reason)
        else:
            log.warning(
                "fleet %s: the lease ran out, and its racks wake when it is renewed: %s", fleet.name, ack.detail
            )
    return await driver.observe(now) if awake else workloads
