"""/healthz, /readyz and /metrics, for kubelets, load balancers and Prometheus."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from orchestrator.api.asking import DeskNow
from orchestrator.api.exposition import exposition
from orchestrator.api.problems import problem

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    alive: bool


class Check(BaseModel):
    name: str
    ok: bool
    detail: str


class Ready(BaseModel):
    ready: bool
    checks: list[Check]


@router.get("/healthz", response_model=Alive)
async def healthz(desk: DeskNow, request: Request) -> Alive | Response:
    """The process answers and its control loop goes round, well or badly; 503 where only a restart helps."""
    loop = desk.loop()
    if loop.ok:
        return Alive(alive=True)
    detail = f"The control loop is stuck: {loop.detail}."
    return problem(request.url.path, HTTPStatus.SERVICE_UNAVAILABLE, detail, more={"alive": False})


@router.get("/readyz", response_model=Ready)
async def readyz(desk: DeskNow, request: Request) -> Ready | Response:
    """Whether the controller has what it needs to decide; 503 names the sources that are stale."""
    checks = [Check(name=check.name, ok=check.ok, detail=check.detail) for check in desk.readiness()]
    wanting = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    if not wanting:
        return Ready(ready=True, checks=checks)
    return problem(
        request.url.path,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Not ready: " + "; ".join(wanting),
        headers={"Retry-After": "5"},
        more={"ready": False, "checks": [check.model_dump() for check in checks]},
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(desk: DeskNow, request: Request) -> Response:
    """The controller's own metrics in Prometheus' text format, or OpenMetrics if asked for."""
    return exposition(desk.metrics_registry, request.headers.get("accept", ""))
