"""One writer: who takes a database over, and what becomes of the one before. On SQLite and on Postgres."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, text

import orchestrator
from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.ledger import Posting
from orchestrator.adapters.store import SqlStore, StoreError, StoreInUseError
from orchestrator.adapters.store.migrate import MIGRATIONS
from orchestrator.adapters.store.revision import REVISION

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

ROOT = Path(orchestrator.__file__).parents[1]
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

Kwh = Callable[[float], Posting]


def posted_kwh(store: SqlStore) -> float:
    return sum(line.energy_kwh for line in store.ledger(NOW, NOW + HOUR))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in 60 s"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def take_over(url: str) -> SqlStore:
    """Opens for writing as another host would: with a SQLite file, one that does not see this one's lock."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///") + ".lock").unlink()
    return SqlStore.open(url)


@contextmanager
def child(script: str, *args: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", script, *args], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate(timeout=30)


# --- takeover


def test_a_writer_that_was_taken_over_writes_nothing_more_and_says_why(url: str, posting: Kwh) -> None:
    with closing(SqlStore.open(url)) as old:
        old.record([posting(1.0)])
        with closing(take_over(url)) as new:
            message = rf"another controller has taken over: process {os.getpid()} on .+, since 20\d\d-.* UTC"
            for _ in range(2):
                with pytest.raises(StoreInUseError, match=message):
                    old.record([posting(2.0)])
                with pytest.raises(StoreInUseError, match=message):
                    old.prune(NOW)
                new.record([posting(4.0)])
            assert posted_kwh(old) == posted_kwh(new) == 9.0
        with pytest.raises(StoreInUseError, match=message):  # nor when its successor has gone
            old.record([posting(2.0)])


def test_reading_the_state_again_gives_no_right_to_write_back(url: str, posting: Kwh) -> None:
    with closing(SqlStore.open(url)) as old, closing(take_over(url)):
        old.restore(NOW)
        with pytest.raises(StoreInUseError):
            old.record([posting(1.0)])


def test_a_reader_takes_nothing_over(url: str, posting: Kwh) -> None:
    with closing(SqlStore.open(url)) as writer, closing(SqlStore.open(url, read_only=True)) as reader:
        reader.restore(NOW)
        writer.record([posting(1.0)])
        assert posted_kwh(reader) == 1.0
        with pytest.raises(StoreError, match="could not prune: it was opened for reading only"):
            reader.prune(NOW)


def test_a_record_that_fails_does_not_cost_the_right_to_write(url: str, posting: Kwh) -> None:
    from orchestrator.domain.decision import Outcome, OutcomeState

    with closing(SqlStore.open(url)) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="not on record"):
                store.record([posting(1.0), Outcome("none such", OutcomeState.SENT)])
            store.record([posting(2.0)])
        assert posted_kwh(store) == 4.0


@contextmanager
def stopping_before_commit() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Holds the first transaction that writes to the ledger; yields (it is there, let it go on)."""
    there, go_on = threading.Event(), threading.Event()

    def note(_c: object, _cursor: object, statement: str, *_: Any) -> None:
        if "ledger" in statement and "INSERT" in statement and not there.is_set():
            there.set()
            assert go_on.wait(60)

    event.listen(Engine, "after_cursor_execute", note)
    try:
        yield there, go_on
    finally:
        go_on.set()
        event.remove(Engine, "after_cursor_execute", note)


def test_a_takeover_waits_for_the_record_under_way_and_reads_it(
    postgres: "PostgresServer", postgres_url: str, posting: Kwh
) -> None:
    database = postgres_url.rsplit("/", 1)[1]
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    taken: list[SqlStore] = []
    with closing(SqlStore.open(postgres_url)) as old, stopping_before_commit() as (there, go_on):
        recording = threading.Thread(target=old.record, args=([posting(1.0)],))
        recording.start()
        assert there.wait(60)
        opening = threading.Thread(target=lambda: taken.append(SqlStore.open(postgres_url)))
        opening.start()
        until(lambda: postgres.ask(waiting) == [(1,)])
        assert taken == []
        go_on.set()
        recording.join(60)
        opening.join(60)
        with closing(taken[0]) as new:
            assert posted_kwh(new) == 1.0
        with pytest.raises(StoreInUseError):
            old.record([posting(2.0)])


FREEZE = """
import os, signal, sys
from datetime import UTC, datetime
from sqlalchemy import Engine, event
from orchestrator.adapters.store import SqlStore, StoreError
from orchestrator.accounting.ledger import Account, Posting

