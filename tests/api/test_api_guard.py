"""Who is answered, and in what form all others are turned away."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.api import KeyRequiredError, create_app, require_key_unless_loopback

if TYPE_CHECKING:
    from tests.api.conftest import Client
    from tests.api.fake_desk import FakeDesk

KEY = "a key with 42 characters, ä among them"
GET_PATHS = (
    "site",
    "state",
    "prices",
    "plan",
    "fleets",
    "jobs",
    "decisions",
    "observations",
    "curtailments",
    "breaches",
    "unaccounted",
    "log-levels",
)


def check_problem(answer: httpx.Response, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"], problem["instance"]) == ("about:blank", status, answer.request.url.path)
    assert problem["title"]
    assert says in problem["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_key(host: str) -> None:
    require_key_unless_loopback(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "wattshift.example", "localhost.example", ""])
def test_any_other_address_refuses_to_open_without_a_key(host: str) -> None:
    with pytest.raises(KeyRequiredError, match="without an API key"):
        require_key_unless_loopback(host, None)
    with pytest.raises(KeyRequiredError):
        require_key_unless_loopback(host, "")
    require_key_unless_loopback(host, KEY)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9"])
async def test_without_a_key_loopback_names_are_answered(connect: "Client", base_url: str) -> None:
    async with connect(base_url=base_url) as client:
        assert (await client.get("/api/v1/site")).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/v1/site", "/healthz"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8080", "", "127.0.0.1:x]["])
async def test_without_a_key_a_request_for_another_name_is_not_answered(
    client: httpx.AsyncClient, host: str, path: str
) -> None:
    check_problem(await client.get(path, headers={"Host": host}), 421, "is not this machine")


async def test_an_empty_key_is_no_key(connect: "Client") -> None:
    async with connect(api_key="", base_url="http://site.example") as client:
        check_problem(await client.get("/api/v1/site", headers={"Authorization": "Bearer "}), 421, "not this machine")


@pytest.mark.parametrize("path", [*(f"/api/v1/{noun}" for noun in GET_PATHS), "/metrics", "/openapi.json", "/nothing"])
async def test_with_a_key_every_route_needs_it(connect: "Client", path: str) -> None:
    async with connect(api_key=KEY, base_url="http://site.example") as client:
        missing = await client.get(path)
        check_problem(missing, 401, "Authorization: Bearer")
        assert missing.headers["www-authenticate"].startswith("Bearer")
        for wrong in (f"Bearer {KEY}x", "Bearer ", f"Basic {KEY}", KEY):
            refused = await client.get(path, headers=[(b"Authorization", wrong.encode())])
            check_problem(refused, 401, "missing or wrong")
        given = await client.get(path, headers=[(b"Authorization", f"Bearer {KEY}".encode())])
        assert given.status_code == (404 if path == "/nothing" else 200)


async def test_with_a_key_health_and_the_page_itself_load_without_it(connect: "Client") -> None:
    async with connect(api_key=KEY, base_url="http://site.example") as client:
        for path in ("/healthz", "/readyz", "/", "/docs", "/static/console.js", "/favicon.ico"):
            assert (await client.get(path)).status_code == 200


async def test_writing_needs_json_and_no_foreign_origin(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    order: dict[str, Any] = {"limit_kw": 1, "for_minutes": 1, "reason": "x"}
    path = "/api/v1/curtailments"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "http://["):
        check_problem(await client.post(path, json=order, headers={"Origin": origin}), 403, "foreign")
        check_problem(await client.delete(f"{path}/c-1", headers={"Origin": origin}), 403, "foreign")
    form = await client.post(path, data={"limit_kw": "1"})
    check_problem(form, 415, "send application/json")
    check_problem(await client.post(path, content=b"{}"), 415, "send application/json")
    assert desk.orders == []
    own = await client.post(path, json=order, headers={"Origin": "http://127.0.0.1:8080"})
    assert own.status_code == 201


async def test_errors_of_the_router_are_problems_too(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/api/v1/nothing"), 404, "/openapi.json lists what there is")
    check_problem(await client.get("/static/nothing.js"), 404, "nothing at")
    wrong_method = await client.delete("/api/v1/site")
    check_problem(wrong_method, 405, "allowed: GET")
    assert wrong_method.headers["allow"] == "GET"
    check_problem(await client.get("/api/v1/decisions/none"), 404, "no decision 'none'")
    check_problem(await client.get("/api/v1/decisions/latest"), 404, "no decision 'latest'")
    check_problem(await client.get("/api/v1/decisions?before=none"), 404, "no decision 'none'")
    check_problem(await client.get("/api/v1/decisions?limit=501"), 422, "query /limit")
    check_problem(await client.get("/api/v1/observations?points=1"), 422, "query /points")
    check_problem(await client.get("/api/v1/observations?from=2023-09-06"), 422, "no UTC offset")
    check_problem(await client.get("/api/v1/observations?from=2030-01-01T00:00:00Z"), 422, "to must be after from")


async def test_a_body_past_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 1024 * 1024

    for body in (b" " * (5 * 1024 * 1024), chunks()):  # with its length said beforehand, and without
        refused = await client.post("/api/v1/prices", content=body, headers={"Content-Type": "application/json"})
        check_problem(refused, 413, "at most 4,194,304 bytes")


async def test_a_failure_inside_is_a_problem_that_tells_nothing_of_the_inside(
    client: httpx.AsyncClient, desk: "FakeDesk", monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("the secret path")

    monkeypatch.setattr(desk, "snapshot", broken)
    answer = await client.get("/api/v1/fleets")
    check_problem(answer, 500, "its log says why")
    assert "secret" not in answer.text


async def test_pages_allow_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/api/v1/site", "/api/v1/nothing"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/docs"):
        page = (await client.get(path)).text
        assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


@pytest.mark.parametrize("api_key", [None, KEY])
def test_the_openapi_document_is_sound(desk: "FakeDesk", api_key: str | None) -> None:
    document = create_app(desk, api_key=api_key).openapi()
    assert document["openapi"].startswith("3.")
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    schemas = document["components"]["schemas"]
    for reference in re.findall(r"'\$ref': '([^']+)'", repr(document)):
        assert reference.removeprefix("#/components/schemas/") in schemas
    for path, method, operation in operations:
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}, (path, method)
        assert operation["description"], (path, method)
        for name in re.findall(r"{(\w+)}", path):
            assert any(parameter["name"] == name and parameter["required"] for parameter in operation["parameters"])
    assert {path for path, _, _ in operations} == {
        *(f"/api/v1/{noun}" for noun in (*GET_PATHS, "events")),
        "/api/v1/decisions/latest",
        "/api/v1/decisions/{decision_id}",
        "/api/v1/curtailments/{curtailment_id}",
        "/api/v1/plan/fleets/{name}",
        "/api/v1/plan/jobs/{name}",
        "/api/v1/log-levels/{logger}",
        "/api/v1/unaccounted/resolutions/{resolution_id}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert ("security" in document) == (api_key is not None)
