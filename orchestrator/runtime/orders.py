"""An operator's curtailment order, from what was asked."""

from datetime import datetime

from orchestrator.api.desk import AskedOrder, DeskRefusalError
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.observe.power_shares import power_shares


def new_order(site: Site, snapshot: Snapshot | None, asked: AskedOrder, now: datetime) -> Curtailment:
    """In force from `now` on. DeskRefusalError for a shed that cannot be made a limit."""
    return Curtailment(
        id=f"c-{now:%Y%m%dT%H%M%S%f}",
        at=asked.at,
        limit_kw=asked.limit_kw if asked.limit_kw is not None else _shed_to(snapshot, asked),
        shed_kw=asked.shed_kw,
        start=now,
        until=asked.until,
        response=site.controls.down_within,
        reason=asked.reason,
        source=asked.source,
    )


def _shed_to(snapshot: Snapshot | None, asked: AskedOrder) -> float:
    """The limit that a shed means: what is measured there now less the shed."""
    assert asked.shed_kw is not None, "an order has a limit or a shed"
    if snapshot is None:
        raise DeskRefusalError("nothing is measured yet, so a shed has nothing to start from; give limit_kw")
    silent = snapshot.unmeasured(asked.at)
    if silent:
        raise DeskRefusalError(
            f"{len(silent)} meters have no fresh reading ({silent[0]}, ...), so measured power is not known; "
            "give limit_kw"
        )
    measured_kw = power_shares(snapshot).at(asked.at).kw
    if asked.shed_kw >= measured_kw:
        raise DeskRefusalError(
            f"{measured_kw:.0f} kW are drawn at the {asked.at}, less than the shed of {asked.shed_kw:.0f}"
        )
    return measured_kw - asked.shed_kw
