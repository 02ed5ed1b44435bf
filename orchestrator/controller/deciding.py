"""The decision that is being acted on, for whatever is logged meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_decision_id: ContextVar[str | None] = ContextVar("decision_id", default=None)


@contextmanager
def acting_on(decision_id: str) -> Iterator[None]:
    """Tasks and threads that are begun in the block know of it too."""
    token = _decision_id.set(decision_id)
    try:
        yield
    finally:
        _decision_id.reset(token)


def decision_in_hand() -> str | None:
    """Id of the decision that the caller acts for; None where it acts for none."""
    return _decision_id.get()
