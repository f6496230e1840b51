"""Find out which rows of an array the learner's code reads, wherever that code runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.remote import Remote


def rows_read(
    implementation: Any, args: tuple[Any, ...], rows: NDArray[Any], **more: Any
) -> tuple[Any, list[int]]:
    """Call ``implementation(*args, rows, **more)``: its result, and the numbers of the rows that it read.

    Indexing, ``take`` and iteration read the rows they return; arithmetic, a function of NumPy, ``copy`` and
    ``astype`` read all. What goes on behind ``np.asarray`` or in compiled code is not seen: a help against
    forgetting, not against a learner who hides it.
    """
    if isinstance(implementation, Remote):
        found, read = implementation._to_.run(__name__, "call", implementation, args, rows, more)
        return found, list(read)
    return call(implementation, args, rows, more)


def call(
    implementation: Callable[..., Any], args: tuple[Any, ...], rows: NDArray[Any], more: dict[str, Any]
) -> tuple[Any, list[int]]:
    """``rows_read`` in the learner's process."""
    watched = rows.view(_Watched)
    watched.read = set()
    found = implementation(*args, watched, **more)
    return found, sorted(watched.read)


class _Watched(np.ndarray[Any, Any]):
    """An array that notes which of its rows are read; its slices are plain arrays, its views forget."""

    read: set[int] | None = None

    def _note(self, key: Any = ...) -> NDArray[Any]:
        plain = np.asarray(self)
        if self.read is not None:
            numbers = np.arange(len(plain)).reshape(-1, *(1,) * (plain.ndim - 1))  # (n, 1)
            self.read.update(np.broadcast_to(numbers, plain.shape)[key].ravel().tolist())
        return plain

    def __getitem__(self, key: Any) -> Any:
        return self._note(key)[key]

    def take(self, indices: Any, axis: Any = None, *rest: Any, **more: Any) -> Any:
        plain = self._note(indices) if axis == 0 else self._note()
        return plain.take(indices, axis, *rest, **more)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        return self._note().copy(*args, **kwargs)

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        return self._note().astype(*args, **kwargs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*(_plain(item) for item in inputs), **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.take, np.shape, np.ndim, np.size):
            return super().__array_function__(func, types, args, kwargs)
        return func(*_plain(args), **_plain(kwargs))


def _plain(value: Any) -> Any:
    """The same without watched arrays, which count as read: also inside of arguments."""
    if isinstance(value, _Watched):
        return value._note()
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
