"""Orders for one feeder: NULL is the grid connection, for which all orders were before."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("curtailments", sa.Column("feeder", sa.String(), nullable=True))
