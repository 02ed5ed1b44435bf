"""What an always-on site would earn by mining, as a yardstick kept up beside the real one.

A model, simple enough to compute at every observation: each rack of the fleets there are hashes in its fleet's default
mode as far as the caps leave it room beside the HPC load as it is. Where they do not, racks of all fleets sleep: the
same share of each on a feeder, then the same share of what is left on all. Racks hash as their nameplate says, and none
warms up or fails. `backtest` and the demo's report simulate such a site rather than model it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.accounting.power_cost import market_usd, more_usd
from orchestrator.domain.charge import Charge
from orchestrator.domain.economics import hash_revenue_usd
from orchestrator.domain.headroom import left_it_kw
from orchestrator.domain.limits import Limits
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.site import Fleet
from orchestrator.domain.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class FeederLoad:
    """The fleets of one feeder together; IT power."""

    feeder: str
    asleep_kw: float
    awake_kw: float
    """Every rack in its default mode."""
    hashrate_phs: float
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Mining at one moment; IT power."""

    mining_kw: float
    hashrate_phs: float


@dataclass(frozen=True, slots=True)
class Money:
    """Over a stretch of time. What is paid for energy, and what is earned with it (prices below 0, or by a charge)."""

    revenue_usd: float = 0.0
    energy_cost_usd: float = 0.0
    energy_income_usd: float = 0.0


def feeder_loads(fleets: Iterable[Fleet]) -> tuple[FeederLoad, ...]:
    loads: dict[str, FeederLoad] = {}
    for fleet in fleets:
        mode, before = fleet.mode(fleet.default_mode), loads.get(fleet.feeder, FeederLoad(fleet.feeder, 0.0, 0.0, 0.0))
        loads[fleet.feeder] = FeederLoad(
            feeder=fleet.feeder,
            asleep_kw=before.asleep_kw + fleet.machines * fleet.sleep_w / 1000.0,
            awake_kw=before.awake_kw + fleet.machines * mode.power_w / 1000.0,
            hashrate_phs=before.hashrate_phs + fleet.machines * mode.hashrate_ths / 1000.0,
        )
    return tuple(loads.values())


def always_on_pace(loads: Sequence[FeederLoad], limits: Limits, hpc_kw: Mapping[str, float], pue: float) -> Pace:
    """What is mined under `limits` beside `hpc_kw` (IT power by feeder)."""
    shares = [
        _awake_share(
            left_it_kw(limits.usable_kw(limits.feeders[load.feeder]), hpc_kw.get(load.feeder, 0.0), pue),
            load.asleep_kw,
            load.awake_kw - load.asleep_kw,
        )
        for load in loads
    ]
    asleep_kw = sum(load.asleep_kw for load in loads)
    rise_kw = sum(share * (load.awake_kw - load.asleep_kw) for share, load in zip(shares, loads, strict=True))
    left_kw = left_it_kw(limits.usable_kw(limits.grid), sum(hpc_kw.values()), pue)
    grid_share = _awake_share(left_kw, asleep_kw, rise_kw)
    return Pace(
        mining_kw=asleep_kw + grid_share * rise_kw,
        hashrate_phs=grid_share * sum(share * load.hashrate_phs for share, load in zip(shares, loads, strict=True)),
    )


def _awake_share(room_kw: float, asleep_kw: float, rise_kw: float) -> float:
    return min(max((room_kw - asleep_kw) / rise_kw, 0.0), 1.0) if rise_kw > 0.0 else 1.0


def mined(
    pace: Pace,
    span: timedelta,
    prices: Iterable[tuple[CurrentPrice, float]],
    *,
    pue: float,
    hashprice_usd_per_ph_day: float,
    charges: Sequence[Charge] = (),
    hpc_kw: float = 0.0,
) -> Money:
    """What mining at `pace` brings over `span`, at prices each of which holds for a share of it; overhead included.

    Charges are the whole site's: `hpc_kw` of IT power bear on them too, and what one costs more than the market price
    is paid, what it costs less is earned.
    """
    hours = span.total_seconds() / SECONDS_PER_HOUR
    cost = income = 0.0
    for price, share in prices:
        start, market = price.interval_start, price.usd_per_mwh
        drawn_kwh = (pace.mining_kw + hpc_kw) * pue * hours * share
        amounts = [
            market_usd(start, pace.mining_kw * pue * hours * share, market),
            *(more_usd(charge, start, hours * share, drawn_kwh, market) for charge in charges),
        ]
        cost += sum(max(amount, 0.0) for amount in amounts)
        income += sum(max(-amount, 0.0) for amount in amounts)
    revenue = hash_revenue_usd(pace.hashrate_phs * 1e15 * span.total_seconds(), hashprice_usd_per_ph_day)
    return Money(revenue, cost, income)
