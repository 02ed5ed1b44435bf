"""The HTTP server of a program: its metrics, `/healthz`, and what else the program answers."""

import json
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

MAX_BODY_BYTES = 1_000_000
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  a pod is reached at its own address
LOOPBACK = "127.0.0.1"


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """A request that is not done; `status` is HTTP's, the text what was wrong and what is allowed."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status


Handler = Callable[[WSGIEnvironment], object]
"""Answers a request with something for JSON, or None for no content; raises Refused."""


def metrics_app(*collectors: Collector) -> WSGIApplication:
    """All paths answer with the metrics of `collectors`."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return make_wsgi_app(registry, disable_compression=True)


def routed(app: WSGIApplication | None, **handlers: Handler) -> WSGIApplication:
    """`/healthz`, and every path whose first part is the name of a handler; all else is the app's, or not found."""

    def route(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        first = str(environ.get("PATH_INFO", "")).strip("/").partition("/")[0]
        if first == "healthz":
            return _answer(start_response, "200 OK", b"ok\n", "text/plain")
        handler = handlers.get(first)
        if handler is None and app is not None:
            return app(environ, start_response)
        try:
            if handler is None:
                raise Refused("404 Not Found", f"there is {', '.join(f'/{name}' for name in ('healthz', *handlers))}")
            document = handler(environ)
        except Refused as refusal:
            return _answer(start_response, refusal.status, json.dumps({"detail": str(refusal)}).encode())
        if document is None:
            return _answer(start_response, "204 No Content", b"")
        return _answer(start_response, "200 OK", json.dumps(document).encode())

    return route


def body_of(environ: WSGIEnvironment) -> bytes:
    """The request's body, cut at MAX_BODY_BYTES."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise Refused("400 Bad Request", "Content-Length: needs a number of bytes") from None
    return bytes(environ["wsgi.input"].read(min(max(length, 0), MAX_BODY_BYTES)))


def refuse_method(environ: WSGIEnvironment, allowed: str) -> NoReturn:
    raise Refused("405 Method Not Allowed", f"{environ['REQUEST_METHOD']}; allowed: {allowed}")


def serve(app: WSGIApplication, host: str, port: int) -> int:
    """Serve in a thread of its own at `port` (0: any free one); returns the port. OSError when it is taken."""
    server = make_server(host, port, app, _Server, _QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def _answer(
    start_response: StartResponse, status: str, body: bytes, content_type: str = "application/json"
) -> list[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    """A whole fleet's agents may come at once."""

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service for our own name, which may take long or not answer.
        TCPServer.server_bind(self)
        self.server_name = socket.gethostname()
        self.server_port = int(self.server_address[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:
        """Every scrape on stderr would bury the warnings."""
