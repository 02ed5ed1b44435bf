"""Functions that are compiled on their first call, once on each machine: the machine code is kept beside the source.

An image is built with that code in it and runs on a read-only disk, where numba's own look-out for a place would find
none: there what lies beside the source is used as it is.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

os.environ.setdefault("NUMBA_CACHE_LOCATOR_CLASSES", f"{__name__}.BesideSource")

from numba import njit
from numba.core.caching import InTreeCacheLocator

P = ParamSpec("P")
R = TypeVar("R")


class BesideSource(InTreeCacheLocator):
    """Beside the source; where nothing may be written and nothing lies there, in the folder for temporary files.

    Compiled functions call each other across files, so code is fresh only while none of the files has changed.
    """

    def get_source_stamp(self) -> str:
        return _stamp(Path(self._py_file).parent)

    @classmethod
    def from_function(cls, py_func: FunctionType, py_file: str) -> "BesideSource":
        self: Any = cls(py_func, py_file)
        try:
            self.ensure_cache_path()
        except OSError:
            kept = Path(self.get_cache_path())
            if not any(kept.glob(f"{Path(py_file).stem}.*.nbi")):
                self._cache_path = str(Path(tempfile.gettempdir()) / "wattshift-compiled")
                self.ensure_cache_path()
        return self  # type: ignore[no-any-return]


@cache
def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled; others may run meanwhile, since it holds no interpreter lock."""
    try:
        wrapped: Any = njit(cache=True, nogil=True)(function)
    except (OSError, RuntimeError):  # no place to keep it: compiled anew in each process that calls it
        wrapped = njit(nogil=True)(function)
    return wrapped  # type: ignore[no-any-return]
