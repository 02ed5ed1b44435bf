"""What can go wrong with the store, in words that name the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError, StatementError


class StoreError(Exception):
    """The database could not be opened, read or written: which one, and why. Nothing was written."""


class StoreInUseError(StoreError):
    """Another process writes to this database."""


class UnknownActionError(SQLAlchemyError):
    """An outcome refers to an action that is not on record; told to callers as a StoreError."""


@contextmanager
def named(where: str, doing: str) -> Iterator[None]:
    """Turns any failure of the database into a StoreError that says which database, what was done, and the cause."""
    try:
        yield
    except StatementError as error:  # carries the statement too, which says nothing to an operator
        raise StoreError(f"{where}: could not {doing}: {error.orig}") from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"{where}: could not {doing}: {error}") from error
