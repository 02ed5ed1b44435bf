"""The HTTP application: routes, errors and guard around one desk."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.gzip import GZipMiddleware

from orchestrator import __version__
from orchestrator.api import problems
from orchestrator.api.desk import Desk
from orchestrator.api.guard import Guard
from orchestrator.api.routes import (
    breaches,
    curtailments,
    decisions,
    events,
    fleets,
    health,
    jobs,
    log_levels,
    observations,
    page,
    plan,
    prices,
    site,
    state,
    unaccounted,
)

_NOUNS = (
    site,
    state,
    prices,
    plan,
    observations,
    fleets,
    jobs,
    decisions,
    curtailments,
    breaches,
    unaccounted,
    log_levels,
    events,
)


def create_app(desk: Desk, *, api_key: str | None) -> FastAPI:
    """The API and the console over `desk`.

    With `api_key` every route but /healthz, /readyz and the console's own files needs `Authorization: Bearer <key>`.
    Without one only requests addressed to loopback are answered; `require_key_unless_loopback` says whether the
    address to listen on may do without.
    """
    api_key = api_key or None  # an empty key is none: it would let everyone in
    app = FastAPI(
        title="Wattshift",
        version=__version__,
        summary="Prices and measured watts in, work moved, reasons on record.",
        docs_url=None,  # FastAPI's own loads its scripts from elsewhere; the console has a page of its own
        redoc_url=None,
        telemetry={"tracing": False},
    )
    app.state.desk = desk
    problems.install(app)
    api = APIRouter(prefix="/api/v1")
    for noun in _NOUNS:
        api.include_router(noun.router)
    app.include_router(api)
    app.include_router(health.router)
    page.mount(app)
    app.add_middleware(GZipMiddleware, minimum_size=4096, compresslevel=5)
    app.add_middleware(Guard, api_key=api_key)
    app.openapi = lambda: _openapi(app, keyed=api_key is not None)  # type: ignore[method-assign]  # FastAPI's own way
    return app


def _openapi(app: FastAPI, *, keyed: bool) -> dict[str, Any]:
    """FastAPI's document, with the problems that it does not know of."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs") | {"Problem": problem}
        content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {"description": "What is wrong, and where", "content": content}
        if keyed:
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
