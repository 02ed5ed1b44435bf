"""A real Prometheus server: what it answers, and how tests get one."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE_S = 180.0
"""For what takes seconds: generous, since the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One server and questions to it."""

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:
        """The `data` of an answer; a refused question fails with Prometheus' own words."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=PATIENCE_S, trust_env=False)
        assert answer.status_code == 200, f"{parameters.get('query', path)}: {answer.text}"
        return answer.json()["data"]

    def query(self, expr: str, at: float) -> list[dict[str, Any]]:
        """Series at a Unix time."""
        series: list[dict[str, Any]] = self.get("query", query=expr, time=at)["result"]
        return series

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Series from `start` to `end`, Unix time, each `step` seconds."""
        series: list[dict[str, Any]] = self.get("query_range", query=expr, start=start, end=end, step=step)["result"]
        return series


def free_address() -> str:
    """On this machine alone, not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def prometheus_server(folder: Path, config: str, *, ready_within_s: float = PATIENCE_S) -> Iterator[Prometheus]:
    """A server with this configuration and its data in `folder`, ready; skips or fails where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        if os.environ.get("WATTSHIFT_REQUIRE_PROMETHEUS") == "1":
            pytest.fail("no prometheus on the PATH, and WATTSHIFT_REQUIRE_PROMETHEUS=1")
        pytest.skip("no prometheus on the PATH (Debian and Ubuntu: package prometheus)")
    (folder / "prometheus.yml").write_text(config)
    address, log = free_address(), folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=output,
            stderr=output,
        )
    server = Prometheus(f"http://{address}")
    try:
        deadline = time.monotonic() + ready_within_s
        while not _is_ready(server):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "Prometheus was not ready in time"
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


def _is_ready(server: Prometheus) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{server.url}/-/ready", trust_env=False).status_code == 200
    return False
