"""The ConfigMap of the setpoints and the Lease that says until when they hold."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.adapters.workloads.kubernetes.setpoints.objects import (
    ClusterSetpoints,
    asleep,
    lease_object,
    read_setpoints,
    setpoints_object,
)
from orchestrator.adapters.workloads.kubernetes.times import instant
from tests.sites import at_once, three_rack_site

SITE = at_once(three_rack_site())
NOW = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "generation": 7,
    "racks": {"s21/rack-0": "normal", "s21/rack-1": "eco", "s21/rack-2": "sleep"},
    "agents": {"s21/rack-0": "s21-x7k"},
    "gpu_limit_w": {"h100": 450.0},
}


def config_map(content: object) -> Document:
    text = content if isinstance(content, str) else json.dumps(content)
    return {"metadata": {"name": "w-setpoints", "resourceVersion": "3"}, "data": {"setpoints.json": text}}


def test_setpoints_are_read_back_as_they_were_written() -> None:
    setpoints = ClusterSetpoints(**GOOD)
    body = setpoints_object("w-setpoints", setpoints)
    assert (body["kind"], body["metadata"]["name"]) == ("ConfigMap", "w-setpoints")
    assert "resourceVersion" not in body["metadata"]
    assert json.loads(body["data"]["setpoints.json"]) == GOOD
    assert read_setpoints(body, SITE) == setpoints
    assert setpoints_object("w-setpoints", setpoints, 12)["metadata"]["resourceVersion"] == "12"


def test_what_the_site_lacks_is_dropped_and_what_the_document_lacks_is_safe() -> None:
    racks = {"s21/rack-0": "normal", "s21/rack-1": "turbo", "s21/rack-9": "normal", "s19/rack-0": "normal"}
    content = {**GOOD, "racks": racks, "agents": {"s19/rack-0": "s19-a"}, "gpu_limit_w": {"a100": 300.0}}
    found = read_setpoints(config_map(content), SITE)
    assert found.racks == {"s21/rack-0": "normal", "s21/rack-1": "sleep", "s21/rack-2": "sleep"}
    assert found.agents == {}
    assert found.gpu_limit_w == {"h100": 700.0}
    del content["agents"]
    assert read_setpoints(config_map(content), SITE).agents == {}


@pytest.mark.parametrize(
    "document",
    [
        config_map("?"),
        config_map([]),
        config_map(None),
        config_map({key: value for key, value in GOOD.items() if key != "racks"}),
        config_map({key: value for key, value in GOOD.items() if key != "generation"}),
        config_map({**GOOD, "racks": ["s21/rack-0"]}),
        config_map({**GOOD, "generation": "seven"}),
        config_map({**GOOD, "agents": "all"}),
        config_map({**GOOD, "gpu_limit_w": {"h100": 0.0}}),
        config_map({**GOOD, "gpu_limit_w": {"h100": float("nan")}}),
        config_map({**GOOD, "gpu_limit_w": {"h100": "full"}}),
        {"metadata": {"name": "w-setpoints"}},
        {"metadata": {"name": "w-setpoints"}, "data": {"other": "x"}},
    ],
)
def test_a_config_map_without_setpoints_is_named(document: Document) -> None:
    with pytest.raises(ValueError, match="ConfigMap w-setpoints holds no setpoints"):
        read_setpoints(document, SITE)


def test_a_site_that_was_never_asked_sleeps_at_full_limit() -> None:
    fresh = asleep(SITE)
    assert (fresh.generation, set(fresh.racks.values()), fresh.gpu_limit_w) == (0, {"sleep"}, {"h100": 700.0})
    assert fresh.same(ClusterSetpoints(5, fresh.racks, {}, fresh.gpu_limit_w))
    assert not fresh.same(ClusterSetpoints(0, fresh.racks, {"s21/rack-0": "p"}, fresh.gpu_limit_w))


@pytest.mark.parametrize("left_s", [300.0, 299.25, 0.5, 0.0, -3.0])
def test_the_lease_ends_just_then(left_s: float) -> None:
    until = NOW + timedelta(seconds=left_s)
    spec = lease_object("w-setpoints", "a", until, NOW)["spec"]
    assert isinstance(spec["leaseDurationSeconds"], int)
    assert spec["leaseDurationSeconds"] >= 1, "what the API takes"
    assert instant(spec["renewTime"]) + timedelta(seconds=spec["leaseDurationSeconds"]) == until
    assert spec["holderIdentity"] == "a"
