"""The notebook's end of a hand-in: does with the implementation what the judge asks for.

Nothing here is trusted by the judge. The judge's objects appear as proxies with their public attributes and
methods.
"""

from __future__ import annotations

import builtins
import io
import pickle
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from ragcourse.grading.contract import place_of
from ragcourse.grading.expect import error_text
from ragcourse.grading.link import Link
from ragcourse.grading.origin import origin_of
from ragcourse.grading.wire import MAX_TEXT, Encoder

BATCH_SECONDS = 0.001  # a generator's items that take longer are sent one by one


class NotebookLink(Link):
    """One connection from the notebook's side."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.busy = 0  # calls of the learner's code in the thread that hands in
        self.thread = threading.current_thread()
        self.stopped = False  # by the person at the notebook
        self._interrupting = threading.Lock()
        self._objects: dict[int, list[Any]] = {}  # number: [object, how often it was sent]
        self._object_numbers: dict[int, int] = {}  # by id()
        self._next = 1
        self._objects_lock = threading.RLock()
        self._proxies: weakref.WeakValueDictionary[int, JudgeObject] = weakref.WeakValueDictionary()

    def hand_in(self, exercise: str, implementation: object) -> str:
        """Say which exercise this is, serve, and return the judge's last word."""
        return str(self._ask("hand in", 0, exercise, implementation, origin_of(implementation)))

    def ended(self) -> None:
        """Interrupt the learner's code: nobody waits for it any more."""
        with self._interrupting:
            if self.busy and self.thread is threading.main_thread() and self.thread.ident is not None:
                signal.pthread_kill(self.thread.ident, signal.SIGINT)

    def forget_thread(self) -> None:
        """Interrupt the thread that hands in no more."""
        with self._interrupting:
            self.busy = 0

    # ---- called by the judge ----

    def serve(self, payload: bytes) -> bytes:
        """Run the learner's code as the judge asks, and say what came of it."""
        mine = threading.current_thread() is self.thread
        self.busy += mine
        inputs: Any = None
        before = b""
        try:
            what, parts, released = self._loads(payload)
            self._release(released)
            if what in ("call", "method"):
                inputs = parts[1:]
                before = self._compared(inputs)
            value = _DO[what](*parts)
            return self._reply(("ok", value), inputs, before)
        except BaseException as error:  # noqa: BLE001  whatever it is, the judge is told
            try:
                return self._reply(("error", _described(error)), inputs, before)
            except Exception as second:  # noqa: BLE001  its arguments cannot be sent any more
                return self._reply(("error", _described(second)), None, b"")
        finally:
            self.busy -= mine

    def _reply(self, reply: tuple[str, Any], inputs: Any, before: bytes) -> bytes:
        changed = inputs if inputs is not None and self._compared(inputs) != before else None
        return Encoder(self._keep, _number_of).encode((*reply, changed))

    def _compared(self, inputs: object) -> bytes:
        return Encoder(id, _number_of).encode(inputs)

    def _keep(self, value: object) -> int:
        with self._objects_lock:
            number = self._object_numbers.get(id(value))
            if number is None:
                number, self._next = self._next, self._next + 1
                self._object_numbers[id(value)] = number
                self._objects[number] = [_Stream(value) if isinstance(value, Iterator) else value, 0, value]
            self._objects[number][1] += 1
            return number

    def _release(self, released: list[tuple[int, int]]) -> None:
        with self._objects_lock:
            for number, times in released:
                self._objects[number][1] -= times
                if not self._objects[number][1]:
                    del self._object_numbers[id(self._objects.pop(number)[2])]

    # ---- calling the judge ----

    def _ask(self, *parts: Any) -> Any:
        reply = self._loads(self.request(Encoder(self._keep, _number_of).encode(parts)))
        if reply[0] == "ok":
            return reply[1]
        _, key, name, text = reply
        error = getattr(builtins, name)(text)
        error.__dict__["ragcourse_key"] = key
        raise error

    def _loads(self, payload: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(payload))
        unpickler.persistent_load = self._found  # type: ignore[method-assign]
        return unpickler.load()

    def _found(self, reference: Any) -> Any:
        match reference:
            case ("yours", number):
                return self._objects[number][0]
            case ("your method", number, name):
                return getattr(self._objects[number][0], name)
        _, number, kind, is_callable, methods, operations = reference
        with self._objects_lock:
            proxy = self._proxies.get(number)
            if proxy is None:
                members: dict[str, Any] = {name: _operation(name) for name in operations}
                members |= {"__call__": _call} if is_callable else {}
                proxy = type(kind, (JudgeObject,), members)(self, number, methods)
                self._proxies[number] = proxy
            return proxy


