"""One figure of power at each place, and what of it is measured, assumed or claimed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.units import power_text
from orchestrator.domain.unread import Basis, Unread
from orchestrator.explain.power_words import share_text
from orchestrator.observe.power_shares import PowerShares, Share, power_shares
from orchestrator.observe.readings.plausibility import judged
from tests.scenes import NOW, Scene, metered
from tests.sites import small_site

SITE = replace(
    small_site(),
    pools=tuple(replace(pool, nodes=4) for pool in small_site().pools),
)
RACKS = [rack for _, rack in SITE.racks()]
NODES = [node for _, node in SITE.nodes()]
PUE = 1.1
SECOND = timedelta(seconds=1)


def moment(
    site: Site = SITE,
    kw: dict[str, float | None] | None = None,
    meters_kw: dict[str, float] | None = None,
    before: Snapshot | None = None,
    racks: Mapping[str, Mapping[str, int]] | None = None,
) -> Snapshot:
    scene = Scene(site, kw=kw or {}, meters_kw=meters_kw or {}, before=before, racks=dict(racks or {}), judge=judged)
    return scene.snapshot()


def _a_second_old(site: Site, telemetry: Telemetry) -> Telemetry:
    readings = {
        metric: {name: replace(it, at=NOW - SECOND) for name, it in telemetry.readings(metric).items()}
        for metric in Metric
    }
    return Telemetry.of(telemetry.at, readings)


def shares_at(share: PowerShares) -> list[Share]:
    return [share.grid, *share.feeders.values(), *share.fleets.values(), *share.pools.values()]


SAID = st.one_of(st.none(), st.floats(0.0, 1.2), st.just(1000.0))
"""What a device says, as a share of its nameplate: nothing, what it may draw, what can't be true."""


