"""A small API server on loopback: objects of any kind by path, with what the controller relies on of a real one.

Lists with selectors and pages, watches from a resource version (410 once that is forgotten), creation that conflicts,
JSON merge patches that conflict where they carry an old `resourceVersion`, the `scale` part. It can be made to refuse,
and to say nothing.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

Document = dict[str, Any]


class FakeApi:
    """Serving between `start` and `stop`."""

    def __init__(self) -> None:
        self.url = ""
        self.objects: dict[str, Document] = {}
        """By path, such as `/api/v1/namespaces/test/pods/a`. To be read; changed by requests and the methods here."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of each request, in order; `WATCH` for a watch."""
        self.bodies: list[Document] = []
        """Of each request that had one."""
        self.refuse: Callable[[str, str], int | None] = lambda method, path: None
        """The status to refuse a request with, by its method and path; None to let it pass."""
        self._version = 100
        self._forgotten = 0
        self._history: list[tuple[int, str, str, Document]] = []  # version, type, path, object
        self._changed = asyncio.Condition()
        self._awake = asyncio.Event()
        self._awake.set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        self._awake.set()
        assert self._runner is not None, "it was started"
        await self._runner.cleanup()

    def kubeconfig(self, path: Path, namespace: str) -> Path:
        """A kubeconfig whose current context is this server, with no credentials."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody", "namespace": namespace}}],
        }
        path.write_text(json.dumps(document))
        return path

    def pause(self) -> None:
        """From now on requests are taken and neither carried out nor answered; watches say nothing."""
        self._awake.clear()

    def resume(self) -> None:
        """What has waited is carried out, unless its client has gone."""
        self._awake.set()

    async def put(self, path: str, document: Document) -> Document:
        """Create or replace an object, as someone with kubectl would."""
        kept = self.objects.get(path)
        document = copy.deepcopy(document)
        document.setdefault("metadata", {})["name"] = path.rsplit("/", 1)[-1]
        return await self._store("MODIFIED" if kept else "ADDED", path, document)

    async def remove(self, path: str) -> None:
        await self._store("DELETED", path, self.objects.pop(path))

    async def forget(self) -> None:
        """Drop the history of changes, end all watches: who watches from before gets a 410."""
        async with self._changed:
            self._version += 1
            self._forgotten = self._version
            self._history.clear()
            self._changed.notify_all()

    async def wait(self, holds: Callable[[], bool], within_s: float = 60.0) -> None:
        """Until `holds`; looked at after each request and change."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(holds)

    async def wait_for_request(self, method: str, path: str) -> None:
        """Until one more has come, whether it is answered or not."""
        before = self.requests.count((method, path))
        await self.wait(lambda: self.requests.count((method, path)) > before)

    # --- requests ------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") in ("1", "true")
        method = "WATCH" if watch else request.method
        async with self._changed:
            self.requests.append((method, request.path))
            self._changed.notify_all()
        body: Document = await request.json() if request.can_read_body else {}
        await self._awake.wait()
        if request.transport is None or request.transport.is_closing():
            return web.Response()
        status = self.refuse(method, request.path)
        if status is not None:
            return _status(status, "Refused", "refused by the test")
        if body:
            self.bodies.append(body)
        answer = await (self._watch(request) if watch else self._plain(request, body))
        async with self._changed:
            self._changed.notify_all()
        return answer

    async def _plain(self, request: web.Request, body: Document) -> web.Response:
        path, part = _split(request.path)
        match request.method, _is_collection(path):
            case "GET", True:
                return web.json_response(self._list(path, request.query))
            case "GET", False if path in self.objects:
                kept = self.objects[path]
                return web.json_response(_scale(kept) if part else kept)
            case "POST", True:
                return await self._create(path, body)
            case "PATCH" | "PUT", False if path in self.objects:
                return await self._change(request, path, part, body)
            case "DELETE", False if path in self.objects:
                await self.remove(path)
                return web.json_response({"kind": "Status", "status": "Success"})
        return _status(404, "NotFound", f"{path} not found")

    def _list(self, path: str, query: Mapping[str, str]) -> Document:
        found = [
            kept
            for name, kept in sorted(self.objects.items())
            if name.rpartition("/")[0] == path and _selected(kept, query)
        ]
        start, limit = int(query.get("continue", "0")), int(query.get("limit", "0")) or len(found) or 1
        metadata = {"resourceVersion": str(self._version)}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        return {"kind": "List", "metadata": metadata, "items": found[start : start + limit]}

    async def _create(self, path: str, body: Document) -> web.Response:
        metadata = body.get("metadata", {})
        name = metadata.get("name") or f"{metadata.get('generateName', '')}{self._version}"
        if f"{path}/{name}" in self.objects:
            return _status(409, "AlreadyExists", f"{name} already exists")
        body.setdefault("metadata", {})["name"] = name
        return web.json_response(await self._store("ADDED", f"{path}/{name}", body), status=201)

    async def _change(self, request: web.Request, path: str, part: str, body: Document) -> web.Response:
        kept = copy.deepcopy(self.objects[path])
        given = body.get("metadata", {}).get("resourceVersion")
        if given is not None and given != kept["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified; apply your changes to the latest version")
        if request.method == "PUT":
            changed = body
        elif request.content_type != "application/merge-patch+json":
            return _status(415, "UnsupportedMediaType", f"{request.content_type} is not taken here")
        elif part:
            kept.setdefault("spec", {})["replicas"] = body["spec"]["replicas"]
            changed = kept
        else:
            changed = _merged(kept, body)
        if changed == self.objects[path]:
            return web.json_response(_scale(changed) if part else changed)  # no change, no new version
        stored = await self._store("MODIFIED", path, changed)
        return web.json_response(_scale(stored) if part else stored)

    async def _store(self, kind: str, path: str, document: Document) -> Document:
        """Give it the next version, keep it, tell who watches."""
        async with self._changed:
            self._version += 1
            metadata = document["metadata"]
            before = self.objects.get(path)
            metadata["resourceVersion"] = str(self._version)
            metadata.setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self._version}")
            namespace = path.partition("/namespaces/")[2].partition("/")[0]
            if namespace:
                metadata["namespace"] = namespace
            if kind != "DELETED":
                self.objects[path] = document
            self._history.append((self._version, kind, path, copy.deepcopy(document)))
            self._changed.notify_all()
        return document

    # --- watches -------------------------------------------------------------------------------------------------

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        path, version = request.path, int(request.query.get("resourceVersion", "0"))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        known = {
            name for name, kept in self.objects.items() if name.startswith(path) and _selected(kept, request.query)
        }
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", "3600"))):
                while True:
                    if version < self._forgotten:
                        gone = {
                            "kind": "Status",
                            "code": 410,
                            "reason": "Expired",
                            "message": "too old resource version",
                        }
                        await _send(response, "ERROR", gone)
                        break
                    for at, kind, name, document in [entry for entry in self._history if entry[0] > version]:
                        version = at
                        if name.rpartition("/")[0] == path:
                            await self._tell(response, request.query, known, kind, name, document)
                    async with self._changed:
                        await self._changed.wait_for(
                            lambda: self._version > version or version < self._forgotten  # noqa: B023 - called here
                        )
                    await self._awake.wait()
        except (TimeoutError, ConnectionError):
            pass
        return response

    async def _tell(
        self,
        response: web.StreamResponse,
        query: Mapping[str, str],
        known: set[str],
        kind: str,
        name: str,
        document: Document,
    ) -> None:
        """An object that no longer matches the selectors is gone as far as the watcher is concerned."""
        if kind != "DELETED" and _selected(document, query):
            await _send(response, "MODIFIED" if name in known and kind != "ADDED" else "ADDED", document)
            known.add(name)
        elif name in known:
            known.discard(name)
            await _send(response, "DELETED", document)


