"""The judge's end of a hand-in: has the learner's process do things, and answers what it asks.

Arguments are copies there; a list, dictionary, set, array or dataclass that the call changed is changed here,
too, when the call is over (not later: a contract cannot find out whether a copy was taken). Functions and
objects of a contract stay here; the learner's process can call them and use their public names.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import pickle
import socket
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ragcourse.grading.link import CALL, LIMIT, Ended, Link, Message
from ragcourse.grading.remote import Remote, RemoteMethod, crossing, remote_class, remote_error
from ragcourse.grading.wire import MAX_TEXT, Decoder, Handle, TooLarge, WireError

MAX_KEPT = 100_000  # objects of the judge's that the learner's process may hold
MAX_RAISED = 1_000  # errors of the contract's that may come back through the learner's code
MAX_SHOWN = 1_000_000  # bytes of printed text
FIRST_ITEMS, MOST_ITEMS = 16, 4_096  # of a generator: so many one by one, so many at once


class JudgeLink(Link):
    """One connection; `handed_in(link, [exercise, implementation, origin])` runs the contract."""

    def __init__(self, sock: socket.socket, handed_in: Callable[[JudgeLink, Any], str], limit: int) -> None:
        super().__init__(sock, limit)
        self.released: deque[tuple[int, int]] = deque()  # filled by destructors: no lock
        self.begun = False
        self._handed_in = handed_in
        self._remotes: weakref.WeakValueDictionary[int, Remote] = weakref.WeakValueDictionary()
        self._remote_lock = threading.RLock()
        self._kept: dict[int, Any] = {}  # what the learner's process may name, by number
        self._kept_numbers: dict[int, int] = {}  # by id(); the objects live as long as the connection
        self._raised: list[BaseException] = []
        self._shown = 0

    # ---- asking the learner's process ----

    def ask(self, what: str, *parts: Any) -> Any:
        """Have something done with the remote object `parts[0]`; return or raise what came of it."""
        released = [self.released.popleft() for _ in range(len(self.released))]
        reply = self._decoded(self.request(self._dumps((what, parts, released))))
        try:
            state, *rest = reply
            if state == "ok":
                value, changed = rest
            else:
                (name, base, text, place, key), changed = rest
            if changed is not None:
                update(parts[1:], changed)
        except (TypeError, ValueError, AttributeError):
            self._refuse(WireError("a reply of another form was expected"))
        if state == "ok":
            return value
        raise self._error(str(name), str(base), str(text), str(place), key)

    def run(self, module: str, name: str, *args: Any) -> Any:
        """Call a function of an importable module in the learner's process."""
        return self.ask("run", None, module, name, args)

    def _error(self, name: str, base: str, text: str, place: str, key: Any) -> BaseException:
        if type(key) is int and 0 <= key < len(self._raised):
            error = self._raised[key]  # the contract's own, on its way back through the learner's code
        else:
            error = remote_error(name, base, text[:MAX_TEXT])
        error.__dict__["place"] = place[:MAX_TEXT]
        return error

    def _decoded(self, data: bytes) -> Any:
        try:
            return Decoder(self._remote, self._stream, self._kept.__getitem__).decode(data)
        except WireError as error:
            self._refuse(error)

    def _refuse(self, error: WireError) -> Any:
        self.close(f"the process that runs the notebook sent what cannot be read: {error}")
        raise Ended(self.over) from None

    def _remote(self, found: Handle, fields: tuple[str, ...] | None, values: list[Any] | None) -> Remote:
        with self._remote_lock:
            remote = self._remotes.get(found.number)
            if remote is None:
                kind = remote_class(found.kind, fields)
                remote = kind.__new__(kind)
                for name, value in (
                    ("_to_", self), ("_number_", found.number), ("_methods_", found.methods), ("_seen_", 0),
                ):  # fmt: skip
                    object.__setattr__(remote, name, value)
                self._remotes[found.number] = remote
            object.__setattr__(remote, "_seen_", remote._seen_ + 1)
        if values is not None and fields is not None:
            vars(remote).update(zip(fields, values, strict=True))
        return remote

    def _stream(self, number: int) -> Iterator[Any]:
        source = self._remote(Handle(number, "generator", ()), None, None)

        def items() -> Iterator[Any]:
            for received in itertools.count():
                batch, more = self.ask("pull", source, 1 if received < FIRST_ITEMS else MOST_ITEMS)
                yield from batch
                if more is not True:
                    return

        return items()

    # ---- handing things of the judge's to the learner's process ----

    def _dumps(self, value: object) -> bytes:
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)
        pickler.persistent_id = self._persistent  # type: ignore[method-assign]
        pickler.dump(value)
        if buffer.tell() > LIMIT - 1024:
            raise TooLarge(f"the contract hands over more than {LIMIT >> 20} MB at once")
        return buffer.getvalue()

    def _persistent(self, value: Any) -> tuple[Any, ...] | None:
        """By number: what lives in one of the processes. None: pickle it, by value or by name."""
        if isinstance(value, Remote):
            return ("yours", value._number_)
        if isinstance(value, RemoteMethod):
            return ("your method", value.owner._number_, value.__name__)
        if _travels(value):
            return None
        with self._remote_lock:
            number = self._kept_numbers.setdefault(id(value), len(self._kept_numbers) + 1)
            self._kept[number] = value
            if len(self._kept) > MAX_KEPT:
                self.close("too many objects of the contract are in use")
        kind = type(value)
        methods = () if _is_closed(value) else tuple(name for name in dir(kind) if _is_method(kind, name))
        operations = tuple(name for name in OPERATIONS if hasattr(kind, name))
        return ("mine", number, kind.__name__, callable(value), methods, operations)

    # ---- being called by the learner's process ----

    def serve(self, payload: bytes) -> bytes:
        """Answer one call of the learner's process, with the number of an error instead of its traceback."""
        try:
            request = self._decoded(payload)
            try:
                what, number, *rest = request
                target = None if what == "hand in" else self._kept[number]
            except (TypeError, ValueError, KeyError):
                self._refuse(WireError("a call of something that was not handed out"))
            if what == "hand in":
                if self.begun:
                    self._refuse(WireError("a second hand-in on one connection"))
                self.begun, self.main, self.limit = True, self.handled, LIMIT
                return self._dumps(("ok", self._handed_in(self, rest)))
            return self._dumps(("ok", _done(target, what, rest)))
        except Ended as error:
            return self._dumps(("error", None, "RuntimeError", str(error)))
        except BaseException as error:  # noqa: BLE001  of the contract, or of what it was given
            return self._dumps(self._crossing(error))

    def _crossing(self, error: BaseException) -> tuple[Any, ...]:
        key = len(self._raised) if len(self._raised) < MAX_RAISED else None
        if key is not None:
            self._raised.append(error)
        return ("error", key, *crossing(error))

    def _handle(self, message: Message) -> None:
        super()._handle(message)
        if message.number == self.main and message.kind == CALL:
            self.close("the hand-in is over")  # which interrupts the learner's code, if it still runs

    def show(self, payload: bytes) -> None:
        """Print what the learner's code printed, in the thread that waits for it."""
        self._shown += len(payload)
        if self._shown <= MAX_SHOWN:
            sys.stdout.write(payload.decode("utf-8", "replace"))

    def ended(self) -> None:
        """Let go of what was handed out."""
        self._kept.clear()


