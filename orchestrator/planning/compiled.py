"""Functions on columns, compiled to machine code."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function compiled by numba when it is first called; the result is kept beside it on disk, if it can be.

    Where nothing can be written (a read-only image) it is compiled anew in each process.
    """
    try:
        return cast(Function, njit(cache=True)(function))
    except RuntimeError:
        return cast(Function, njit(function))
