"""GET /decisions: what was decided, why, and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestrator.api.asking import DeskNow
from orchestrator.api.problems import not_found
from orchestrator.domain.decision import (
    Action,
    Decision,
    Direction,
    LimitGpus,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
    Trigger,
)
from orchestrator.domain.site.machines import SLEEP

router = APIRouter(tags=["decisions"])


class OutcomeDocument(BaseModel):
    state: OutcomeState
    sent_at: datetime | None
    acknowledged_at: datetime | None = Field(description="When the driver accepted it")
    measured_at: datetime | None = Field(description="When it showed in the meter")
    detail: str

    @staticmethod
    def of(outcome: Outcome) -> "OutcomeDocument":
        return OutcomeDocument(
            state=outcome.state,
            sent_at=outcome.sent_at,
            acknowledged_at=outcome.acknowledged_at,
            measured_at=outcome.measured_at,
            detail=outcome.detail,
        )


class ActionDocument(BaseModel):
    id: str
    target: str = Field(description="`fleet/<name>`, `job/<name>` or `pool/<name>`")
    move: str = Field(description="What is set, in words")
    direction: Direction
    reason: str
    change_kw: float = Field(description="Expected change of grid power, kW; negative for a power-down")
    outcome: OutcomeDocument | None = Field(description="Null until it is sent")

    @staticmethod
    def of(action: Action, outcome: Outcome | None) -> "ActionDocument":
        return ActionDocument(
            id=action.id,
            target=str(action.move.target),
            move=_in_words(action),
            direction=action.direction,
            reason=action.reason,
            change_kw=action.change_kw,
            outcome=None if outcome is None else OutcomeDocument.of(outcome),
        )


class DecisionDocument(BaseModel):
    id: str
    at: datetime
    trigger: Trigger
    trigger_at: datetime = Field(description="When what triggered it came to be known")
    summary: str
    price_usd_per_mwh: float
    price_basis: str
    hashprice_usd_per_ph_day: float
    pue: float
    measured_kw: float = Field(description="Grid power as counted when it was made")
    limit_kw: float
    binding: list[str] = Field(description="Caps that kept something from running")
    margin_usd_per_h: float = Field(description="Expected gain over leaving all as it was")
    actions: list[ActionDocument]
    alternatives: list[str] = Field(description="What was considered and not done, and why")
    inputs: dict[str, object] = Field(description="The other figures it was made from")

    @staticmethod
    def of(decision: Decision, outcomes: Sequence[Outcome]) -> "DecisionDocument":
        by_action = {outcome.action_id: outcome for outcome in outcomes}
        return DecisionDocument(
            id=decision.id,
            at=decision.at,
            trigger=decision.trigger,
            trigger_at=decision.trigger_at,
            summary=decision.summary,
            price_usd_per_mwh=decision.price_usd_per_mwh,
            price_basis=decision.price_basis,
            hashprice_usd_per_ph_day=decision.hashprice_usd_per_ph_day,
            pue=decision.pue,
            measured_kw=decision.measured_kw,
            limit_kw=decision.limit_kw,
            binding=list(decision.binding),
            margin_usd_per_h=decision.margin_usd_per_h,
            actions=[ActionDocument.of(action, by_action.get(action.id)) for action in decision.actions],
            alternatives=list(decision.alternatives),
            inputs=dict(decision.inputs),
        )


class DecisionsDocument(BaseModel):
    decisions: list[DecisionDocument] = Field(description="The newest first")


# These read the store, so they are plain functions: FastAPI runs them on worker threads, off the control loop.


@router.get("/decisions")
def decisions(
    desk: DeskNow,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many")] = 50,
    before: Annotated[str | None, Query(max_length=200, description="Only those older than this decision")] = None,
) -> DecisionsDocument:
    """Decisions, the newest first. For the next page give the id of the last one as `before`."""
    if before is not None and desk.store.decision(before) is None:
        raise not_found("decision", before)
    return DecisionsDocument(
        decisions=[
            DecisionDocument.of(decision, outcomes) for decision, outcomes in desk.store.decisions(limit, before)
        ]
    )


@router.get("/decisions/latest")
def latest(desk: DeskNow) -> DecisionDocument:
    """The newest decision; 404 before the first."""
    for decision, outcomes in desk.store.decisions(1):
        return DecisionDocument.of(decision, outcomes)
    raise not_found("decision", "latest")


@router.get("/decisions/{decision_id}")
def decision(desk: DeskNow, decision_id: str) -> DecisionDocument:
    """One decision with its inputs and the outcome of each action."""
    found = desk.store.decision(decision_id)
    if found is None:
        raise not_found("decision", decision_id)
    return DecisionDocument.of(*found)


def _in_words(action: Action) -> str:
    move = action.move
    match move:
        case SetFleet():
            return f"{move.racks.text(asleep=SLEEP)} racks"
        case RunJob():
            return "run" if move.gpus is None else f"run on {move.gpus} GPUs"
        case PauseJob():
            return "pause"
        case LimitGpus():
            return f"GPU limit {move.gpu_limit_w:g} W"
