"""Records for the tests of the store."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from orchestrator.accounting.ledger import Account, Posting
from orchestrator.ports import ObservationRecord

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)


@pytest.fixture
def posting() -> Callable[[float], Posting]:
    """So many kWh, all to one line of the ledger."""
    return lambda kwh: Posting(NOW, Account.MINING, "s21", 312.0, "real_time", kwh)


@pytest.fixture
def observation() -> ObservationRecord:
    return ObservationRecord(NOW, 312.0, "real_time", 9.0, 4.0, 3.0, 2.0, 10.0, 0.5, (("north", 9.0),), ("price",))
