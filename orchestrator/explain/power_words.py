"""How much of a power is measured, assumed or claimed, in a line."""

from orchestrator.domain.units import power_text
from orchestrator.domain.unread import Basis, Unread
from orchestrator.observe.power_shares import Share

NEXT_TO_NOTHING_KW = 0.05
"""It would read as 0.0."""
_STANDS_IN = {
    Basis.SETPOINT: "at the setpoint",
    Basis.TRUST: "held on the setpoint",
    Basis.NAMEPLATE: "at nameplate",
    Basis.JOBS: "at the jobs' share",
    Basis.WAKING: "asked up since read",
    Basis.PARTS: "read in part",
    Basis.METER: "at what the meter leaves",
}


def share_text(share: Share) -> str:
    """`all measured`, or `58.0 MW measured, 4.1 MW assumed of 6 silent racks at the setpoint; 1 suspect reading
    (1.0 MW) not counted`; begins with `by the meter` where there is a fresh one."""
    parts = []
    if share.assumed:
        assumed = " and ".join(
            f"{power_text(of.kw)} assumed of {_devices(share, basis, of)} {_STANDS_IN[basis]}"
            for basis, of in sorted(share.assumed.items())
        )
        measured_kw = share.measured_kw
        measured = f"{power_text(measured_kw)} measured" if measured_kw >= NEXT_TO_NOTHING_KW else "nothing measured"
        parts.append(f"{measured}, {assumed}")
    if share.claimed_kw:
        readings = "1 suspect reading" if len(share.claimed_kw) == 1 else f"{len(share.claimed_kw)} suspect readings"
        parts.append(f"{readings} ({power_text(sum(share.claimed_kw.values()))}) not counted")
    if share.metered:
        return "by the meter" + (f": {'; '.join(parts)}" if parts else "")
    return "; ".join(parts) or "all measured"


def _devices(share: Share, basis: Basis, of: Unread) -> str:
    if basis is Basis.WAKING:
        return _count(of.devices, "rack")
    if basis is Basis.JOBS:
        return _count(of.devices, "silent node")
    if basis in (Basis.SETPOINT, Basis.TRUST):
        return _count(of.devices, "silent rack")
    if basis is Basis.PARTS:
        return _count(of.devices, "device")
    if basis is Basis.METER or (share.silent_racks and share.silent_nodes):
        return _count(of.devices, "device")
    return _count(of.devices, "silent node" if share.silent_nodes else "silent rack")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
