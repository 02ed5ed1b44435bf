"""Which version's tables a database has, and those of this version in an empty one.

Without Alembic, whose 10 MB stay with the process: it is loaded only where there is something to upgrade.
"""

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from orchestrator.adapters.store import tables

REVISION = "0006"
"""Of the tables in `tables.py`: the newest one in `migrations/versions`."""

_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As Alembic makes it."""


def revision_of(connection: Connection) -> str | None:
    """What Alembic has noted in the database; None for one without our tables."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.execute(select(_VERSION.c.version_num)).scalar()
    return found


def make_tables(connection: Connection) -> None:
    """Make this version's tables in a database that has none, and note its revision for Alembic to go on from.

    A table of the same name that is not ours is an error, not taken for ours.
    """
    tables.metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(insert(_VERSION).values(version_num=REVISION))
