"""Brings a database to this version's tables: makes them in an empty one, migrates an older version's."""

from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from orchestrator.adapters.store.errors import StoreError
from orchestrator.adapters.store.revision import REVISION, make_tables, revision_of


def bring_up(connection: Connection, where: str, *, read_only: bool) -> None:
    """In the connection's transaction and one process at a time; nothing is done where the tables are this version's.

    StoreError where they may only be read, or are a newer version's.
    """
    revision = revision_of(connection)
    if revision == REVISION:
        return
    if read_only:
        from orchestrator.adapters.store.migrate import must_be_known  # noqa: PLC0415, Alembic takes 10 MB

        must_be_known(connection, where)
        raise StoreError(
            f"{where} is at revision {revision or 'none'} and this version of wattshift reads "
            f"{REVISION}: start the controller on it once, which upgrades it."
        )
    with _alone(connection):
        revision = revision_of(connection)  # another process may have done it meanwhile
        if revision is None:
            make_tables(connection)
        elif revision != REVISION:
            from orchestrator.adapters.store.migrate import migrate  # noqa: PLC0415, Alembic takes 10 MB

            migrate(connection, where)


def _alone(connection: Connection) -> AbstractContextManager[None]:
    """SQLite needs no lock of its own: one process at a time has the file's."""
    if connection.dialect.name != "postgresql":
        return nullcontext()
    from orchestrator.adapters.store.postgres import one_upgrade_at_a_time  # noqa: PLC0415, SQLite goes without it

    return one_upgrade_at_a_time(connection)
