"""The store in a SQL database: SQLite now, Postgres by the same tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from sqlalchemy import Engine, delete
from sqlalchemy.engine import make_url

from orchestrator.adapters.store import reading, tables
from orchestrator.adapters.store.engine import database_file, engine_for
from orchestrator.adapters.store.errors import StoreError, named
from orchestrator.adapters.store.lock import lock_writer
from orchestrator.adapters.store.migrate import migrate
from orchestrator.adapters.store.writing import Statements, write
from orchestrator.domain.decision import Breach, Decision, Outcome
from orchestrator.domain.ledger import Posting
from orchestrator.ports import Memory, ObservationRecord, Record


class SqlStore:
    """Implements `orchestrator.ports.Store`. Made by `open`; safe to use from several threads."""

    def __init__(self, engine: Engine, where: str, lock: TextIO | None) -> None:
        self._engine = engine
        self._where = where
        self._lock = lock
        self._statements = Statements.of(engine.dialect)

    @staticmethod
    def open(url: str, *, read_only: bool = False, durable: bool = True) -> "SqlStore":
        """The store at a SQLAlchemy URL: `sqlite:///wattshift.db`, `sqlite://` (in memory), `postgresql+psycopg://...`.

        Migrates the database to this version's tables, creating it if need be. A SQLite file has one writer:
        StoreInUseError names the process that has it. A `read_only` store takes no lock, writes nothing and needs a
        database that exists. `durable=False` is for replays at full speed only: SQLite then leaves the write-back
        to the operating system, so a kill of the process loses nothing but a power cut may lose or spoil the file.

        Raises StoreError if the database can't be opened, is newer than the code, or is no database.
        """
        with named("the store's URL", "read it"):
            file = database_file(url)
            where = str(file) if file else make_url(url).render_as_string(hide_password=True)
        if file and read_only and not file.is_file():
            raise StoreError(f"{where}: there is no such database to read")
        lock: TextIO | None = None
        if file and not read_only:
            with named(where, "lock it"):
                lock = lock_writer(file)
        engine = engine_for(url, read_only=read_only, durable=durable)
        try:
            with named(where, "open it"), engine.begin() as connection:
                migrate(connection, where, allowed=not read_only)
        except BaseException:
            engine.dispose()
            if lock:
                lock.close()
            raise
        return SqlStore(engine, where, lock)

    def close(self) -> None:
        """Closes the database and lets the next writer in. What was recorded is on disk already."""
        self._engine.dispose()
        if self._lock:
            self._lock.close()

    def record(self, records: Sequence[Record]) -> None:
        """See `Store.record`. Raises StoreError, with nothing written, if the database refuses.

        An outcome whose action is not on record is an error too: decisions are stored before they are acted on.
        """
        if records:
            with named(self._where, "record"), self._engine.begin() as connection:
                write(connection, self._statements, records)

    def prune(self, before: datetime) -> int:
        """Deletes observations older than `before` and says how many. All else is kept."""
        with named(self._where, "prune"), self._engine.begin() as connection:
            return connection.execute(delete(tables.observations).where(tables.observations.c.at < before)).rowcount

    def restore(self, now: datetime) -> Memory:
        """See `Store.restore`."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.memory(connection, now)

    def decisions(self, limit: int, before: str | None = None) -> Sequence[tuple[Decision, tuple[Outcome, ...]]]:
        """See `Store.decisions`. None are older than a `before` that is not on record."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.decisions_before(connection, limit, before)

    def decision(self, decision_id: str) -> tuple[Decision, tuple[Outcome, ...]] | None:
        """The decision and the outcomes of its actions; None if there is none of that id."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.decision(connection, decision_id)

    def ledger(self, start: datetime, end: datetime) -> Sequence[Posting]:
        """See `Store.ledger`."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.ledger(connection, start, end)

    def observations(self, start: datetime, end: datetime) -> Sequence[ObservationRecord]:
        """See `Store.observations`."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.observations(connection, start, end)

    def breaches(self, start: datetime, end: datetime) -> Sequence[Breach]:
        """See `Store.breaches`."""
        with named(self._where, "read"), self._engine.begin() as connection:
            return reading.breaches(connection, start, end)
