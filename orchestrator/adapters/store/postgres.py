"""Connections to Postgres on which no wait is without end, whatever has become of the server or of the way to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

CONNECT_S = 5
"""For one address of the server to take a connection."""
STATEMENT_S = 8
"""The server ends a statement after this, also one that waits for a lock."""
ANSWER_S = 10.0
"""Then the connection is given up: the server would have ended the statement, so it is frozen or cut off."""
IDLE_S = 5
"""The server rolls a transaction back when its client says nothing for this long. A controller that was frozen in the
middle of one would otherwise keep the lock on the row that its successor needs. Less than STATEMENT_S, so that the
successor gets it."""

_UPGRADE_LOCK = 0x57617474  # any number, so long as it stays

_Result = TypeVar("_Result")

_DEFAULTS: dict[str, Any] = {
    "application_name": "wattshift",
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_S * 1000),
}


class BoundedConnection(psycopg.Connection[Any]):
    """Gives itself up when an answer takes longer than `answer_s`, None for ever."""

    answer_s: float | None = ANSWER_S

    def wait(self, gen: PQGen[_Result], interval: float = 0.1, timeout: float | None = None) -> _Result:
        started = time.monotonic()
        try:
            return super().wait(gen, interval=interval, timeout=self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            # The query is still under way: its answer, if it came, would be taken for that of the next one.
            self.pgconn.finish()
            waited_s = time.monotonic() - started
            raise psycopg.OperationalError(f"the server did not answer in {waited_s:.0f} s") from error


def postgres_engine(url: URL, *, read_only: bool, durable: bool, **settings: Any) -> Engine:
    """An engine whose connections are bounded. What the URL says itself comes before what is set here.

    A connection is tried before it is used, so that the first transaction after a restart of the server works.
    """
    options = {
        "timezone": "UTC",
        "statement_timeout": f"{STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_S}s",
    }
    if read_only:
        options["default_transaction_read_only"] = "on"
    if not durable:
        options["synchronous_commit"] = "off"
    set_here = " ".join(f"-c {name}={value}" for name, value in options.items())
    # Of an option given twice the server takes the last.
    connect_args = {"options": f"{set_here} {url.query.get('options', '')}".strip()}
    connect_args |= {name: value for name, value in _DEFAULTS.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args=connect_args,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=ANSWER_S,
        **settings,
    )

    def connect(_dialect: object, _record: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundedConnection:
        return BoundedConnection.connect(*args, **kwargs)

    event.listen(engine, "do_connect", connect)
    return engine


@contextmanager
def one_upgrade_at_a_time(connection: Connection) -> Iterator[None]:
    """Until the transaction ends no other process upgrades this database; inside, statements may take their time."""
    bounded = connection.connection.driver_connection
    assert isinstance(bounded, BoundedConnection)
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    limit_s, bounded.answer_s = bounded.answer_s, None
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        yield
    finally:
        bounded.answer_s = limit_s
