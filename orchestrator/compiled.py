"""Functions that are compiled on their first call, once on each machine: the machine code is kept beside the source.

They live in packages of their own, `optimizer/kernels` and `dispatch/kernels`. What is kept of one is fresh while
neither a file of its package has changed nor one that these import, so that a change anywhere else compiles nothing.

An image is built with that code in it and runs on a read-only disk, where numba's own look-out for a place would find
none: there what lies beside the source is used as it is.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

os.environ.setdefault("NUMBA_CACHE_LOCATOR_CLASSES", f"{__name__}.BesideSource")

from numba import njit
from numba.core import config
from numba.core.caching import InTreeCacheLocator

# Whoever imported numba before us had it read its settings without ours.
config.reload_config()  # type: ignore[no-untyped-call]

P = ParamSpec("P")
R = TypeVar("R")

_IMPORT = re.compile(r"^\s*from ([\w.]+) import ", re.MULTILINE)


class BesideSource(InTreeCacheLocator):
    """Beside the source; where nothing may be written and nothing lies there, in the folder for temporary files.

    Compiled functions call each other across files, so code is fresh only while none of the files has changed.
    """

    def get_source_stamp(self) -> str:
        return _stamp_once(Path(self._py_file).parent)

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
        forget_stale(Path(self.get_cache_path()), Path(py_file).stem, self.get_source_stamp())
        return self  # type: ignore[no-any-return]


def forget_stale(kept: Path, stem: str, sources: str) -> None:
    """Remove the index of what was made of other sources: it names their modules, and numba looks those up before it
    asks how fresh it is, so one that was renamed since would be an error."""
    note = kept / f"{stem}.sources"
    with suppress(OSError):  # nothing may be written: what is there was made with these
        if not note.exists() or note.read_text() != sources:
            for index in kept.glob(f"{stem}.*.nbi"):
                index.unlink(missing_ok=True)
            note.write_text(sources)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled; others may run meanwhile, since it holds no interpreter lock."""
    try:
        wrapped: Any = njit(cache=True, nogil=True)(function)
    except (OSError, RuntimeError):  # no place to keep it: compiled anew in each process that calls it
        wrapped = njit(nogil=True)(function)
    return wrapped  # type: ignore[no-any-return]


def part(function: Callable[P, R]) -> Callable[P, R]:
    """A plain function of another file as part of the compiled ones that call it: it is kept with them."""
    inner: Any = njit(nogil=True)(function)
    return inner  # type: ignore[no-any-return]


def files_read(package: Path) -> tuple[Path, ...]:
    """The files that compiled functions of the `package` depend on, sorted: its own, those of our modules that these
    import, and so on. A constant or a named tuple from elsewhere is part of the machine code too."""
    top = package
    while (top.parent / "__init__.py").exists():
        top = top.parent
    found, new = set[Path](), [*package.glob("*.py"), top / "compiled.py"]
    while new:
        file = new.pop()
        if file not in found:
            found.add(file)
            new.extend(_imported(file, top))
    return tuple(sorted(found))


def _imported(file: Path, top: Path) -> Iterator[Path]:
    """Files of modules in the package `top` that `file` imports from, as `from module import name` on a line."""
    for module in _IMPORT.findall(file.read_text(encoding="utf-8")):
        first, *rest = module.split(".")
        path = top.joinpath(*rest)
        if first == top.name:
            yield from (found for found in (path.with_suffix(".py"), path / "__init__.py") if found.exists())


def stamp(package: Path) -> str:
    """What the machine code of the `package` was made from: another where a file that it reads has changed."""
    digest = hashlib.sha256()
    for file in files_read(package):
        digest.update(file.read_bytes())
    return digest.hexdigest()


_stamp_once = cache(stamp)
"""Of this process: its sources do not change under it."""
