"""Plain access to a Kubernetes API server: JSON documents in and out, through the official client's connection.

The client's typed models are left aside: a Job as a model takes ten times the memory of the few fields that matter, and
a site has thousands.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.kube_config import list_kube_config_contexts

Document = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
MANAGER = {"fieldManager": "wattshift"}
"""Fields that we write are ours on record (`kubectl get --show-managed-fields`)."""
READ_S = 10.0
WRITE_S = 4.0
"""A leader stops writing 4 s before another can lead (election.py): what it sent last is over by then."""
PUT_OFF = frozenset({409, 429, 500, 503, 504})
PATIENCE_S = (0.05, 0.2, 0.8)
AT_ONCE = 32
"""Requests under way at a time: more do not make an API server faster, and each waits longer."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LONGEST_LINE_BYTES = 4 * 2**20
"""Of a watch: an object in etcd has 1.5 MiB at most."""


class ApiError(Exception):
    """The API server refused (`status` is its HTTP status) or did not answer (0)."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ClusterError(Exception):
    """There is no cluster to talk to; the text says where one was looked for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource by its API path: `apis/apps/v1` and `deployments`."""

    group: str
    plural: str

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """The path of one object, of a part of it (`scale`), or of all in the namespace."""
        return "/" + "/".join(filter(None, (self.group, "namespaces", namespace, self.plural, name, part)))


DEPLOYMENTS = Kind("apis/apps/v1", "deployments")
STATEFUL_SETS = Kind("apis/apps/v1", "statefulsets")
JOBS = Kind("apis/batch/v1", "jobs")
PODS = Kind("api/v1", "pods")
CONFIG_MAPS = Kind("api/v1", "configmaps")
EVENTS = Kind("apis/events.k8s.io/v1", "events")
LEASES = Kind("apis/coordination.k8s.io/v1", "leases")
AUTOSCALERS = Kind("apis/autoscaling/v2", "horizontalpodautoscalers")
SCALED_OBJECTS = Kind("apis/keda.sh/v1alpha1", "scaledobjects")
KUEUE_WORKLOADS = Kind("apis/kueue.x-k8s.io/v1beta1", "workloads")


class ClusterApi:
    """One connection pool to one API server, and the namespace that is worked in."""

    def __init__(self, configuration: Configuration, namespace: str) -> None:
        self.namespace = namespace
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._may_write: Callable[[], bool] = lambda: True

    def write_only_while(self, may_write: Callable[[], bool]) -> None:
        """From now on nothing is written unless `may_write()` says so at the moment of sending."""
        self._may_write = may_write

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> Document:
        """The server's JSON answer; ApiError for any status of 300 and over, and when there is none in time.

        `timeout_s` runs from when it is sent: behind a thousand others it waits for its turn first.
        """
        reads = method == "GET"
        limits = aiohttp.ClientTimeout(timeout_s or (READ_S if reads else WRITE_S))
        try:
            async with self._slots:
                if not reads and not self._may_write():
                    raise ApiError(0, f"{method} {path}: not sent, this controller is not the leader any more")
                response = await self._send(method, path, query, body, content_type, limits)
                async with response:
                    text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"{method} {path}: {str(error) or type(error).__name__}") from error
        if response.status >= 300:
            raise _error(method, path, response.status, text)
        try:
            document: Document = json.loads(text)
        except ValueError as error:
            raise ApiError(0, f"{method} {path}: no JSON: {text[:100]!r}") from error
        return document

    async def patch(self, kind: Kind, name: str, body: Document, *, part: str = "") -> Document:
        """JSON merge patch of one object or of a part of it, in our name.

        What the server puts off (busy, or several writers at once) is tried again. A body with a resource version is
        refused with status 409 if the object has changed since: that is for the caller to look into.
        """
        path = kind.path(self.namespace, name, part)
        dated = "resourceVersion" in body.get("metadata", {})
        for wait_s in (*PATIENCE_S, None):
            try:
                return await self.request("PATCH", path, query=MANAGER, body=body, content_type=MERGE_PATCH)
            except ApiError as error:
                if wait_s is None or error.status not in PUT_OFF or (dated and error.status == 409):
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def create(self, kind: Kind, body: Document) -> Document:
        return await self.request("POST", kind.path(self.namespace), query=MANAGER, body=body)

    async def get(self, kind: Kind, name: str) -> Document | None:
        """The object; None if there is none of that name."""
        try:
            return await self.request("GET", kind.path(self.namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def stream(
        self, path: str, query: Mapping[str, str], silent_s: float, on_open: Callable[[], None]
    ) -> AsyncIterator[Document]:
        """The events of a watch as they come, until the server ends it; `on_open` is called when it has begun.

        ApiError when it refuses, breaks off, or says nothing for `silent_s`.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=silent_s)
        try:
            response = await self._send("GET", path, query, None, "application/json", timeout)
            async with response:
                if response.status >= 300:
                    raise _error("GET", path, response.status, await response.read())
                on_open()
                try:
                    while line := await response.content.readuntil(b"\n", max_size=_LONGEST_LINE_BYTES):
                        document: Document = json.loads(line)
                        yield document
                finally:
                    # Left in mid-answer, it would wait for the server's part of the TLS farewell.
                    if response.connection is not None and response.connection.transport is not None:
                        response.connection.transport.abort()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, f"watch {path}: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Document | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "wattshift"}
        await self._client.update_params_for_auth(headers, None, ["BearerToken"], path, method, body)
        url = f"{self._configuration.host}{path}"
        if query:
            url += f"?{urlencode(query)}"
        answer = await self._client.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=limits
        )
        response: aiohttp.ClientResponse = answer.response
        return response


async def connect(namespace: str | None = None, context: str | None = None) -> ClusterApi:
    """The cluster this process runs in, else the one of the kubeconfig's `context` (default: its current one).

    `namespace` defaults to the pod's own or the context's. ClusterError when neither is there.
    """
    # Left to itself aiohttp asks the environment for a proxy and ~/.netrc for a password at every request, in a thread.
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
            load_incluster_config(client_configuration=configuration)
            own = _pods_namespace()
        else:
            await load_kube_config(context=context, client_configuration=configuration)
            contexts, current = list_kube_config_contexts()
            chosen = next((entry for entry in contexts if entry["name"] == context), current)
            own = chosen["context"].get("namespace") or "default"
    except (ConfigException, OSError) as error:
        raise ClusterError(f"no Kubernetes cluster: not in a pod, and the kubeconfig says: {error}") from error
    configuration.proxy = configuration.proxy or _proxy_of_environment(configuration.host)
    configuration.connection_pool_maxsize = 100
    return ClusterApi(configuration, namespace or own)


def _proxy_of_environment(host: str) -> str | None:
    """What HTTPS_PROXY and NO_PROXY say of the API server at this URL."""
    address = urlsplit(host)
    return None if proxy_bypass(address.netloc) else getproxies().get(address.scheme)


def _pods_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip()


def _error(method: str, path: str, status: int, text: bytes) -> ApiError:
    try:
        document = json.loads(text)
        message, reason = str(document.get("message", "")), str(document.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = text[:200].decode(errors="replace"), ""
    return ApiError(status, f"{method} {path}: {status} {message}", reason)
