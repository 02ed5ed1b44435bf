"""A Postgres that restarts, crashes, hangs or is cut off: nothing is lost or posted twice, and no wait is endless."""

import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from orchestrator.accounting.ledger import Posting
from orchestrator.adapters.store import SqlStore, StoreAheadError, StoreError
from orchestrator.adapters.store.postgres import BoundedConnection

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

Kwh = Callable[[float], Posting]


def posted_kwh(store: SqlStore) -> float:
    return sum(line.energy_kwh for line in store.ledger(NOW, NOW + HOUR))


# --- the server goes, and comes back


@pytest.fixture
def server(postgres: "PostgresServer") -> Iterator["PostgresServer"]:
    """The server of the session, which the test may stop."""
    yield postgres
    if postgres.process is None:
        postgres.start()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shut down", "crashed"])
def test_the_next_record_works_after_the_server_was_restarted(
    server: "PostgresServer", postgres_url: str, posting: Kwh, how: signal.Signals
) -> None:
    with closing(SqlStore.open(postgres_url)) as store:
        store.record([posting(1.0)])
        server.stop(how)
        server.start()
        store.record([posting(2.0)])
        assert posted_kwh(store) == 3.0


def test_while_the_server_is_away_the_error_names_it_and_when_it_is_back_records_go_on(
    server: "PostgresServer", postgres_url: str, posting: Kwh
) -> None:
    with closing(SqlStore.open(postgres_url)) as store:
        store.record([posting(1.0)])
        server.stop()
        for _ in range(2):
            with pytest.raises(
                StoreError, match=r"127\.0\.0\.1:\d+/test_\w+: could not record: .*[Cc]onnection refused"
            ):
                store.record([posting(2.0)])
            with pytest.raises(StoreError, match=r"could not read: .*[Cc]onnection refused"):
                store.restore(NOW)
        server.start()
        store.record([posting(4.0)])
        assert posted_kwh(store) == 5.0


def test_a_crash_of_the_server_in_mid_transaction_leaves_nothing_of_it(
    server: "PostgresServer", postgres_url: str, posting: Kwh
) -> None:
    def crash(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO ledger" in statement and server.process:
            server.stop(signal.SIGQUIT)

    with closing(SqlStore.open(postgres_url)) as store:
        store.record([posting(1.0)])
        event.listen(Engine, "after_cursor_execute", crash)
        try:
            with pytest.raises(StoreError, match="could not record"):
                store.record([posting(2.0)])
        finally:
            event.remove(Engine, "after_cursor_execute", crash)
        server.start()
        store.record([posting(4.0)])
        assert posted_kwh(store) == 5.0


# --- the way to the server is cut


class Wire:
    """Carries bytes between the store and the server, and can be cut."""

    def __init__(self, port: int) -> None:
        self.carrying = threading.Event()
        """Cleared: nothing is carried either way, and connections stay."""
        self.carrying.set()
        self.cut_commit = ""
        """Cut the next connection that commits: `before` the server hears of it, or `after` it has answered."""
        self.closed = False
        """Connections are refused."""
        self._server = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        self._ended = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.closed:
                client.close()
            else:
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            while not self._ended:
                ready, _, _ = select.select([client, server], [], [], 0.05)
                if not self.carrying.wait(0.05):
                    continue
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client and b"COMMIT\0" in data and self.cut_commit:
                        if self.cut_commit.startswith("after"):
                            server.sendall(data)
                            assert b"COMMIT\0" in server.recv(65536)
                        self.closed = self.cut_commit.endswith("for good")
                        self.cut_commit = ""
                        return
                    (server if source is client else client).sendall(data)


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    port = make_url(postgres_url).port
    assert port is not None
    made = Wire(port)
    yield made
    made.end()


@pytest.fixture
def wired_url(postgres_url: str, wire: Wire) -> str:
    return make_url(postgres_url).set(port=wire.port).render_as_string(hide_password=False) + "?connect_timeout=2"


def test_a_commit_that_arrived_though_its_answer_did_not_counts_as_written(
    wired_url: str, wire: Wire, posting: Kwh
) -> None:
    with closing(SqlStore.open(wired_url)) as store:
        wire.cut_commit = "after"
        store.record([posting(1.0)])
        assert wire.cut_commit == ""
        store.record([posting(2.0)])
        assert posted_kwh(store) == 3.0


def test_a_commit_that_did_not_arrive_is_an_error_and_may_be_tried_again(
    wired_url: str, wire: Wire, posting: Kwh
) -> None:
    with closing(SqlStore.open(wired_url)) as store:
        wire.cut_commit = "before"
        with pytest.raises(StoreError, match="could not record"):
            store.record([posting(1.0)])
        assert wire.cut_commit == ""
        store.record([posting(1.0)])
        assert posted_kwh(store) == 1.0


def test_a_commit_whose_end_is_not_known_is_never_posted_twice(wired_url: str, wire: Wire, posting: Kwh) -> None:
    with closing(SqlStore.open(wired_url)) as store:
        wire.cut_commit = "after, for good"
        with pytest.raises(StoreError, match="could not record"):
            store.record([posting(1.0)])
        wire.closed = False
        for _ in range(2):
            with pytest.raises(StoreAheadError, match=r"a record that had failed.* was written after all"):
                store.record([posting(1.0)])
        store.restore(NOW)  # the caller now knows
        assert posted_kwh(store) == 1.0
        store.record([posting(2.0)])
        assert posted_kwh(store) == 3.0


def test_a_server_that_hangs_is_given_up_and_used_again_when_it_answers(
    wired_url: str, wire: Wire, posting: Kwh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would hang for ever if any wait had no end."""
    monkeypatch.setattr(BoundedConnection, "answer_s", 0.5)
    with closing(SqlStore.open(wired_url)) as store:
        store.record([posting(1.0)])
        wire.carrying.clear()
        with pytest.raises(StoreError, match=r"could not record: .*timeout expired"):
            store.record([posting(2.0)])
        with pytest.raises(StoreError, match=r"could not read: .*timeout expired"):
            store.restore(NOW)
        wire.carrying.set()
        store.record([posting(4.0)])
        assert posted_kwh(store) == 5.0


def test_a_server_that_hangs_in_mid_transaction_is_given_up(
    wired_url: str, wire: Wire, posting: Kwh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "answer_s", 0.5)

    def freeze(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO ledger" in statement:
            wire.carrying.clear()

    with closing(SqlStore.open(wired_url)) as store:
        event.listen(Engine, "before_cursor_execute", freeze)
        try:
            with pytest.raises(StoreError, match=r"could not record: .*(did not answer|timeout expired)"):
                store.record([posting(2.0)])
        finally:
            event.remove(Engine, "before_cursor_execute", freeze)
        wire.carrying.set()
        with suppress(StoreAheadError):  # it may have arrived in the end
            store.record([posting(2.0)])
        assert posted_kwh(store) == 2.0
