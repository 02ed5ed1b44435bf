"""Writes records, all in the caller's transaction: by Core statements built once, many rows a statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Delete, Dialect, Insert, Table, Update, bindparam, delete, insert, update
from sqlalchemy.sql.dml import ReturningInsert

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.ledger import MeterMark, Posting
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.adapters.store import encoding, job_rows, tables
from orchestrator.adapters.store.errors import UnknownActionError
from orchestrator.adapters.store.upsert import insert_into
from orchestrator.domain.decision import Breach, Decision, Outcome
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Price
from orchestrator.ports import ObservationRecord, Record

AMOUNTS = frozenset(
    {"energy_kwh", "cost_usd", "quantity", "revenue_usd", "credit_usd", "estimated_kwh", "estimated_usd"}
)
"""Columns of the ledger that add up."""
LONGEST = timedelta(days=1)
"""A price's interval."""


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one dialect. Kept, since SQLAlchemy caches what it compiles by them."""

    observation: Insert
    decision: ReturningInsert[tuple[str]]
    """Gives the id back if the decision is new."""
    action: Insert
    outcome: Update
    posting: Insert
    mark: Insert
    reconciled: Insert
    curtailment: Insert
    breach: Insert
    job: Insert
    overlapped: Delete
    price: Insert
    resolution: Insert

    @staticmethod
    def of(dialect: Dialect) -> "Statements":
        return Statements(
            observation=insert_into(dialect, tables.observations).on_conflict_do_nothing(),
            decision=insert_into(dialect, tables.decisions).on_conflict_do_nothing().returning(tables.decisions.c.id),
            action=insert(tables.actions),
            outcome=update(tables.actions).where(tables.actions.c.id == bindparam("action_id")),
            posting=_add(dialect, tables.ledger),
            mark=_replace(dialect, tables.meter_marks),
            reconciled=_replace(dialect, tables.reconciliations),
            curtailment=_replace(dialect, tables.curtailments),
            breach=_replace(dialect, tables.breaches),
            job=_replace(dialect, tables.jobs),
            overlapped=_overlapped(),
            price=_replace(dialect, tables.prices),
            resolution=insert(tables.resolutions),
        )


def write(connection: Connection, statements: Statements, records: Sequence[Record]) -> None:
    """Decisions come before the outcomes of their actions, whatever the order of `records`.

    Raises UnknownActionError for an outcome whose action is not on record.
    """
    observations = [encoding.observation_row(item) for item in records if isinstance(item, ObservationRecord)]
    _many(connection, statements.observation, observations)
    for decision in (item for item in records if isinstance(item, Decision)):
        is_new = connection.scalar(statements.decision, encoding.decision_row(decision)) is not None
        if is_new:
            _many(connection, statements.action, encoding.action_rows(decision))
    for outcome in (item for item in records if isinstance(item, Outcome)):
        row = encoding.outcome_row(outcome)
        if connection.execute(statements.outcome, {"action_id": outcome.action_id, **row}).rowcount != 1:
            raise UnknownActionError(f"an outcome is of action {outcome.action_id}, which is not on record")
    _many(connection, statements.posting, encoding.ledger_rows(i for i in records if isinstance(i, Posting)))
    _many(connection, statements.mark, [encoding.mark_row(i) for i in records if isinstance(i, MeterMark)])
    lines = [encoding.reconciled_row(item) for item in records if isinstance(item, Reconciled)]
    _many(connection, statements.reconciled, lines)
    orders = [encoding.curtailment_row(item) for item in records if isinstance(item, Curtailment)]
    _many(connection, statements.curtailment, orders)
    _many(connection, statements.breach, [encoding.breach_row(i) for i in records if isinstance(i, Breach)])
    _many(connection, statements.job, [job_rows.job_row(i) for i in records if isinstance(i, JobRecord)])
    prices = [encoding.price_row(item) for item in records if isinstance(item, Price)]
    overlapped = [{f"new_{name}": row[name] for name in ("market", "start", "until")} for row in prices]
    _many(connection, statements.overlapped, [{**row, "oldest": row["new_start"] - LONGEST} for row in overlapped])
    _many(connection, statements.price, prices)
    resolutions = [encoding.resolution_row(item) for item in records if isinstance(item, Resolution)]
    _many(connection, statements.resolution, resolutions)


def _many(connection: Connection, statement: Insert | Delete, rows: list[encoding.Row]) -> None:
    if rows:
        connection.execute(statement, rows)


def _overlapped() -> Delete:
    """Of prices on record, those that a new one of the market overlaps. `oldest` is for the index."""
    price = tables.prices.c
    return delete(tables.prices).where(
        price.market == bindparam("new_market"),
        price.start >= bindparam("oldest"),
        price.start < bindparam("new_until"),
        price.until > bindparam("new_start"),
    )


def _replace(dialect: Dialect, table: Table) -> Insert:
    """Insert, or overwrite the row with the same primary key."""
    statement = insert_into(dialect, table)
    columns = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=columns)


def _add(dialect: Dialect, table: Table) -> Insert:
    """Insert, or add the amounts to the row with the same primary key."""
    statement = insert_into(dialect, table)
    columns = {name: table.c[name] + statement.excluded[name] for name in sorted(AMOUNTS)}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=columns)
