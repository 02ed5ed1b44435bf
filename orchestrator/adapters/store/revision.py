"""Which version's tables a database has, without Alembic: it is loaded only where there is something to upgrade."""

from sqlalchemy import Connection, inspect, text

REVISION = "0003"
"""Of the tables in `tables.py`: the newest one in `migrations/versions`."""


def revision_of(connection: Connection) -> str | None:
    """What Alembic has noted in the database; None for one without our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