@asynccontextmanager
async def running_api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


async def _send(response: web.StreamResponse, kind: str, document: Document) -> None:
    await response.write(json.dumps({"type": kind, "object": document}).encode() + b"\n")


def _status(code: int, reason: str, message: str) -> web.Response:
    document = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(document, status=code)


def _is_collection(path: str) -> bool:
    """`.../namespaces/<ns>/<plural>` is one, `.../namespaces/<ns>/<plural>/<name>` is not."""
    return path.partition("/namespaces/")[2].count("/") == 1


def _split(path: str) -> tuple[str, str]:
    """The path of the object, and the part of it that is meant (`scale`)."""
    parts = path.partition("/namespaces/")[2].split("/")
    return (path.rsplit("/", 1)[0], parts[3]) if len(parts) > 3 else (path, "")


def _scale(document: Document) -> Document:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": document["metadata"],
        "spec": {"replicas": document.get("spec", {}).get("replicas", 1)},
        "status": {"replicas": document.get("status", {}).get("replicas", 0)},
    }


def _selected(document: Document, query: Mapping[str, str]) -> bool:
    """Equality and existence of labels, and `metadata.name`."""
    labels = document["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value.lstrip("=")):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = term.partition("=")
        assert key == "metadata.name", f"the fake selects by name only, not by {key}"
        if document["metadata"]["name"] != value.lstrip("="):
            return False
    return True


def _merged(kept: Document, patch: Document) -> Document:
    """RFC 7396."""
    merged = dict(kept)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            under = merged.get(key)
            merged[key] = _merged(under if isinstance(under, dict) else {}, value)
        else:
            merged[key] = value
    return merged
