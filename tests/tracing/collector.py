"""An OTLP collector on loopback that keeps the spans it is sent, decoded as the exporter's own package has them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Got:
    """A span as it came over the wire. Times are ns since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    began: int
    ended: int
    attributes: dict[str, Any]
    events: dict[str, int]
    failed: bool
    resource: dict[str, Any]


class Collector:
    """Answers at `endpoint` from `start` to `stop`; `status` is what it answers."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Got] = []
        self.requests = 0
        self.status = HTTPStatus.OK
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces", self.path
                collector.requests += 1
                if collector.status is HTTPStatus.OK:
                    collector.spans.extend(decoded(body))
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, holds: Callable[[list[Got]], bool], what: str) -> list[Got]:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(list(self.spans)):
            assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}: {self.spans}"
            time.sleep(0.02)
        return list(self.spans)


def decoded(body: bytes) -> list[Got]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Got(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            began=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            attributes=plain(span.attributes),
            events={event.name: event.time_unix_nano for event in span.events},
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
            resource=plain(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
