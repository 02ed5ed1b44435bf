"""How a program in a pod finds its API server and shows who it is."""

from pathlib import Path

import certifi
import httpx
import pytest

from orchestrator.sim.cluster.connection import ConnectionUnknownError, connect, own_namespace


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's folder, with any certificate authorities."""
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    (tmp_path / "ca.crt").write_text(Path(certifi.where()).read_text())
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("site")
    return tmp_path


def shown(client: httpx.Client) -> str:
    """What the next request would show the server."""
    assert client.auth is not None
    request = next(client.auth.auth_flow(client.build_request("GET", "/version")))
    return request.headers["Authorization"]


def test_a_pod_shows_the_token_that_its_file_holds_now(account: Path) -> None:
    with connect(account=account) as client:
        assert str(client.base_url) == "https://10.96.0.1:6443"
        assert shown(client) == "Bearer first"
        (account / "token").write_text("second\n")
        assert shown(client) == "Bearer second"


def test_an_address_of_ipv6_is_put_in_brackets(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    with connect(account=account) as client:
        assert str(client.base_url) == "https://[fd00::1]:6443"


def test_a_url_of_plain_http_is_asked_without_a_token(account: Path) -> None:
    with connect("http://127.0.0.1:8001", account) as client:
        assert client.auth is None


def test_the_namespace_is_the_pods_or_the_accounts(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_namespace(account) == "site"
    monkeypatch.setenv("POD_NAMESPACE", "other")
    assert own_namespace(account) == "other"


def test_what_is_missing_is_named(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (account / "ca.crt").unlink()
    with pytest.raises(ConnectionUnknownError, match=r"ca\.crt: No such file"):
        connect(account=account)
    with pytest.raises(ConnectionUnknownError, match="POD_NAMESPACE is not set"):
        own_namespace(account / "none")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(ConnectionUnknownError, match="KUBERNETES_SERVICE_HOST is not set"):
        connect(account=account)
