"""Brings an older database to the code's revision, by Alembic, from code: no alembic.ini."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from orchestrator.adapters.store.errors import StoreError
from orchestrator.adapters.store.revision import REVISION, revision_of

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection, where: str) -> None:
    """Upgrades to this version's revision inside the connection's transaction.

    Raises StoreError if the database is newer than the code.
    """
    must_be_known(connection, where)
    # Two lines of INFO at every start say nothing to an operator.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    config, _ = _scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def must_be_known(connection: Connection, where: str) -> None:
    """Raises StoreError if the tables are a newer version's."""
    revision = revision_of(connection)
    _, scripts = _scripts()
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"{where} is at revision {revision}, which this version of wattshift (revision {REVISION}) does not know: "
            f"a newer version wrote it. Run that version, or choose another database."
        )


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)
