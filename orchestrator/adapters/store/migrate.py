"""Brings a database to the code's revision, by Alembic, from code: no alembic.ini."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from orchestrator.adapters.store.errors import StoreError

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection, where: str, *, allowed: bool) -> None:
    """Upgrades to head inside the connection's transaction.

    Raises StoreError if the database is newer than the code, or older and no upgrade is `allowed` (read-only).
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    # Two lines of INFO at every start say nothing to an operator.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    revision = MigrationContext.configure(connection).get_current_revision()
    head = scripts.get_current_head()
    if revision == head:
        return
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"{where} is at revision {revision}, which this version of wattshift (revision {head}) does not know: "
            f"a newer version wrote it. Run that version, or choose another database."
        )
    if not allowed:
        raise StoreError(
            f"{where} is at revision {revision or 'none'} and this version of wattshift reads {head}: start the "
            f"controller on it once, which upgrades it."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
