"""The HTTP server beside the controller, on the same event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from orchestrator.api.application import create_app
from orchestrator.runtime.live_site import LiveSite

GRACE_S = 2
"""Time for open connections to end when the site stops."""


class PortError(Exception):
    """The address can't be listened on; the text says which and what to do."""


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers: what a signal means is the site's to decide."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, before anything else is started; PortError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortError(f"{host}:{port}: {error.strerror}; choose another port with --port") from error
    return bound


@contextlib.asynccontextmanager
async def serving(live: LiveSite, bound: socket.socket, api_key: str | None) -> AsyncIterator[None]:
    """The API and the console over `live` while the block runs."""
    async with answering(create_app(live, api_key=api_key), bound):
        try:
            yield
        finally:
            live.close()


@contextlib.asynccontextmanager
async def answering(app: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Any application while the block runs."""
    web = Server(
        uvicorn.Config(
            app,
            log_config=None,  # its log goes where ours goes
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
            access_log=False,
        )
    )
    task = asyncio.create_task(web.serve(sockets=[bound]))
    try:
        yield
    finally:
        web.should_exit = True
        await task


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
