"""What a round saw, for the record: the observation, and what triggered the decision. All on a round's draft."""

from datetime import datetime, timedelta

from orchestrator.controller.state import State
from orchestrator.domain.decision import Trigger
from orchestrator.domain.limits import limits_due
from orchestrator.domain.market import Price, PriceBook
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.observe.power_shares import power_shares
from orchestrator.observe.proof.verify import above_caps
from orchestrator.ports import ObservationRecord


def trigger_of(draft: State, snapshot: Snapshot, trigger: Trigger) -> tuple[Trigger, datetime]:
    """A tick that brings a new price is triggered by it, from when its interval began or it can have come in."""
    now, price = snapshot.at, snapshot.price
    seen = (price.interval_start, price.usd_per_mwh)
    before, draft.last_price = draft.last_price, seen
    if before is None:
        return (Trigger.START if trigger is Trigger.TICK else trigger), now
    if trigger in (Trigger.TICK, Trigger.PRICE) and seen != before:
        last_at = draft.last.at if draft.last is not None else now
        return Trigger.PRICE, min(max(price.interval_start, last_at), now)
    return trigger, now


def new_prices(draft: State, book: PriceBook) -> list[Price]:
    """Prices that are not on record as they are known now. The draft counts them as recorded from now on."""
    found: list[Price] = []
    before = draft.book
    if book is not before:  # which it is but for one round in many
        for recorded, known in ((before.real_time, book.real_time), (before.day_ahead, book.day_ahead)):
            by_start = {price.start: price for price in recorded}
            found += [price for price in known if (was := by_start.get(price.start)) is not price and was != price]
    draft.book = book
    return found


def observation(site: Site, draft: State, snapshot: Snapshot) -> ObservationRecord:
    """Power, price and caps of this moment; it is the draft's last one from now on."""
    shares, now = power_shares(snapshot), snapshot.at
    due = limits_due(site, draft.curtailments.values(), now)
    since = now - draft.last.at if draft.last is not None else timedelta(0)
    # Across a restart nothing was measured, so no more than the age of a usable reading is claimed.
    since_s = min(since, max(site.stale.telemetry_max_age, site.controls.tick)).total_seconds()
    draft.last = ObservationRecord(
        at=now,
        price_usd_per_mwh=snapshot.price.usd_per_mwh,
        price_basis=snapshot.price.basis,
        grid_kw=shares.grid.kw,
        mining_kw=shares.mining_kw,
        hpc_kw=shares.hpc_kw,
        overhead_kw=shares.overhead_kw,
        limit_kw=snapshot.limits.grid.limit_kw,
        above_limit_s=since_s if above_caps(snapshot, due) else 0.0,
        feeder_kw=tuple((feeder, share.kw) for feeder, share in shares.feeders.items()),
        stale=snapshot.stale,
    )
    return draft.last
