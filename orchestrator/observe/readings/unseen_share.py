"""How much of the site nobody has measured: what a plan must know before it is made."""

from orchestrator.domain.snapshot import Snapshot


def assumed_share(snapshot: Snapshot) -> float:
    """Devices without a fresh reading, by their nameplate, as a share of all devices' nameplate; 0 without devices.

    By nameplate, not by what each counts at: on a site that is curtailed to a tenth one silent rack would be half of
    all power, and no one device is to keep the others from being planned.
    """
    blind_kw = all_kw = 0.0
    for status in snapshot.fleets.values():
        blind_kw += len(status.silent) * status.fleet.rack_nameplate_kw
        all_kw += status.fleet.nameplate_kw
    for pool in snapshot.pools.values():
        blind_kw += len(pool.silent) * pool.pool.node_nameplate_kw
        all_kw += pool.pool.nameplate_kw
    return blind_kw / all_kw if all_kw > 0.0 else 0.0
