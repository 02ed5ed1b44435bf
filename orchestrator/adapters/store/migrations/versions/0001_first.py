"""The first tables.

Written out rather than taken from `tables.py`: a revision stays what it was when the tables change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "breaches",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("breaches_opened_at", "breaches", ["opened_at"], unique=False)
    op.create_index("breaches_state", "breaches", ["state"], unique=False)
    op.create_table(
        "curtailments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("limit_kw", sa.Double(), nullable=False),
        sa.Column("shed_kw", sa.Double(), nullable=True),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("response_s", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("curtailments_until", "curtailments", ["until"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("trigger_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("price_usd_per_mwh", sa.Double(), nullable=False),
        sa.Column("price_basis", sa.String(), nullable=False),
        sa.Column("hashprice_usd_per_ph_day", sa.Double(), nullable=False),
        sa.Column("pue", sa.Double(), nullable=False),
        sa.Column("measured_kw", sa.Double(), nullable=False),
        sa.Column("limit_kw", sa.Double(), nullable=False),
        sa.Column("margin_usd_per_h", sa.Double(), nullable=False),
        sa.Column("binding", sa.JSON(), nullable=False),
        sa.Column("alternatives", sa.JSON(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("decisions_at_id", "decisions", ["at", "id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("billed_gpu_seconds", sa.Double(), nullable=False),
        sa.Column("credited_usd", sa.Double(), nullable=False),
        sa.Column("interruptions", sa.Integer(), nullable=False),
        sa.Column("last_interrupted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("job"),
    )
    op.create_table(
        "ledger",
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("price_usd_per_mwh", sa.Double(), nullable=False),
        sa.Column("price_basis", sa.String(), nullable=False),
        sa.Column("energy_kwh", sa.Double(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=False),
        sa.Column("revenue_usd", sa.Double(), nullable=False),
        sa.Column("credit_usd", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("start", "account", "subject", "price_usd_per_mwh"),
    )
    op.create_table(
        "meter_marks",
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("metric", "subject"),
    )
    op.create_table(
        "observations",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("price_usd_per_mwh", sa.Double(), nullable=False),
        sa.Column("price_basis", sa.String(), nullable=False),
        sa.Column("grid_kw", sa.Double(), nullable=False),
        sa.Column("mining_kw", sa.Double(), nullable=False),
        sa.Column("hpc_kw", sa.Double(), nullable=False),
        sa.Column("overhead_kw", sa.Double(), nullable=False),
        sa.Column("limit_kw", sa.Double(), nullable=False),
        sa.Column("above_limit_s", sa.Double(), nullable=False),
        sa.Column("feeder_kw", sa.JSON(), nullable=False),
        sa.Column("stale", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )
    op.create_table(
        "actions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("move", sa.JSON(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("change_kw", sa.Double(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("actions_decision_id_number", "actions", ["decision_id", "number"], unique=False)
    op.create_index("actions_state_decision_id", "actions", ["state", "decision_id"], unique=False)
