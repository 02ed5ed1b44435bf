"""Leader election by its rules: one leader, followed only when its lease is surely left behind.

Candidates look when the test says so, by clocks of their own that the test moves.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from orchestrator.adapters.workloads.kubernetes.api import ClusterApi
from orchestrator.adapters.workloads.kubernetes.leader.election import Election, Timing

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

LEASE = "/apis/coordination.k8s.io/v1/namespaces/test/leases/w-leader"
TIMING = Timing()


class Clock:
    """Monotonic, and moved by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Candidates:
    """Two candidates whose clocks have nothing in common but their speed."""

    def __init__(self, api: ClusterApi) -> None:
        self.clocks = Clock(5.0), Clock(40_000.0)
        self.a = Election(api, "w-leader", "a", clock=self.clocks[0])
        self.b = Election(api, "w-leader", "b", clock=self.clocks[1])

    def pass_s(self, seconds: float) -> None:
        for clock in self.clocks:
            clock.now += seconds


@pytest.fixture
def candidates(cluster_api: ClusterApi) -> Candidates:
    return Candidates(cluster_api)


async def test_the_first_to_come_leads_and_says_so_on_the_lease(candidates: Candidates, fake_api: "FakeApi") -> None:
    assert await candidates.a.look()
    assert not await candidates.b.look()
    assert (candidates.a.held, candidates.b.held) == (True, False)
    assert candidates.b.leader == "a"
    spec = fake_api.objects[LEASE]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 10, 0)
    assert spec["renewTime"] == spec["acquireTime"]
    assert len(spec["renewTime"]) == len("2023-09-06T20:00:00.000000Z"), "a MicroTime"


async def test_of_two_that_come_at_the_same_moment_one_leads(candidates: Candidates) -> None:
    won = await asyncio.gather(candidates.a.look(), candidates.b.look())
    assert sorted(won) == [False, True]
    assert [candidates.a.held, candidates.b.held] == list(won)
    candidates.pass_s(TIMING.lease_s + 1)  # neither renewed: both may try
    won = await asyncio.gather(candidates.a.look(), candidates.b.look())
    assert sum(won) <= 1
    assert [candidates.a.held, candidates.b.held] == list(won)


async def test_a_leader_that_renews_is_never_followed(candidates: Candidates, fake_api: "FakeApi") -> None:
    await candidates.a.look()
    first = fake_api.objects[LEASE]["spec"]
    for _ in range(20):
        candidates.pass_s(TIMING.renew_every_s)
        assert await candidates.a.look()
        assert not await candidates.b.look()
    spec = fake_api.objects[LEASE]["spec"]
    assert (spec["acquireTime"], spec["leaseTransitions"]) == (first["acquireTime"], 0)
    assert spec["renewTime"] > first["renewTime"]


async def test_a_leader_that_fell_silent_is_followed_a_whole_lease_after_its_last_sign(
    candidates: Candidates, fake_api: "FakeApi"
) -> None:
    await candidates.a.look()
    candidates.pass_s(500)  # nobody looked: how old the lease is by any clock does not matter
    assert not await candidates.b.look(), "seen for the first time only now"
    candidates.pass_s(TIMING.lease_s - 0.01)
    assert not await candidates.b.look()
    candidates.pass_s(0.02)
    assert await candidates.b.look()
    assert not candidates.a.held
    assert (fake_api.objects[LEASE]["spec"]["holderIdentity"], candidates.b.leader) == ("b", "b")
    assert fake_api.objects[LEASE]["spec"]["leaseTransitions"] == 1
    assert not await candidates.a.look(), "back from the dead, it follows"


def test_by_its_durations_a_leader_that_was_killed_is_followed_in_the_time_promised() -> None:
    """15 s by ADR 12, 4 of them to open the store and read the cluster; tests/kubernetes/test_serve_cluster.py counts
    the looks that processes take."""
    assert TIMING.lease_s + TIMING.look_every_s <= 15.0 - 4.0


