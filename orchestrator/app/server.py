"""The HTTP server beside the controller, on the same event loop."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

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


def server(app: FastAPI) -> Server:
    return Server(
        uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=GRACE_S, access_log=False)
    )


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
