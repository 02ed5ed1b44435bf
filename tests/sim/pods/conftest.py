"""The programs in pods as real processes, beside an API server of the few paths that they use."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

DEADLINE_S = 60.0
"""On the wall, for a condition that takes a second; reached only when something is broken."""
Document = dict[str, Any]
Samples = dict[str, list[tuple[dict[str, str], float]]]


class FakeApi:
    """Keeps objects, lists them and streams their changes as a Kubernetes API server does."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 1
        self.oldest = 0
        """A watch from before this version is answered 410."""
        self.objects: dict[tuple[str, str], Document] = {}
        self.events: list[tuple[int, str, Document]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.mute = False
        """Watches stay open and say nothing."""
        self.port = 0
        self._server: _ApiServer | None = None
        self._round = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """At the port it had before, if it had one."""
        api = self

        class Handler(_ApiHandler):
            fake = api

        self._server = _ApiServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """As a server that is gone: all watches break, nothing listens."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self.break_watches()

    def break_watches(self) -> None:
        with self.changed:
            self._round += 1
            self.changed.notify_all()

    def forget_history(self) -> None:
        """What all watches saw last is too old to go on from."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    def put(self, plural: str, name: str, document: Document) -> None:
        with self.changed:
            kind = "MODIFIED" if (plural, name) in self.objects else "ADDED"
            self._event(plural, name, document, kind)

    def delete(self, plural: str, name: str) -> None:
        with self.changed:
            self._event(plural, name, self.objects[plural, name], "DELETED")
            del self.objects[plural, name]

    def _event(self, plural: str, name: str, document: Document, kind: str) -> None:
        self.version += 1
        metadata = {**document.get("metadata", {}), "name": name, "resourceVersion": str(self.version)}
        self.objects[plural, name] = {**document, "metadata": metadata}
        if not self.mute:
            self.events.append((self.version, plural, {"type": kind, "object": self.objects[plural, name]}))
        self.changed.notify_all()

    def set_points(self, generation: int, **document: object) -> None:
        whole = {"racks": {}, "agents": {}, "gpu_limit_w": {}, "generation": generation, **document}
        self.write_setpoints(json.dumps(whole))

    def write_setpoints(self, text: str) -> None:
        self.put("configmaps", "wattshift-setpoints", {"data": {"setpoints.json": text}})

    def renew_lease(self, seconds: int = 600, at: datetime | None = None) -> None:
        spec = {"renewTime": f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "leaseDurationSeconds": seconds}
        self.put("leases", "wattshift-setpoints", {"spec": spec})

    def watches(self) -> int:
        """So many were asked for until now."""
        return sum(1 for _, _, query in self.requests if query.get("watch"))

    def selected(self, plural: str, query: dict[str, str]) -> Iterator[Document]:
        for (kind, name), document in sorted(self.objects.items()):
            if kind == plural and self.selects(name, document, query):
                yield document

    @staticmethod
    def selects(name: str, document: Document, query: dict[str, str]) -> bool:
        field, _, value = query.get("fieldSelector", "").partition("=")
        key, _, label = query.get("labelSelector", "").partition("=")
        assert field in ("", "metadata.name")
        return (not field or name == value) and (not key or document["metadata"].get("labels", {}).get(key) == label)


class _ApiServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle of a watch is what tests are about."""


class _ApiHandler(BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        plural = parts.path.rsplit("/", 1)[-1]
        with self.fake.changed:
            self.fake.requests.append(("GET", parts.path, query))
        if query.get("watch"):
            self._watch(plural, query)
            return
        with self.fake.changed:
            items = list(self.fake.selected(plural, query))
            self._answer(200, {"metadata": {"resourceVersion": str(self.fake.version)}, "items": items})

    def do_POST(self) -> None:
        body: Document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        plural, name = urlsplit(self.path).path.rsplit("/", 1)[-1], body["metadata"]["name"]
        if (plural, name) in self.fake.objects:
            self._answer(409, {"kind": "Status", "code": 409, "message": f"{plural} {name} already exists"})
            return
        self.fake.put(plural, name, body)
        self._answer(201, body)

    def _watch(self, plural: str, query: dict[str, str]) -> None:
        fake = self.fake
        until = time.monotonic() + float(query["timeoutSeconds"])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = int(query["resourceVersion"])
        with fake.changed:
            mine = fake._round
            while seen >= fake.oldest and mine == fake._round and (fake.mute or time.monotonic() < until):
                for version, kind, event in fake.events:
                    name = event["object"]["metadata"]["name"]
                    if version > seen and kind == plural and fake.selects(name, event["object"], query):
                        self._send(event)
                seen = max(seen, fake.version)
                fake.changed.wait(0.1)
            if seen < fake.oldest:
                message = f"too old resource version: {seen} ({fake.oldest})"
                self._send({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": message}})
            broken = mine != fake._round
        self.close_connection = True
        if not broken:
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, event: Document) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def _answer(self, status: int, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Pods:
    """The processes that a test starts; each listens at a port of its own on loopback."""

    def __init__(self, api: FakeApi, logs: Path) -> None:
        self.api = api
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs = logs

    def start(self, program: str, *arguments: str, pod: str = "pod-0") -> tuple[subprocess.Popen[bytes], int]:
        """The process and its port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [sys.executable, "-W", "error", "-m", f"orchestrator.sim.{program}", "--port", str(port)]
        environment = {**os.environ, "POD_NAME": pod, "POD_NAMESPACE": "site"}
        with (self._logs / f"{len(self.processes)}-{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", *arguments], stdout=log, stderr=log, env=environment
            )
        self.processes.append(process)
        return process, port

    def rack_row(self, racks: int = 2) -> int:
        modes = ("--mode", "normal:3500:200", "--mode", "eco:2800:175")
        figures = ("--machines", "300", "--sleep-w", "15", "--warm-up-s", "480", "--seed", "1")
        fleet = ("--fleet", "s21", "--racks", str(racks), "--model", "Antminer S21")
        _, port = self.start("racks.rack_row", *fleet, *figures, *modes)
        self.wait_up(port)
        return port

    def agent(self, row: int, pod: str) -> tuple[subprocess.Popen[bytes], int]:
        devices = ("--devices", f"http://127.0.0.1:{row}")
        return self.start("racks.rack_agent", "--fleet", "s21", *devices, "--api-server", self.api.url, pod=pod)

    def gpu_row(self, nodes: int = 2) -> int:
        watts = ["--gpu-power-w", "700", "--gpu-min-power-w", "200", "--gpu-idle-w", "70", "--node-overhead-w", "1800"]
        model = ("--gpus-per-node", "8", "--gpu-model", "NVIDIA H100 80GB HBM3")
        pool = ("--pool", "h100", "--nodes", str(nodes), "--api-server", self.api.url)
        _, port = self.start("gpus.gpu_row", *pool, *model, *watts)
        self.wait_up(port)
        return port

    def wait_up(self, port: int) -> None:
        self.wait(lambda: self.healthy(port), f"the program at port {port}")

    @staticmethod
    def healthy(port: int) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @staticmethod
    def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON; a body that is text is sent as it is."""
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            text = body if isinstance(body, str) or body is None else json.dumps(body)
            connection.request(method, path, text)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    def rack(self, row: int, number: int = 0) -> Document:
        _, state = self.ask(row, "GET", "/racks")
        rack: Document = state["racks"][f"s21/rack-{number}"]
        return rack

    @staticmethod
    def scrape(port: int) -> Samples:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return samples

    def one(self, port: int, metric: str, **labels: str) -> float:
        (value,) = (value for has, value in self.scrape(port)[metric] if labels.items() <= has.items())
        return value

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for: {what}; logs: {self.logs()}"
            time.sleep(0.02)

    def logs(self) -> dict[str, str]:
        return {log.name: log.read_text() for log in sorted(self._logs.iterdir())}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    api = FakeApi()
    yield api
    api.stop()


@pytest.fixture
def pods(api: FakeApi, tmp_path: Path) -> Iterator[Pods]:
    logs = tmp_path / "logs"
    logs.mkdir()
    pods = Pods(api, logs)
    yield pods
    for process in pods.processes:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)
