"""What the table of tranches is made of, as compiled code takes it: a site as columns, the moment, a plan's prices.

Times are unix seconds, powers kW of IT load unless the name says W. What a column means is said where all of them are:
`observe.columns`.
"""

from typing import NamedTuple

from orchestrator.dispatch.kernels.tranches import Flags, Floats, Ints


class Fleets(NamedTuple):
    """A row for each fleet."""

    feeder: Ints
    movable: Ints
    held: Flags
    dark: Flags
    step_count: Ints
    rise_kw: Floats
    at_step: Ints
    draw_share: Floats
    warm_up_s: Floats
    min_on_s: Floats
    min_off_s: Floats
    woken_at: Floats
    slept_at: Floats


class Jobs(NamedTuple):
    """A row for each open job."""

    pool: Ints
    tenant: Ints
    sla: Ints
    phase: Ints
    held: Flags
    gpus: Ints
    least_gpus: Ints
    step_gpus: Ints
    on_gpus: Ints
    work_s: Floats
    left_s: Floats
    changed_at: Floats
    deadline: Floats
    restart_s: Floats
    interrupted_at: Floats
    usd_per_gpu_h: Floats
    credit_share: Floats


class PoolColumns(NamedTuple):
    """A row for each pool of the site file."""

    feeder: Ints
    gpus: Ints
    gpu_power_w: Floats
    gpu_min_power_w: Floats
    gpu_idle_w: Floats


class Moment(NamedTuple):
    """What holds of the whole site when a table is laid out."""

    at: float
    """Unix seconds."""
    hashprice_usd_per_ph_day: float
    pue: float
    price_persistence_s: float
    """How long a price is expected to last."""
    interruptions_left: Ints
    """By tenant: how many of its jobs may still be interrupted in this hour."""


class Switches(NamedTuple):
    """Prices of energy to switch at, USD/MWh, by row: a plan's, or those that dispatch goes by.

    NaN where a plan does not know the fleet or job.
    """

    fleet_stay: Floats
    fleet_wake: Floats
    job_stay: Floats
    job_wake: Floats
