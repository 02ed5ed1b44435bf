"""Domain values as rows, and back. The one place that knows both."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping

from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.accounting.unaccounted import Resolution, Way
from orchestrator.adapters.store.tables import PLANNED
from orchestrator.domain.decision import (
    Action,
    Breach,
    BreachKind,
    BreachState,
    Decision,
    Direction,
    LimitGpus,
    Move,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
    Trigger,
)
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Market, Price
from orchestrator.domain.observation import Metric
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.ports import ObservationRecord

Row = dict[str, Any]
"""Column values by name."""


def move_to_json(move: Move) -> dict[str, object]:
    """A move as a JSON object; `kind` tells which."""
    match move:
        case SetFleet(fleet, racks, sleep_first):
            return {"kind": "set_fleet", "fleet": fleet, "racks": dict(racks), "sleep_first": list(sleep_first)}
        case RunJob(job, gpus):
            return {"kind": "run_job", "job": job, "gpus": gpus}
        case PauseJob(job):
            return {"kind": "pause_job", "job": job}
        case LimitGpus(pool, gpu_limit_w):
            return {"kind": "limit_gpus", "pool": pool, "gpu_limit_w": gpu_limit_w}


def move_from_json(document: Mapping[str, Any]) -> Move:
    match document["kind"]:
        case "set_fleet":
            return SetFleet(document["fleet"], RackMix(document["racks"]), tuple(document.get("sleep_first", ())))
        case "run_job":
            return RunJob(document["job"], document.get("gpus"))
        case "pause_job":
            return PauseJob(document["job"])
        case "limit_gpus":
            return LimitGpus(document["pool"], document["gpu_limit_w"])
        case kind:
            raise ValueError(f"a stored move has kind {kind!r}; known are set_fleet, run_job, pause_job, limit_gpus")


def decision_row(decision: Decision) -> Row:
    """The decision without its actions."""
    return {
        "id": decision.id,
        "at": decision.at,
        "trigger": decision.trigger.value,
        "trigger_at": decision.trigger_at,
        "summary": decision.summary,
        "price_usd_per_mwh": decision.price_usd_per_mwh,
        "price_basis": decision.price_basis,
        "hashprice_usd_per_ph_day": decision.hashprice_usd_per_ph_day,
        "pue": decision.pue,
        "measured_kw": decision.measured_kw,
        "limit_kw": decision.limit_kw,
        "margin_usd_per_h": decision.margin_usd_per_h,
        "binding": list(decision.binding),
        "alternatives": list(decision.alternatives),
        "inputs": dict(decision.inputs),
    }


def action_rows(decision: Decision) -> list[Row]:
    """The decision's actions in order, none with an outcome yet."""
    return [
        {
            "id": action.id,
            "decision_id": decision.id,
            "number": number,
            "target": str(action.move.target),
            "move": move_to_json(action.move),
            "direction": action.direction.value,
            "reason": action.reason,
            "change_kw": action.change_kw,
            "state": PLANNED,
            "detail": "",
        }
        for number, action in enumerate(decision.actions)
    ]


def decision_of(row: RowMapping, rows_of_actions: Iterable[RowMapping]) -> tuple[Decision, tuple[Outcome, ...]]:
    """The decision with its actions, in the order given, and the outcomes that they have."""
    rows = list(rows_of_actions)
    decision = Decision(
        id=row["id"],
        at=row["at"],
        trigger=Trigger(row["trigger"]),
        trigger_at=row["trigger_at"],
        summary=row["summary"],
        price_usd_per_mwh=row["price_usd_per_mwh"],
        price_basis=row["price_basis"],
        hashprice_usd_per_ph_day=row["hashprice_usd_per_ph_day"],
        pue=row["pue"],
        measured_kw=row["measured_kw"],
        limit_kw=row["limit_kw"],
        binding=tuple(row["binding"]),
        margin_usd_per_h=row["margin_usd_per_h"],
        actions=tuple(_action(action) for action in rows),
        alternatives=tuple(row["alternatives"]),
        inputs=row["inputs"],
    )
    return decision, tuple(_outcome(action) for action in rows if action["state"] != PLANNED)


def _action(row: RowMapping) -> Action:
    return Action(
        id=row["id"],
        move=move_from_json(row["move"]),
        direction=Direction(row["direction"]),
        reason=row["reason"],
        change_kw=row["change_kw"],
    )


def _outcome(row: RowMapping) -> Outcome:
    return Outcome(
        action_id=row["id"],
        state=OutcomeState(row["state"]),
        sent_at=row["sent_at"],
        acknowledged_at=row["acknowledged_at"],
        measured_at=row["measured_at"],
        detail=row["detail"],
    )


