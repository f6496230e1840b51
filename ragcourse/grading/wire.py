"""Values as bytes, for the way from the learner's process to the judge: safe to decode, whatever arrives.

Values of known types travel as themselves, with subclasses reduced to the base that `plain` would read;
everything else stays where it is and travels as a *handle*, a number and the name of its type.
Decoding builds exact built-in types and NumPy arrays, and calls three functions for the rest (`Decoder`).
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePath
from types import FunctionType, GeneratorType, MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ragcourse.grading.link import LIMIT
from ragcourse.grading.plain import MAX_ITEMS

MAX_DEPTH = 64  # more than `plain` looks at
MAX_VALUES = 1_000_000  # of one message, however small each is
MAX_BITS = 8_192  # of an integer: it can still be printed
MAX_NAME = 200
MAX_TEXT = 20_000  # characters of an exception

_COUNT, _REAL, _HANDLE = struct.Struct(">I"), struct.Struct(">d"), struct.Struct(">Q")
_DTYPE = re.compile(r"[<>|=]([biufcSUmM])\d{1,9}(\[(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")


class WireError(Exception):
    """The bytes are not what an encoder writes."""


class TooLarge(Exception):
    """A value that does not fit into one message."""


class Handle(NamedTuple):
    """A value that stays in its process; `methods` are the public ones that its class defines in Python."""

    number: int
    kind: str
    methods: tuple[str, ...]


def handle(number: int, value: object) -> Handle:
    """Describe a value that stays here."""
    kind = type(value)
    methods: dict[str, None] = {}
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, (FunctionType, staticmethod, classmethod)) and not name.startswith("_"):
                methods[name] = None
    return Handle(number, kind.__name__[:MAX_NAME], tuple(islice(methods, 200)))


class Encoder:
    """`keep(value)` numbers a value that stays here; `judges(value)` is the judge's number of its own."""

    def __init__(self, keep: Callable[[object], int], judges: Callable[[object], int | None]) -> None:
        self._keep, self._judges = keep, judges
        self._out = bytearray()

    def encode(self, value: object) -> bytes:
        """Return the value as bytes; TooLarge above 64 MB or a million values."""
        self._out, self._values = bytearray(), 0
        self._put(value, 0)
        self._check_size(0)
        return bytes(self._out)

    def _check_size(self, more: int) -> None:
        if len(self._out) + more > LIMIT - 1024 or self._values > MAX_VALUES:
            raise TooLarge(f"a value larger than {LIMIT >> 20} MB or {MAX_VALUES} items cannot be checked")

    def _put(self, value: Any, depth: int) -> None:
        self._values += 1
        if not self._values % 1024:
            self._check_size(0)
        kind = type(value)
        number = self._judges(value)
        if number is not None:
            self._out += b"j" + _HANDLE.pack(number)
            return
        if depth <= MAX_DEPTH:
            for base, put in _ENCODERS:
                if issubclass(kind, base):
                    put(self, value, depth)
                    return
            if dataclasses.is_dataclass(kind) and not isinstance(value, type):
                self._record(value, depth)
                return
        self._out += b"h"
        self._described(handle(self._keep(value), value))

    def _described(self, described: Handle) -> None:
        self._out += _HANDLE.pack(described.number)
        self._text(described.kind)
        self._names(described.methods)

    def _names(self, names: Sequence[str]) -> None:
        self._out += _COUNT.pack(len(names))
        for name in names:
            self._text(name)

    def _text(self, text: str, tag: bytes = b"") -> None:
        self._block(text.encode("utf-8", "surrogatepass"), tag)

    def _block(self, data: bytes, tag: bytes = b"") -> None:
        self._check_size(len(data))
        self._out += tag + _COUNT.pack(len(data))
        self._out += data

    def _items(self, tag: bytes, items: Iterable[Any], depth: int) -> None:
        kept = list(islice(items, MAX_ITEMS))
        self._out += tag + _COUNT.pack(len(kept))
        for item in kept:
            self._put(item, depth + 1)

    def _integer(self, value: int, depth: int) -> None:
        if value.bit_length() > MAX_BITS:
            self._out += b"h"
            self._described(Handle(self._keep(value), f"int of {value.bit_length()} bits", ()))
        else:
            self._block(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True), b"i")

    def _dictionary(self, value: dict[Any, Any], depth: int) -> None:
        self._out += b"d" + _COUNT.pack(dict.__len__(value))
        for key, item in dict.items(value):
            self._put(key, depth + 1)
            self._put(item, depth + 1)

    def _array(self, value: np.ndarray[Any, Any], depth: int, tag: bytes = b"a") -> None:
        array = np.ndarray.view(value, np.ndarray)
        if not _DTYPE.fullmatch(array.dtype.str):
            self._put(array.tolist(), depth)
            return
        self._check_size(array.nbytes)
        self._text(array.dtype.str, tag)
        self._out += _COUNT.pack(array.ndim) + b"".join(map(_HANDLE.pack, array.shape))
        self._block(array.tobytes())

    def _record(self, value: Any, depth: int) -> None:
        """A dataclass: its fields are sent along unless methods of its own may change them later."""
        names = [field.name for field in dataclasses.fields(value)]
        described = handle(self._keep(value), value)
        live = bool(described.methods) and not type(value).__dataclass_params__.frozen
        self._out += b"R" if live else b"r"
        self._described(described)
        self._names(names)
        for name in () if live else names:
            self._put(getattr(value, name), depth + 1)


