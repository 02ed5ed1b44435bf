"""What is particular to the SQL store: who may open it, what it says when it can't, and its migrations."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, event
from sqlalchemy.pool import Pool

import orchestrator
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.adapters.store import SqlStore, StoreError, StoreInUseError
from orchestrator.adapters.store.migrate import MIGRATIONS, migrate
from orchestrator.adapters.store.revision import REVISION, revision_of
from orchestrator.adapters.store.tables import metadata
from orchestrator.domain.decision import Action, Decision, Direction, Outcome, OutcomeState, RunJob, Trigger
from orchestrator.domain.units import energy_cost_usd
from orchestrator.ports import ObservationRecord

ROOT = Path(orchestrator.__file__).parents[1]
DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def posting(kwh: float = 1.0, price: float = 312.0, subject: str = "s21") -> Posting:
    return Posting(
        NOW, Account.MINING, subject, price, "real_time", kwh, energy_cost_usd(kwh, price), revenue_usd=kwh / 3
    )


def observation(at: datetime = NOW) -> ObservationRecord:
    return ObservationRecord(at, 312.0, "real_time", 9.0, 4.0, 3.0, 2.0, 10.0, 0.5, (("north", 9.0),), ("price",))


def decision() -> Decision:
    return Decision(
        id="d-1",
        at=NOW,
        trigger=Trigger.TICK,
        trigger_at=NOW,
        summary="train resumes",
        price_usd_per_mwh=20.0,
        price_basis="real_time",
        hashprice_usd_per_ph_day=61.8,
        pue=1.1,
        measured_kw=100.0,
        limit_kw=1000.0,
        binding=(),
        margin_usd_per_h=3.0,
        actions=(Action("d-1/0", RunJob("train"), Direction.UP, "worth 2,100 USD/MWh", 44.0),),
        alternatives=(),
        inputs={},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def written(file: Path) -> Path:
    """A database with one of a few records in it, closed."""
    with closing(SqlStore.open(f"sqlite:///{file}")) as store:
        store.record([posting(), observation(), decision(), Outcome("d-1/0", OutcomeState.MEASURED, measured_at=NOW)])
    return file


# --- one writer, many readers


def test_a_second_writer_is_refused_and_told_who_writes(file: Path) -> None:
    first = SqlStore.open(f"sqlite:///{file}")
    with pytest.raises(StoreInUseError, match=rf"{re.escape(str(file))} is in use: process {os.getpid()} "):
        SqlStore.open(f"sqlite:///{file}")
    first.close()


def test_a_writer_in_another_process_is_refused_too(file: Path) -> None:
    script = "import sys; from orchestrator.adapters.store import SqlStore; SqlStore.open(sys.argv[1])"
    with closing(SqlStore.open(f"sqlite:///{file}")):
        second = subprocess.run(
            [sys.executable, "-c", script, f"sqlite:///{file}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode == 1
    assert f"StoreInUseError: {file} is in use: process {os.getpid()} " in second.stderr


def test_the_next_writer_may_write_once_the_first_has_closed(written: Path) -> None:
    with closing(SqlStore.open(f"sqlite:///{written}")) as store:
        store.record([posting()])
        assert [line.energy_kwh for line in store.ledger(NOW, NOW + HOUR)] == [2.0]


def test_readers_read_beside_the_writer_and_follow_it(file: Path) -> None:
    with (
        closing(SqlStore.open(f"sqlite:///{file}")) as writer,
        closing(SqlStore.open(f"sqlite:///{file}", read_only=True)) as reader,
    ):
        writer.record([posting()])
        assert list(reader.ledger(NOW, NOW + HOUR)) == [posting()]
        writer.record([posting()])
        assert [line.energy_kwh for line in reader.ledger(NOW, NOW + HOUR)] == [2.0]


def test_a_reader_reads_what_a_closed_writer_left_and_writes_nothing(written: Path) -> None:
    with closing(SqlStore.open(f"sqlite:///{written}", read_only=True)) as reader:
        assert list(reader.ledger(NOW, NOW + HOUR)) == [posting()]
        with pytest.raises(StoreError, match=r"store\.db: could not record: it was opened for reading only"):
            reader.record([posting()])


def test_a_store_in_memory_is_one_database_for_all_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with closing(SqlStore.open("sqlite://")) as store, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.record([posting()]), range(100)))
        assert [line.energy_kwh for line in store.ledger(NOW, NOW + HOUR)] == [100.0]


# --- what can go wrong, by name


def _no_database(file: Path) -> None:
    file.write_bytes(b"interval_start_utc,real_time_usd_per_mwh\n" * 100)


def _spoilt(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = b"\xff" * 64
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [(_no_database, "file is not a database"), (_spoilt, "database disk image is malformed")],
)
def test_a_file_that_is_spoilt_is_refused_by_name(written: Path, spoil: Callable[[Path], None], cause: str) -> None:
    spoil(written)

    def use() -> None:
        with closing(SqlStore.open(f"sqlite:///{written}")) as store:
            store.record([posting(), decision(), observation()])

    with pytest.raises(StoreError, match=rf"{re.escape(str(written))}: could not .*{cause}"):
        use()


def test_a_refused_file_is_not_left_locked(written: Path) -> None:
    good = written.read_bytes()
    _no_database(written)
    with pytest.raises(StoreError, match="not a database"):
        SqlStore.open(f"sqlite:///{written}")
    written.write_bytes(good)
    SqlStore.open(f"sqlite:///{written}").close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no/such/store\.db: could not lock it: .*No such file or directory"):
        SqlStore.open(f"sqlite:///{tmp_path}/no/such/store.db")


def test_reading_what_is_not_there_makes_no_file(file: Path) -> None:
    with pytest.raises(StoreError, match=r"store\.db: there is no such database to read"):
        SqlStore.open(f"sqlite:///{file}", read_only=True)
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [("wattshift.db", "could not read it"), ("mysql://host/db", "allowed are sqlite and postgresql")],
)
def test_a_url_of_no_database_that_we_know_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        SqlStore.open(url)


def test_a_database_that_another_program_holds_is_named_and_written_once_it_lets_go(written: Path) -> None:
    with (
        closing(SqlStore.open(f"sqlite:///{written}?timeout=0.05")) as store,
        closing(sqlite3.connect(written, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"store\.db: could not record: database is locked"):
            store.record([posting()])
        other.execute("ROLLBACK")
        store.record([posting()])
        assert [line.energy_kwh for line in store.ledger(NOW, NOW + HOUR)] == [2.0]


FILL = """
import resource, sys
from datetime import UTC, datetime
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.adapters.store import SqlStore, StoreError
from orchestrator.accounting.ledger import Account, Posting

