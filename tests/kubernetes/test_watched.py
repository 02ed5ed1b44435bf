"""The view of a kind: listed, watched, resumed, listed anew; and what late answers may not do to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.aio.client import Configuration

from orchestrator.adapters.workloads.kubernetes import watched as module
from orchestrator.adapters.workloads.kubernetes.api import KUEUE_WORKLOADS, PODS, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.watched import Watched
from tests.cluster.kind_cluster import until
from tests.cluster.proxy import proxy_to

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

PATH = "/api/v1/namespaces/test/pods"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta1/namespaces/test/workloads"


def color(document: Document) -> str | None:
    """None: of no interest."""
    found: str | None = document["metadata"]["labels"].get("color")
    return found


def pod(name: str, shade: str, version: int | None = None, **labels: str) -> Document:
    metadata: dict[str, Any] = {"name": name, "labels": {"color": shade, **labels}}
    if version is not None:
        metadata["resourceVersion"] = str(version)
    return {"metadata": metadata}


class Heard:
    """Names that a view told of."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(module, "ABSENT_WAIT_S", 0.05)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def view(cluster_api: ClusterApi, heard: Heard) -> AsyncIterator[Watched[str]]:
    """Of pods with a color; not started."""
    view = Watched(cluster_api, PODS, color, labels="color", on_change=heard)
    yield view
    await view.stop()


async def put(fake_api: "FakeApi", name: str, shade: str) -> None:
    await fake_api.put(f"{PATH}/{name}", pod(name, shade))


async def started(view: Watched[str]) -> None:
    view.start()
    await view.until_synced()


async def test_what_is_there_is_listed_and_what_comes_is_seen(
    view: Watched[str], fake_api: "FakeApi", heard: Heard
) -> None:
    await put(fake_api, "a", "red")
    await fake_api.put(f"{PATH}/plain", {"metadata": {"labels": {}}})
    assert not view.synced
    await started(view)
    assert (view.items, view.listed, heard.names) == ({"a": "red"}, 1, ["a"])
    await put(fake_api, "b", "blue")
    await put(fake_api, "a", "green")
    await fake_api.remove(f"{PATH}/b")
    await put(fake_api, "c", "white")
    await until(lambda: "c" in view.items)
    assert view.items == {"a": "green", "c": "white"}
    assert heard.names == ["a", "b", "a", "b", "c"]
    assert view.listed == 1


async def test_a_list_is_read_in_pages(
    view: Watched[str], fake_api: "FakeApi", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(5):
        await put(fake_api, f"p{number}", "red")
    await started(view)
    assert (len(view.items), view.listed) == (5, 5)
    assert fake_api.requests.count(("GET", PATH)) == 3


async def test_a_label_that_goes_takes_the_object_out_of_view(view: Watched[str], fake_api: "FakeApi") -> None:
    await put(fake_api, "a", "red")
    await started(view)
    await fake_api.put(f"{PATH}/a", {"metadata": {"labels": {}}})
    await until(lambda: not view.items)


async def test_after_a_410_all_is_listed_anew(view: Watched[str], fake_api: "FakeApi", heard: Heard) -> None:
    await put(fake_api, "a", "red")
    await put(fake_api, "b", "blue")
    await started(view)
    fake_api.refuse = lambda method, path: 500 if method == "WATCH" else None
    heard.names.clear()
    fake_api.objects[f"{PATH}/a"]["metadata"]["labels"]["color"] = "green"  # in the gap that nobody remembers
    del fake_api.objects[f"{PATH}/b"]
    await fake_api.forget()
    await until(lambda: not view.synced)
    fake_api.refuse = lambda method, path: None
    await until(lambda: view.synced and view.items == {"a": "green"})
    assert sorted(heard.names) == ["a", "b"], "told of what has changed in the gap"
    assert view.listed == 3
    await put(fake_api, "c", "white")
    await until(lambda: "c" in view.items)


async def test_a_watch_that_is_refused_with_410_is_begun_after_a_new_list(
    view: Watched[str], fake_api: "FakeApi"
) -> None:
    refused: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if method != "WATCH" or len(refused) == 2:
            return None
        refused.append(path)
        return 410

    fake_api.refuse = refuse
    await put(fake_api, "a", "red")
    await started(view)
    assert view.items == {"a": "red"}
    assert fake_api.requests.count(("GET", PATH)) == 3


async def test_a_broken_watch_goes_on_from_where_it_was(fake_api: "FakeApi") -> None:
    async with proxy_to(fake_api.url) as proxy:
        api = ClusterApi(Configuration(host=proxy.url), "test")
        view = Watched(api, PODS, color, labels="color")
        try:
            await put(fake_api, "a", "red")
            await started(view)
            await put(fake_api, "a", "green")
            await until(lambda: view.items == {"a": "green"})
            await proxy.close()
            await until(lambda: not view.synced)
            assert view.items == {"a": "green"}, "what was known stays in view"
            await put(fake_api, "a", "blue")
            await proxy.listen()
            await until(lambda: view.synced and view.items == {"a": "blue"})
            assert fake_api.requests.count(("GET", PATH)) == 1, "nothing was listed anew"
        finally:
            await view.stop()
            await api.close()


class Scripted(ClusterApi):
    """Lists nothing at version 10; each watch brings the next of `scripts` and ends in good order, the last hangs."""

    def __init__(self, *scripts: list[Document]) -> None:
        super().__init__(Configuration(host="http://127.0.0.1:9"), "test")
        self.scripts = list(scripts)
        self.asked_from: list[str] = []

    async def request(self, method: str, path: str, **options: Any) -> Document:
        return {"items": [], "metadata": {"resourceVersion": "10"}}

    async def stream(
        self, path: str, query: Mapping[str, str], silent_s: float, on_open: Callable[[], None]
    ) -> AsyncIterator[Document]:
        assert query["allowWatchBookmarks"] == "true"
        self.asked_from.append(query["resourceVersion"])
        on_open()
        if not self.scripts:
            await asyncio.Event().wait()
        for event in self.scripts.pop(0):
            yield event


class Overtaken(Scripted):
    """While its list is on the way the answer to a later write comes in."""

    view: Watched[str]

    async def request(self, method: str, path: str, **options: Any) -> Document:
        self.view.put(pod("a", "green", 20))
        return {"items": [pod("a", "red", 9)], "metadata": {"resourceVersion": "10"}}


async def test_a_list_does_not_undo_what_a_later_write_brought(heard: Heard) -> None:
    api = Overtaken()
    api.view = view = Watched(api, PODS, color, on_change=heard)
    try:
        await started(view)
        assert view.items == {"a": "green"}
        assert heard.names == ["a"]
        view.put(pod("b", "red", 8))
        assert view.items == {"a": "green"}, "what the list did not have any more is gone"
    finally:
        await view.stop()
        await api.close()


async def test_bookmarks_move_the_version_that_a_watch_goes_on_from(heard: Heard) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "50"}}}
    api = Scripted([{"type": "ADDED", "object": pod("a", "red", 20)}], [bookmark])
    view = Watched(api, PODS, color, on_change=heard)
    try:
        await started(view)
        await until(lambda: len(api.asked_from) == 3)
        assert api.asked_from == ["10", "20", "50"]
        assert (view.items, heard.names) == ({"a": "red"}, ["a"])
        assert view.synced, "watches that the server ends in good order leave the view in step"
    finally:
        await view.stop()
        await api.close()


