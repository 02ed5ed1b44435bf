"""A file that is replaced whole."""

import os
import socket
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace the file so that a reader finds the old text or the new, and either on disk."""
    path.parent.mkdir(exist_ok=True)  # not its parents: a site that is gone stays gone
    # In a container every program is process 1, and two of them may share the folder: the host's name tells them apart.
    fresh = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
