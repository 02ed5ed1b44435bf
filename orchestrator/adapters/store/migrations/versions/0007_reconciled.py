"""Energy by the site's meters against what is booked of the devices behind them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("meter_marks", sa.Column("estimated_s", sa.Double(), nullable=False, server_default="0"))
    op.create_table(
        "reconciliations",
        sa.Column("meter", sa.String(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("price_usd_per_mwh", sa.Double(), nullable=False),
        sa.Column("price_basis", sa.String(), nullable=False),
        sa.Column("metered_kwh", sa.Double(), nullable=False),
        sa.Column("estimated_kwh", sa.Double(), nullable=False),
        sa.Column("devices_kwh", sa.Double(), nullable=False),
        sa.Column("booked_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("covered_s", sa.Double(), nullable=False),
        sa.Column("residual_kwh", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "start", "price_usd_per_mwh"),
    )
    op.create_index("reconciliations_start", "reconciliations", ["start"], unique=False)
