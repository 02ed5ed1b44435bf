"""A decision as it goes on record: the moves with their reasons, and what they were chosen from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain, islice

from orchestrator.dispatch.desired import Desired, gain_usd_per_h
from orchestrator.dispatch.moves import Moves
from orchestrator.domain.decision import Action, Decision, Direction, Trigger
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.units import power_text
from orchestrator.observe.power_shares import power_shares

SHOWN = 20
"""Alternatives and stale inputs kept with a decision."""


def write_up(
    snapshot: Snapshot,
    desired: Desired,
    reasons: Mapping[Target, str],
    moves: Moves,
    trigger: Trigger,
    trigger_at: datetime,
) -> Decision | None:
    """The decision to record; None where nothing moves. An order is always answered, if only by "nothing to do"."""
    if not moves.now and trigger is not Trigger.CURTAILMENT:
        return None
    decision_id = f"d-{snapshot.at:%Y%m%dT%H%M%S%f}"
    actions = tuple(
        Action(
            id=f"{decision_id}/{number}",
            move=planned.move,
            direction=planned.direction,
            reason=reasons[planned.move.target],
            change_kw=planned.change_kw,
        )
        for number, planned in enumerate(moves.now)
    )
    moved = {action.move.target for action in actions}
    shares = power_shares(snapshot)
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    return Decision(
        id=decision_id,
        at=snapshot.at,
        trigger=trigger,
        trigger_at=trigger_at,
        summary=_summary(snapshot, actions),
        price_usd_per_mwh=snapshot.price.usd_per_mwh,
        price_basis=snapshot.price.basis,
        hashprice_usd_per_ph_day=hashprice,
        pue=snapshot.pue,
        measured_kw=shares.grid.kw,
        limit_kw=snapshot.limits.grid.limit_kw,
        binding=tuple(cap.source for cap in desired.binding),
        margin_usd_per_h=sum(
            gain_usd_per_h(snapshot, desired, target) for target in desired.changes if target in moved
        ),
        actions=actions,
        alternatives=_alternatives(snapshot, reasons, moved, moves.waiting),
        inputs={
            "limit_source": snapshot.limits.grid.source,
            "rules": list(desired.rules),
            "outdoor_c": snapshot.outdoor.value,
            "fleets_kw": {name: round(share.kw, 1) for name, share in shares.fleets.items()},
            "committed_kw": {name: round(status.committed_kw, 1) for name, status in snapshot.fleets.items()},
            "racks": {name: status.view.racks.by_mode(status.fleet) for name, status in snapshot.fleets.items()},
            "pools_kw": {name: round(share.kw, 1) for name, share in shares.pools.items()},
            "assumed_kw": round(shares.grid.assumed_kw, 1),
            "stale": list(snapshot.stale[:SHOWN]),
            "curtailments": [order.id for order in snapshot.curtailments if order.in_force(snapshot.at)],
            **desired.charges,
        },
    )


def _summary(snapshot: Snapshot, actions: Sequence[Action]) -> str:
    price = f"power at {snapshot.price.usd_per_mwh:.2f} USD/MWh"
    if not actions:
        caps = (cap for cap in snapshot.limits.tightest.values() if cap.at == GRID_CONNECTION or cap.id)
        under = " and ".join(f"{cap.limit_kw:.0f} kW at the {cap.at}" for cap in caps)
        return f"{price}: the site is as it should be, under {under}"
    downs = sum(1 for action in actions if action.direction is Direction.DOWN)
    change_kw = sum(action.change_kw for action in actions)
    word = "down" if change_kw < 0 else "up"
    first = max(actions, key=lambda action: abs(action.change_kw)).reason
    moves = "1 move" if len(actions) == 1 else f"{len(actions)} moves"
    if 0 < downs < len(actions):
        moves += f", {downs} of them down"
    return f"{power_text(abs(change_kw))} {word} in {moves}: {first}"


def _alternatives(
    snapshot: Snapshot, reasons: Mapping[Target, str], moved: set[Target], waiting: Sequence[Target]
) -> tuple[str, ...]:
    """What stays as it is, and why: what waits, then fleets. Jobs that simply run on are left out."""
    waits = (f"waits for measured room: {reasons[target]}" for target in waiting)
    unchanged = (
        f"unchanged: {reasons[target]}"
        for target in map(Target.fleet, snapshot.fleets)
        if target not in moved and target not in waiting
    )
    return tuple(islice(chain(waits, unchanged), SHOWN))
