"""A block of power bought ahead, for tests: sites with one, and what is paid as the contract itself puts it."""

from dataclasses import replace

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.charge import Charge
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import energy_cost_usd


def charged(site: Site, *charges: Charge | None) -> Site:
    """The site with these charges and no others; None is no charge."""
    return replace(site, grid=replace(site.grid, charges=tuple(charge for charge in charges if charge is not None)))


def contract_usd(ppa: Ppa, hours: float, energy_kwh: float, market_usd_per_mwh: float) -> float:
    """What is paid for `energy_kwh` over `hours`: the block, what is beyond it, less what is sold of it."""
    block_kwh = ppa.block_kw * hours
    beyond_kwh, unused_kwh = max(energy_kwh - block_kwh, 0.0), max(block_kwh - energy_kwh, 0.0)
    return (
        energy_cost_usd(block_kwh, ppa.price_usd_per_mwh)
        + energy_cost_usd(beyond_kwh, market_usd_per_mwh)
        - energy_cost_usd(unused_kwh, ppa.unused_usd_per_mwh(market_usd_per_mwh))
    )