class JudgeObject:
    """Something of the judge's: its public attributes and methods, read only, and none of its own."""

    def __init__(self, end: NotebookLink, number: int, methods: tuple[str, ...]) -> None:
        self._ragcourse = end, number, frozenset(methods)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        end, number, methods = self._ragcourse
        if name in methods:
            return lambda *args, **kwargs: end._ask("method", number, name, args, kwargs)
        return end._ask("get", number, name)

    def __deepcopy__(self, memo: object) -> JudgeObject:
        return self


def _call(self: JudgeObject, *args: Any, **kwargs: Any) -> Any:
    end, number, _ = self._ragcourse
    return end._ask("call", number, args, kwargs)


def _operation(name: str) -> Callable[..., Any]:
    def operation(self: JudgeObject, *args: Any) -> Any:
        end, number, _ = self._ragcourse
        try:
            return end._ask(name, number, *args)
        except IndexError:
            if name == "__next__":
                raise StopIteration from None
            raise

    return operation


def _number_of(value: object) -> int | None:
    return value._ragcourse[1] if isinstance(value, JudgeObject) else None


class _Stream:
    """A generator or iterator whose items are fetched as they come."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._error: BaseException | None = None

    def pull(self, count: int) -> tuple[list[Any], bool]:
        """Return the next items, one at least, and whether there may be more."""
        batch: list[Any] = []
        if self._error is not None:
            raise self._error
        end = time.monotonic() + BATCH_SECONDS
        try:
            while len(batch) < count and not (batch and time.monotonic() > end):
                batch.append(next(self._items))
        except StopIteration:
            return batch, False
        except BaseException as error:
            if not batch:
                raise
            self._error = error
        return batch, True

    def __next__(self) -> Any:
        return next(self._items)

    def __iter__(self) -> Iterator[Any]:
        return self._items


def _enter(target: Any) -> Any:
    enter = getattr(type(target), "__enter__", None)
    if enter is None or not hasattr(type(target), "__exit__"):
        raise TypeError(f"{type(target).__name__!r} object does not support the context manager protocol")
    return enter(target)


def _exit(target: Any, error: tuple[str, str] | None) -> None:
    if error is None:
        type(target).__exit__(target, None, None, None)
    else:
        kind = getattr(builtins, error[0], Exception)
        type(target).__exit__(target, kind, kind(error[1]), None)


def _set_item(target: Any, key: Any, value: Any) -> None:
    target[key] = value


def _delete_item(target: Any, key: Any) -> None:
    del target[key]


_END = object()


def _next(target: Any) -> tuple[Any, ...]:
    found = next(target, _END)
    return () if found is _END else (found,)


def _items(target: Any) -> Iterator[Any]:
    items = iter(target)  # now: what cannot be iterated over says so at once
    return (item for item in items)


_DO: dict[str, Callable[..., Any]] = {
    "call": lambda target, args, kwargs: target(*args, **kwargs),
    "method": lambda target, name, args, kwargs: getattr(target, name)(*args, **kwargs),
    "get": getattr, "set": setattr, "bool": bool, "len": len, "iter": _items, "next": _next,
    "contains": lambda target, item: item in target, "item": lambda target, key: target[key],
    "set item": _set_item, "delete item": _delete_item, "enter": _enter, "exit": _exit,
    "pull": lambda stream, count: stream.pull(count),
    "run": lambda target, module, name, args: getattr(import_module(module), name)(*args),
}  # fmt: skip


def _described(error: BaseException) -> tuple[Any, ...]:
    """The exception for the judge: name, nearest built-in one, text, the learner's line, its number."""
    builtin = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    text, key = error_text(error)[:MAX_TEXT], error.__dict__.get("ragcourse_key")
    return type(error).__name__, builtin.__name__, text, place_of(error)[:MAX_TEXT], key
