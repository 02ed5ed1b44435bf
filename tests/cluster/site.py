"""A small site for tests on clusters, real and fake."""

from datetime import timedelta

from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site import (
    Controls,
    Cooling,
    Feeder,
    Fleet,
    GpuPool,
    Grid,
    Mode,
    Site,
    StalePolicies,
    Tenant,
)
from orchestrator.domain.sla import SlaClass


def small_site() -> Site:
    """Three racks and two nodes of 4 GPUs."""
    return Site(
        name="small",
        timezone="UTC",
        grid=Grid(limit_kw=200.0, measurement_uncertainty=0.01),
        feeders=(Feeder("A", 200.0),),
        cooling=Cooling(((20.0, 1.1),)),
        fleets=(
            Fleet(
                name="s21",
                model="Antminer S21",
                feeder="A",
                racks=3,
                machines_per_rack=10,
                modes=(Mode("eco", 2800.0, 175.0), Mode("normal", 3500.0, 200.0)),
                default_mode="normal",
                sleep_w=15.0,
                warm_up=timedelta(0),
                min_on=timedelta(0),
                min_off=timedelta(0),
            ),
        ),
        pools=(
            GpuPool(
                name="h100",
                gpu_model="NVIDIA H100 80GB HBM3",
                feeder="A",
                nodes=2,
                gpus_per_node=4,
                gpu_power_w=700.0,
                gpu_min_power_w=200.0,
                gpu_idle_w=70.0,
                node_overhead_w=1800.0,
            ),
        ),
        tenants=(Tenant("lab", SlaClass.FLEXIBLE, 2.5, 0.2, 4),),
        stale=StalePolicies(
            price=PricePolicy(timedelta(minutes=20), 50.0),
            telemetry_max_age=timedelta(seconds=60),
            temperature_max_age=timedelta(hours=2),
            temperature_assume_c=35.0,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=60.0,
        ),
        controls=Controls(
            tick=timedelta(seconds=60),
            verify_within=timedelta(seconds=120),
            lease=timedelta(minutes=5),
            outlook=timedelta(hours=1),
        ),
    )
