"""Our own CSV: `interval_start_utc,real_time_usd_per_mwh[,day_ahead_usd_per_mwh]`, or day-ahead alone.

A column `real_time_final_usd_per_mwh` holds prices that were corrected afterwards: one decides on the first published
and settles on the final one. It is blank where nothing was corrected. Further columns (load, temperature) are left
out. A time without an offset is UTC, as the column's name says.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

from orchestrator.adapters.prices.cells import instant, price
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.intervals import Row, priced_intervals
from orchestrator.adapters.prices.table import Table
from orchestrator.domain.market import Market, Price

LAYOUT = "wattshift"
COLUMNS = "interval_start_utc,real_time_usd_per_mwh[,day_ahead_usd_per_mwh] or interval_start_utc,day_ahead_usd_per_mwh"

_TIME = "interval_start_utc"
_FIRST = "real_time_usd_per_mwh"
_MARKETS = {_FIRST: Market.REAL_TIME, "day_ahead_usd_per_mwh": Market.DAY_AHEAD}


_FINAL = "real_time_final_usd_per_mwh"


def recognises(header: Sequence[str]) -> bool:
    return _TIME in header and any(column in header for column in _MARKETS)


def read(table: Table, faults: Faults) -> list[Price]:
    columns = [column for column in _MARKETS if column in table.header]
    time_index = table.index(_TIME)
    price_indexes = [(column, table.index(column)) for column in columns]
    rows: list[Row] = []
    for line, cells in table.rows:
        start = instant(cells[time_index], line, _TIME, faults, assume=UTC)
        values = tuple(price(cells[index], line, column, faults, at=start) for column, index in price_indexes)
        if start is not None:
            rows.append(Row(line, start, values, shown=cells[time_index]))
    complete = table.complete and len(rows) == len(table.rows)
    return priced_intervals(rows, [_MARKETS[column] for column in columns], _TIME, faults, complete=complete)


def read_final(table: Table, prices: Sequence[Price], faults: Faults) -> list[Price]:
    """Real-time prices as settled in the end, of the intervals of `prices`; a blank one was not corrected."""
    if _FINAL not in table.header or _FIRST not in table.header:
        return []
    first = {price.start: price for price in prices if price.market is Market.REAL_TIME}
    time_index, final_index = table.index(_TIME), table.index(_FINAL)
    final: list[Price] = []
    for line, cells in table.rows:
        value = price(cells[final_index], line, _FINAL, faults, at=None) if cells[final_index] else None
        if value is None:
            continue
        start = instant(cells[time_index], line, _TIME, Faults(faults.file), assume=UTC)  # told when it was first read
        if start in first:
            final.append(replace(first[start], usd_per_mwh=value))
    return final
