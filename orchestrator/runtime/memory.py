"""Gives back memory that is held and not used: what the compiler took to put the planner's machine code in place.

Loading the compiled functions (`compiled.py`) touches some 70 MB of LLVM's library. They stay resident
although nothing calls them afterwards; plans and a thousand moves leave free blocks in the C library's heap.
"""

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

COMPILER = "libllvmlite"
_MAPS = Path("/proc/self/smaps")
_DONTNEED = 4
"""MADV_DONTNEED of <sys/mman.h>. A page of a file that was never written to leaves this process; whoever touches it
again has it from the file."""


def give_back() -> None:
    """Let go of the compiler's pages and of free heap. Costs some milliseconds; does nothing but on Linux."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for start, length in _clean_pages():
            if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _DONTNEED):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except OSError as error:  # the kernel takes them back itself where memory is short
        log.debug("the compiler's pages were not given back: %s", error)
    if hasattr(libc, "malloc_trim"):  # glibc's; musl has none
        libc.malloc_trim(0)


def _clean_pages() -> Iterator[tuple[int, int]]:
    """Start and length in bytes of the compiler's mappings of which no page was ever written to."""
    mapping: tuple[int, int] | None = None
    for line in _MAPS.read_text().splitlines():
        key, *rest = line.split()
        if not key.endswith(":"):
            start, end = (int(bound, 16) for bound in key.split("-"))
            ours = COMPILER in line and rest[0][1] == "-"  # and read-only
            mapping = (start, end - start) if ours else None
        elif mapping is not None and key == "Anonymous:" and rest[0] == "0":
            yield mapping
