"""Our own CSV: `interval_start_utc,real_time_usd_per_mwh[,day_ahead_usd_per_mwh]`, or day-ahead alone.

Further columns (load, temperature) are left out. A time without an offset is UTC, as the column's name says.
"""

from collections.abc import Sequence
from datetime import UTC

from orchestrator.adapters.prices.cells import instant, price
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.intervals import Row, priced_intervals
from orchestrator.adapters.prices.table import Table
from orchestrator.domain.market import Market, Price

LAYOUT = "wattshift"
COLUMNS = "interval_start_utc,real_time_usd_per_mwh[,day_ahead_usd_per_mwh] or interval_start_utc,day_ahead_usd_per_mwh"

_TIME = "interval_start_utc"
_MARKETS = {"real_time_usd_per_mwh": Market.REAL_TIME, "day_ahead_usd_per_mwh": Market.DAY_AHEAD}


def recognises(header: Sequence[str]) -> bool:
    return _TIME in header and any(column in header for column in _MARKETS)


def read(table: Table, faults: Faults) -> list[Price]:
    columns = [column for column in _MARKETS if column in table.header]
    time_index = table.index(_TIME)
    price_indexes = [(column, table.index(column)) for column in columns]
    rows: list[Row] = []
    for line, cells in table.rows:
        values = tuple(price(cells[index], line, column, faults) for column, index in price_indexes)
        start = instant(cells[time_index], line, _TIME, faults, assume=UTC)
        if start is not None:
            rows.append(Row(line, start, values))
    complete = table.complete and len(rows) == len(table.rows)
    return priced_intervals(rows, [_MARKETS[column] for column in columns], _TIME, faults, complete=complete)
