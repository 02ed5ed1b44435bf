"""What is particular to Postgres: limits of a session, what errors say, zones and encodings."""

import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url

from orchestrator.accounting.ledger import MeterMark, Posting
from orchestrator.adapters.store import SqlStore, StoreError
from orchestrator.adapters.store.migrate import migrate
from orchestrator.adapters.store.postgres import BoundedConnection
from orchestrator.adapters.store.revision import REVISION, make_tables, revision_of
from orchestrator.adapters.store.tables import metadata
from orchestrator.domain.observation import Metric
from orchestrator.ports import ObservationRecord

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

Kwh = Callable[[float], Posting]


def posted_kwh(store: SqlStore) -> float:
    return sum(line.energy_kwh for line in store.ledger(NOW, NOW + HOUR))


# --- limits


def test_a_statement_that_waits_for_a_lock_ends_by_the_servers_clock(
    postgres: "PostgresServer", postgres_url: str, posting: Kwh
) -> None:
    engine = create_engine(postgres_url)
    with closing(SqlStore.open(postgres_url + "?options=-c%20statement_timeout%3D300ms")) as store:
        with engine.begin() as other:
            other.exec_driver_sql("LOCK TABLE ledger")
            with pytest.raises(StoreError, match="could not record: canceling statement due to statement timeout"):
                store.record([posting(1.0)])
        store.record([posting(2.0)])
        assert posted_kwh(store) == 2.0
    engine.dispose()


def test_sessions_have_limits_that_the_url_may_change(postgres: "PostgresServer", postgres_url: str) -> None:
    asked = ("statement_timeout", "idle_in_transaction_session_timeout", "TimeZone", "application_name")

    def settings_of(url: str, **how: bool) -> list[str]:
        seen: list[str] = []

        def look(connection: BoundedConnection, *_: object) -> None:
            seen[:] = [str(row[0]) for name in asked for row in connection.execute(f"SHOW {name}".encode())]
            connection.rollback()

        event.listen(Engine, "connect", look)
        try:
            SqlStore.open(url, **how).close()
        finally:
            event.remove(Engine, "connect", look)
        return seen

    assert settings_of(postgres_url) == ["8s", "5s", "UTC", "wattshift"]
    changed = postgres_url + "?options=-c%20statement_timeout%3D3s&application_name=site-7"
    assert settings_of(changed, read_only=True) == ["3s", "5s", "UTC", "site-7"]


# --- errors keep secrets

SECRET = "hunter2-tr0ub4dor"  # no part of it may show


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://wattshift:{secret}@127.0.0.1:{port}/postgres",
        "postgresql://127.0.0.1:{port}/postgres?user=wattshift&password={secret}",
        "postgresql+psycopg://wattshift:{secret}@127.0.0.1:1/postgres",
        "postgresql+psycopg://wattshift:{secret}@no-such-host.invalid/postgres",
        "postgresql+psycopg://wattshift:{secret}@127.0.0.1:{port}/postgres?sslmode=require",
        "postgresql+psycopg://wattshift:{secret}@127.0.0.1:{port}/postgres?no_such_option=1",
        "postgresql+psycopg://wattshift:{secret}@127.0.0.1:port/postgres",
        "postgresql+psycopg://wattshift:p@{secret}@127.0.0.1:{port}/postgres",
        "postgresql+psycopg://wattshift:p@:{secret}@127.0.0.1:{port}/postgres",
        "postgresql+asyncpg://wattshift:{secret}@127.0.0.1:{port}/postgres",
        "postgresql+psycopg:/wattshift:{secret}@127.0.0.1:{port}/postgres",
    ],
)
def test_an_error_shows_no_password(postgres: "PostgresServer", url: str) -> None:
    port = make_url(postgres.url("postgres")).port
    with pytest.raises(StoreError) as caught:
        SqlStore.open(url.format(secret=SECRET, port=port))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_password_that_is_not_quoted_is_recognised() -> None:
    with pytest.raises(StoreError, match=r"more than one @; in a password @ is written %40"):
        SqlStore.open("postgresql://wattshift:a@b@127.0.0.1/db")


# --- what is in the tables


@pytest.mark.parametrize("bring_up", [make_tables, lambda connection: migrate(connection, "here")])
def test_an_empty_database_and_the_migrations_get_the_tables_that_the_code_uses(
    postgres_url: str, bring_up: Callable[[Connection], None]
) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        bring_up(connection)
        assert revision_of(connection) == REVISION
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert inspect(connection).get_pk_constraint("alembic_version")["name"] == "alembic_version_pkc"
    engine.dispose()


@pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII"])
def test_zone_and_encoding_of_the_database_change_nothing(
    postgres: "PostgresServer", postgres_url: str, observation: ObservationRecord, encoding: str
) -> None:
    name = make_url(postgres_url).database
    postgres.ask(f"DROP DATABASE {name}")
    postgres.ask(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'")
    postgres.ask(f"ALTER DATABASE {name} SET timezone = 'America/Chicago'")
    autumn = datetime(2023, 11, 5, 5, 59, 59, 999_999, tzinfo=UTC)  # an hour that Chicago has twice follows
    seen = [
        replace(observation, at=autumn + n * timedelta(minutes=30), price_basis="µ€ 電力", stale=("Füder",))
        for n in range(6)
    ]
    with closing(SqlStore.open(postgres_url)) as store:
        store.record(seen)
        assert list(store.observations(autumn, autumn + 4 * HOUR)) == seen
        assert store.prune(autumn + HOUR) == 2
    assert postgres.ask("SELECT min(at) = '2023-11-05 06:59:59.999999+00' FROM observations", str(name)) == [(True,)]


def test_a_reader_sees_one_state_throughout(postgres_url: str, observation: ObservationRecord) -> None:
    """What is written between two of its queries is in neither."""
    mark = MeterMark(Metric.ASIC_ENERGY, "s21/rack-0", 1.0, NOW)
    written = False
    with (
        closing(SqlStore.open(postgres_url)) as writer,
        closing(SqlStore.open(postgres_url, read_only=True)) as reader,
    ):

        def write(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            nonlocal written
            if "FROM meter_marks" in statement and not written:
                written = True
                writer.record([mark, observation])

        event.listen(Engine, "after_cursor_execute", write)
        try:
            before = reader.restore(NOW)
        finally:
            event.remove(Engine, "after_cursor_execute", write)
        assert written
        assert (before.marks, before.last_observation) == ((), None)
        after = reader.restore(NOW)
        assert (after.marks, after.last_observation) == ((mark,), observation)
