"""The way from a pod to its cluster's API server: HTTP with the pod's service account."""

import os
import ssl
from collections.abc import Generator
from pathlib import Path

import httpx

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NEEDS = "needs to run in a pod with a service account token, or the API server's URL"


class ConnectionUnknownError(Exception):
    """Nothing says where the API server is; the text says what is missing."""


class _Token(httpx.Auth):
    """The service account's token, read anew for every request: the kubelet replaces it every hour."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._path.read_text().strip()}"
        yield request


def connect(url: str | None = None, account: Path = SERVICE_ACCOUNT) -> httpx.Client:
    """A client of the API server at `url` (default: that of the pod's cluster); safe to share between threads.

    ConnectionUnknownError without a URL outside a pod. A URL of plain HTTP is asked without a token.
    """
    if url is None:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise ConnectionUnknownError(f"KUBERNETES_SERVICE_HOST is not set; {NEEDS}")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    if url.startswith("http://"):
        return plain_client(url)
    try:
        trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except OSError as error:
        raise ConnectionUnknownError(f"{account / 'ca.crt'}: {error.strerror}; {NEEDS}") from error
    return httpx.Client(base_url=url, verify=trusted, auth=_Token(account / "token"), trust_env=False, timeout=10.0)


def plain_client(url: str, timeout_s: float = 10.0) -> httpx.Client:
    """A client for plain HTTP at `url`. It trusts no certificate: loading them would only take memory."""
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(base_url=url, verify=verify, trust_env=False, timeout=timeout_s)


def own_namespace(account: Path = SERVICE_ACCOUNT) -> str:
    """POD_NAMESPACE, else the service account's. ConnectionUnknownError when neither is known."""
    given = os.environ.get("POD_NAMESPACE")
    if given:
        return given
    try:
        return (account / "namespace").read_text().strip()
    except OSError as error:
        raise ConnectionUnknownError(f"POD_NAMESPACE is not set, and {account}: {error.strerror}") from error
