"""Meters for the fake desk: one that is fresh and leaves something unexplained, one that cannot be true."""

from datetime import datetime

from orchestrator.domain.metering.metered import Bias, Learnt, MeterStatus, SiteMeters
from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.target import GRID_CONNECTION, Target


def some_meters(now: datetime) -> SiteMeters:
    return SiteMeters(
        {
            "grid": MeterStatus(
                at=GRID_CONNECTION,
                reading=Reading(8e7, "W", now, Quality.FRESH),
                devices_kw=78_500.0,
                unseen=3,
            ),
            "north": MeterStatus(
                at=Target.feeder("north"),
                reading=Reading(4e7, "W", now, Quality.SUSPECT, "40 MW come by; at most 33 MW can be drawn behind it"),
                devices_kw=20_000.0,
                unseen=0,
            ),
        },
        Learnt(
            at=now,
            biases=(
                Bias(Target.fleet("s21"), share=0.09, spread=0.004, before=0.01),
                Bias(Target.fleet("s19"), share=0.02, spread=0.004, before=0.01),
            ),
        ),
    )
