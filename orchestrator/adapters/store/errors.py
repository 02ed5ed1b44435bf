"""What can go wrong with the store, in words that name the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError, StatementError


class StoreError(Exception):
    """The database could not be opened, read or written: which one, and why. Nothing was written.

    With one exception: a connection may break while the server commits, and stay broken. Then nobody knows, until the
    next `record` finds out (StoreAheadError).
    """


class StoreInUseError(StoreError):
    """Another process writes to this database. One that is raised by a write is final: this store writes no more."""


class StoreAheadError(StoreError):
    """A record that had failed was written after all. The store writes no more until `restore` has told its caller."""


class UnknownActionError(SQLAlchemyError):
    """An outcome refers to an action that is not on record; told to callers as a StoreError."""


@contextmanager
def named(where: str, doing: str) -> Iterator[None]:
    """Turns any failure of the database into a StoreError that says which database, what was done, and the cause."""
    try:
        yield
    except StatementError as error:  # carries the statement too, which says nothing to an operator
        raise StoreError(f"{where}: could not {doing}: {_line(error.orig)}") from error
    except (SQLAlchemyError, OSError, UnicodeError) as error:
        raise StoreError(f"{where}: could not {doing}: {_line(error)}") from error


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split())
