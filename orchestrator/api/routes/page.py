"""The console's files, and plotly.js from the installed plotly wheel."""

import functools
import gzip
from importlib import resources
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from orchestrator import console

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> Response:
    return FileResponse(console.FOLDER / "index.html", headers={"Cache-Control": "no-cache"})


@router.get("/docs")
async def docs() -> Response:
    """A page that draws /openapi.json without fetching a script library from elsewhere."""
    return FileResponse(console.FOLDER / "docs.html", headers={"Cache-Control": "no-cache"})


@router.get("/favicon.ico")
async def icon() -> Response:
    return FileResponse(console.FOLDER / "icon.svg", media_type="image/svg+xml")


@router.get("/static/plotly.min.js")
def plotly_js(request: Request) -> Response:
    """Some 5 MB, about 1.5 MB compressed; a browser keeps it for a week and then asks whether the version changed."""
    headers = {
        "Cache-Control": "public, max-age=604800",
        "ETag": f'"plotly-{version("plotly")}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_compressed(), media_type="text/javascript", headers=headers | {"Content-Encoding": "gzip"})
    return Response(_plotly(), media_type="text/javascript", headers=headers)


def mount(app: FastAPI) -> None:
    """Serve the page at `/` and its files under `/static`."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=console.FOLDER), name="static")


def _plotly() -> bytes:
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


@functools.cache
def _compressed() -> bytes:
    return gzip.compress(_plotly(), compresslevel=6)