@given(
    racks=st.lists(SAID, min_size=len(RACKS), max_size=len(RACKS)),
    nodes=st.lists(SAID, min_size=len(NODES), max_size=len(NODES)),
    meters=st.fixed_dictionaries({}, optional=dict.fromkeys(("grid", "a", "b"), st.floats(0.0, 1.2))),
    seen_before=st.booleans(),
    asked_up=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_measured_and_assumed_are_the_figure_everywhere(
    racks: list[float | None],
    nodes: list[float | None],
    meters: dict[str, float],
    seen_before: bool,
    asked_up: bool,
) -> None:
    site = metered(SITE, *meters)
    rack_kw = {rack: fleet.rack_nameplate_kw for fleet, rack in site.racks()}
    node_kw = {node: pool.node_nameplate_kw for pool, node in site.nodes()}
    kw: dict[str, float | None] = {
        device: None if share is None else share * nameplate_kw
        for (device, nameplate_kw), share in zip((rack_kw | node_kw).items(), [*racks, *nodes], strict=True)
    }
    asleep = {fleet.name: {SLEEP: fleet.racks} for fleet in site.fleets}
    before = moment(site, racks=asleep if asked_up else {}) if seen_before else None
    nameplate_kw = (sum(rack_kw.values()) + sum(node_kw.values())) * PUE
    snapshot = moment(site, kw, {name: share * nameplate_kw for name, share in meters.items()}, before)
    shares = power_shares(snapshot)
    for share in shares_at(shares):
        assert share.kw >= 0.0
        assert share.measured_kw + share.assumed_kw == pytest.approx(share.kw)
        assert -1e-6 <= share.assumed_kw <= share.kw + 1e-6
        assert not share.assumed or sum(of.devices for of in share.assumed.values()) > 0
    believed = {device: said for device, said in kw.items() if said is not None and device not in snapshot.suspect}
    for fleet in site.fleets:
        read_kw = sum(said for rack, said in believed.items() if rack in fleet.rack_names())
        assert shares.fleets[fleet.name].measured_kw == pytest.approx(read_kw, abs=1e-6)
    for pool in site.pools:
        read_kw = sum(said for node, said in believed.items() if node in pool.node_names())
        assert shares.pools[pool.name].measured_kw == pytest.approx(read_kw, abs=1e-6)
    uses_kw = shares.mining_kw + shares.hpc_kw + shares.overhead_kw
    assert uses_kw + shares.residual_kw == pytest.approx(shares.grid.kw)
    claimed = {device for device, said in kw.items() if said is not None and device in snapshot.suspect}
    assert shares.grid.claimed_kw == pytest.approx({device: kw[device] for device in claimed})
    for name, meter in snapshot.meters.meters.items():
        if meter.kw is not None:
            assert (shares.grid if name == "grid" else shares.feeders[name]).kw == meter.kw
    if not shares.grid.metered:
        assert shares.grid.kw == pytest.approx(sum(share.kw for share in shares.feeders.values()))


def test_all_measured_is_said_in_two_words() -> None:
    shares = power_shares(moment())
    assert shares.grid.assumed == {}
    assert share_text(shares.grid) == "all measured"
    assert shares.residual_kw == pytest.approx(0.0)


def test_silent_racks_count_at_their_setpoint_and_are_named_as_assumed() -> None:
    before = moment()
    shares = power_shares(moment(kw=dict.fromkeys(RACKS[:1]), before=before))
    old = SITE.fleets[0]
    assumed_kw = old.rack_kw(old.default_mode)
    assert shares.fleets["old"].assumed == {Basis.SETPOINT: Unread(1, assumed_kw)}
    assert shares.grid.assumed_kw == pytest.approx(assumed_kw * PUE)
    assert shares.feeders["b"].assumed_kw == 0.0
    assert shares.grid.kw == pytest.approx(power_shares(before).grid.kw)
    measured_kw = shares.grid.kw - assumed_kw * PUE
    told = (
        f"{power_text(measured_kw)} measured, {power_text(assumed_kw * PUE)} assumed of 1 silent rack at the setpoint"
    )
    assert share_text(shares.grid) == told


def test_a_suspect_reading_is_told_beside_the_figure_and_not_in_it() -> None:
    before = moment()
    shares = power_shares(moment(kw={NODES[0]: 1000.0}, before=before))
    assert shares.grid.kw == pytest.approx(power_shares(before).grid.kw, rel=0.01)
    assert shares.pools["h100"].claimed_kw == {NODES[0]: 1000.0}
    assert shares.feeders["a"].claimed_kw == {}
    assert share_text(shares.grid).endswith("silent node at the jobs' share; 1 suspect reading (1.0 MW) not counted")


def test_a_dark_fleet_is_held_on_trust_and_a_device_never_read_counts_at_nameplate() -> None:
    before = moment()
    dark = power_shares(moment(kw=dict.fromkeys(SITE.fleets[0].rack_names()), before=before))
    assert set(dark.fleets["old"].assumed) == {Basis.TRUST}
    assert dark.fleets["old"].measured_kw == pytest.approx(0.0)
    unknown = power_shares(moment(kw={RACKS[0]: None}))
    assert unknown.fleets["old"].assumed == {Basis.NAMEPLATE: Unread(1, SITE.fleets[0].rack_nameplate_kw)}


def test_a_rack_asked_up_counts_at_its_setpoint_until_it_is_read() -> None:
    """It was read a second before it was asked."""
    fleet = SITE.fleets[0]
    asleep_kw = fleet.rack_kw(SLEEP)
    asleep = dict.fromkeys(fleet.rack_names(), asleep_kw)
    before = moment(kw=dict(asleep), racks={"old": {SLEEP: fleet.racks}})
    scene = Scene(SITE, kw=dict(asleep), before=before, moved={"old": NOW}, judge=_a_second_old)
    shares = power_shares(scene.snapshot())
    beyond_kw = fleet.racks * (fleet.rack_kw(fleet.default_mode) - asleep_kw)
    (of,) = shares.fleets["old"].assumed.values()
    assert (set(shares.fleets["old"].assumed), of.devices) == ({Basis.WAKING}, fleet.racks)
    assert of.kw == pytest.approx(beyond_kw)


def test_behind_a_fresh_meter_silent_devices_have_what_it_leaves() -> None:
    site = metered(SITE, "grid")
    before = moment(site, meters_kw={"grid": power_shares(moment()).grid.kw})
    drawn_kw = power_shares(before).grid.kw - 50.0
    shares = power_shares(moment(site, {RACKS[0]: None}, {"grid": drawn_kw}, before))
    assert shares.grid.kw == drawn_kw
    assert set(shares.grid.assumed) == {Basis.METER}
    read_kw = shares.grid.measured_kw
    assert shares.fleets["old"].assumed_kw == pytest.approx((drawn_kw - read_kw) / PUE)
    assert sum(share.kw for share in shares.feeders.values()) == pytest.approx(drawn_kw)
    assert shares.residual_kw == pytest.approx(0.0)
    assert share_text(shares.grid).startswith("by the meter: ")
    assert share_text(shares.grid).endswith("assumed of 1 device at what the meter leaves")


def test_what_a_meter_shows_beyond_its_devices_is_its_residual() -> None:
    site = metered(SITE, "grid")
    counted_kw = power_shares(moment()).grid.kw
    shares = power_shares(moment(site, meters_kw={"grid": counted_kw + 40.0}))
    assert shares.grid.kw == counted_kw + 40.0
    assert shares.residual_kw == pytest.approx(40.0)
    assert share_text(shares.grid) == "by the meter"


def test_a_part_that_does_not_answer_is_assumed_within_the_reading_of_its_device() -> None:
    def in_part(site: Site, telemetry: Telemetry) -> Telemetry:
        readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
        for metric, device, assumed_w in ((Metric.ASIC_POWER, RACKS[0], 2000.0), (Metric.NODE_POWER, NODES[0], 700.0)):
            readings[metric][device] = replace(readings[metric][device], assumed=assumed_w)
        return telemetry.with_readings(readings)

    shares, whole = power_shares(Scene(SITE, judge=in_part).snapshot()), power_shares(moment())
    assert shares.grid.kw == pytest.approx(whole.grid.kw)
    assert (shares.grid.silent_racks, shares.grid.silent_nodes) == (0, 0)
    assert shares.fleets["old"].assumed == {Basis.PARTS: Unread(1, 2.0)}
    assert shares.pools["h100"].assumed == {Basis.PARTS: Unread(1, 0.7)}
    assert share_text(shares.grid).endswith("3.0 kW assumed of 2 devices read in part")
