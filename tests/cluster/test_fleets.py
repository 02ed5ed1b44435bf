"""Fleets on a real cluster: what a move leaves on the object, which pods go, and who else may scale."""

import json
from datetime import timedelta

import pytest

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, PODS, STATEFUL_SETS
from orchestrator.adapters.workloads.kubernetes.times import instant, stamp
from orchestrator.domain.decision import SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from tests.cluster.kind_cluster import until_there
from tests.cluster.objects import deployment, stateful_set
from tests.cluster.world import World, eventually, fleet, moved, now, refused, until_view, view

pytestmark = pytest.mark.cluster

ALL = SetFleet("s21", RackMix({"normal": 3}))
TWO = SetFleet("s21", RackMix({"normal": 2, SLEEP: 1}))


async def replicas(world: World) -> int:
    document = await world.api.get(DEPLOYMENTS, "s21")
    assert document is not None
    return int(document["spec"]["replicas"])


async def test_a_move_is_told_on_the_object(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, SetFleet("s21", RackMix({"normal": 2, "eco": 1})), "cheap power, 12 USD/MWh")
        lowered_at = now()
        await moved(driver, SetFleet("s21", RackMix({"eco": 1, SLEEP: 2})), "price 900 USD/MWh")
        document = await world.api.get(DEPLOYMENTS, "s21")
        assert document is not None
        annotations = document["metadata"]["annotations"]
        assert json.loads(annotations[keys.BEFORE]) == {"replicas": 3, "racks": {"normal": 2, "eco": 1}}
        assert annotations[keys.REASON] == "price 900 USD/MWh"
        decided = instant(annotations[keys.DECIDED_AT])
        assert lowered_at <= decided <= now()
        assert instant(annotations[keys.LAST_DOWN_AT]) == instant(annotations[keys.LAST_SLEEP_AT]) == decided
        assert instant(annotations[keys.LAST_UP_AT]) < lowered_at
        assert document["spec"]["replicas"] == 1
        down = await world.until_told("s21", "PowerDown")
        assert (down.kind, down.note, down.warning) == ("Deployment", "price 900 USD/MWh", False)
        assert (await world.until_told("s21", "PowerUp")).note == "cheap power, 12 USD/MWh"
    described = await world.kubectl("describe", "deployment", "s21")
    events = described.partition("\nEvents:")[2]
    assert "PowerDown" in events
    assert "price 900 USD/MWh" in events
    # Power that comes back leaves what was before the power-down on record.
    async with world.driver() as driver:
        await moved(driver, ALL, "price 20 USD/MWh")
        document = await world.api.get(DEPLOYMENTS, "s21")
        assert document is not None
        assert document["metadata"]["annotations"][keys.BEFORE] == annotations[keys.BEFORE]


async def test_the_pods_of_the_racks_that_sleep_first_go(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, ALL)
        pods = await world.until_tended("s21", 3)
        for rack in ("s21/rack-1", "s21/rack-0"):
            before = pods
            left = [other for other in before if other != rack]
            await moved(driver, SetFleet("s21", RackMix({"normal": len(left), SLEEP: 3 - len(left)}), (rack,)))
            assert (await fleet(driver)).rack_modes[rack] == SLEEP
            pods = await world.until_tended("s21", len(left))
            assert pods == {other: before[other] for other in left}


async def test_a_stateful_set_loses_its_highest_ordinals_and_their_racks_sleep(world: World) -> None:
    await world.api.create(STATEFUL_SETS, stateful_set("s21"))
    async with world.driver() as driver:
        await moved(driver, ALL)
        before = await world.until_tended("s21", 3)
        assert set(before.values()) == {"s21-0", "s21-1", "s21-2"}
        kept = {rack: pod for rack, pod in before.items() if pod == "s21-0"}
        first = next(iter(kept))
        # The rack of ordinal 0 is the least efficient; its pod stays all the same.
        await moved(driver, SetFleet("s21", RackMix({"normal": 1, SLEEP: 2}), (first,)))
        assert (await fleet(driver)).rack_modes[first] == "normal"
        assert await world.until_tended("s21", 1) == kept
        document = await world.api.get(STATEFUL_SETS, "s21")
        assert document is not None
        assert document["spec"]["replicas"] == 1


