"""Events as they are built, and as they are sent behind the moves."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from orchestrator.adapters.workloads.kubernetes.api import ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.events import LONGEST_NOTE, Recorder, event_object

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

EVENTS = "/apis/events.k8s.io/v1/namespaces/test/events"
NOW = datetime(2023, 9, 6, 20, 0, 0, 1, tzinfo=UTC)
TRAIN = {"apiVersion": "batch/v1", "kind": "Job", "namespace": "test", "name": "train", "uid": "u1"}


def built(note: str = "dear", now: datetime = NOW, name: str = "train", *, warning: bool = False) -> Document:
    return event_object({**TRAIN, "name": name}, "Pause", "JobPaused", note, "pod-1", now, warning=warning)


def test_an_event_says_what_was_done_to_what_and_why() -> None:
    event = built()
    assert event["regarding"] == TRAIN
    assert (event["action"], event["reason"], event["note"], event["type"]) == ("Pause", "JobPaused", "dear", "Normal")
    assert event["eventTime"] == "2023-09-06T20:00:00.000001Z"
    assert (event["reportingController"], event["reportingInstance"]) == ("wattshift.dev/controller", "pod-1")
    assert event["metadata"]["namespace"] == "test"
    assert built(warning=True)["type"] == "Warning"


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
def test_a_long_note_is_cut_to_what_the_api_takes(letter: str) -> None:
    note = built(letter * LONGEST_NOTE * 2)["note"]
    assert LONGEST_NOTE - 8 < len(note.encode()) <= LONGEST_NOTE
    assert note.strip(letter) == "..."
    assert built("a" * LONGEST_NOTE)["note"] == "a" * LONGEST_NOTE


def test_names_differ_by_the_moment_and_fit() -> None:
    names = {built()["metadata"]["name"], built(now=NOW.replace(microsecond=2))["metadata"]["name"]}
    assert len(names) == 2
    assert len(built(name="x" * 253)["metadata"]["name"]) <= 253


async def test_events_are_on_the_server_when_the_recorder_has_stopped(
    cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    recorder = Recorder(cluster_api, "pod-1")
    recorder.start()
    for number in range(20):
        recorder.record({**TRAIN, "name": f"train-{number}"}, "Pause", "JobPaused", "dear")
    await recorder.stop(within_s=60.0)
    regarding = {body["regarding"]["name"] for path, body in fake_api.objects.items() if path.startswith(EVENTS)}
    assert regarding == {f"train-{number}" for number in range(20)}
    assert recorder.lost == 0


async def test_an_event_that_the_server_refuses_is_counted_and_holds_nobody_up(
    cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    fake_api.refuse = lambda method, path: 403 if method == "POST" else None
    recorder = Recorder(cluster_api, "pod-1")
    recorder.start()
    recorder.record(TRAIN, "Pause", "JobPaused", "dear")
    await recorder.stop(within_s=60.0)
    assert recorder.lost == 1
    assert fake_api.requests.count(("POST", EVENTS)) == 1, "a refusal is not tried again"


async def test_an_event_that_was_written_without_an_answer_in_time_is_not_lost(
    cluster_api: ClusterApi, fake_api: "FakeApi", caplog: pytest.LogCaptureFixture
) -> None:
    """A busy server: the first attempt was given up, and the second one finds the event there."""
    answers = iter([504, 409])
    fake_api.refuse = lambda method, path: next(answers) if method == "POST" else None
    recorder = Recorder(cluster_api, "pod-1")
    recorder.start()
    recorder.record(TRAIN, "Pause", "JobPaused", "dear")
    await recorder.stop(within_s=60.0)
    assert fake_api.requests.count(("POST", EVENTS)) == 2
    assert recorder.lost == 0
    assert caplog.messages == []
