"""What is put on record, counted: decisions and their outcomes, breaches, energy and money, jobs' promises."""

from collections.abc import Callable, Iterable, Sequence

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.domain.decision import (
    Breach,
    BreachState,
)
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import JOULES_PER_KWH
from orchestrator.ports import Record
from orchestrator.runtime.observability.metrics.counters import Counters

_ENERGY = (Account.MINING, Account.HPC, Account.OVERHEAD)
_EARNING = (Account.MINING, Account.HPC)


class Tally:
    """`job_before` gives the record of a job as it was before those that are counted, None where there was none."""

    def __init__(self, site: Site, counters: Counters, job_before: Callable[[str], JobRecord | None]) -> None:
        self._counters = counters
        self._job_before = job_before
        residual = (Account.RESIDUAL,) if site.meters() else ()
        self._paying = (*_ENERGY, *residual, *(charge.name for charge in site.grid.charges))
        for account in self._paying:
            counters.add("energy_cost_usd_total", 0.0, account)
            counters.add("energy_income_usd_total", 0.0, account)
        self._sla = {tenant.name: tenant.sla for tenant in site.tenants}
        for tenant in self._sla:
            counters.add("sla_credit_usd_total", 0.0, tenant)

    def count(self, records: Sequence[Record]) -> None:
        """One transaction's records."""
        postings: list[Posting] = []
        jobs: list[JobRecord] = []
        for record in records:
            match record:
                case Posting():
                    postings.append(record)
                case JobRecord():
                    jobs.append(record)
                case Breach(state=BreachState.ACTIVE):
                    self._counters.add("breaches_total", 1.0, record.kind)
        if jobs:
            self._jobs(jobs)
        if postings:
            self._money(postings, {job.job: job.tenant for job in jobs})

    def _jobs(self, jobs: Iterable[JobRecord]) -> None:
        before: dict[str, JobRecord | None] = {}
        for job in jobs:
            was = before[job.job] if job.job in before else self._job_before(job.job)
            before[job.job] = job
            if was is not None and was.outcome != "open" and job.outcome == "open":
                was = None  # another job by the name of one that has ended
            sla = self._sla[job.tenant]
            interruptions = job.interruptions - (was.interruptions if was is not None else 0)
            if interruptions > 0:
                self._counters.add("job_interruptions_total", interruptions, sla)
            if job.outcome != "open" and (was is None or was.outcome == "open"):
                self._counters.add("jobs_ended_total", 1.0, sla, job.outcome)

    def _money(self, postings: Iterable[Posting], tenants: dict[str, str]) -> None:
        """`tenants`: of the jobs whose records are in the same transaction; a credit is never without its job's."""
        joules: dict[str, float] = dict.fromkeys(_ENERGY, 0.0)
        estimated = dict(joules)
        revenue: dict[str, float] = dict.fromkeys(_EARNING, 0.0)
        cost, income = dict.fromkeys(self._paying, 0.0), dict.fromkeys(self._paying, 0.0)
        for posting in postings:
            account = posting.account
            if account in joules:
                joules[account] += posting.energy_kwh * JOULES_PER_KWH
                estimated[account] += posting.estimated_kwh * JOULES_PER_KWH
            if account == Account.UNACCOUNTED:
                self._counters.add("parked_total", 1.0)
            if account in cost:
                cost[account] += max(posting.cost_usd, 0.0)
                income[account] += max(-posting.cost_usd, 0.0)
            if account in revenue:
                revenue[account] += posting.revenue_usd
            if posting.credit_usd > 0.0:
                self._counters.add("sla_credit_usd_total", posting.credit_usd, tenants[posting.subject])
        for name, by_account in (
            ("energy_joules_total", joules),
            ("energy_estimated_joules_total", estimated),
            ("revenue_usd_total", revenue),
            ("energy_cost_usd_total", cost),
            ("energy_income_usd_total", income),
        ):
            for account, amount in by_account.items():
                self._counters.add(name, amount, account)
        # HPC as it was, with its part of the overhead, belongs to the always-on site too.
        energy = joules[Account.MINING] + joules[Account.HPC]
        pue = 1.0 + joules[Account.OVERHEAD] / energy if energy > 0.0 else 1.0
        self._counters.add("always_on_revenue_usd_total", revenue[Account.HPC])
        self._counters.add("always_on_energy_cost_usd_total", cost[Account.HPC] * pue)
        self._counters.add("always_on_energy_income_usd_total", income[Account.HPC] * pue)