async def test_a_rack_that_loses_its_pod_gets_the_one_that_follows(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, TWO)
        before = await world.until_tended("s21", 2)
        (rack, gone), (other, kept) = before.items()
        await world.api.request("DELETE", PODS.path(world.api.namespace, gone))

        async def replaced() -> bool:
            agents = (await world.setpoints())["agents"]
            return rack in agents and agents[rack] != gone

        await eventually(replaced, lambda: f"{rack} has no new pod")
        after = await world.until_tended("s21", 2)
        assert after[other] == kept
        assert (await fleet(driver)).racks.awake == 2


async def test_what_an_operator_scales_by_hand_is_taken_over(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, ALL)
        await world.until_tended("s21", 3)
        before = await fleet(driver)
        await world.kubectl("scale", "deployment", "s21", "--replicas=1")
        lowered = (await until_view(driver, lambda seen: seen.fleets["s21"].racks.awake == 1)).fleets["s21"]
        assert lowered.last_down_at == lowered.last_sleep_at > before.last_down_at
        await world.until_tended("s21", 1)
        told = await world.until_told("s21", "ScaledByOther")
        assert told.note == "1 replicas were set by someone else; 3 racks were awake"
        await world.kubectl("scale", "deployment", "s21", "--replicas=2")
        raised = (await until_view(driver, lambda seen: seen.fleets["s21"].racks.awake == 2)).fleets["s21"]
        assert raised.racks["normal"] == 2, "woken racks are in the default mode"
        assert raised.last_up_at == raised.last_wake_at > lowered.last_down_at
        await world.until_tended("s21", 2)
        assert await replicas(world) == 2
        # From there the driver goes on.
        await moved(driver, ALL)
        await world.until_tended("s21", 3)


