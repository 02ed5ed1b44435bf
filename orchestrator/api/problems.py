"""Errors as RFC 9457 problem details: what is wrong, where, and what is allowed."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from orchestrator.api.desk import DeskRefusalError

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="`body`, `query`, `path` or `header`")
    pointer: str = Field(description="JSON Pointer (RFC 6901) to the value in the body, or `/<name>` of the parameter")
    detail: str = Field(description="What is wrong, and what is allowed")
    given: str | None = Field(default=None, description="The value as given, shortened")


class Problem(BaseModel):
    """Every error's body, as application/problem+json (RFC 9457)."""

    type: str = Field(default="about:blank", description="`about:blank`: the status says what kind of problem it is")
    title: str = Field(description="The status in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="What is wrong with this request")
    instance: str = Field(description="Path of the request")
    errors: list[Fault] = Field(default_factory=list, description="For 422: every fault found")


class ProblemError(Exception):
    """Raised by a route to answer with a problem."""

    def __init__(self, status: HTTPStatus, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults


def problem(
    path: str,
    status: int,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """The response for a problem; `more` holds members beyond RFC 9457's own."""
    document = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=path, errors=list(faults)
    ).model_dump(exclude_none=True)
    if not faults:
        del document["errors"]
    return JSONResponse(document | dict(more or {}), status, headers=headers, media_type=MEDIA_TYPE)


def unprocessable(pointer: str, detail: str, given: object) -> ProblemError:
    """A body value that only the running site can judge."""
    fault = Fault(where="body", pointer=pointer, detail=detail, given=_shortened(given))
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{pointer}: {detail}", [fault])


def not_found(what: str, name: str, hint: str = "") -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"There is no {what} {name!r}{'; ' if hint else '.'}{hint}")


def not_observed() -> ProblemError:
    """Nothing has been seen of the site yet."""
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The site has not been observed yet; /readyz says why.")


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ProblemError, _raised)
    app.add_exception_handler(DeskRefusalError, _refused)
    app.add_exception_handler(Exception, _broken)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(entry) for entry in error.errors()]
    summary = "; ".join(f"{fault.where} {fault.pointer}: {fault.detail}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return problem(request.url.path, HTTPStatus.UNPROCESSABLE_ENTITY, summary + more, faults=faults[:100])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.url.path}; /openapi.json lists what there is."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "other methods")
        detail = f"{request.method} is not allowed at {request.url.path}; allowed: {allowed}."
    return problem(request.url.path, error.status_code, detail, headers=error.headers)


async def _raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    headers = {"Retry-After": "5"} if error.status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(request.url.path, error.status, error.detail, faults=error.faults, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    return problem(request.url.path, HTTPStatus.CONFLICT, str(error))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(
        request.url.path,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The controller failed to answer; its log says why. The site runs on.",
    )


def _fault(entry: Mapping[str, Any]) -> Fault:
    where, *path = entry["loc"]
    if entry["type"] == "json_invalid":  # the place is a position in the text, not a value
        text = f"not JSON, at character {path[0] if path else 0}: {entry['ctx']['error']}"
        return Fault(where=str(where), pointer="", detail=text)
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    given = None if entry["type"] == "missing" or isinstance(entry["input"], dict | list) else entry["input"]
    detail = str(entry["msg"]).removeprefix("Value error, ")
    return Fault(where=str(where), pointer=pointer, detail=detail, given=_shortened(given))


def _shortened(given: object) -> str | None:
    """A value as text: `repr` also shows what JSON cannot, such as NaN."""
    text = repr(given)
    return None if given is None else text if len(text) <= 80 else text[:77] + "..."
