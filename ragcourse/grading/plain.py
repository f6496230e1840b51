"""Turn values that a learner's code returned into plain data, and say where two of them differ.

A learner's object may lie: its `__eq__` may always answer True, its `__repr__` may raise, its `__len__` may
be wrong. So nothing here asks an object about itself. Known types are read through the methods of their
built-in base class (`list.__iter__(value)`, not `iter(value)`); everything else becomes an `Opaque`, which
is equal to nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import reprlib
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import PurePath
from types import GeneratorType, MappingProxyType
from typing import Any, NamedTuple

import numpy as np

MAX_DEPTH = 40
MAX_ITEMS = 100_000  # an endless generator is cut here


@dataclasses.dataclass(frozen=True, eq=False)
class Opaque:
    """A value of a type that cannot be compared safely; only its type's name is kept."""

    kind: str

    def __repr__(self) -> str:
        return f"<{self.kind} object>"


@dataclasses.dataclass(frozen=True)
class Record:
    """A dataclass instance as its name and its fields."""

    kind: str
    fields: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value!r}' for name, value in self.fields)})"


def plain(value: object, depth: int = 0) -> Any:
    """Return `value` as exact built-in types and `numpy.ndarray`, without calling the value's own methods.

    Lists, deques, ranges, dictionary views and generators become lists (generators at most 100,000 items),
    sets become frozensets, NumPy scalars Python numbers, dataclasses `Record`, any other object `Opaque`.
    """
    kind = type(value)
    if depth > MAX_DEPTH:
        return Opaque(f"{kind.__name__} nested deeper than {MAX_DEPTH} levels")

    def inner(items: Iterable[Any]) -> list[Any]:
        return [plain(item, depth + 1) for item in itertools.islice(items, MAX_ITEMS)]

    for base, convert in _CONVERTERS:
        if issubclass(kind, base):
            return convert(value, inner)
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return Record(
            kind.__name__, tuple(zip(names, inner(getattr(value, name) for name in names), strict=True))
        )
    return Opaque(kind.__name__)


Inner = Callable[[Iterable[Any]], list[Any]]


def _dict(value: Any, inner: Inner) -> dict[Any, Any]:
    items = list(dict.items(value))
    return dict(zip(inner(k for k, _ in items), inner(v for _, v in items), strict=True))


_CONVERTERS: list[tuple[Any, Callable[[Any, Inner], Any]]] = [
    (type(None), lambda value, inner: None),
    (bool, lambda value, inner: value),
    (int, lambda value, inner: int.__int__(value)),
    (float, lambda value, inner: float.__float__(value)),
    (str, lambda value, inner: str.__str__(value)),
    (bytes, lambda value, inner: bytes.__getitem__(value, slice(None))),
    (np.ndarray, lambda value, inner: np.ndarray.view(value, np.ndarray).copy()),
    (np.generic, lambda value, inner: inner([np.generic.item(value)])[0]),
    (list, lambda value, inner: inner(list.__iter__(value))),
    (tuple, lambda value, inner: tuple(inner(tuple.__iter__(value)))),
    (dict, _dict),
    (MappingProxyType, lambda value, inner: _dict(dict(value), inner)),
    (set, lambda value, inner: frozenset(inner(set.__iter__(value)))),
    (frozenset, lambda value, inner: frozenset(inner(frozenset.__iter__(value)))),
    (deque, lambda value, inner: inner(deque.__iter__(value))),
    ((range, GeneratorType, type({}.keys()), type({}.values()), type({}.items())), lambda v, inner: inner(v)),
    (PurePath, lambda value, inner: Record("Path", (("path", str.__str__(PurePath.__str__(value))),))),
]


class Rules(NamedTuple):
    """How near two numbers must be, and whether two `Opaque` of one kind count as equal."""

    rel: float = 1e-9
    absolute: float = 1e-12
    opaque_equal: bool = False


DEFAULT_RULES = Rules()


