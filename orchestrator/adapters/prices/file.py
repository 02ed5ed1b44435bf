"""A price file of any layout we know, recognised by its header."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.adapters.prices.cells import zone
from orchestrator.adapters.prices.faults import Fault, Faults, PriceFileError
from orchestrator.adapters.prices.layouts import ercot, gridstatus, hourly, wattshift_csv
from orchestrator.adapters.prices.table import read_table
from orchestrator.domain.market import Market, Price


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The prices of one file, without overlap in each market, and without hole unless that was allowed."""

    path: Path
    layout: str
    """`wattshift`, `ercot`, `gridstatus` or `hourly`."""
    prices: tuple[Price, ...]
    final: tuple[Price, ...] = ()
    """Real-time prices as settled in the end, of intervals whose first published price is in `prices`."""
    holes: tuple[Fault, ...] = ()
    """What is missing, where that was allowed."""
    naive_in: str | None = None
    """The time zone that times without an offset were read in, where the layout leaves it to the reader and the file
    has such times."""

    def span(self, market: Market) -> tuple[datetime, datetime] | None:
        """Start of the first and end of the last interval of a market; None where the file has none."""
        prices = [price for price in self.prices if price.market is market]
        return (prices[0].start, prices[-1].end) if prices else None


def read_price_file(
    path: str | Path,
    *,
    point: str | None = None,
    timezone: str = "UTC",
    usd_per_eur: float | None = None,
    holes_allowed: bool = False,
) -> PriceFile:
    """Read and check a whole price file; prices in USD/MWh.

    `point` names the settlement point or location in a layout that has them and is not looked at in others;
    `timezone` is the zone of times without an offset, and `usd_per_eur` the rate for prices in EUR, both in the
    hourly layout; nonsense is refused in any layout. With `holes_allowed` missing intervals and blank prices are told
    in `holes` and are no faults. Raises PriceFileError with every fault found.
    """
    path = Path(path)
    faults = Faults(path, holes_allowed=holes_allowed)
    if usd_per_eur is not None and not (math.isfinite(usd_per_eur) and usd_per_eur > 0):
        faults.add("is not a rate", "a number above 0", column="usd_per_eur", value=str(usd_per_eur))
    local = zone(timezone, faults)
    table = read_table(path, faults)
    prices: list[Price] = []
    final: list[Price] = []
    layout, naive_in = "", None
    if table is not None and local is not None:
        if wattshift_csv.recognises(table.header):
            layout, prices = wattshift_csv.LAYOUT, wattshift_csv.read(table, faults)
            final = wattshift_csv.read_final(table, prices, faults)
        elif ercot.recognises(table.header):
            layout, prices = ercot.LAYOUT, ercot.read(table, faults, point)
        elif gridstatus.recognises(table.header):
            layout, prices = gridstatus.LAYOUT, gridstatus.read(table, faults, point)
        elif hourly.recognises(table.header):
            layout, prices = hourly.LAYOUT, hourly.read(table, faults, local, usd_per_eur)
            naive_in = local.key if hourly.has_naive_times(table) else None
        else:
            layouts = " | ".join(module.COLUMNS for module in (wattshift_csv, ercot, gridstatus, hourly))
            header = ",".join(table.header)
            faults.add("is not the header of a price file", layouts, column="header", value=header)
    faults.raise_any(PriceFileError)
    return PriceFile(
        path=path,
        layout=layout,
        prices=tuple(prices),
        final=tuple(final),
        holes=tuple(faults.holes),
        naive_in=naive_in,
    )
