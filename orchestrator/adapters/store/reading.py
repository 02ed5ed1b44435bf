"""Reads records back, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, or_, select, tuple_

from orchestrator.accounting.charge_lines import CORRECTED, Charged
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.accounting.reconciling import KEPT, Reconciled
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.adapters.store import encoding, job_rows, tables
from orchestrator.domain.decision import Breach, BreachState, Decision, Outcome, OutcomeState
from orchestrator.domain.market import BEHIND, Price
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.ports import Memory, ObservationRecord

UNSETTLED = (tables.PLANNED, OutcomeState.SENT.value, OutcomeState.ACKNOWLEDGED.value)
"""States of an action that is still to be followed up."""

Decided = tuple[Decision, tuple[Outcome, ...]]

_IDS_A_QUERY = 500
"""SQLite and Postgres both take many more parameters than this in one statement."""


def memory(connection: Connection, now: datetime) -> Memory:
    """See `Store.restore`."""
    orders, open_breaches = tables.curtailments, tables.breaches
    last = select(tables.observations).order_by(tables.observations.c.at.desc()).limit(1)
    unsettled = select(tables.actions.c.decision_id).where(tables.actions.c.state.in_(UNSETTLED))
    return Memory(
        curtailments=tuple(
            encoding.curtailment_of(row)
            for row in _rows(
                connection,
                select(orders)
                .where(orders.c.until > now, or_(orders.c.cancelled_at.is_(None), orders.c.cancelled_at > now))
                .order_by(orders.c.start, orders.c.id),
            )
        ),
        breaches=tuple(
            encoding.breach_of(row)
            for row in _rows(
                connection,
                select(open_breaches).where(_unresolved()).order_by(open_breaches.c.opened_at, open_breaches.c.id),
            )
        ),
        marks=tuple(
            encoding.mark_of(row)
            for row in _rows(
                connection,
                select(tables.meter_marks).order_by(tables.meter_marks.c.metric, tables.meter_marks.c.subject),
            )
        ),
        charged=_charged(connection, now),
        reconciled=_reconciled(connection, now - KEPT),
        jobs=tuple(job_rows.job_of(row) for row in _rows(connection, select(tables.jobs).order_by(tables.jobs.c.job))),
        prices=_prices(connection, now - BEHIND),
        unsettled=_decided(
            connection,
            select(tables.decisions)
            .where(tables.decisions.c.id.in_(unsettled))
            .order_by(tables.decisions.c.at, tables.decisions.c.id),
        ),
        last_observation=next((encoding.observation_of(row) for row in _rows(connection, last)), None),
    )


def _prices(connection: Connection, since: datetime) -> tuple[Price, ...]:
    """Of intervals that were not over by `since`."""
    price = tables.prices.c
    query = select(tables.prices).where(price.until > since).order_by(price.market, price.start)
    return tuple(encoding.price_of(row) for row in _rows(connection, query))


def _charged(connection: Connection, now: datetime) -> tuple[Charged, ...]:
    """What is posted of each charge, and of the energy of the same prices and intervals."""
    line = tables.ledger.c
    recent = line.start >= now - CORRECTED
    charges = (
        select(line.account, line.start, line.price_usd_per_mwh, func.sum(line.quantity))
        .where(recent, line.account.not_in([account.value for account in Account]))
        .group_by(line.account, line.start, line.price_usd_per_mwh)
        .order_by(line.account, line.start, line.price_usd_per_mwh)
    )
    found = list(connection.execute(charges))
    if not found:
        return ()
    drawn = (
        select(line.start, line.price_usd_per_mwh, func.sum(line.energy_kwh))
        .where(recent)
        .group_by(line.start, line.price_usd_per_mwh)
    )
    energy_kwh = {(start, price): kwh for start, price, kwh in connection.execute(drawn)}
    return tuple(
        Charged(account, start, price, mwh * KWH_PER_MWH, energy_kwh[start, price])
        for account, start, price, mwh in found
    )


def _reconciled(connection: Connection, start: datetime) -> tuple[Reconciled, ...]:
    """Of intervals from `start` on."""
    line = tables.reconciliations.c
    query = (
        select(tables.reconciliations)
        .where(line.start >= start)
        .order_by(line.meter, line.start, line.price_usd_per_mwh)
    )
    return tuple(encoding.reconciled_of(row) for row in _rows(connection, query))


def decisions_before(connection: Connection, limit: int, before: str | None) -> tuple[Decided, ...]:
    """See `Store.decisions`; by time and then id, since two may be of one moment."""
    table = tables.decisions
    query = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
    if before is not None:
        mark = select(table.c.at, table.c.id).where(table.c.id == before)
        query = query.where(tuple_(table.c.at, table.c.id) < mark.scalar_subquery())
    return _decided(connection, query)


def decision(connection: Connection, decision_id: str) -> Decided | None:
    return next(iter(_decided(connection, select(tables.decisions).where(tables.decisions.c.id == decision_id))), None)


def ledger(connection: Connection, start: datetime, end: datetime) -> tuple[Posting, ...]:
    """See `Store.ledger`."""
    line = tables.ledger.c
    query = (
        select(tables.ledger)
        .where(line.start >= start, line.start < end)
        .order_by(line.start, line.account, line.subject, line.price_usd_per_mwh)
    )
    return tuple(encoding.posting_of(row) for row in _rows(connection, query))


def parked(connection: Connection) -> tuple[Posting, ...]:
    """See `Store.parked`."""
    line = tables.ledger.c
    query = (
        select(tables.ledger)
        .where(line.account.in_([Account.UNACCOUNTED.value, Account.RESOLVED.value]))
        .order_by(line.start, line.account, line.subject, line.price_usd_per_mwh)
    )
    return tuple(encoding.posting_of(row) for row in _rows(connection, query))


def resolution(connection: Connection, resolution_id: str) -> Resolution | None:
    query = select(tables.resolutions).where(tables.resolutions.c.id == resolution_id)
    return next((encoding.resolution_of(row) for row in _rows(connection, query)), None)


def resolutions(connection: Connection, limit: int) -> tuple[Resolution, ...]:
    """See `Store.resolutions`."""
    table = tables.resolutions
    query = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
    return tuple(encoding.resolution_of(row) for row in _rows(connection, query))


def observations(connection: Connection, start: datetime, end: datetime) -> tuple[ObservationRecord, ...]:
    """See `Store.observations`."""
    at = tables.observations.c.at
    query = select(tables.observations).where(at >= start, at < end).order_by(at)
    return tuple(encoding.observation_of(row) for row in _rows(connection, query))


def breaches(connection: Connection, start: datetime, end: datetime) -> tuple[Breach, ...]:
    """See `Store.breaches`."""
    breach = tables.breaches.c
    query = (
        select(tables.breaches)
        .where(or_(and_(breach.opened_at >= start, breach.opened_at < end), _unresolved()))
        .order_by(breach.opened_at, breach.id)
    )
    return tuple(encoding.breach_of(row) for row in _rows(connection, query))


def _unresolved() -> ColumnElement[bool]:
    return tables.breaches.c.state.in_([state.value for state in BreachState if state is not BreachState.RESOLVED])


def _decided(connection: Connection, query: Select[Any]) -> tuple[Decided, ...]:
    """The decisions of `query`, in its order, each with its actions and their outcomes."""
    rows = _rows(connection, query)
    of_decision: defaultdict[str, list[RowMapping]] = defaultdict(list)
    for first in range(0, len(rows), _IDS_A_QUERY):
        ids = [row["id"] for row in rows[first : first + _IDS_A_QUERY]]
        actions = select(tables.actions).where(tables.actions.c.decision_id.in_(ids)).order_by(tables.actions.c.number)
        for action in _rows(connection, actions):
            of_decision[action["decision_id"]].append(action)
    return tuple(encoding.decision_of(row, of_decision[row["id"]]) for row in rows)


def _rows(connection: Connection, query: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(query).mappings().all()