async def test_more_replicas_than_racks_wake_all_racks_and_no_more_pods_stay(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        before = await fleet(driver)
        await world.kubectl("scale", "deployment", "s21", "--replicas=4")
        told = await world.until_told("s21", "TooManyReplicas")
        assert told.note == "the fleet has 3 racks and there were 4 replicas"
        after = await fleet(driver)
        assert after.racks.awake == 3
        assert after.last_down_at == before.last_down_at, "no power went down"
        await world.until_tended("s21", 3)
        assert await replicas(world) == 3


async def test_a_held_fleet_stays_until_the_hold_is_over(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        until = now() + timedelta(hours=1)
        await world.kubectl("annotate", "deployment", "s21", f"{keys.HOLD_UNTIL}={stamp(until)}")
        await until_view(driver, lambda seen: bool(seen.fleets["s21"].held))
        why = await refused(driver, ALL, "cheap power")
        assert f"held by an operator until {until:%F %T} UTC" in why
        told = await world.until_told("s21", "MoveRefused")
        assert told.warning
        assert "held by an operator" in told.note
        assert "cheap power" in told.note
        assert await replicas(world) == 0
        assert set((await world.setpoints())["racks"].values()) == {SLEEP}
        assert not (await driver.observe(until)).fleets["s21"].held, "a hold ends by itself"
        await world.kubectl("annotate", "deployment", "s21", f"{keys.HOLD_UNTIL}-")
        await until_view(driver, lambda seen: not seen.fleets["s21"].held)
        await moved(driver, ALL)


async def test_a_fleet_with_an_autoscaler_is_refused(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21", 1))
    async with world.driver() as driver:
        await world.kubectl("autoscale", "deployment", "s21", "--name=busy", "--min=1", "--max=3", "--cpu=50%")
        await until_view(driver, lambda seen: bool(seen.fleets["s21"].held))
        why = await refused(driver, ALL)
        assert "HorizontalPodAutoscaler busy scales Deployment s21" in why
        assert "HorizontalPodAutoscaler busy" in (await world.until_told("s21", "MoveRefused")).note
        assert await replicas(world) == 1
        await world.api.request("DELETE", AUTOSCALERS.path(world.api.namespace, "busy"))
        await until_view(driver, lambda seen: not seen.fleets["s21"].held)
        await moved(driver, ALL)


# Starts


async def test_a_first_start_takes_running_fleets_over(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21", 2))
    async with world.driver() as driver:
        assert (await fleet(driver)).racks["normal"] == 2
        await world.until_tended("s21", 2)
        assert await replicas(world) == 2


async def test_setpoints_without_their_scale_are_finished_towards_less_power(world: World) -> None:
    """A controller died when it had put a rack to sleep and its pod was not yet told to go."""
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, ALL)
        before = await world.until_tended("s21", 3)
    content = await world.setpoints()
    content["racks"]["s21/rack-1"] = SLEEP
    content["generation"] += 1
    await world.api.patch(CONFIG_MAPS, "w-setpoints", {"data": {"setpoints.json": json.dumps(content)}})
    async with world.driver() as driver:
        assert await replicas(world) == 2
        assert (await fleet(driver)).rack_modes["s21/rack-1"] == SLEEP
        assert "finished what was begun" in (await world.until_told("s21", "PowerDown")).note
        after = await world.until_tended("s21", 2)
        assert after.keys() == before.keys() - {"s21/rack-1"}


async def test_a_scale_without_its_setpoints_is_finished_towards_less_power(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, ALL)
    await world.kubectl("scale", "deployment", "s21", "--replicas=1")
    async with world.driver() as driver:
        assert (await fleet(driver)).racks.awake == 1
        assert await replicas(world) == 1
        await world.until_tended("s21", 1)


# Setpoints that others touch


async def test_setpoints_that_are_deleted_are_written_again(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, TWO)
        await world.until_tended("s21", 2)
        before = await world.setpoints()
        await world.kubectl("delete", "configmap", "w-setpoints", "--wait=false")
        await until_there(world.api, CONFIG_MAPS, "w-setpoints", lambda document: True)
        after = await world.setpoints()
        assert (after["racks"], after["agents"]) == (before["racks"], before["agents"])
        assert after["generation"] > before["generation"]
        assert (await fleet(driver)).racks.awake == 2


async def test_setpoints_that_are_damaged_are_written_again(world: World) -> None:
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, TWO)
        await world.until_tended("s21", 2)
        before = await world.setpoints()
        await world.api.patch(CONFIG_MAPS, "w-setpoints", {"data": {"setpoints.json": '{"racks": ['}})

        async def mended() -> bool:
            document = await world.api.get(CONFIG_MAPS, "w-setpoints")
            return document is not None and document["data"]["setpoints.json"] != '{"racks": ['

        await eventually(mended, lambda: "still damaged")
        after = await world.setpoints()
        assert (after["racks"], after["agents"]) == (before["racks"], before["agents"])
        assert after["generation"] > before["generation"]
        assert (await view(driver)).synced


async def test_a_start_on_damaged_setpoints_takes_running_fleets_over(world: World) -> None:
    """What cannot be read says nothing: a fleet that runs is not put to sleep for it."""
    await world.api.create(DEPLOYMENTS, deployment("s21"))
    async with world.driver() as driver:
        await moved(driver, TWO)
    await world.api.patch(CONFIG_MAPS, "w-setpoints", {"data": {"setpoints.json": "?"}})
    async with world.driver() as driver:
        assert (await fleet(driver)).racks.awake == 2
        assert await replicas(world) == 2
        assert (await world.setpoints())["racks"]["s21/rack-0"] == "normal"