def postings(number):
    now = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
    return [Posting(now, Account.HPC, f"job-{number}-{n}", 1.0, "real_time", 1.0) for n in range(50)]

store = SqlStore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
number = 0
try:
    for number in range(10_000):
        store.record(postings(number))
except StoreError as error:
    print(number, error)
"""


def test_when_the_file_can_grow_no_more_the_error_names_it_and_all_before_is_kept(file: Path) -> None:
    """A limit on file size stands in for a disk that is full."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    child = subprocess.run(
        [sys.executable, "-c", FILL, f"sqlite:///{file}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    written, _, error = child.stdout.partition(" ")
    assert int(written) > 0
    assert re.match(rf"{re.escape(str(file))}: could not record: (disk I/O error|database or disk is full)", error)
    with closing(SqlStore.open(f"sqlite:///{file}")) as store:
        assert len(store.ledger(NOW, NOW + HOUR)) == 50 * int(written)


# --- durability


@pytest.fixture
def synchronous() -> Iterator[list[object]]:
    """The `synchronous` setting of each connection that is used: 2 is FULL, 0 is OFF."""
    seen: list[object] = []

    def note(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        seen.extend(connection.execute("PRAGMA synchronous").fetchone())

    event.listen(Pool, "checkout", note)
    yield seen
    event.remove(Pool, "checkout", note)


@pytest.mark.parametrize(("durable", "setting"), [(True, 2), (False, 0)])
def test_records_are_flushed_to_disk_unless_durability_is_given_up(
    file: Path, synchronous: list[object], durable: bool, setting: int
) -> None:
    with closing(SqlStore.open(f"sqlite:///{file}", durable=durable)) as store:
        store.record([posting()])
    assert set(synchronous) == {setting}


def test_a_process_that_ends_at_once_keeps_what_it_recorded_without_durability(file: Path) -> None:
    script = (
        "import os, sys; from orchestrator.adapters.store import SqlStore;"
        "from orchestrator.accounting.ledger import *; from datetime import UTC, datetime;"
        "store = SqlStore.open(sys.argv[1], durable=False);"
        "store.record([Posting(datetime(2023, 9, 6, 19, tzinfo=UTC), Account.MINING, 's21', 312.0, 'real_time', 1.0)]);"
        "os._exit(9)"
    )
    child = subprocess.run([sys.executable, "-c", script, f"sqlite:///{file}"], cwd=ROOT, timeout=60, check=False)
    assert child.returncode == 9
    with closing(SqlStore.open(f"sqlite:///{file}")) as store:
        assert [line.energy_kwh for line in store.ledger(NOW, NOW + HOUR)] == [1.0]


def test_pruning_deletes_old_observations_and_nothing_else(written: Path) -> None:
    with closing(SqlStore.open(f"sqlite:///{written}")) as store:
        store.record([observation(NOW + HOUR)])
        assert store.prune(NOW + HOUR) == 1
        assert list(store.observations(NOW, NOW + 2 * HOUR)) == [observation(NOW + HOUR)]
        assert len(store.ledger(NOW, NOW + HOUR)) == len(store.decisions(10)) == 1


# --- migrations


def test_the_migrations_make_the_tables_that_the_code_uses(file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        migrate(connection, "here")
        assert revision_of(connection) == REVISION
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_an_empty_database_is_given_the_tables_that_the_migrations_make(file: Path, tmp_path: Path) -> None:
    """To the word, but for white space, brackets, and the order of columns and constraints."""

    def described(database: Path) -> dict[str, list[str]]:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        parts = {name: [part.strip(" \t()") for part in re.split(r"[,\n]", sql)] for name, sql in found}
        return {name: sorted(filter(None, of)) for name, of in parts.items()}

    migrated = tmp_path / "migrated.db"
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.begin() as connection:
        migrate(connection, "here")
    engine.dispose()
    SqlStore.open(f"sqlite:///{file}").close()
    assert described(file) == described(migrated)


def test_tables_that_are_not_ours_are_not_taken_for_ours(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE ledger (what TEXT)")
    with pytest.raises(StoreError, match="table ledger already exists"):
        SqlStore.open(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("ledger",)]


def test_the_revision_in_the_code_is_the_newest_migration(written: Path) -> None:
    """Else each start would upgrade, or refuse what it has just made."""
    assert max(file.name[:4] for file in MIGRATIONS.glob("versions/[0-9]*.py")) == REVISION
    engine = create_engine(f"sqlite:///{written}")
    with engine.connect() as connection:
        assert revision_of(connection) == REVISION
    engine.dispose()


@pytest.mark.parametrize("there", [False, True])
def test_a_database_that_is_empty_or_current_is_opened_without_alembic_and_on_sqlite_without_postgres(
    file: Path, there: bool
) -> None:
    """They take 20 MB of a controller's memory."""
    if there:
        SqlStore.open(f"sqlite:///{file}").close()
    code = (
        "import sys; from orchestrator.adapters.store import SqlStore; SqlStore.open(sys.argv[1]).close();"
        "print(sorted({'alembic', 'psycopg', 'sqlalchemy', 'sqlalchemy.dialects.postgresql'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{file}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['sqlalchemy']\n"


def test_opening_says_nothing(file: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        SqlStore.open(f"sqlite:///{file}").close()
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_of_a_newer_version_is_left_alone(written: Path, read_only: bool) -> None:
    with closing(sqlite3.connect(written)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"is at revision 9999, which this version of wattshift .* a newer version"):
        SqlStore.open(f"sqlite:///{written}", read_only=read_only)
    with closing(sqlite3.connect(written)) as connection:
        assert connection.execute("SELECT energy_kwh FROM ledger").fetchall() == [(1.0,)]


def test_a_database_without_our_tables_is_not_read(file: Path) -> None:
    sqlite3.connect(file).close()
    file.touch()
    with pytest.raises(StoreError, match=f"is at revision none and this version of wattshift reads {REVISION}"):
        SqlStore.open(f"sqlite:///{file}", read_only=True)


# --- the database as a reader of docs/store.md sees it


def documented_queries() -> list[str]:
    text = (DOCS / "store.md").read_text(encoding="utf-8")
    return re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)


def test_the_documented_query_recomputes_the_cost_of_energy(file: Path) -> None:
    lines = [posting(1234.5, price, subject) for price in (312.0, -20.0, 4999.37) for subject in ("s21", "s19")]
    with closing(SqlStore.open(f"sqlite:///{file}")) as store:
        store.record(lines)
    with closing(sqlite3.connect(file)) as connection:
        (row,) = connection.execute(documented_queries()[0]).fetchall()
    cost = sum(line.cost_usd for line in lines)
    assert row == ("mining", pytest.approx(7407.0), pytest.approx(cost, abs=0.005), pytest.approx(cost, abs=0.005))


def test_the_other_documented_queries_run(written: Path) -> None:
    of_meter = Reconciled("grid", NOW, 312.0, "real_time", 1.5, 0.0, 1.0, NOW, 900.0, 0.5)
    with closing(SqlStore.open(f"sqlite:///{written}")) as store:
        store.record([of_meter, posting(1.5, subject="s20")])
    with closing(sqlite3.connect(written)) as connection:
        [(start, metered_kwh, booked_kwh, _)], done = (
            connection.execute(query).fetchall() for query in documented_queries()[1:]
        )
        (all_kwh,) = connection.execute("SELECT sum(energy_kwh) FROM ledger").fetchone()
    assert (start, metered_kwh, booked_kwh) == ("2023-09-06 19:00:00.000000", 1.5, all_kwh)
    assert done == [("2023-09-06 19:00:00.000000", "train resumes", "job/train", 44.0, "measured")]


def test_unsettled_decisions_are_found_by_an_index(written: Path) -> None:
    with closing(sqlite3.connect(written)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM decisions WHERE id IN (SELECT decision_id FROM actions WHERE state IN "
            "('planned', 'sent', 'acknowledged'))"
        ).fetchall()
    assert not [step for *_, step in plan if "SCAN" in step]