_VIEWS: Any = (range, type({}.keys()), type({}.values()), type({}.items()))
_ENCODERS: list[tuple[Any, Callable[[Encoder, Any, int], object]]] = [
    (type(None), lambda to, value, depth: to._out.extend(b"N")),
    (bool, lambda to, value, depth: to._out.extend(b"T" if value else b"F")),
    (int, lambda to, value, depth: to._integer(int.__int__(value), depth)),
    (float, lambda to, value, depth: to._out.extend(b"f" + _REAL.pack(float.__float__(value)))),
    (str, lambda to, value, depth: to._text(str.__str__(value), b"s")),
    (bytes, lambda to, value, depth: to._block(bytes.__getitem__(value, slice(None)), b"b")),
    (np.ndarray, Encoder._array),
    (np.generic, lambda to, value, depth: to._array(np.asarray(value), depth, b"n")),
    (list, lambda to, value, depth: to._items(b"l", list.__iter__(value), depth)),
    (tuple, lambda to, value, depth: to._items(b"t", tuple.__iter__(value), depth)),
    (dict, Encoder._dictionary),
    (MappingProxyType, lambda to, value, depth: to._dictionary(dict(value), depth)),
    (set, lambda to, value, depth: to._items(b"e", set.__iter__(value), depth)),
    (frozenset, lambda to, value, depth: to._items(b"z", frozenset.__iter__(value), depth)),
    (deque, lambda to, value, depth: to._items(b"l", deque.__iter__(value), depth)),
    (_VIEWS, lambda to, value, depth: to._items(b"l", value, depth)),
    (GeneratorType, lambda to, value, depth: to._out.extend(b"g" + _HANDLE.pack(to._keep(value)))),
    (PurePath, lambda to, value, depth: to._text(str.__str__(PurePath.__str__(value)), b"p")),
]  # fmt: skip


