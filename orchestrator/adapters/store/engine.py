"""The SQLAlchemy engine: for SQLite its settings and transactions, for Postgres the defaults."""

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from orchestrator.adapters.store.errors import StoreError

# NaN and infinity are not JSON: Postgres refuses them, so they are refused everywhere.
_to_json = partial(json.dumps, separators=(",", ":"), allow_nan=False)


def database_file(url: str) -> Path | None:
    """The SQLite file that a URL names; None for SQLite in memory and for other databases."""
    parsed = make_url(url)
    in_memory = parsed.database in (None, "", ":memory:")
    return None if parsed.get_backend_name() != "sqlite" or in_memory else Path(str(parsed.database))


def engine_for(url: str, *, read_only: bool, durable: bool) -> Engine:
    """An engine for SQLite or Postgres. Raises StoreError for any other database."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return create_engine(parsed, json_serializer=_to_json)
    if backend != "sqlite":
        raise StoreError(f"the store's URL names a {backend} database; allowed are sqlite and postgresql")
    file = database_file(url)
    if file and read_only:
        parsed = parsed.set(database=f"file:{quote(str(file))}").update_query_dict({"mode": "ro", "uri": "true"})
    # One connection in memory, since each would be a database of its own: a second thread waits for it.
    pool: dict[str, Any] = {} if file else {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    # The driver's own transactions leave out reads and DDL; without them ours cover both (`_begin`).
    connect_args = {"isolation_level": None, "check_same_thread": False}
    engine = create_engine(parsed, json_serializer=_to_json, connect_args=connect_args, **pool)

    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
