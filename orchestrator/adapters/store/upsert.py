"""INSERT with ON CONFLICT, which SQLAlchemy has in each dialect's own module."""

from typing import TYPE_CHECKING, Union

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_into(dialect: Dialect, table: Table) -> Union[sqlite.Insert, "postgresql.Insert"]:
    """An insert that can say what becomes of a row that is there already."""
    if dialect.name != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415, 2 MB that a site on SQLite goes without

    return postgresql.insert(table)