def outcome_row(outcome: Outcome) -> Row:
    """The columns of an action that its outcome replaces."""
    return {
        "state": outcome.state.value,
        "sent_at": outcome.sent_at,
        "acknowledged_at": outcome.acknowledged_at,
        "measured_at": outcome.measured_at,
        "detail": outcome.detail,
    }


def observation_row(observation: ObservationRecord) -> Row:
    return {
        "at": observation.at,
        "price_usd_per_mwh": observation.price_usd_per_mwh,
        "price_basis": observation.price_basis,
        "grid_kw": observation.grid_kw,
        "mining_kw": observation.mining_kw,
        "hpc_kw": observation.hpc_kw,
        "overhead_kw": observation.overhead_kw,
        "limit_kw": observation.limit_kw,
        "above_limit_s": observation.above_limit_s,
        "feeder_kw": dict(observation.feeder_kw),
        "stale": list(observation.stale),
    }


def observation_of(row: RowMapping) -> ObservationRecord:
    columns = {**row, "feeder_kw": tuple(row["feeder_kw"].items()), "stale": tuple(row["stale"])}
    return ObservationRecord(**columns)


def ledger_rows(postings: Iterable[Posting]) -> list[Row]:
    """One row a ledger line, postings to the same line added up."""
    lines: dict[tuple[object, ...], Row] = {}
    for posting in postings:
        line = (posting.start, str(posting.account), posting.subject, posting.price_usd_per_mwh)
        row = lines.setdefault(
            line,
            {
                "start": posting.start,
                "account": str(posting.account),
                "subject": posting.subject,
                "price_usd_per_mwh": posting.price_usd_per_mwh,
                "price_basis": posting.price_basis,
                "energy_kwh": 0.0,
                "cost_usd": 0.0,
                "quantity": 0.0,
                "revenue_usd": 0.0,
                "credit_usd": 0.0,
                "estimated_kwh": 0.0,
                "estimated_usd": 0.0,
            },
        )
        row["energy_kwh"] += posting.energy_kwh
        row["cost_usd"] += posting.cost_usd
        row["quantity"] += posting.quantity
        row["revenue_usd"] += posting.revenue_usd
        row["credit_usd"] += posting.credit_usd
        row["estimated_kwh"] += posting.estimated_kwh
        row["estimated_usd"] += posting.estimated_usd
    return list(lines.values())


_ACCOUNTS = {account.value: account for account in Account}
"""The others are charges."""


def posting_of(row: RowMapping) -> Posting:
    return Posting(**{**row, "account": _ACCOUNTS.get(row["account"], row["account"])})


def mark_row(mark: MeterMark) -> Row:
    return {**asdict(mark), "metric": mark.metric.value}


def mark_of(row: RowMapping) -> MeterMark:
    return MeterMark(**{**row, "metric": Metric(row["metric"])})


def reconciled_row(line: Reconciled) -> Row:
    return asdict(line)


def reconciled_of(row: RowMapping) -> Reconciled:
    return Reconciled(**row)


def resolution_row(resolution: Resolution) -> Row:
    return {**asdict(resolution), "way": resolution.way.value}


def resolution_of(row: RowMapping) -> Resolution:
    return Resolution(**{**row, "way": Way(row["way"])})


def curtailment_row(order: Curtailment) -> Row:
    return {
        "id": order.id,
        "limit_kw": order.limit_kw,
        "shed_kw": order.shed_kw,
        "start": order.start,
        "until": order.until,
        "response_s": order.response.total_seconds(),
        "reason": order.reason,
        "source": order.source,
        "cancelled_at": order.cancelled_at,
        "feeder": order.at.name or None,
    }


def curtailment_of(row: RowMapping) -> Curtailment:
    columns = dict(row)
    feeder = columns.pop("feeder")
    at = Target.feeder(feeder) if feeder is not None else GRID_CONNECTION
    return Curtailment(at=at, response=timedelta(seconds=columns.pop("response_s")), **columns)


def breach_row(breach: Breach) -> Row:
    return {
        "id": breach.id,
        "kind": breach.kind.value,
        "subject": breach.subject,
        "state": breach.state.value,
        "opened_at": breach.opened_at,
        "escalated_at": breach.escalated_at,
        "resolved_at": breach.resolved_at,
        "detail": breach.detail,
    }


def breach_of(row: RowMapping) -> Breach:
    return Breach(**{**row, "kind": BreachKind(row["kind"]), "state": BreachState(row["state"])})


def price_row(price: Price) -> Row:
    return {
        "market": price.market.value,
        "start": price.start,
        "until": price.end,
        "usd_per_mwh": price.usd_per_mwh,
    }


def price_of(row: RowMapping) -> Price:
    return Price(row["start"], row["until"], row["usd_per_mwh"], Market(row["market"]))
