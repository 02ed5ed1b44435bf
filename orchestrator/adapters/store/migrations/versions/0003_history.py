"""What forecasts are made from, for a controller that starts again: prices as known, and what jobs asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("market", sa.String(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usd_per_mwh", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("market", "start"),
    )
    op.add_column("jobs", sa.Column("pool", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("gpus", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("run_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
