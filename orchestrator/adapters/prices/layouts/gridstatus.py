"""CSV written from the gridstatus library's frames (`Interval Start`, `Interval End`, `Market`, `Location`, `SPP`).

`get_spp` gives `Time,Interval Start,Interval End,Location,Location Type,Market,SPP`; `get_lmp` gives `Market`,
`Location` and `LMP` with its parts (`Energy,Congestion,Loss`), and older versions `Time` alone as the interval's
start. Times carry offsets. Rows of several markets may stand in one file, real-time and day-ahead.
"""

from collections.abc import Sequence

from orchestrator.adapters.prices.cells import instant, price
from orchestrator.adapters.prices.faults import Faults
from orchestrator.adapters.prices.intervals import Row, priced_intervals
from orchestrator.adapters.prices.points import chosen_point
from orchestrator.adapters.prices.table import Table
from orchestrator.domain.market import Market, Price

LAYOUT = "gridstatus"
COLUMNS = "Interval Start[,Interval End],Market,Location,SPP or LMP"

_STARTS = ("Interval Start", "Time")
_PRICES = ("SPP", "LMP")
_MARKETS = {"REAL_TIME": Market.REAL_TIME, "DAY_AHEAD": Market.DAY_AHEAD}


def recognises(header: Sequence[str]) -> bool:
    names = set(header)
    return {"Market", "Location"} <= names and bool(names & set(_STARTS)) and bool(names & set(_PRICES))


def read(table: Table, faults: Faults, point: str | None) -> list[Price]:
    start_column = next(name for name in _STARTS if name in table.header)
    price_column = next(name for name in _PRICES if name in table.header)
    start_index, price_index = table.index(start_column), table.index(price_column)
    end_index = table.index("Interval End") if "Interval End" in table.header else None
    market_index, location = table.index("Market"), table.index("Location")
    chosen = chosen_point({cells[location] for _, cells in table.rows}, point, "Location", faults)
    if chosen is None:
        return []
    by_name: dict[str, list[Row]] = {}
    complete = table.complete
    for line, cells in table.rows:
        if cells[location] != chosen:
            continue
        start = instant(cells[start_index], line, start_column, faults, assume=None)
        value = price(cells[price_index], line, price_column, faults, at=start)
        end = None if end_index is None else instant(cells[end_index], line, "Interval End", faults, assume=None)
        if start is None or (end is None and end_index is not None):
            complete = False
        else:
            by_name.setdefault(cells[market_index], []).append(
                Row(line, start, (value,), end, shown=cells[start_index])
            )
    prices: list[Price] = []
    named: dict[Market, str] = {}
    for name, rows in by_name.items():
        market = next((market for prefix, market in _MARKETS.items() if name.startswith(prefix)), None)
        if market is None:
            allowed = "REAL_TIME_..., DAY_AHEAD_..."
            faults.add("is not a market of energy", allowed, line=rows[0].line, column="Market", value=name)
        elif market in named:
            allowed = f"one {market} market; there is {named[market]} already"
            faults.add("is a second market", allowed, line=rows[0].line, column="Market", value=name)
        else:
            named[market] = name
            prices += priced_intervals(rows, [market], start_column, faults, complete=complete)
    return prices
