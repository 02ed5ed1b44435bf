"""Energy and money by price interval: what was metered, at which price, and what it earned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orchestrator.domain.observation import Metric
from orchestrator.domain.units import cents


class Account(StrEnum):
    """Who uses power, and what is credited. Beside these each charge has the account of its name."""

    MINING = "mining"
    HPC = "hpc"
    OVERHEAD = "overhead"
    """Cooling and power distribution: energy that earns nothing."""
    CREDIT = "sla_credit"
    RESIDUAL = "residual"
    """What the connection's meter counted beyond mining, HPC and overhead: paid for, and nobody's."""
    UNACCOUNTED = "unaccounted"
    """What a counter says and cannot be true, by meter: neither energy nor money until somebody accounts for it."""
    RESOLVED = "unaccounted_resolved"
    """What somebody has accounted for since: the same lines with the opposite sign, so that nothing parked is lost from
    the record."""


_FIXED = frozenset(account.value for account in Account)


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount added to one line of the ledger.

    A line is one (`start`, `account`, `subject`, `price_usd_per_mwh`); postings to it add up. Amounts are never
    negative but for `cost_usd`, at a negative price and of a charge, for the residual, and for what is unaccounted for.
    """

    start: datetime
    """Start of the price interval."""
    account: str
    """An `Account`, or the name of a charge: what it costs more than the market price of what was drawn."""
    subject: str
    """Fleet, GPU pool (energy), job (revenue and credits), `site` (overhead, charges), `meter grid` or a feeder's
    (residual) or metric and meter (unaccounted)."""
    price_usd_per_mwh: float
    price_basis: str
    energy_kwh: float = 0.0
    cost_usd: float = 0.0
    quantity: float = 0.0
    """PH/s-days for mining, GPU-hours for HPC, MWh of a block bought ahead. Of what is unaccounted for MWh or PH/s
    days, negative where a counter fell."""
    revenue_usd: float = 0.0
    credit_usd: float = 0.0
    estimated_kwh: float = 0.0
    """Of `energy_kwh`: integrated from power for want of a counter."""
    estimated_usd: float = 0.0
    """Of `revenue_usd`: earned by hash that is integrated from the hashrate, and by work that is estimated from GPUs
    and time."""


@dataclass(frozen=True, slots=True)
class MeterMark:
    """The counter reading up to which a meter is posted."""

    metric: Metric
    subject: str
    value: float
    """In the counter's unit, as read at `at`; 0 where it was never read."""
    at: datetime
    estimated: float = 0.0
    """Posted beyond `value`, from power, which the counter has not made up for yet; in its unit."""
    estimated_to: datetime | None = None
    """Up to when; None where nothing was."""
    counted: bool = True
    """False where the counter was never read: then all that is posted is from power, up to `at`."""
    estimated_s: float = 0.0
    """Seconds that `estimated` is of: fewer than there are up to then where power was not read all the time."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger summed up. Money is rounded to the cent account by account, then added."""

    energy_kwh: Mapping[str, float] = field(default_factory=dict)
    revenue_usd: Mapping[str, Decimal] = field(default_factory=dict)
    energy_cost_usd: Decimal = Decimal(0)
    """What was paid, all charges and the residual together."""
    residual_kwh: float | None = None
    residual_usd: Decimal = Decimal(0)
    """Of it, what the meter counted and nobody is booked for; None where no meter is billed by."""
    charges_usd: Mapping[str, Decimal] = field(default_factory=dict)
    """Of it, what each charge cost more than the market, by name; only those that have lines."""
    sla_credits_usd: Decimal = Decimal(0)

    @property
    def profit_usd(self) -> Decimal:
        return sum(self.revenue_usd.values(), Decimal(0)) - self.energy_cost_usd - self.sla_credits_usd


def totals(postings: Iterable[Posting]) -> Totals:
    """Sums of the ledger's lines."""
    energy: dict[str, float] = dict.fromkeys((Account.MINING, Account.HPC, Account.OVERHEAD), 0.0)
    revenue: dict[str, float] = dict.fromkeys((Account.MINING, Account.HPC), 0.0)
    charges: dict[str, float] = {}
    cost = credit = residual_usd = 0.0
    residual_kwh: float | None = None
    for posting in postings:
        if posting.account in energy:
            energy[posting.account] += posting.energy_kwh
        if posting.account == Account.RESIDUAL:
            residual_kwh = (residual_kwh or 0.0) + posting.energy_kwh
            residual_usd += posting.cost_usd
        if posting.account in revenue:
            revenue[posting.account] += posting.revenue_usd
        cost += posting.cost_usd
        if posting.account not in _FIXED:
            charges[posting.account] = charges.get(posting.account, 0.0) + posting.cost_usd
        credit += posting.credit_usd
    return Totals(
        energy_kwh=energy,
        revenue_usd={account: cents(usd) for account, usd in revenue.items()},
        energy_cost_usd=cents(cost),
        charges_usd={account: cents(usd) for account, usd in charges.items()},
        residual_kwh=residual_kwh,
        residual_usd=cents(residual_usd),
        sla_credits_usd=cents(credit),
    )
