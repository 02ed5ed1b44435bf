"""What power costs a site beside its market price: the port that every kind of charge fills.

The files that fill it are in `accounting/charges`, one a kind; `accounting/power_cost.py` adds up those of a site.
"""

from collections.abc import Sequence
from dataclasses import Field
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

Figures = TypeVar("Figures")


class Marginal(NamedTuple, Generic[Figures]):
    """Of one more MWh, USD: a figure, or an array of them. `left` is never more than `beyond`, so that what a site pays
    is convex in what it draws."""

    left: Figures
    """While power that was bought ahead is left."""
    beyond: Figures
    """Beyond it, or where none was."""


class Charge(Protocol):
    """A frozen dataclass: its fields are its terms, as the site file has them.

    Its name is its key everywhere: in `grid` of the site file, as an account of the ledger, as the kind of its rows in
    the records of a backtest, in JSON (`<name>_usd`), metrics and the API.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    name: ClassVar[str]
    label: ClassVar[str]
    """What tables call it."""

    @property
    def text(self) -> str:
        """The contract in words, without a full stop."""
        ...

    @property
    def assumption(self) -> str:
        """The same as a backtest's assumptions say it."""
        ...

    @property
    def block_kw(self) -> float:
        """Power bought ahead, at the grid, in every hour; 0 of a charge that buys none. One charge of a site may."""
        ...

    def power(self, start: datetime) -> str:
        """What sentences call power in the price interval from `start`: of a charge that bought some ahead what is left
        of it (`power sold back`), of any other what it puts on top (`delivery`), empty where that is nothing."""
        ...

    def cost_usd(self, start: datetime, block_kwh: float, energy_kwh: float, market_usd_per_mwh: float) -> float:
        """What it adds to the market price of `energy_kwh`, drawn in the price interval from `start` or in a part of
        it; `block_kwh` of its block came in meanwhile."""
        ...

    def more_usd_per_mwh(self, starts: Sequence[datetime], market_usd_per_mwh: Any) -> Marginal[Any]:
        """What it adds to the market price of one more MWh.

        `market_usd_per_mwh` (..., T) and both answers are numpy's arrays of floats, which the domain does not import;
        `starts` are those of its T price intervals.
        """
        ...
