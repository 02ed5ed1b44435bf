"""GET /breaches: promises that were not kept, from when it was noticed until they were kept again."""

from datetime import datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestrator.api.asking import DeskNow, From, To, check_window
from orchestrator.domain.decision import Breach, BreachKind, BreachState

router = APIRouter(tags=["breaches"])

_LONGEST = timedelta(days=366)


class BreachDocument(BaseModel):
    id: str
    kind: BreachKind
    subject: str
    state: BreachState
    opened_at: datetime
    escalated_at: datetime | None
    resolved_at: datetime | None
    detail: str

    @staticmethod
    def of(breach: Breach) -> "BreachDocument":
        return BreachDocument(
            id=breach.id,
            kind=breach.kind,
            subject=breach.subject,
            state=breach.state,
            opened_at=breach.opened_at,
            escalated_at=breach.escalated_at,
            resolved_at=breach.resolved_at,
            detail=breach.detail,
        )


class BreachesDocument(BaseModel):
    breaches: list[BreachDocument] = Field(description="In order of opening")


@router.get("/breaches")
def breaches(desk: DeskNow, from_: From = None, to: To = None) -> BreachesDocument:
    """Breaches opened in `[from, to)` or still open: by default of the last 24 h of site time, at most 366 days."""
    end = to or desk.clock_info().now + timedelta(microseconds=1)
    start = from_ or end - timedelta(hours=24)
    check_window(start, end, _LONGEST)
    return BreachesDocument(breaches=[BreachDocument.of(breach) for breach in desk.store.breaches(start, end)])
