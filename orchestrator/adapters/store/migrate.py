"""Brings a database to the code's revision, by Alembic, from code: no alembic.ini."""

import logging
from contextlib import nullcontext
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from orchestrator.adapters.store.errors import StoreError
from orchestrator.adapters.store.postgres import one_upgrade_at_a_time

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection, where: str) -> None:
    """Upgrades to this version's revision inside the connection's transaction, one process at a time.

    Raises StoreError if the database is newer than the code.
    """
    if is_current(connection, where):
        return
    # SQLite needs no lock of its own: one process at a time has the file's.
    alone = one_upgrade_at_a_time(connection) if connection.dialect.name == "postgresql" else nullcontext()
    with alone:
        if is_current(connection, where):  # another process has done it meanwhile
            return
        config, _ = _scripts()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def must_be_current(connection: Connection, where: str) -> None:
    """For a reader, which upgrades nothing. Raises StoreError if the database is newer than the code, or older."""
    if not is_current(connection, where):
        revision = MigrationContext.configure(connection).get_current_revision()
        raise StoreError(
            f"{where} is at revision {revision or 'none'} and this version of wattshift reads "
            f"{_scripts()[1].get_current_head()}: start the controller on it once, which upgrades it."
        )


def is_current(connection: Connection, where: str) -> bool:
    """Whether the tables are this version's. Raises StoreError if they are a newer version's."""
    _, scripts = _scripts()
    # Two lines of INFO at every start say nothing to an operator.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    revision = MigrationContext.configure(connection).get_current_revision()
    head = scripts.get_current_head()
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"{where} is at revision {revision}, which this version of wattshift (revision {head}) does not know: "
            f"a newer version wrote it. Run that version, or choose another database."
        )
    return revision == head


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)
