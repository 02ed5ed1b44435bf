"""How far jobs are that serve no progress, and what of their bill is estimated."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("estimated_gpu_seconds", sa.Double(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("run_elapsed_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("run_starts", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("run_loading_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("run_gpus", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("run_held_gpu_seconds", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("run_estimated_gpu_seconds", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("run_measured_gpu_seconds", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("run_measured_at", sa.DateTime(timezone=True), nullable=True))