def difference(got: Any, expected: Any, rules: Rules = DEFAULT_RULES) -> str | None:
    """Say where two plain values differ, or None when they are equal.

    Numbers are compared by value within the rules; True is not 1; lists and tuples are both sequences; an
    array equals a sequence or array of the same shape. The text is "" where the difference is the whole
    value.
    """
    if isinstance(got, np.ndarray) or isinstance(expected, np.ndarray):
        return _array_difference(got, expected, rules)
    if _is_number(got) and _is_number(expected):
        return None if _close(got, expected, rules) else ""
    if isinstance(got, (list, tuple)) and isinstance(expected, (list, tuple)):
        return _sequence_difference(got, expected, rules)
    if type(got) is not type(expected):
        return f"a value of type {_kind(expected)} was expected, not of type {_kind(got)}"
    if isinstance(got, dict):
        missing = [key for key in expected if key not in got]
        extra = [key for key in got if key not in expected]
        if missing or extra:
            return (
                f"the key {show(missing[0])} is missing"
                if missing
                else f"the key {show(extra[0])} is too many"
            )
        pairs = ((f"[{key!r}]", got[key], expected[key]) for key in expected)
        return _first(pairs, rules)
    if isinstance(got, Record):
        if (got.kind, [n for n, _ in got.fields]) != (expected.kind, [n for n, _ in expected.fields]):
            return f"a {expected.kind} was expected, not a {got.kind}"
        pairs = ((f".{n}", g, e) for (n, g), (_, e) in zip(got.fields, expected.fields, strict=True))
        return _first(pairs, rules)
    if isinstance(got, Opaque):
        return (
            None if rules.opaque_equal and got.kind == expected.kind else f"a {got.kind} cannot be compared"
        )
    return None if got == expected else ""


def _kind(value: Any) -> str:
    return value.kind if isinstance(value, (Record, Opaque)) else type(value).__name__


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _close(got: float, expected: float, rules: Rules) -> bool:
    if isinstance(got, int) and isinstance(expected, int):
        return got == expected
    return math.isclose(got, expected, rel_tol=rules.rel, abs_tol=rules.absolute) or (
        math.isnan(got) and math.isnan(expected)
    )


def _first(pairs: Iterable[tuple[str, Any, Any]], rules: Rules) -> str | None:
    for place, got, expected in pairs:
        inner = difference(got, expected, rules)
        if inner is not None:
            return f"at {place}: {inner or f'expected {show(expected)}, got {show(got)}'}"
    return None


def _sequence_difference(got: Any, expected: Any, rules: Rules) -> str | None:
    if len(got) != len(expected):
        wanted = "1 item was" if len(expected) == 1 else f"{len(expected)} items were"
        return f"{wanted} expected, there {'is' if len(got) == 1 else 'are'} {len(got)}"
    pairs = ((f"[{i}]", g, e) for i, (g, e) in enumerate(zip(got, expected, strict=True)))
    return _first(pairs, rules)


def _array_difference(got: Any, expected: Any, rules: Rules) -> str | None:
    if not all(isinstance(v, (np.ndarray, list, tuple, int, float)) for v in (got, expected)):
        return f"a value of type {_kind(expected)} was expected, not of type {_kind(got)}"
    try:
        a, b = np.asarray(got), np.asarray(expected)
    except ValueError:
        return "the rows do not all have the same length"
    if a.shape != b.shape:
        return f"the shape {b.shape} was expected, not {a.shape}"
    if "O" in a.dtype.kind + b.dtype.kind:
        return difference(plain(a.tolist()), plain(b.tolist()), rules)
    numeric = a.dtype.kind in "iufc" and b.dtype.kind in "iufc"
    equal = np.isclose(a, b, rtol=rules.rel, atol=rules.absolute, equal_nan=True) if numeric else a == b
    if bool(np.all(equal)) and (a.dtype.kind == "b") == (b.dtype.kind == "b"):
        return None
    place = tuple(int(i) for i in np.argwhere(~np.asarray(equal))[0]) if not np.all(equal) else ()
    return f"at {list(place)}: expected {b[place]}, got {a[place]}" if place else ""


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxfrozenset = 10
        self.maxstring = self.maxother = 160
        self.maxlevel = 6

    def repr_ndarray(self, x: np.ndarray[Any, Any], level: int) -> str:
        text = np.array2string(x, threshold=20, edgeitems=3, precision=4, separator=", ")
        return f"{' '.join(text.split())}  shape {x.shape}, {x.dtype}"


_REPR = _Repr()


def show(value: object) -> str:
    """Return a short text of any value, without calling its own `__repr__`."""
    return _REPR.repr(plain(value))
