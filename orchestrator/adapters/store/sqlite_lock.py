"""One writer for a SQLite file, by an advisory lock on `<file>.lock` that the kernel drops when the process ends."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from orchestrator.adapters.store.errors import StoreInUseError


def lock_writer(database: Path) -> TextIO:
    """The lock on `database`, kept until the returned file is closed.

    Raises StoreInUseError, naming the holder's pid, if another writer has it, and OSError if the lock file can't be
    made. The lock file stays when the lock is dropped: removing it could part two writers onto two files.
    """
    path = database.with_name(database.name + ".lock")
    # flock rather than lockf: it also keeps a second store in the same process out, and closing an unrelated
    # handle on the file doesn't drop it.
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise StoreInUseError(
            f"{database} is in use: process {holder} writes to it (lock file {path}). One site has one controller; "
            f"stop that process or choose another database."
        ) from error
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
