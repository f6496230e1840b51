"""``@kernel``: a plain loop over arrays, compiled by Numba to machine code.

The first call of a kernel compiles it, which takes seconds; the machine code is then kept on the disk
beside the source (or, where that cannot be written, in the user's cache folder), so that later
processes load it in milliseconds. A person who waits for the compiler is told so, once.

A kernel takes C-contiguous arrays of the types that it was compiled for: any other type, a read-only
or a non-contiguous array would compile it again without a word. The classes around kernels see to that.
A kernel holds the code of those that it calls, and Numba notices an edit of its own file alone: here any
edit among the indexes makes all kernels of the library compile again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

from numba import njit
from numba.core import event

F = TypeVar("F", bound=Callable[..., Any])


class _Note(event.Listener):
    """Says so when a kernel of the library is first compiled in this process; a cached one is silent."""

    said = False

    def on_start(self, event: event.Event) -> None:
        ours = event.data["dispatcher"].py_func.__module__.startswith(__package__)
        if ours and not self.said:
            self.said = True
            print("compiling the kernels once (a few seconds); later runs load them", file=sys.stderr)

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", _Note())  # type: ignore[no-untyped-call]


@overload
def kernel(function: F, /) -> F: ...
@overload
def kernel(
    *, fastmath: bool | set[str] = False, parallel: bool = False, inline: str = "never"
) -> Callable[[F], F]: ...
def kernel(
    function: F | None = None,
    /,
    *,
    fastmath: bool | set[str] = False,
    parallel: bool = False,
    inline: str = "never",
) -> F | Callable[[F], F]:
    """Compile ``function`` with Numba, keep the code on the disk, release the GIL while it runs.

    ``fastmath`` lets the compiler reorder sums, which is what makes a dot product fast; NaN is then
    only respected with ``{"reassoc", "contract"}``. ``parallel`` gives ``prange`` its threads.
    ``inline="always"`` pastes the body into its callers.
    """
    compile_: Any = njit(cache=True, nogil=True, fastmath=fastmath, parallel=parallel, inline=inline)  # type: ignore[call-overload]

    def decorate(plain: F) -> F:
        compiled: Any = compile_(plain)
        file = compiled._cache._cache_file  # Numba offers no other way to say what a kernel depends on
        file._source_stamp = (file._source_stamp, _state_of_sources())
        return compiled  # type: ignore[no-any-return]

    return decorate if function is None else decorate(function)


@cache
def _state_of_sources() -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of every file that kernels of the library are written in."""
    files = sorted(Path(__file__).with_name("indexes").rglob("*.py"))
    return tuple((file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files)
