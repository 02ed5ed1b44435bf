"""An exporter over HTTP that answers what a test says."""

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Exporter:
    """A metrics endpoint of this test: what it answers is set by the test, also while it runs."""

    def __init__(self, port: int = 0) -> None:
        self.page: Callable[[], str] = lambda: ""
        self.status = 200
        self.missing_bytes = 0
        """How much less than announced is sent."""
        self._answering = threading.Event()
        self._answering.set()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def hang(self) -> None:
        """Accept requests and answer none, as a stopped process does."""
        self._answering.clear()

    def wake(self) -> None:
        self._answering.set()

    def close(self) -> None:
        self.wake()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(exporter) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's self is another
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exporter._answering.wait()
                body = exporter.page().encode()
                with suppress(OSError):  # the scraper has gone
                    self.send_response(exporter.status)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[: len(body) - exporter.missing_bytes])

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
