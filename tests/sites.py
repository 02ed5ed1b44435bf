"""Small sites by hand. A test that needs other figures replaces those it is about, and keeps the rest."""

from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site, Tenant
from orchestrator.domain.sla import SlaClass

QUARTER = timedelta(minutes=15)


def small_site() -> Site:
    """3.3 MW of machines and a pool of 320 GPUs at PUE 1.1.

    At 60 USD per PH/s per day the old fleet's hash is worth 86 USD/MWh in eco, 57 from there to normal, 45 to turbo;
    the new one's 181, 114 and 97.
    """
    old = (Mode("eco", 2400.0, 90.0), Mode("normal", 3000.0, 105.0), Mode("turbo", 3400.0, 113.0))
    new = (Mode("eco", 2900.0, 230.0), Mode("normal", 3600.0, 265.0), Mode("turbo", 4000.0, 282.0))
    return Site(
        name="small",
        timezone="UTC",
        grid=Grid(limit_kw=4000.0, measurement_uncertainty=0.01),
        feeders=(Feeder("a", 2000.0), Feeder("b", 2500.0)),
        cooling=Cooling(((20.0, 1.1),)),
        fleets=(
            replace(s21_fleet("a"), name="old", model="Old miner", modes=old),
            replace(s21_fleet("b"), name="new", model="New miner", modes=new),
        ),
        pools=(replace(h100_pool("b"), gpu_model="H100", nodes=40),),
        tenants=(
            Tenant("bank", SlaClass.GUARANTEED, 3.0, 1.0, 0),
            Tenant("flux", SlaClass.FLEXIBLE, 2.0, 0.5, 2),
            Tenant("lab", SlaClass.BEST_EFFORT, 1.0, 0.0, 6),
        ),
        stale=StalePolicies(
            price=PricePolicy(max_age=QUARTER, fallback_usd_per_mwh=100.0),
            telemetry_max_age=timedelta(minutes=1),
            temperature_max_age=timedelta(hours=2),
            temperature_assume_c=38.0,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=50.0,
        ),
        controls=Controls(
            tick=timedelta(seconds=5),
            verify_within=timedelta(minutes=1),
            lease=timedelta(minutes=5),
            price_persistence=timedelta(hours=1),
        ),
    )


def three_rack_site() -> Site:
    """Three racks of 10 machines and two nodes of 4 GPUs, all of one feeder: few enough to be processes or pods."""
    small = small_site()
    return replace(
        small,
        grid=replace(small.grid, limit_kw=200.0),
        feeders=(Feeder("A", 200.0),),
        fleets=(replace(s21_fleet("A"), racks=3, machines_per_rack=10),),
        pools=(replace(h100_pool("A"), nodes=2, gpus_per_node=4),),
        tenants=(Tenant("lab", SlaClass.FLEXIBLE, 2.5, 0.2, 4),),
        stale=replace(
            small.stale,
            price=PricePolicy(max_age=timedelta(minutes=20), fallback_usd_per_mwh=50.0),
            temperature_assume_c=35.0,
            hashprice_assume_usd_per_ph_day=60.0,
        ),
        controls=replace(small.controls, tick=timedelta(minutes=1), verify_within=timedelta(minutes=2)),
    )


def at_once(site: Site) -> Site:
    """The same, but racks wake at once and may be moved at any time."""
    none = timedelta(0)
    return replace(site, fleets=tuple(replace(fleet, warm_up=none, min_on=none, min_off=none) for fleet in site.fleets))


def s21_fleet(feeder: str) -> Fleet:
    """Four racks of 100 machines."""
    return Fleet(
        name="s21",
        model="Antminer S21",
        feeder=feeder,
        racks=4,
        machines_per_rack=100,
        modes=(Mode("eco", 2800.0, 175.0), Mode("normal", 3500.0, 200.0)),
        default_mode="normal",
        sleep_w=15.0,
        warm_up=timedelta(minutes=8),
        min_on=QUARTER,
        min_off=QUARTER,
    )


def h100_pool(feeder: str) -> GpuPool:
    """Four nodes of 8 GPUs."""
    return GpuPool(
        name="h100",
        gpu_model="NVIDIA H100 80GB HBM3",
        feeder=feeder,
        nodes=4,
        gpus_per_node=8,
        gpu_power_w=700.0,
        gpu_min_power_w=200.0,
        gpu_idle_w=70.0,
        node_overhead_w=1800.0,
    )
