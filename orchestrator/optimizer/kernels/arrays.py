"""What compiled functions take of a problem: supply, racks and tasks over `T` steps of equal length, as arrays.

Powers are kW of IT load, prices of energy USD/MWh at the grid. Step `t` is the time from `t` to `t + 1` steps after
the start; what starts or stops does so at the start of a step. Compiled code takes named tuples as they are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Choices = NDArray[np.uint8]


class Supply(NamedTuple):
    """Energy and room over time; `K` feeders, `G` pools."""

    step_h: float
    price_usd_per_mwh: Floats
    """(T,) what a kWh more costs beyond what was bought ahead: spot, and what charges put on top."""
    sell_usd_per_mwh: Floats
    """(T,) the same while some of the block is left, never more than beyond it: what a kWh of it brings unused, 0 under
    take-or-pay, and what charges put on top."""
    block_kw: Floats
    """(T,) power bought ahead, at the grid, less what fixed loads draw; negative: fixed loads buy at spot."""
    pue: Floats
    """(T,)"""
    import_kw: Floats
    """(T,) IT power left by the lowest grid cap for all that can move."""
    feeder_kw: Floats
    """(K, T) the same of each feeder."""
    gpus: Floats
    """(G, T) of each pool, less those that can't be given away."""
    pool_feeder: Ints
    """(G,)"""
    gpu_kw: Floats
    """(G,) what a busy GPU draws above an idle one."""
    hashprice_usd_per_ph_day: Floats
    """(T,)"""


class Racks(NamedTuple):
    """A row for each fleet; `S` rises from mode to mode on the concave hull, from sleep up, padded with zeros."""

    feeder: Ints
    on: Ints
    """Racks awake at the start."""
    off: Ints
    """Racks asleep at the start."""
    rise_kw: Floats
    """(F, S) rise of one rack as drawn."""
    rise_phs: Floats
    """(F, S) rise of one rack in PH/s."""
    warm_up_h: Floats
    """From wake-up to hash, at the power of the mode it is in."""
    min_on: Ints
    """Steps a rack stays awake."""
    min_off: Ints
    """Steps a rack stays asleep, 1 or more."""
    warm_left_h: Floats
    """Of the racks that are on at the start."""
    on_left: Ints
    """Steps that racks on at the start have to stay so."""
    off_left: Ints
    """Steps that racks off at the start have to stay so."""


class Tasks(NamedTuple):
    """A row for each job."""

    pool: Ints
    gpus: Floats
    """All that it asks for; one that is elastic also runs on `least_share` of them, and on steps of `step_share`."""
    usd_per_gpu_h: Floats
    credit_usd_per_gpu_h: Floats
    """Owed for each GPU-hour of work that is not done at the deadline; 0 where there is no deadline to keep."""
    left_h: Floats
    """Work left, hours on all its GPUs."""
    first: Ints
    """The first step it can run in."""
    last: Ints
    """The step from which on it can't any more, at most `T`."""
    deadline: Floats
    """In steps from the start; +inf where there is none."""
    restart_h: Floats
    """From each start to progress: full power and no work done."""
    running: Flags
    """At the start."""
    guaranteed: Flags
    """Once it runs it is not stopped."""
    least_share: Floats
    step_share: Floats
