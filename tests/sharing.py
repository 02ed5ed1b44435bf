"""What the workers of pytest-xdist share: a folder of the run, and locks in it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """One for all workers of this run."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def locked(file: Path, *, alone: bool = True) -> Iterator[None]:
    """While the block runs nobody else holds the lock; or, if not `alone`, nobody who asked to be alone.

    Who asks is served before those who ask later, so who wants to be alone comes to be.
    """
    with file.with_suffix(".gate").open("w") as gate, file.open("w") as lock:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
