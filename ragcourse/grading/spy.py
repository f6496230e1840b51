"""Hear of calls that the learner's code makes to a function of a module, wherever that code runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from ragcourse.grading.remote import Remote


@contextmanager
def spy(
    implementation: object, module: ModuleType, names: Sequence[str], seen: Callable[[], object]
) -> Iterator[None]:
    """``with spy(implementation, os, ["fsync"], seen):`` `seen()` is called after each call of `os.fsync`.

    Names that the module does not have are left out. Where the implementation is remote, the function is
    replaced in its process: a help against forgetting, not against a learner who replaces it, too.
    """
    if isinstance(implementation, Remote):
        stop = implementation._to_.run(__name__, "start", module.__name__, list(names), seen)
    else:
        stop = start(module.__name__, names, seen)
    try:
        yield
    finally:
        stop.close()


def start(module: str, names: Sequence[str], seen: Callable[[], object]) -> ExitStack:
    """Replace the functions; `close()` of what is returned puts them back."""
    stop = ExitStack()
    place = importlib.import_module(module)
    for name in names:
        if hasattr(place, name):
            stop.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, _watched(getattr(place, name), seen))
    return stop


def _watched(function: Callable[..., Any], seen: Callable[[], object]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        seen()
        return result

    return call
