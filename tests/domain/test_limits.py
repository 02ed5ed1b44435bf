"""Which caps hold at a moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.limits import Authority, Cap, Curtailment, limits_due, limits_now
from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site
from orchestrator.domain.target import GRID_CONNECTION, Target

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
SITE = Site(
    name="texas",
    timezone="America/Chicago",
    grid=Grid(limit_kw=100_000.0, measurement_uncertainty=0.01),
    feeders=(Feeder("north", 60_000.0), Feeder("south", 50_000.0)),
    cooling=Cooling(((20.0, 1.1),)),
    fleets=(),
    pools=(),
    tenants=(),
    stale=StalePolicies(PricePolicy(15 * MINUTE, 100.0), MINUTE, MINUTE, 35.0, MINUTE, 60.0),
    controls=Controls(MINUTE / 4, 2 * MINUTE, 5 * MINUTE, 30 * MINUTE),
)
ORDER = Curtailment(
    id="c-1",
    limit_kw=40_000.0,
    shed_kw=None,
    start=NOW,
    until=NOW + 60 * MINUTE,
    response=10 * MINUTE,
    reason="ERCOT EEA2",
    source="operator",
)
NORTH = Target.feeder("north")
CONNECTION = Cap(100_000.0, GRID_CONNECTION)
ORDERED = Cap(40_000.0, GRID_CONNECTION, Authority.ORDER, "c-1")


def test_without_orders_the_connection_and_the_feeders_hold() -> None:
    for limits in (limits_now(SITE, [], NOW), limits_due(SITE, [], NOW)):
        assert limits.grid == CONNECTION
        assert limits.feeder("north") == Cap(60_000.0, NORTH)
        assert limits.feeder("south") == Cap(50_000.0, Target.feeder("south"))


@pytest.mark.parametrize(
    ("at", "to_keep", "to_judge_by"),
    [
        (NOW - MICROSECOND, CONNECTION, CONNECTION),
        (NOW, ORDERED, CONNECTION),
        (NOW + 10 * MINUTE - MICROSECOND, ORDERED, CONNECTION),
        (NOW + 10 * MINUTE, ORDERED, ORDERED),
        (NOW + 60 * MINUTE - MICROSECOND, ORDERED, ORDERED),
        (NOW + 60 * MINUTE, CONNECTION, CONNECTION),
    ],
)
def test_an_order_binds_at_once_and_is_judged_after_its_response_time(
    at: datetime, to_keep: Cap, to_judge_by: Cap
) -> None:
    assert limits_now(SITE, [ORDER], at).grid == to_keep
    assert limits_due(SITE, [ORDER], at).grid == to_judge_by


@pytest.mark.parametrize(("at", "cap"), [(NOW + 20 * MINUTE - MICROSECOND, ORDERED), (NOW + 20 * MINUTE, CONNECTION)])
def test_a_cancelled_order_holds_until_it_was_cancelled(at: datetime, cap: Cap) -> None:
    order = replace(ORDER, cancelled_at=NOW + 20 * MINUTE)
    assert limits_now(SITE, [order], at).grid == cap
    assert limits_due(SITE, [order], at).grid == cap


def test_an_order_above_the_connection_never_raises_it() -> None:
    assert limits_now(SITE, [replace(ORDER, limit_kw=120_000.0)], NOW).grid == CONNECTION


def test_an_order_holds_at_its_place_alone() -> None:
    of_site, of_feeder = limits_now(SITE, [ORDER], NOW), limits_now(SITE, [replace(ORDER, at=NORTH)], NOW)
    assert {at: cap.source for at, cap in of_site.tightest.items() if cap.id} == {GRID_CONNECTION: "curtailment c-1"}
    assert {at: cap.source for at, cap in of_feeder.tightest.items() if cap.id} == {NORTH: "curtailment c-1"}


def test_an_order_for_a_feeder_that_the_site_has_no_more_holds_nowhere() -> None:
    assert limits_now(SITE, [replace(ORDER, at=Target.feeder("gone"))], NOW) == limits_now(SITE, [], NOW)


def test_the_lowest_of_several_orders_holds_and_the_next_when_it_ends() -> None:
    lower = replace(ORDER, id="c-2", limit_kw=10_000.0, until=NOW + 30 * MINUTE)
    for orders in ([ORDER, lower], [lower, ORDER]):
        assert limits_now(SITE, orders, NOW).grid == Cap(10_000.0, GRID_CONNECTION, Authority.ORDER, "c-2")
        assert limits_now(SITE, orders, NOW + 30 * MINUTE).grid == ORDERED


def test_a_lower_order_not_yet_due_does_not_hide_one_that_is() -> None:
    later = replace(ORDER, id="c-2", limit_kw=10_000.0, start=NOW + 15 * MINUTE)
    assert limits_now(SITE, [ORDER, later], NOW + 20 * MINUTE).grid == later.cap
    assert limits_due(SITE, [ORDER, later], NOW + 20 * MINUTE).grid == ORDERED


def test_usable_power_leaves_room_for_the_uncertainty_of_measurement() -> None:
    limits = limits_now(SITE, [ORDER], NOW)
    assert limits.usable_kw(limits.grid) == pytest.approx(39_600.0)
    assert limits.usable_kw(limits.feeder("north")) == pytest.approx(59_400.0)


orders = st.builds(
    Curtailment,
    id=st.uuids().map(str),
    limit_kw=st.floats(0, 200_000),
    shed_kw=st.none(),
    start=st.integers(-60, 60).map(lambda m: NOW + m * MINUTE),
    until=st.integers(0, 120).map(lambda m: NOW + m * MINUTE),
    response=st.integers(0, 30).map(lambda m: m * MINUTE),
    reason=st.just(""),
    source=st.just("operator"),
    cancelled_at=st.none() | st.integers(-60, 60).map(lambda m: NOW + m * MINUTE),
    at=st.sampled_from([GRID_CONNECTION, NORTH]),
)


@given(st.lists(orders, max_size=6))
@ANY_SPEED
def test_what_is_to_be_kept_is_never_above_what_is_judged_by(given_orders: list[Curtailment]) -> None:
    keep, judge = limits_now(SITE, given_orders, NOW), limits_due(SITE, given_orders, NOW)
    for at, own_kw in ((GRID_CONNECTION, SITE.grid.limit_kw), (NORTH, SITE.feeders[0].limit_kw)):
        assert keep.tightest[at].limit_kw <= judge.tightest[at].limit_kw <= own_kw
        held = [order.limit_kw for order in given_orders if order.in_force(NOW) and order.at == at]
        assert keep.tightest[at].limit_kw == min([*held, own_kw])