OPERATIONS = {
    "__len__": len, "__iter__": iter, "__next__": next, "__bool__": bool,
    "__getitem__": lambda target, key: target[key],
    "__contains__": lambda target, item: item in target,
    "__setitem__": lambda target, key, value: target.__setitem__(key, value),
    "__delitem__": lambda target, key: target.__delitem__(key),
    "__enter__": lambda target: target.__enter__(),
    "__exit__": lambda target, *error: target.__exit__(None, None, None),
}  # fmt: skip


def _done(target: Any, what: object, rest: list[Any]) -> Any:
    """Do one of the things that the learner's process may do with an object of the judge's."""
    if what == "call":
        args, kwargs = rest
        return target(*args, **kwargs)
    if what in OPERATIONS and hasattr(type(target), str(what)):
        try:
            return OPERATIONS[str(what)](target, *rest)  # type: ignore[operator]
        except StopIteration:
            raise IndexError("the end of the iteration") from None
    name, *arguments = rest
    if type(name) is not str or name.startswith("_") or _is_closed(target):
        raise AttributeError(f"{type(target).__name__!r} object has no public attribute {name!r}")
    found = getattr(target, name)
    if what == "method":
        args, kwargs = arguments
        return found(*args, **kwargs)
    return found


def _is_closed(value: object) -> bool:
    """True for classes, functions, generators and the like: `gi_frame` is a public name, too."""
    return isinstance(value, type) or _is_library(type(value).__module__)


def _is_method(kind: type, name: str) -> bool:
    return not name.startswith("_") and callable(getattr(kind, name, None))


def _travels(value: object) -> bool:
    """True for values of built-in, standard and library types, and for functions that can be imported."""
    if isinstance(value, (FunctionType, BuiltinFunctionType, type)):
        module = getattr(value, "__module__", None) or ""
        if not _is_library(module):
            return False
        holder: Any = sys.modules.get(module)
        for part in value.__qualname__.split("."):
            holder = getattr(holder, part, None)
        return holder is value
    if isinstance(value, ModuleType):
        raise TypeError("a contract must not hand over a module")
    kind = type(value)
    return _is_library(kind.__module__) and not callable(value) and not hasattr(kind, "__next__")


def _is_library(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top == "numpy" or (
        top == "ragcourse" and not f"{module}.".startswith("ragcourse.grading.")
    )  # fmt: skip


def update(old: Any, new: Any) -> Any:
    """Make `old` equal to `new` in place where it can be changed; return what stands for it now.

    What stayed here when the arguments were sent, as a contract's own objects do, is out of reach.
    """
    if new is old or (type(new) is type(old) and isinstance(new, (int, float, str, bytes)) and new == old):
        return old
    if isinstance(old, list) and type(new) is list:
        old[:] = [update(a, b) for a, b in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, tuple) and type(new) is tuple and len(old) == len(new):
        parts = [update(a, b) for a, b in zip(old, new, strict=True)]
        return old if all(a is b for a, b in zip(old, parts, strict=True)) else tuple(parts)
    elif isinstance(old, dict) and type(new) is dict:
        merged = {key: update(old[key], value) if key in old else value for key, value in new.items()}
        dict.clear(old)
        dict.update(old, merged)
    elif isinstance(old, set) and type(new) is set:
        old.clear()
        old |= new
    elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and old.shape == new.shape:
        if old.dtype != new.dtype:
            return new
        old[...] = new
    elif dataclasses.is_dataclass(old) and dataclasses.is_dataclass(new) and _travels(old):
        for field in dataclasses.fields(old):
            object.__setattr__(old, field.name, update(getattr(old, field.name), getattr(new, field.name)))
    else:
        return new
    return old
