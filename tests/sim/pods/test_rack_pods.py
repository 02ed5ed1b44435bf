"""A rack row and its agents as processes: who holds a rack, and when it sleeps."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.sim.cluster.connection import plain_client
from orchestrator.sim.cluster.setpoints import SetpointWatch, lease_end, parse_cluster_setpoints
from orchestrator.sim.lapse import lapse_s
from orchestrator.sim.racks.rack_agent import Task, task_of

if TYPE_CHECKING:
    from tests.sim.pods.conftest import FakeApi, Pods

DEADLINE_S = 60.0
BEAT = {"mode": "normal", "agent": "pod-a", "generation": 1, "ttl_s": 600.0}


def test_an_agent_holds_the_rack_that_the_setpoints_give_it(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    _, port = pods.agent(row, "pod-a")
    pods.wait_up(port)
    assert pods.rack(row)["agent"] is None
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "normal", "s21/rack-1": "sleep"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["agent"] == "pod-a", "the rack to be held")
    pods.wait(lambda: pods.one(row, "asic_power_watts", rack="rack-0") > 100_000, "its power")
    assert pods.one(row, "asic_power_limit_watts", rack="rack-0") == 1_050_000
    assert pods.one(row, "asic_power_watts", rack="rack-1") == pytest.approx(300 * 15, rel=0.05), "nobody holds it"
    assert pods.scrape(row)["asic_info"][0][0] == {
        "fleet": "s21",
        "rack": "rack-0",
        "model": "Antminer S21",
        "mode": "normal",
    }
    api.set_points(2, racks={"s21/rack-0": "eco"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "eco", "the other mode")
    api.set_points(3, racks={"s21/rack-0": "sleep", "s21/rack-1": "eco"}, agents={"s21/rack-1": "pod-a"})
    pods.wait(lambda: (pods.rack(row, 0)["mode"], pods.rack(row, 1)["mode"]) == ("sleep", "eco"), "the other rack")
    api.set_points(4)
    pods.wait(lambda: pods.rack(row, 1)["agent"] is None, "no rack")


def test_racks_fall_asleep_one_after_the_other_when_the_lease_is_out(api: "FakeApi", pods: "Pods") -> None:
    """Each for a time after it that its name gives."""
    first, last = sorted(("s21/rack-0", "s21/rack-1"), key=lambda rack: lapse_s(rack, 3600.0))
    out = datetime.now(UTC) - timedelta(seconds=(lapse_s(first, 3600.0) + lapse_s(last, 3600.0)) / 2)
    row = pods.rack_row()
    pods.agent(row, "pod-a")
    pods.agent(row, "pod-b")
    racks = {"s21/rack-0": "normal", "s21/rack-1": "normal"}
    api.set_points(1, racks=racks, agents={first: "pod-a", last: "pod-b"}, lapse_over_s=3600.0)
    api.renew_lease(seconds=1, at=out - timedelta(seconds=1))
    number = {rack: int(rack[-1]) for rack in racks}
    pods.wait(lambda: pods.rack(row, number[last])["mode"] == "normal", "the one whose time is to come")
    assert pods.rack(row, number[first])["agent"] is None, "the other one's is over"


def test_a_rack_sleeps_when_the_lease_is_out_until_it_is_renewed(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    pods.agent(row, "pod-a")
    api.set_points(1, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: api.watches() >= 2, "both watches")
    assert pods.rack(row)["agent"] is None, "a lease that was never seen counts as out"
    api.renew_lease()
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "the rack awake")
    api.renew_lease(seconds=2)
    pods.wait(lambda: pods.rack(row)["mode"] == "sleep", "the lease to run out")
    assert "put to sleep, the lease is out" in str(pods.logs())
    api.renew_lease()
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "the rack awake again")
    api.delete("leases", "wattshift-setpoints")
    api.set_points(2, racks={"s21/rack-0": "eco"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "eco", "a lease that is gone to run out only at its time")


def test_sigterm_puts_the_rack_to_sleep(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    agent, _ = pods.agent(row, "pod-a")
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.one(row, "asic_power_watts", rack="rack-0") > 200_000, "its power")
    agent.terminate()
    assert agent.wait(DEADLINE_S) == 0
    rack = pods.rack(row)
    assert (rack["mode"], rack["agent"], rack["ttl_left_s"]) == ("sleep", None, 0.0)
    assert "sleeps, released by pod-a" in str(pods.logs())
    before = pods.one(row, "asic_power_watts", rack="rack-0")
    pods.wait(lambda: pods.one(row, "asic_power_watts", rack="rack-0") < before / 2, "its power to go")
    assert pods.scrape(row)["asic_info"][0][0]["mode"] == "sleep"


def test_an_agent_that_is_killed_leaves_a_rack_that_sleeps_when_its_ttl_is_over(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    agent, _ = pods.agent(row, "pod-a")
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "the rack awake")
    agent.kill()
    pods.wait(lambda: pods.rack(row)["mode"] == "sleep", "the ttl to be over")
    assert "no beat of pod-a" in str(pods.logs())


def test_an_agent_ends_though_its_row_is_gone(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    agent, port = pods.agent(row, "pod-a")
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "the rack awake")
    pods.processes[0].kill()
    pods.wait(lambda: "gets no answer" in str(pods.logs()), "the row to be missed")
    assert pods.healthy(port)
    agent.terminate()
    assert agent.wait(DEADLINE_S) == 0


def test_a_rack_is_handed_on_without_a_break(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    pods.agent(row, "pod-a")
    pods.agent(row, "pod-b")
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["agent"] == "pod-a", "the first agent")
    api.set_points(2, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-b"})
    pods.wait(lambda: pods.rack(row)["agent"] == "pod-b", "the second agent")
    pods.wait(lambda: "handed on" in str(pods.logs()), "the first agent to let go")
    assert "released by" not in str(pods.logs()), "a wake-up would cost it a warm-up"


def test_the_agent_with_the_newer_setpoints_wins(pods: "Pods") -> None:
    row = pods.rack_row()
    assert pods.ask(row, "PUT", "/racks/0", BEAT) == (204, None)
    for generation in (0, 1):
        status, answer = pods.ask(row, "PUT", "/racks/0", {**BEAT, "agent": "pod-b", "generation": generation})
        assert status == 409
        assert "s21/rack-0 is held by pod-a with generation 1; a newer one" in answer["detail"]
    assert pods.ask(row, "DELETE", "/racks/0?agent=pod-b")[0] == 409
    assert pods.rack(row)["agent"] == "pod-a"
    assert pods.ask(row, "PUT", "/racks/0", {**BEAT, "agent": "pod-b", "generation": 2, "mode": "eco"})[0] == 204
    assert pods.ask(row, "PUT", "/racks/0", {**BEAT, "generation": 1})[0] == 409
    rack = pods.rack(row)
    assert (rack["agent"], rack["mode"], rack["generation"]) == ("pod-b", "eco", 2)
    assert 0 < rack["ttl_left_s"] <= 600
    assert pods.ask(row, "DELETE", "/racks/0?agent=pod-b") == (204, None)
    assert pods.ask(row, "DELETE", "/racks/0?agent=pod-b") == (204, None), "it may be said twice"
    assert pods.ask(row, "PUT", "/racks/0", BEAT)[0] == 204, "nobody holds it any more"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{not json", "mode, agent, generation, ttl_s"),
        ("[]", "mode, agent, generation, ttl_s"),
        ({"mode": "eco"}, "agent"),
        ({**BEAT, "mode": "turbo"}, "allowed: sleep, eco, normal"),
        ({**BEAT, "mode": ["eco"]}, "allowed: sleep, eco, normal"),
        ({**BEAT, "agent": ""}, "the name of a pod"),
        ({**BEAT, "generation": "1"}, "a whole number"),
        ({**BEAT, "ttl_s": 0}, "seconds over 0"),
        ({**BEAT, "ttl_s": float("nan")}, "seconds over 0"),
        ({**BEAT, "ttl_s": 1e9}, "up to 3600"),
    ],
)
def test_a_bad_beat_is_told_what_is_allowed(pods: "Pods", body: object, named: str) -> None:
    row = pods.rack_row()
    status, answer = pods.ask(row, "PUT", "/racks/0", body)
    assert status == 400
    assert named in answer["detail"]
    assert pods.rack(row)["agent"] is None


def test_a_row_answers_only_what_it_has(pods: "Pods") -> None:
    row = pods.rack_row()
    for path in ("/racks/2", "/racks/-1", "/racks/one", "/racks/0/1"):
        assert pods.ask(row, "PUT", path, BEAT)[0] == 404
    assert pods.ask(row, "DELETE", "/racks/0")[0] == 400
    assert pods.ask(row, "POST", "/racks/0", BEAT)[0] == 405
    assert pods.ask(row, "PUT", "/racks", BEAT)[0] == 405


def test_a_row_ends_on_sigterm(pods: "Pods") -> None:
    pods.rack_row()
    (row,) = pods.processes
    row.terminate()
    assert row.wait(DEADLINE_S) == 0


def test_bad_setpoints_are_counted_and_the_last_good_ones_stay(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    _, port = pods.agent(row, "pod-a")
    api.renew_lease()
    api.set_points(1, racks={"s21/rack-0": "eco"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "eco", "eco")
    api.write_setpoints('{"generation": 2, "racks": {"s21/ra')
    bad = "wattshift_agent_bad_setpoint_reads_total"
    pods.wait(lambda: pods.one(port, bad) == 1, "the bad document to be counted")
    api.put("configmaps", "wattshift-setpoints", {"data": {}})
    pods.wait(lambda: pods.one(port, bad) == 2, "the one without the key too")
    api.put("leases", "wattshift-setpoints", {"spec": {"renewTime": None}})
    pods.wait(lambda: pods.one(port, bad) == 3, "and the bad lease")
    api.delete("configmaps", "wattshift-setpoints")
    left: list[float] = [pods.rack(row)["ttl_left_s"]]

    def beaten() -> bool:
        left.append(pods.rack(row)["ttl_left_s"])
        return left[-1] > left[-2]

    pods.wait(beaten, "another beat")
    assert pods.rack(row)["mode"] == "eco"
    api.set_points(3, racks={"s21/rack-0": "normal"}, agents={"s21/rack-0": "pod-a"})
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "the next good ones")


def test_a_watch_goes_on_after_410_and_after_the_server_was_away(api: "FakeApi", pods: "Pods") -> None:
    row = pods.rack_row()
    pods.agent(row, "pod-a")
    api.renew_lease()

    def set_mode(generation: int, mode: str) -> None:
        api.set_points(generation, racks={"s21/rack-0": mode}, agents={"s21/rack-0": "pod-a"})

    set_mode(1, "eco")
    pods.wait(lambda: pods.rack(row)["mode"] == "eco", "the first setpoints")
    api.forget_history()
    pods.wait(lambda: "too old resource version" in str(pods.logs()), "the 410")
    set_mode(2, "normal")
    pods.wait(lambda: pods.rack(row)["mode"] == "normal", "setpoints after 410")
    api.stop()
    set_mode(3, "eco")
    pods.wait(lambda: str(pods.logs()).count("trying again") >= 2, "the server to be missed")
    assert pods.rack(row)["mode"] == "normal", "the last good setpoints stay"
    api.start()
    pods.wait(lambda: pods.rack(row)["mode"] == "eco", "what was written while it was away")


def test_a_silent_watch_is_given_up(api: "FakeApi") -> None:
    changed = threading.Event()
    watch = SetpointWatch(plain_client(api.url), "site", "wattshift", changed.set, watch_s=0.1, silence_s=0.1)
    api.renew_lease()
    watch.start()
    assert changed.wait(DEADLINE_S)
    changed.clear()
    api.mute = True
    api.set_points(7)
    assert changed.wait(DEADLINE_S), "the watch does not tell, so the object is read anew"
    assert watch.setpoints is not None
    assert watch.setpoints.generation == 7


@pytest.mark.parametrize(
    "garbage",
    [
        "null",
        "[1, 2]",
        '{"generation": 3, "racks": {}, "gpu_limit_w": {}}',
        '{"generation": 3, "racks": [], "agents": {}, "gpu_limit_w": {}}',
        '{"generation": 3, "racks": {}, "agents": {}, "gpu_limit_w": {"h100": -1}}',
        '{"generation": "x", "racks": {}, "agents": {}, "gpu_limit_w": {}}',
    ],
)
def test_what_is_no_setpoints_document_is_refused(garbage: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cluster_setpoints(garbage)


def test_a_lease_ends_when_it_says() -> None:
    at = datetime(2023, 9, 6, 23, 0, tzinfo=UTC)
    lease = {"spec": {"renewTime": "2023-09-06T23:00:00.000000Z", "leaseDurationSeconds": 30}}
    assert lease_end(lease) == at + timedelta(seconds=30)
    for spec in ({}, {"renewTime": "2023-09-06T23:00:00Z"}, {**lease["spec"], "renewTime": "2023-09-06T23:00:00"}):
        with pytest.raises(ValueError, match=r"."):
            lease_end({"spec": spec})


def test_a_pod_has_the_rack_of_its_fleet_that_names_it() -> None:
    document = {
        "generation": 4,
        "racks": {"s21/rack-0": "eco", "s19/rack-0": "normal", "s21/rack-1": "normal"},
        "agents": {"s19/rack-0": "a", "s21/rack-1": "a", "s21/rack-0": "b", "s21/rack-2": "c"},
        "gpu_limit_w": {},
    }
    setpoints = parse_cluster_setpoints(json.dumps(document))
    assert task_of("a", "s21", setpoints) == Task("s21/rack-1", "normal", 4)
    assert task_of("b", "s21", setpoints) == Task("s21/rack-0", "eco", 4)
    assert task_of("c", "s21", setpoints) is None, "a rack without a mode is none"
    assert task_of("d", "s21", setpoints) is None
    assert task_of("a", "s21", None) is None


def test_an_agent_outside_a_pod_says_what_is_missing(pods: "Pods") -> None:
    agent, _ = pods.start("racks.rack_agent", "--fleet", "s21", "--devices", "http://127.0.0.1:1", pod="")
    assert agent.wait(DEADLINE_S) == 2
    agent, _ = pods.start("racks.rack_agent", "--fleet", "s21", "--devices", "http://127.0.0.1:1")
    assert agent.wait(DEADLINE_S) == 2
    assert "POD_NAME is not set" in str(pods.logs())
    assert "KUBERNETES_SERVICE_HOST is not set" in str(pods.logs())


def test_only_what_speaks_to_the_cluster_loads_its_client() -> None:
    programs = ("racks.rack_row", "jobs.pod_job", "market.price_feed")
    script = "import sys\n" + "".join(f"import orchestrator.sim.{name}\n" for name in programs) + "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"httpx", "numpy", "pydantic", "kubernetes"} & set(done.stdout.split())