async def test_a_lease_that_promises_longer_is_waited_for(candidates: Candidates, fake_api: "FakeApi") -> None:
    other = {"holderIdentity": "x", "leaseDurationSeconds": 60, "renewTime": "2001-01-01T00:00:00.000000Z"}
    await fake_api.put(LEASE, {"metadata": {}, "spec": other})
    assert not await candidates.a.look()
    candidates.pass_s(59)
    assert not await candidates.a.look()
    candidates.pass_s(1.01)
    assert await candidates.a.look()


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None}, {"holderIdentity": ""}])
async def test_a_lease_of_nobody_is_taken_at_once(
    candidates: Candidates, fake_api: "FakeApi", spec: dict[str, object] | None
) -> None:
    await fake_api.put(LEASE, {"metadata": {}, "spec": spec} if spec is not None else {"metadata": {}})
    assert await candidates.a.look()


async def test_a_leader_cut_off_stops_well_before_it_is_followed(candidates: Candidates, fake_api: "FakeApi") -> None:
    await candidates.a.look()
    await candidates.b.look()
    fake_api.refuse = lambda method, path: 503
    candidates.pass_s(TIMING.renew_deadline_s - 0.1)
    assert await candidates.a.look(), "a renewal may fail"
    candidates.pass_s(0.2)
    assert not candidates.a.held, "without anybody looking"
    assert not await candidates.a.look()
    fake_api.refuse = lambda method, path: None
    candidates.pass_s(TIMING.lease_s - TIMING.renew_deadline_s - 0.3)
    assert not await candidates.b.look()
    candidates.pass_s(0.3)
    assert await candidates.b.look()


async def test_the_time_of_a_renewal_is_when_it_was_sent(candidates: Candidates, fake_api: "FakeApi") -> None:
    """An answer that took long leaves less time, since others count from when the server wrote it."""
    await candidates.a.look()
    candidates.pass_s(2)
    renewal = asyncio.create_task(candidates.a.look())
    fake_api.pause()
    await fake_api.wait_for_request("PATCH", LEASE)
    candidates.pass_s(3)
    fake_api.resume()
    assert await renewal
    candidates.pass_s(TIMING.renew_deadline_s - 3.1)
    assert candidates.a.held
    candidates.pass_s(0.2)
    assert not candidates.a.held


async def test_a_leader_that_missed_its_deadline_does_not_renew_as_if_nothing_had_been(
    candidates: Candidates, fake_api: "FakeApi"
) -> None:
    """A frozen process that wakes up: what it would do next is by a right that it has lost."""
    await candidates.a.look()
    candidates.pass_s(TIMING.renew_deadline_s + 0.1)
    before = len(fake_api.requests)
    assert not await candidates.a.look()
    assert len(fake_api.requests) == before
    assert await candidates.a.look(), "it may stand again, and nobody else has come"


async def test_a_leader_whose_lease_was_taken_sees_it_at_its_next_renewal(
    candidates: Candidates, fake_api: "FakeApi"
) -> None:
    await candidates.a.look()
    taken = {**fake_api.objects[LEASE]["spec"], "holderIdentity": "x"}
    await fake_api.put(LEASE, {"metadata": {}, "spec": taken})
    candidates.pass_s(TIMING.renew_every_s)
    await candidates.a.look()  # a conflict: what it knew is old
    assert not await candidates.a.look()
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "x"


async def test_a_renewal_whose_answer_was_lost_is_no_conflict_with_itself(
    candidates: Candidates, fake_api: "FakeApi"
) -> None:
    await candidates.a.look()
    await fake_api.put(LEASE, {"metadata": {}, "spec": {**fake_api.objects[LEASE]["spec"], "renewTime": "later"}})
    candidates.pass_s(TIMING.renew_every_s)
    assert await candidates.a.look()
    candidates.pass_s(TIMING.renew_deadline_s - TIMING.renew_every_s - 0.1)
    assert await candidates.a.look()
    candidates.pass_s(TIMING.renew_deadline_s - 0.1)
    assert candidates.a.held, "the second try was a renewal"