class Decoder:
    """Reads what an `Encoder` wrote; anything else is a WireError.

    `remote(handle, fields, values)` makes the judge's view of a value that stayed at home (a dataclass has
    fields; values is None where they are to be asked for), `stream(number)` that of a generator, and
    `own(number)` finds a value of the judge's, or raises KeyError.
    """

    def __init__(
        self,
        remote: Callable[[Handle, tuple[str, ...] | None, list[Any] | None], Any],
        stream: Callable[[int], Any],
        own: Callable[[int], Any],
    ) -> None:
        self._remote, self._stream, self._own = remote, stream, own

    def decode(self, data: bytes) -> Any:
        """Return the value that all of `data` stands for."""
        self._data, self._at, self._values = data, 0, 0
        try:
            value = self._value(0)
        except (ValueError, TypeError, KeyError, OverflowError, struct.error) as error:
            raise WireError(f"{type(error).__name__} at byte {self._at}") from None
        if self._at != len(data):
            raise WireError(f"{len(data) - self._at} bytes are too many")
        return value

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise WireError("the message is cut off")
        self._at += size
        return part

    def _count(self) -> int:
        count: int = _COUNT.unpack(self._take(4))[0]
        if count > len(self._data) - self._at:
            raise WireError(f"{count} items or bytes are announced and not there")
        return count

    def _number(self) -> int:
        number: int = _HANDLE.unpack(self._take(8))[0]
        return number

    def _text(self) -> str:
        return self._take(self._count()).decode("utf-8", "surrogatepass")

    def _name(self, identifier: bool = True) -> str:
        name = self._text()
        good = name.isidentifier() and not name.startswith("__") if identifier else name.isprintable()
        if not good or not 0 < len(name) <= MAX_NAME:
            raise WireError(f"{name[:50]!r} is not a name")
        return name

    def _handle(self) -> Handle:
        number, kind = self._number(), self._name(identifier=False)
        return Handle(number, kind, tuple(self._name() for _ in range(self._count())))

    def _value(self, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH + 2 or self._values > MAX_VALUES + 1024:
            raise WireError("the value is nested too deeply, or has too many parts")
        tag = self._take(1)
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag in _SEQUENCES:
            return _SEQUENCES[tag]([self._value(depth + 1) for _ in range(self._count())])
        if tag == b"i":
            return int.from_bytes(self._take(min(self._count(), MAX_BITS // 8 + 1)), "big", signed=True)
        if tag == b"f":
            return _REAL.unpack(self._take(8))[0]
        if tag in (b"s", b"p"):
            return self._text() if tag == b"s" else Path(self._text())
        if tag == b"b":
            return self._take(self._count())
        if tag == b"d":
            pairs = [(self._value(depth + 1), self._value(depth + 1)) for _ in range(self._count())]
            return dict(pairs)
        if tag in (b"a", b"n"):
            array = self._array()
            return array if tag == b"a" else array[()]
        return self._reference(tag, depth)

    def _reference(self, tag: bytes, depth: int) -> Any:
        if tag == b"h":
            return self._remote(self._handle(), None, None)
        if tag in (b"r", b"R"):
            described = self._handle()
            names = tuple(self._name() for _ in range(self._count()))
            values = [self._value(depth + 1) for _ in names] if tag == b"r" else None
            return self._remote(described, names, values)
        if tag == b"g":
            return self._stream(self._number())
        if tag == b"j":
            return self._own(self._number())
        raise WireError(f"unknown tag {tag!r}")

    def _array(self) -> np.ndarray[Any, Any]:
        name = self._text()
        if not (match := _DTYPE.fullmatch(name)):
            raise WireError(f"{name[:50]!r} is not a type of array elements")
        dtype = np.dtype(name)
        shape = tuple(self._number() for _ in range(self._count()))
        data = self._take(self._count())
        if len(shape) > 32 or math.prod(shape) * dtype.itemsize != len(data) or max(shape, default=0) > LIMIT:
            raise WireError("the shape of an array does not fit its bytes")
        if not data:
            if math.prod(shape) > MAX_VALUES:
                raise WireError("an array of too many empty texts")
            return np.zeros(shape, dtype)
        if match[1] == "U" and int(np.frombuffer(data, dtype.str[0] + "u4").max()) > 0x10FFFF:
            raise WireError("an array has a character that does not exist")
        array = np.frombuffer(data, "u1" if match[1] == "b" else dtype).reshape(shape)
        return array != 0 if match[1] == "b" else array.copy()


_CONSTANTS = {b"N": None, b"T": True, b"F": False}
_SEQUENCES: dict[bytes, Callable[[list[Any]], Any]] = {b"l": list, b"t": tuple, b"e": set, b"z": frozenset}
