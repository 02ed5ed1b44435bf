"""What is estimated for want of a counter, and who has accounted for what was parked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("estimated_kwh", sa.Double(), nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("estimated_usd", sa.Double(), nullable=False, server_default="0"))
    op.create_index("ledger_account_start", "ledger", ["account", "start"], unique=False)
    op.add_column("meter_marks", sa.Column("estimated", sa.Double(), nullable=False, server_default="0"))
    op.add_column("meter_marks", sa.Column("estimated_to", sa.DateTime(timezone=True), nullable=True))
    op.add_column("meter_marks", sa.Column("counted", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_table(
        "resolutions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("meter", sa.String(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("asked", sa.Double(), nullable=True),
        sa.Column("parked", sa.Double(), nullable=False),
        sa.Column("booked", sa.Double(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("revenue_usd", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("resolutions_at", "resolutions", ["at"], unique=False)
