"""The tables, alike on SQLite and Postgres. Described for readers of the database in `docs/store.md`.

Times are UTC to the microsecond, money USD and energy kWh in double precision, lists and mappings JSON.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    true,
)

from orchestrator.domain.units import utc


class UtcTime(TypeDecorator[datetime]):
    """An instant: aware going in (naive is refused), aware UTC coming out. SQLite keeps it as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

PLANNED = "planned"
"""State of an action that has no outcome yet: stored, not known to be sent."""

observations = Table(
    "observations",
    metadata,
    Column("at", UtcTime, primary_key=True),
    Column("price_usd_per_mwh", Double, nullable=False),
    Column("price_basis", String, nullable=False),
    Column("grid_kw", Double, nullable=False),
    Column("mining_kw", Double, nullable=False),
    Column("hpc_kw", Double, nullable=False),
    Column("overhead_kw", Double, nullable=False),
    Column("limit_kw", Double, nullable=False),
    Column("above_limit_s", Double, nullable=False),
    Column("feeder_kw", JSON, nullable=False),
    Column("stale", JSON, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("trigger", String, nullable=False),
    Column("trigger_at", UtcTime, nullable=False),
    Column("summary", Text, nullable=False),
    Column("price_usd_per_mwh", Double, nullable=False),
    Column("price_basis", String, nullable=False),
    Column("hashprice_usd_per_ph_day", Double, nullable=False),
    Column("pue", Double, nullable=False),
    Column("measured_kw", Double, nullable=False),
    Column("limit_kw", Double, nullable=False),
    Column("margin_usd_per_h", Double, nullable=False),
    Column("binding", JSON, nullable=False),
    Column("alternatives", JSON, nullable=False),
    Column("inputs", JSON, nullable=False),
    Index("decisions_at_id", "at", "id"),
)

actions = Table(
    "actions",
    metadata,
    Column("id", String, primary_key=True),
    Column("decision_id", ForeignKey("decisions.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("target", String, nullable=False),
    Column("move", JSON, nullable=False),
    Column("direction", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("change_kw", Double, nullable=False),
    # The newest outcome:
    Column("state", String, nullable=False),
    Column("sent_at", UtcTime),
    Column("acknowledged_at", UtcTime),
    Column("measured_at", UtcTime),
    Column("detail", Text, nullable=False),
    Index("actions_decision_id_number", "decision_id", "number"),
    Index("actions_state_decision_id", "state", "decision_id"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("start", UtcTime, primary_key=True),
    Column("account", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("price_usd_per_mwh", Double, primary_key=True),
    Column("price_basis", String, nullable=False),
    Column("energy_kwh", Double, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("quantity", Double, nullable=False),
    Column("revenue_usd", Double, nullable=False),
    Column("credit_usd", Double, nullable=False),
    Column("estimated_kwh", Double, nullable=False, server_default="0"),
    Column("estimated_usd", Double, nullable=False, server_default="0"),
    Index("ledger_account_start", "account", "start"),
)

resolutions = Table(
    "resolutions",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("meter", String, nullable=False),
    Column("way", String, nullable=False),
    Column("asked", Double),
    Column("parked", Double, nullable=False),
    Column("booked", Double, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("revenue_usd", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("person", String, nullable=False),
    Index("resolutions_at", "at"),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("meter", String, primary_key=True),
    Column("start", UtcTime, primary_key=True),
    Column("price_usd_per_mwh", Double, primary_key=True),
    Column("price_basis", String, nullable=False),
    Column("metered_kwh", Double, nullable=False),
    Column("estimated_kwh", Double, nullable=False),
    Column("devices_kwh", Double, nullable=False),
    Column("booked_from", UtcTime),
    Column("covered_s", Double, nullable=False),
    Column("residual_kwh", Double, nullable=False),
    Index("reconciliations_start", "start"),
)

meter_marks = Table(
    "meter_marks",
    metadata,
    Column("metric", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("value", Double, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("estimated", Double, nullable=False, server_default="0"),
    Column("estimated_to", UtcTime),
    Column("counted", Boolean, nullable=False, server_default=true()),
    Column("estimated_s", Double, nullable=False, server_default="0"),
)

curtailments = Table(
    "curtailments",
    metadata,
    Column("id", String, primary_key=True),
    Column("limit_kw", Double, nullable=False),
    Column("shed_kw", Double),
    Column("start", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("response_s", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", String, nullable=False),
    Column("cancelled_at", UtcTime),
    Column("feeder", String),
    Index("curtailments_until", "until"),
)

breaches = Table(
    "breaches",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("state", String, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("escalated_at", UtcTime),
    Column("resolved_at", UtcTime),
    Column("detail", Text, nullable=False),
    Index("breaches_opened_at", "opened_at"),
    Index("breaches_state", "state"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("billed_gpu_seconds", Double, nullable=False),
    Column("credited_usd", Double, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("last_interrupted_at", UtcTime),
    Column("outcome", String, nullable=False),
    # How it came; null in rows that a version before has written:
    Column("pool", String),
    Column("gpus", Integer),
    Column("run_s", Double),
    Column("submitted_at", UtcTime),
    Column("seen_at", UtcTime),
    # Of what is billed, what is estimated and not measured since:
    Column("estimated_gpu_seconds", Double, nullable=False, server_default="0"),
    # How far it was at its last settlement; null in rows of jobs that never ran:
    Column("run_elapsed_s", Double),
    Column("run_starts", Integer),
    Column("run_loading_s", Double),
    Column("run_gpus", Integer),
    Column("run_held_gpu_seconds", Double),
    Column("run_estimated_gpu_seconds", Double),
    Column("run_measured_gpu_seconds", Double),
    Column("run_measured_at", UtcTime),
)

prices = Table(
    "prices",
    metadata,
    Column("market", String, primary_key=True),
    Column("start", UtcTime, primary_key=True),
    Column("until", UtcTime, nullable=False),
    Column("usd_per_mwh", Double, nullable=False),
)

writer = Table(
    "writer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # How often a writer has opened the database: its own number is what lets it write.
    Column("number", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    # How many records have been written: tells a writer whether one that was cut off got there.
    Column("records", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="writer_one_row"),
)