async def test_an_optional_kind_that_the_server_does_not_know_is_empty_until_it_comes(
    cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    fake_api.refuse = lambda method, path: 404 if path == WORKLOADS else None
    view = Watched(cluster_api, KUEUE_WORKLOADS, color, optional=True)
    try:
        await started(view)
        assert view.items == {}
        await fake_api.put(f"{WORKLOADS}/w", pod("w", "red"))
        fake_api.refuse = lambda method, path: None
        await until(lambda: view.items == {"w": "red"})
        assert view.synced
    finally:
        await view.stop()


async def test_a_kind_that_must_be_there_is_waited_for(view: Watched[str], fake_api: "FakeApi") -> None:
    fake_api.refuse = lambda method, path: 404
    view.start()
    await fake_api.wait(lambda: fake_api.requests.count(("GET", PATH)) >= 3)
    assert not view.synced
    fake_api.refuse = lambda method, path: None
    await view.until_synced()


async def test_an_object_that_cannot_be_understood_does_not_end_the_view(
    cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    def strict(document: Document) -> str:
        return str(document["metadata"]["labels"]["color"])

    await put(fake_api, "a", "red")
    view = Watched(cluster_api, PODS, strict)
    try:
        await started(view)
        await fake_api.put(f"{PATH}/odd", {"metadata": {"labels": {}}})
        await until(lambda: not view.synced)
        await put(fake_api, "odd", "blue")
        await until(lambda: view.synced and view.items == {"a": "red", "odd": "blue"})
    finally:
        await view.stop()


# Answers of writes beside what the watch brings; no server needed


def test_the_newer_of_two_answers_holds(view: Watched[str], heard: Heard) -> None:
    view.put(pod("a", "new", 12))
    view.put(pod("a", "old", 11))
    assert view.items == {"a": "new"}
    assert heard.names == ["a"]
    view.amend("a", "older", 10)
    assert view.items == {"a": "new"}
    view.amend("a", "newest", 13)
    assert view.items == {"a": "newest"}
    view.remove("a", 12)
    assert view.items == {"a": "newest"}, "a late notice of an earlier one's end"


def test_a_late_answer_does_not_bring_back_what_was_deleted(view: Watched[str], heard: Heard) -> None:
    view.put(pod("a", "red", 10))
    view.remove("a", 12)
    view.put(pod("a", "red", 11))
    view.amend("a", "red", 11)
    assert view.items == {}
    view.put(pod("a", "another", 13))
    assert view.items == {"a": "another"}, "one of the same name that came after it"
    assert heard.names == ["a", "a", "a"]


def test_versions_are_compared_as_numbers(view: Watched[str]) -> None:
    view.put(pod("a", "old", 99))
    view.put(pod("a", "new", 100))
    assert view.items == {"a": "new"}


def test_an_object_that_is_of_no_interest_any_more_leaves(view: Watched[str]) -> None:
    view.put(pod("a", "red", 1))
    view.put({"metadata": {"name": "a", "resourceVersion": "2", "labels": {}}})
    assert view.items == {}


def test_an_answer_and_the_watchs_word_of_the_same_write_are_told_once(view: Watched[str], heard: Heard) -> None:
    view.put(pod("a", "red", 10))
    view.put(pod("a", "red", 10))
    assert heard.names == ["a"]
    view.amend("a", "concluded", 11)
    view.put(pod("a", "whole", 11))
    assert view.items == {"a": "whole"}, "the whole object takes the place of what a part of it let conclude"
    assert heard.names == ["a", "a", "a"]