async def test_a_deleted_lease_is_made_anew(candidates: Candidates, fake_api: "FakeApi") -> None:
    await candidates.a.look()
    await fake_api.remove(LEASE)
    await candidates.a.look()
    assert await candidates.a.look()
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "a"


async def test_a_released_lease_is_taken_at_the_next_look(candidates: Candidates, fake_api: "FakeApi") -> None:
    await candidates.a.look()
    await candidates.b.look()
    await candidates.a.release()
    assert not candidates.a.held
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == ""
    assert await candidates.b.look()
    assert not await candidates.a.look()
    await candidates.a.release()
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "b", "what is another's is not released"


async def test_a_leader_that_was_followed_unawares_releases_nothing(
    candidates: Candidates, fake_api: "FakeApi"
) -> None:
    await candidates.a.look()
    await fake_api.put(LEASE, {"metadata": {}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 10}})
    await candidates.a.release()
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "x"


async def test_a_leader_that_cannot_release_has_stopped_all_the_same(
    candidates: Candidates, fake_api: "FakeApi", caplog: pytest.LogCaptureFixture
) -> None:
    await candidates.a.look()
    fake_api.refuse = lambda method, path: 500
    await candidates.a.release()
    assert not candidates.a.held
    assert "runs out by itself" in caplog.text


async def test_trouble_is_told_once_and_never_raised(
    candidates: Candidates, fake_api: "FakeApi", caplog: pytest.LogCaptureFixture
) -> None:
    for status in (401, 403, 404, 409, 422, 429, 500, 503):
        fake_api.refuse = lambda method, path, status=status: status  # type: ignore[misc]
        assert not await candidates.a.look()
    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1
    await fake_api.stop()
    assert not await candidates.a.look()
    await fake_api.start()


SHORT = Timing(lease_s=1.0, renew_every_s=0.1, renew_deadline_s=0.6, look_every_s=0.1, request_s=0.2)
"""By the real clock: no test waits for anything but conditions, which a slow machine reaches later."""


async def test_win_and_keep_by_the_real_clock(cluster_api: ClusterApi, fake_api: "FakeApi") -> None:
    a = Election(cluster_api, "w-leader", "a", timing=SHORT)
    b = Election(cluster_api, "w-leader", "b", timing=SHORT)
    await a.win()
    keeping = asyncio.create_task(a.keep())
    winning = asyncio.create_task(b.win())
    renewed = renew_times(fake_api)
    await fake_api.wait(lambda: len(renewed()) > 5)
    assert a.held or keeping.done(), "unless the machine stood still"
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await a.release()
    await asyncio.wait_for(winning, 60)
    assert b.held or b.leader == "b"
    assert not a.held


async def test_a_server_that_says_nothing_ends_the_lead_and_hangs_nobody(
    cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    a = Election(cluster_api, "w-leader", "a", timing=SHORT)
    b = Election(cluster_api, "w-leader", "b", timing=SHORT)
    await a.win()
    winning = asyncio.create_task(b.win())
    fake_api.pause()
    await asyncio.wait_for(a.keep(), 60)
    assert not a.held
    assert not winning.done(), "nobody can win against a server that says nothing"
    fake_api.resume()
    await asyncio.wait_for(winning, 60)
    assert not a.held


def renew_times(fake_api: "FakeApi") -> "Callable[[], set[str]]":
    """The renewals by `a` that were seen so far."""

    def seen() -> set[str]:
        specs = [body["spec"] for body in fake_api.bodies if "renewTime" in body.get("spec", {})]
        return {spec["renewTime"] for spec in specs if spec["holderIdentity"] == "a"}

    return seen
