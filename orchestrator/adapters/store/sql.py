"""The store in a SQL database, SQLite or Postgres, by the same tables."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from sqlalchemy import Engine, delete
from sqlalchemy.exc import DBAPIError

from orchestrator.accounting.ledger import Posting
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.adapters.store import reading, tables
from orchestrator.adapters.store.bring_up import bring_up
from orchestrator.adapters.store.engine import database_file, engine_for, name_of, read_url, snapshot_reader
from orchestrator.adapters.store.errors import StoreError, named
from orchestrator.adapters.store.one_writer import Turn, hold, read_turn, take_over
from orchestrator.adapters.store.sqlite_lock import lock_writer
from orchestrator.adapters.store.writing import Statements, write
from orchestrator.domain.decision import Breach, Decision, Outcome
from orchestrator.ports import Memory, ObservationRecord, Record


class SqlStore:
    """Implements `orchestrator.ports.Store`. Made by `open`; safe to use from several threads."""

    def __init__(self, engine: Engine, where: str, lock: TextIO | None, turn: Turn | None) -> None:
        self._engine = engine
        self._reader = snapshot_reader(engine)
        self._where = where
        self._lock = lock
        self._turn = turn  # None: opened for reading
        self._one_at_a_time = threading.Lock()  # over the turn and the transaction that moves it on
        self._statements = Statements.of(engine.dialect)

    @staticmethod
    def open(url: str, *, read_only: bool = False, durable: bool = True) -> "SqlStore":
        """The store at a SQLAlchemy URL: `sqlite:///wattshift.db`, `sqlite://` (in memory), `postgresql://...`.

        Migrates the database to this version's tables, creating them if need be, and takes over from whoever wrote to
        it: a writer that is still there is refused its next record. A SQLite file that has a writer is not taken
        over: StoreInUseError names its process. A `read_only` store takes no lock, writes nothing and needs a
        database that exists. `durable=False` is for replays at full speed only: the write-back is then left to the
        operating system, so a kill of the process loses nothing but a power cut may lose (SQLite: or spoil) records.

        Raises StoreError if the database can't be opened, is newer than the code, or is no database.
        """
        parsed = read_url(url)
        where = name_of(parsed)
        file = database_file(parsed)
        if file and read_only and not file.is_file():
            raise StoreError(f"{where}: there is no such database to read")
        lock: TextIO | None = None
        if file and not read_only:
            with named(where, "lock it"):
                lock = lock_writer(file)
        engine = engine_for(parsed, read_only=read_only, durable=durable)
        turn: Turn | None = None
        try:
            with named(where, "open it"), engine.begin() as connection:
                bring_up(connection, where, read_only=read_only)
                if not read_only:
                    turn = take_over(connection)
        except BaseException:
            engine.dispose()
            if lock:
                lock.close()
            raise
        return SqlStore(engine, where, lock, turn)

    def close(self) -> None:
        """Closes the database and lets the next writer in. What was recorded is on disk already."""
        self._engine.dispose()
        if self._lock:
            self._lock.close()

    def record(self, records: Sequence[Record]) -> None:
        """See `Store.record`. Raises StoreError, with nothing written, if the database refuses.

        StoreInUseError: another process has taken over. StoreAheadError: see there; call `restore`. An outcome whose
        action is not on record is an error too: decisions are stored before they are acted on.
        """
        if not records:
            return
        with self._one_at_a_time, named(self._where, "record"):
            turn = self._own_turn("record")
            after = turn.after_record()
            try:
                with self._engine.begin() as connection:
                    hold(connection, turn, self._where, after=after)
                    write(connection, self._statements, records)
            except DBAPIError as error:
                # Cut off in the commit, it may be on disk; said to have failed, its energy would be posted again.
                if not error.connection_invalidated or self._turn_on_record() != after:
                    raise
            self._turn = after

    def prune(self, before: datetime) -> int:
        """Deletes observations older than `before` and says how many. All else is kept. Raises as `record` does."""
        with self._one_at_a_time, named(self._where, "prune"):
            turn = self._own_turn("prune")
            with self._engine.begin() as connection:
                hold(connection, turn, self._where)
                return connection.execute(delete(tables.observations).where(tables.observations.c.at < before)).rowcount

    def _own_turn(self, doing: str) -> Turn:
        if self._turn is None:
            raise StoreError(f"{self._where}: could not {doing}: it was opened for reading only")
        return self._turn

    def _turn_on_record(self) -> Turn:
        with self._engine.begin() as connection:
            return read_turn(connection, settled=True)

    def restore(self, now: datetime) -> Memory:
        """See `Store.restore`."""
        with self._one_at_a_time, named(self._where, "read"), self._reader.begin() as connection:
            memory = reading.memory(connection, now)
            if self._turn is not None:
                self._turn = Turn(self._turn.number, read_turn(connection, settled=False).records)
            return memory

    def decisions(self, limit: int, before: str | None = None) -> Sequence[tuple[Decision, tuple[Outcome, ...]]]:
        """See `Store.decisions`. None are older than a `before` that is not on record."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.decisions_before(connection, limit, before)

    def decision(self, decision_id: str) -> tuple[Decision, tuple[Outcome, ...]] | None:
        """The decision and the outcomes of its actions; None if there is none of that id."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.decision(connection, decision_id)

    def ledger(self, start: datetime, end: datetime) -> Sequence[Posting]:
        """See `Store.ledger`."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.ledger(connection, start, end)

    def parked(self) -> Sequence[Posting]:
        """See `Store.parked`."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.parked(connection)

    def resolution(self, resolution_id: str) -> Resolution | None:
        """The one of that id; None if there is none."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.resolution(connection, resolution_id)

    def resolutions(self, limit: int) -> Sequence[Resolution]:
        """See `Store.resolutions`."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.resolutions(connection, limit)

    def observations(self, start: datetime, end: datetime) -> Sequence[ObservationRecord]:
        """See `Store.observations`."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.observations(connection, start, end)

    def breaches(self, start: datetime, end: datetime) -> Sequence[Breach]:
        """See `Store.breaches`."""
        with named(self._where, "read"), self._reader.begin() as connection:
            return reading.breaches(connection, start, end)
