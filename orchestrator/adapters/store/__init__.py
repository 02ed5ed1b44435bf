"""The store door: what was seen, decided, done and earned, in SQL by SQLAlchemy, migrated by Alembic."""

from orchestrator.adapters.store.errors import StoreAheadError, StoreError, StoreInUseError
from orchestrator.adapters.store.sql import SqlStore

__all__ = ["SqlStore", "StoreAheadError", "StoreError", "StoreInUseError"]
