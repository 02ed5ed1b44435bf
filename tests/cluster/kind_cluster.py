"""A real cluster for tests: found or made by kind, a namespace for each test."""

import asyncio
import functools
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from orchestrator.adapters.workloads.kubernetes.api import ClusterApi, Document, Kind
from tests.sharing import locked

NAME = os.environ.get("WATTSHIFT_TEST_CLUSTER", "wattshift-test")
IMAGE = os.environ.get("WATTSHIFT_TEST_IMAGE", "python:3.11-slim")
"""Of the tests' pods; it needs `sh` and `python`."""
TWO_NODES = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}]
"""
"""Both take pods: so one of them can be lost."""
WAIT_S = 120.0
"""For what takes seconds: generous, since the machine may be busy."""

NAMESPACES = "/api/v1/namespaces"
SERVICE_ACCOUNTS = Kind("api/v1", "serviceaccounts")
ROLE_BINDINGS = Kind("apis/rbac.authorization.k8s.io/v1", "rolebindings")


class KindCluster:
    """One that runs."""

    def __init__(self, name: str, kubeconfig: Path) -> None:
        self.name = name
        self.kubeconfig = kubeconfig

    async def configuration(self) -> Configuration:
        """How to reach it; `host` is its API server on this machine."""
        configuration = Configuration()
        await load_kube_config(
            config_file=str(self.kubeconfig), context=f"kind-{self.name}", client_configuration=configuration
        )
        return configuration

    async def api(self, namespace: str, host: str | None = None) -> ClusterApi:
        """Access to a namespace, as an administrator; through `host` (a proxy's URL) if there is one."""
        configuration = await self.configuration()
        configuration.host = host or configuration.host
        return ClusterApi(configuration, namespace)

    async def kubectl(self, *arguments: str) -> str:
        """What kubectl prints."""
        return await run("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments)

    async def kill_container(self, node: str, container: str) -> None:
        """SIGKILL to all processes of a container (`containerd://...`), as the kernel does to one out of memory."""
        identity = container.removeprefix("containerd://")
        await run("docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", identity)

    @asynccontextmanager
    async def namespace(self) -> AsyncIterator[ClusterApi]:
        """A new one, whose pods may write in it; it is on its way out when this ends."""
        api = await self.api(f"test-{secrets.token_hex(4)}")
        try:
            await api.request("POST", NAMESPACES, body={"metadata": {"name": api.namespace}})
            try:
                await api.create(
                    ROLE_BINDINGS,
                    {
                        "metadata": {"name": "pods"},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": api.namespace}],
                    },
                )
                await until_there(api, SERVICE_ACCOUNTS, "default", lambda found: True)
                yield api
            finally:
                await api.request("DELETE", f"{NAMESPACES}/{api.namespace}")
        finally:
            await api.close()


async def until_there(api: ClusterApi, kind: Kind, name: str, holds: Callable[[Document], bool]) -> Document:
    """The object, once it is there and `holds` of it."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = await api.get(kind, name)
        if found is not None and holds(found):
            return found
        assert time.monotonic() < deadline, f"{kind.plural} {name}: not as wanted in {WAIT_S:.0f} s: {found}"
        await asyncio.sleep(0.05)


async def until(holds: Callable[[], bool], what: str = "") -> None:
    """Look until it holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, f"did not come to hold in {WAIT_S:.0f} s {what}"
        await asyncio.sleep(0.05)


@functools.cache
def missing_for_cluster() -> str:
    """Why no kind cluster can be had on this machine; empty if one can."""
    missing = [tool for tool in ("docker", "kind", "kubectl") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not on the PATH"
    return "no Docker daemon answers" if _call("docker", "version").returncode else ""


@contextmanager
def in_use(folder: Path, shared: Path) -> Iterator[KindCluster]:
    """The cluster NAME with IMAGE in it; its kubeconfig is in `folder`.

    Made by the first of the run's workers that asks for it if it is missing, and then removed by the last. `shared` is
    a folder of the run.
    """
    made, user = shared / "cluster-made", shared / f"cluster-user-{os.getpid()}"
    with locked(shared / "cluster-lock"):
        user.touch()
        try:
            cluster = _find_or_make(folder, made)
        except BaseException:
            _leave(user, made)
            raise
    try:
        yield cluster
    finally:
        with locked(shared / "cluster-lock"):
            _leave(user, made)


def _find_or_make(folder: Path, made: Path) -> KindCluster:
    kubeconfig = folder / "kubeconfig"
    if NAME not in checked("kind", "get", "clusters").split():
        made.touch()
        config = folder / "kind.yaml"
        config.write_text(TWO_NODES)
        checked(
            *("kind", "create", "cluster", "--name", NAME, "--config", str(config), "--wait", "180s"),
            *("--kubeconfig", str(kubeconfig)),
        )
        checked(
            *("kubectl", "--kubeconfig", str(kubeconfig), "taint", "node", f"{NAME}-control-plane"),
            "node-role.kubernetes.io/control-plane-",
        )
    kubeconfig.write_text(checked("kind", "get", "kubeconfig", "--name", NAME))
    if _call("docker", "image", "inspect", IMAGE).returncode:
        checked("docker", "pull", IMAGE)
    checked("kind", "load", "docker-image", IMAGE, "--name", NAME)
    return KindCluster(NAME, kubeconfig)


def _leave(user: Path, made: Path) -> None:
    """Delete what was made for this run, if nobody else of it is left."""
    user.unlink()
    if made.exists() and not list(user.parent.glob("cluster-user-*")):
        made.unlink()
        checked("kind", "delete", "cluster", "--name", NAME)


def _call(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=variables)


def checked(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """What the command prints; it must end well."""
    done = _call(*command, environment=environment)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {err.decode()}"
    return out.decode()
