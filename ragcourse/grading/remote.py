"""What lives in the learner's process, used by the judge as if it were here.

A `Remote` stands for an object of the learner's: calling it, its attributes, `len`, `in`, `[]`, iteration and
`with` are done by the learner's process; `==` and the text of it are not asked for.
An exception arrives as one of its name, derived from the built-in exception it was derived from, never as
anything that is no `Exception`.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import keyword
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ragcourse.grading.expect import error_text

if TYPE_CHECKING:
    from ragcourse.grading.judge_link import JudgeLink

_NOT_RAISED = (StopIteration, StopAsyncIteration, BaseExceptionGroup)  # `Exception`s among them


class Remote:
    """An object of the learner's process. Names with two underscores are not passed on."""

    __slots__ = ("__weakref__", "_methods_", "_number_", "_seen_", "_to_")
    _to_: JudgeLink
    _number_: int
    _methods_: tuple[str, ...]
    _seen_: int  # how often it has arrived

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__name__":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return RemoteMethod(self, name) if name in self._methods_ else self._to_.ask("get", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._to_.ask("set", self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self._to_.ask("call", self, args, kwargs)

    def __bool__(self) -> bool:
        return self._to_.ask("bool", self) is True

    def __len__(self) -> int:
        return int(self._to_.ask("len", self))

    def __contains__(self, item: object) -> bool:
        return self._to_.ask("contains", self, item) is True

    def __getitem__(self, key: object) -> Any:
        return self._to_.ask("item", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._to_.ask("set item", self, key, value)

    def __delitem__(self, key: object) -> None:
        self._to_.ask("delete item", self, key)

    def __iter__(self) -> Iterator[Any]:
        iterator: Iterator[Any] = self._to_.ask("iter", self)
        return iterator

    def __next__(self) -> Any:
        found = self._to_.ask("next", self)
        if not found:
            raise StopIteration
        return found[0]

    def __enter__(self) -> Any:
        return self._to_.ask("enter", self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        """Leave; the learner's answer is ignored, so that it cannot swallow what the contract raises."""
        self._to_.ask("exit", self, error and crossing(error))

    def __deepcopy__(self, memo: object) -> Remote:
        return self

    def __del__(self) -> None:
        self._to_.released.append((self._number_, self._seen_))


class RemoteMethod:
    """A method of a remote object: fetched and called in one go."""

    def __init__(self, owner: Remote, name: str) -> None:
        self.owner, self.__name__ = owner, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self.owner._to_.ask("method", self.owner, self.__name__, args, kwargs)


@functools.lru_cache(maxsize=512)
def remote_class(kind: str, fields: tuple[str, ...] | None) -> type[Remote]:
    """Return a class of this name, a dataclass if it has fields."""
    if fields is None or any(map(keyword.iskeyword, fields)) or len(set(fields)) < len(fields):
        return type(kind, (Remote,), {})
    specs = [(name, Any) for name in fields]
    made = dataclasses.make_dataclass(kind if kind.isidentifier() else "record", specs, bases=(Remote,),
                                      init=False, repr=False, eq=False, match_args=False)  # fmt: skip
    made.__name__ = kind
    return made


@functools.lru_cache(maxsize=512)
def _error_class(name: str, base: str) -> type[Exception]:
    kind = getattr(builtins, base, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, _NOT_RAISED):
        kind = Exception
    return type(name, (kind,), {"__str__": lambda self: self.__dict__["text"]})


def remote_error(name: str, base: str, text: str) -> Exception:
    """Make an exception of the learner's: `base` is the built-in exception it is derived from."""
    try:
        error = _error_class(name, base).__new__(_error_class(name, base))
    except (TypeError, ValueError):  # a name that no class can have
        error = Exception.__new__(_error_class("Exception", ""))
    error.__dict__["text"] = text
    return error


def crossing(error: BaseException) -> tuple[str, str]:
    """Name and text under which an exception of the judge's is raised in the learner's process.

    What a contract has found wrong may tell the right answer: it has no text there.
    """
    builtin = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    name = builtin.__name__ if issubclass(builtin, Exception) else "Exception"
    return name, "" if isinstance(error, AssertionError) else error_text(error)
