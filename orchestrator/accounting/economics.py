"""What a watt earns, in USD per MWh at the grid connection.

A fleet is worth running in a mode while its hash pays more than the energy: with efficiency e in J/TH,
hashprice h in USD per PH/s per day and PUE u, one MWh at the grid buys 3.6e9 / (u e) TH, and a TH is worth
h / (1000 x 86,400) USD, hence 41.67 h / (u e) USD/MWh.
"""

import itertools
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH, KWH_PER_MWH, SECONDS_PER_HOUR


def hash_revenue_usd(hashes: float, hashprice_usd_per_ph_day: float) -> float:
    """What `hashes` hashes earn at a hashprice in USD per PH/s per day."""
    return hashes / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day


def mining_value_usd_per_mwh(power_w: float, hashrate_ths: float, hashprice_usd_per_ph_day: float, pue: float) -> float:
    """What a machine's hash earns per MWh drawn from the grid."""
    usd_per_hour = hash_revenue_usd(hashrate_ths * 1e12 * SECONDS_PER_HOUR, hashprice_usd_per_ph_day)
    mwh_per_hour = power_w * pue * SECONDS_PER_HOUR / JOULES_PER_KWH / KWH_PER_MWH
    return usd_per_hour / mwh_per_hour


@dataclass(frozen=True, slots=True)
class ModeStep:
    """A rise of one rack from one mode to the next better one, on the concave hull of its modes."""

    from_mode: str
    to_mode: str
    rise_kw: float
    """IT power of one rack."""
    value_usd_per_mwh: float
    """What the rise earns per MWh more at the grid; descends from step to step."""


def mode_steps(fleet: Fleet, hashprice_usd_per_ph_day: float, pue: float) -> tuple[ModeStep, ...]:
    """Steps from sleep up through the modes, worth less and less per MWh.

    Modes under the concave hull of (power, hash) are left out: a mix of their neighbours is better.
    """
    points = [(SLEEP, fleet.sleep_w, 0.0)] + [(m.name, m.power_w, m.hashrate_ths) for m in fleet.modes]
    hull = [points[0]]
    while hull[-1] is not points[-1]:
        at = points.index(hull[-1])
        best = max(
            points[at + 1 :],
            key=lambda point: ((point[2] - hull[-1][2]) / (point[1] - hull[-1][1]), point[1]),
        )
        if best[2] <= hull[-1][2]:
            break  # more power, no more hash: never worth it
        hull.append(best)
    return tuple(
        ModeStep(
            from_mode=low[0],
            to_mode=high[0],
            rise_kw=fleet.machines_per_rack * (high[1] - low[1]) / 1000.0,
            value_usd_per_mwh=mining_value_usd_per_mwh(
                high[1] - low[1], high[2] - low[2], hashprice_usd_per_ph_day, pue
            ),
        )
        for low, high in itertools.pairwise(hull)
    )


def wake_value_usd_per_mwh(value_usd_per_mwh: float, warm_up: timedelta, stay: timedelta) -> float:
    """The value of waking a rack that then stays awake for `stay`, its warm-up counted against it.

    The warm-up draws power and hashes nothing, so only `stay - warm_up` of `stay` earns.
    """
    return value_usd_per_mwh * max(1.0 - warm_up / stay, 0.0)


def sleep_threshold_usd_per_mwh(value_usd_per_mwh: float, warm_up: timedelta, away: timedelta) -> float:
    """The price above which sleeping for `away` and warming up again beats staying awake.

    Asleep for `away` saves price x away and gives up value x (away + warm_up) of hash; the warm-up's energy is
    bought either way. So it pays above value x (1 + warm_up / away).
    """
    return value_usd_per_mwh * (1.0 + warm_up / away)


def job_value_usd_per_mwh(gpus: int, tenant: Tenant, rise_kw: float, pue: float) -> float:
    """What a job running on `gpus` GPUs earns per MWh at the grid."""
    return tenant.usd_per_gpu_h * gpus / (rise_kw * pue) * KWH_PER_MWH


def job_pause_threshold_usd_per_mwh(
    value_usd_per_mwh: float, restart: timedelta, lost: timedelta, credit_usd_per_mwh: float, away: timedelta
) -> float:
    """The price above which pausing a job for `away` beats running it.

    Pausing gives up the job's earnings for `away`, for its restart and for the work since its last checkpoint
    (`lost`), and risks the credit for a missed deadline.
    """
    return value_usd_per_mwh * (1.0 + (restart + lost) / away) + credit_usd_per_mwh
