"""What a controller that does not lead says: that it is well, and who leads."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.exposition import exposition
from orchestrator.api.guard import Guard
from orchestrator.api.problems import problem
from orchestrator.runtime.observability.metrics import LeaderMetrics, process_registry

RETRY_AFTER_S = 2
"""After a graceful stop the next leader answers within 3 s."""


class Front:
    """The application of whatever this process is at the moment."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def standby_app(site: str, leader: Callable[[], str], *, store_shared: bool, api_key: str | None) -> ASGIApp:
    """/healthz, /readyz and /metrics as of a well controller, and 503 for all else; guarded as the API is.

    `leader` names who leads; empty where nobody is known to.
    """
    registry = process_registry(site)
    registry.register(LeaderMetrics(site, lambda: False, store_shared=store_shared))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _response(scope)(scope, receive, send)

    def _response(scope: Scope) -> Response:
        path = scope["path"]
        if path == "/healthz":
            return JSONResponse({"alive": True})
        if path == "/readyz":
            return JSONResponse({"ready": True, "checks": [], "standby": True, "leader": leader() or None})
        if path == "/metrics":
            accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
            return exposition(registry, accept.decode("latin-1"))
        return problem(
            path,
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"This controller stands by; {leader() or 'nobody yet'} leads.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
            more={"leader": leader() or None},
        )

    return Guard(answer, api_key or None)
