"""An operator's curtailment order, from what was asked."""

from datetime import datetime

from orchestrator.api.desk import DeskRefusalError
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import Snapshot


def new_order(
    site: Site,
    snapshot: Snapshot | None,
    now: datetime,
    *,
    limit_kw: float | None,
    shed_kw: float | None,
    until: datetime,
    reason: str,
    source: str,
) -> Curtailment:
    """In force from `now` on. DeskRefusalError for a shed that cannot be made a limit; one of the two is given."""
    if limit_kw is None:
        assert shed_kw is not None, "an order has a limit or a shed"
        limit_kw = _shed_to(snapshot, shed_kw)
    return Curtailment(
        id=f"c-{now:%Y%m%dT%H%M%S%f}",
        limit_kw=limit_kw,
        shed_kw=shed_kw,
        start=now,
        until=until,
        response=site.controls.verify_within,
        reason=reason,
        source=source,
    )


def _shed_to(snapshot: Snapshot | None, shed_kw: float) -> float:
    """The limit that a shed means: what is measured now less the shed."""
    if snapshot is None:
        raise DeskRefusalError("nothing is measured yet, so a shed has nothing to start from; give limit_kw")
    silent = snapshot.silent_meters
    if silent:
        raise DeskRefusalError(
            f"{len(silent)} meters have no fresh reading ({silent[0]}, ...), so measured power is not known; "
            "give limit_kw"
        )
    if shed_kw >= snapshot.measured.grid_kw:
        raise DeskRefusalError(f"{snapshot.measured.grid_kw:.0f} kW are drawn, less than the shed of {shed_kw:.0f}")
    return snapshot.measured.grid_kw - shed_kw
