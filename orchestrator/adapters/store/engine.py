"""From a URL to a SQLAlchemy engine: for SQLite its settings and transactions here, for Postgres in `postgres.py`."""

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from orchestrator.adapters.store.errors import StoreError
from orchestrator.adapters.store.postgres import postgres_engine

# NaN and infinity are not JSON: Postgres refuses them, so they are refused everywhere.
_to_json = partial(json.dumps, separators=(",", ":"), allow_nan=False)


_DRIVERS = {"sqlite": "sqlite", "sqlite+pysqlite": "sqlite"} | dict.fromkeys(
    ("postgresql", "postgresql+psycopg"), "postgresql"
)


def read_url(text: str) -> URL:
    """The URL of a store. Raises StoreError, in words that give no part of a password away."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError(f"the store's URL: could not read it: {error}") from error
    except ValueError:  # its text would be what stands for the port: most likely the end of a password
        raise StoreError(f"the store's URL: could not read it: its port is not a number; {_QUOTING}") from None
    if url.drivername not in _DRIVERS:
        raise StoreError(
            f"the store's URL names {url.drivername}; allowed are sqlite and postgresql, which is postgresql+psycopg"
        )
    if "@" in (url.host or ""):
        raise StoreError(f"the store's URL: could not read it: there is more than one @; {_QUOTING}")
    return url


_QUOTING = "in a password @ is written %40, : %3A and / %2F"


def name_of(url: URL) -> str:
    """The database in words for people: a file's path, or the URL without its secrets."""
    file = database_file(url)
    shown = url.difference_update_query(("password", "sslpassword", "passfile", "sslkey", "options"))
    return str(file) if file else shown.render_as_string(hide_password=True)


def database_file(url: URL) -> Path | None:
    """The SQLite file that a URL names; None for SQLite in memory and for other databases."""
    in_memory = url.database in (None, "", ":memory:")
    return None if _DRIVERS[url.drivername] != "sqlite" or in_memory else Path(str(url.database))


def shared(url: URL) -> bool:
    """Whether several processes can reach it, from wherever they run: a server, no file."""
    return _DRIVERS[url.drivername] != "sqlite"


def engine_for(url: URL, *, read_only: bool, durable: bool) -> Engine:
    """An engine for the database of a URL from `read_url`."""
    if _DRIVERS[url.drivername] == "postgresql":
        return postgres_engine(url, read_only=read_only, durable=durable, json_serializer=_to_json)
    file = database_file(url)
    if file and read_only:
        url = url.set(database=f"file:{quote(str(file))}").update_query_dict({"mode": "ro", "uri": "true"})
    # One connection in memory, since each would be a database of its own: a second thread waits for it.
    pool: dict[str, Any] = {} if file else {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    # The driver's own transactions leave out reads and DDL; without them ours cover both (`_begin`).
    connect_args = {"isolation_level": None, "check_same_thread": False}
    engine = create_engine(url, json_serializer=_to_json, connect_args=connect_args, **pool)

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


def snapshot_reader(engine: Engine) -> Engine:
    """The same connections with transactions that see one state throughout, as SQLite's always do."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
