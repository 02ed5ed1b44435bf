from collections.abc import Iterator

import pytest

from tests.observability.event_day import EventDay, event_day
from tests.observability.rule_files import RULES


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventDay]:
    """The event day, played once for all tests that ask about it, with our rules evaluated."""
    with event_day(tmp_path_factory.mktemp("event-day"), f"{RULES}/*.yaml") as day:
        yield day