frozen = False

def freeze(connection, cursor, statement, *_):
    global frozen
    if "INSERT INTO ledger" in statement and not frozen:
        frozen = True
        print("frozen", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

event.listen(Engine, "after_cursor_execute", freeze)
store = SqlStore.open(sys.argv[1])
for _ in range(2):
    try:
        store.record([Posting(datetime(2023, 9, 6, 19, tzinfo=UTC), Account.MINING, "s21", 312.0, "real_time", 1.0)])
        print("recorded", flush=True)
    except StoreError as error:
        print(type(error).__name__, error, flush=True)
"""


def test_a_writer_frozen_in_mid_transaction_holds_nobody_up_and_writes_nothing_when_it_wakes(
    postgres_url: str, posting: Kwh
) -> None:
    url = postgres_url + "?options=-c%20idle_in_transaction_session_timeout%3D500ms"
    with child(FREEZE, url) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == "frozen\n"
        with closing(SqlStore.open(postgres_url)) as new:  # waits until the server has given up on the old one
            new.record([posting(2.0)])
            old.send_signal(signal.SIGCONT)
            assert re.match("Store.*Error .*could not record: .*terminating connection", old.stdout.readline())
            assert re.match("StoreInUseError .*another controller has taken over", old.stdout.readline())
            assert posted_kwh(new) == 2.0


# --- two at once, and upgrades

OPEN = "import sys; from orchestrator.adapters.store import SqlStore; SqlStore.open(sys.argv[1]); print('opened')"


def test_two_that_open_an_empty_database_at_once_upgrade_it_once(
    postgres: "PostgresServer", postgres_url: str, posting: Kwh
) -> None:
    """Both have found it empty, and wait, before either goes on."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        f"WHERE locktype = 'advisory' AND NOT granted AND datname = '{postgres_url.rsplit('/', 1)[1]}'"
    )
    engine = create_engine(postgres_url)
    with child(OPEN, postgres_url) as first, child(OPEN, postgres_url) as second:
        with engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({0x57617474})"))
            until(lambda: postgres.ask(waiting) == [(2,)])
        for process in (first, second):
            assert process.communicate(timeout=60)[0] == "opened\n"
            assert process.returncode == 0
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(REVISION,)]
        assert connection.execute(text("SELECT number FROM writer")).all() == [(2,)]
    engine.dispose()
    with closing(SqlStore.open(postgres_url)) as store:
        store.record([posting(1.0)])


def test_a_database_of_the_first_version_is_upgraded_with_what_is_in_it(url: str, posting: Kwh) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO ledger VALUES (:start, 'mining', 's21', 312, 'real_time', 5, 1.56, 0, 0, 0)"),
            {"start": "2023-09-06 19:00:00.000000" + ("+00" if url.startswith("postgresql") else "")},
        )
        connection.execute(text("INSERT INTO jobs VALUES ('train', 'acme', 10, 2.5, 1, NULL, 'open')"))
    engine.dispose()
    with pytest.raises(
        StoreError, match=rf"is at revision 0001 and this version of wattshift reads {REVISION}: start the"
    ):
        SqlStore.open(url, read_only=True)
    with closing(SqlStore.open(url)) as store:
        store.record([posting(1.0)])
        assert posted_kwh(store) == 6.0
        assert store.restore(NOW).jobs == (JobRecord("train", "acme", 10.0, 2.5, 1, None, "open", arrival=None),)
