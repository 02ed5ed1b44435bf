"""One writer, by number: each that opens the database takes the next, and writes only while it is the last.

A lock or a lease can't do this alone: a process may be frozen past the end of its lease and wake in the middle of a
write. The number is compared in the transaction of that write, under a lock on its row, so that a takeover comes
either before it, and nothing is written, or after it, and the successor reads what was.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from orchestrator.adapters.store.errors import StoreAheadError, StoreInUseError
from orchestrator.adapters.store.tables import writer
from orchestrator.adapters.store.upsert import insert_into


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to write, and the state that it was given for."""

    number: int
    records: int
    """How many records had been written when this writer last knew."""

    def after_record(self) -> "Turn":
        return Turn(self.number, self.records + 1)


def take_over(connection: Connection) -> Turn:
    """The next turn, from when the transaction commits. Waits for a record that is being written."""
    first = insert_into(connection.dialect, writer).values(
        id=1,
        number=1,
        holder=f"process {os.getpid()} on {socket.gethostname()}",
        since=datetime.now(UTC),
        records=0,
    )
    taken = first.on_conflict_do_update(
        index_elements=[writer.c.id],
        set_={"number": writer.c.number + 1, "holder": first.excluded.holder, "since": first.excluded.since},
    )
    row = connection.execute(taken.returning(writer.c.number, writer.c.records)).one()
    return Turn(row.number, row.records)


def hold(connection: Connection, turn: Turn, where: str, *, after: Turn | None = None) -> None:
    """Let nobody take over until the transaction ends, and move on to the turn `after` it with its commit.

    Raises StoreInUseError if somebody has taken over, and StoreAheadError if the database holds a record more than
    this writer knows of.
    """
    mine = update(writer).where(writer.c.number == turn.number, writer.c.records == turn.records)
    if connection.execute(mine.values(records=(after or turn).records)).rowcount == 1:
        return
    row = connection.execute(select(writer.c.number, writer.c.holder, writer.c.since)).one()
    if row.number != turn.number:
        raise StoreInUseError(
            f"{where}: another controller has taken over: {row.holder}, since {row.since:%Y-%m-%d %H:%M:%S} UTC. "
            f"Nothing was written, and this one writes no more."
        )
    raise StoreAheadError(
        f"{where}: a record that had failed, since the connection broke, was written after all. Nothing more is "
        f"written until the state is read again (restart the controller)."
    )


def read_turn(connection: Connection, *, settled: bool) -> Turn:
    """The last turn that was taken, and how many records there are; `settled` waits for a commit under way."""
    query = select(writer.c.number, writer.c.records)
    row = connection.execute(query.with_for_update() if settled else query).one()
    return Turn(row.number, row.records)
