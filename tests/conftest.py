"""Settings and fixtures for all tests."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright

from tests.cluster.kind_cluster import KindCluster, in_use, missing_for_cluster
from tests.sharing import locked, run_folder

settings.register_profile("any-machine", deadline=None)  # no test depends on how fast the machine is
settings.load_profile("any-machine")

_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


class PostgresServer:
    """A Postgres of the tests' own: in a folder of its own, on a loopback port that was free, with a password."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_hex(16)
        self.process: subprocess.Popen[bytes] | None = None
        self._programs = programs
        # Postgres refuses to run as root.
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        secret = folder / "password"
        secret.write_text(self.password)
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "wattshift",
            "--pwfile",
            secret,
            "--no-sync",
        ]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"]
        made = subprocess.run(command, user=self._user, cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        """Returns when it takes connections."""
        command: list[str | Path] = [
            self._programs / "postgres",
            "-D",
            self.folder / "data",
            "-k",
            self.folder,
            "-p",
            str(self._port),
        ]
        command += ["-h", "127.0.0.1", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 60.0
        while not self._ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "Postgres was not ready in 60 s"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and shuts down; SIGQUIT is a crash."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def url(self, database: str, password: str | None = None) -> str:
        return f"postgresql+psycopg://wattshift:{password or self.password}@127.0.0.1:{self._port}/{database}"

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Rows of a statement that is run by itself; none if it gives none."""
        url = self.url(database).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _ready(self) -> bool:
        with suppress(psycopg.OperationalError):
            return self.ask("SELECT 1") == [(1,)]
        return False


def _unprivileged_user() -> str:
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _postgres_programs() -> Path | None:
    """Where initdb and postgres are. Debian keeps them off the PATH, in a folder by version."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("initdb")
    folders = [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Running at the start of each test that asks for it: one that stops it starts it again."""
    programs = _postgres_programs()
    if programs is None:
        message = "no Postgres: no initdb on the PATH or in /usr/lib/postgresql (see scripts/install-postgres.sh)"
        if os.environ.get("WATTSHIFT_REQUIRE_POSTGRES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    # Not in pytest's own folder, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="wattshift-postgres-") as folder:
        server = PostgresServer(programs, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"test_{secrets.token_hex(8)}"
    postgres.ask(f"CREATE DATABASE {name}")
    yield postgres.url(name)
    postgres.ask(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster(alone=False): needs Docker, kind and kubectl, and no other test on it")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """What is compiled is compiled once, before workers start."""
    subprocess.run([sys.executable, "-m", "orchestrator.runtime.compile"], check=True, stdout=subprocess.DEVNULL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from tests.scheduling import Grouped

    return Grouped(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skipped here, not in a fixture: the summary then has one line for all tests that need a cluster."""
    if item.get_closest_marker("cluster") and (missing := missing_for_cluster()):
        message = f"no cluster to test on: {missing}"
        if os.environ.get("WATTSHIFT_REQUIRE_CLUSTER") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@pytest.fixture(scope="session")
def kind_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KindCluster]:
    """The cluster WATTSHIFT_TEST_CLUSTER (default: wattshift-test), for all workers; made for them if it is missing."""
    with in_use(tmp_path_factory.mktemp("cluster"), run_folder(tmp_path_factory)) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def turn_on_the_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests on the cluster run beside each other, in namespaces of their own; those that break its nodes run alone."""
    marker = request.node.get_closest_marker("cluster")
    if marker is None:
        yield
        return
    with locked(run_folder(tmp_path_factory) / "cluster-turn", alone=marker.kwargs.get("alone", False)):
        yield


@pytest.fixture(scope="session")
def promtool() -> str:
    """Where Prometheus' own checker is."""
    found = shutil.which("promtool")
    if found is None:
        message = "no promtool on the PATH: it comes with Prometheus (scripts/install-prometheus.sh installs it)"
        if os.environ.get("WATTSHIFT_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        message = f"no Chromium: none of {', '.join(names)} is on the PATH (scripts/install-chromium.sh installs it)"
        if os.environ.get("WATTSHIFT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=found, headless=True, args=flags)
        yield launched
        await launched.close()
