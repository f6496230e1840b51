"""Run a test over many cases, the smallest first, and report the smallest one that fails."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ragcourse.grading.expect import Mismatch
from ragcourse.grading.plain import Record, Rules, difference, plain, show

SHRINK_ATTEMPTS = 300
SHRINK_SECONDS = 1.0

Case = TypeVar("Case")


def for_each(
    cases: Iterable[Case], test: Callable[[Case], object], *, valid: Callable[[Case], bool] | None = None
) -> None:
    """Run `test(case)` on every case, the smallest first, and raise with the smallest that fails.

    `test` gets a deep copy, and a copy that comes back changed is a failure ("your code changed its
    argument"). With `valid`, a failing case is made still smaller by dropping items of its lists, strings and
    dictionaries (tuples keep their length) as long as `valid(smaller)` is true and it fails in the same way:
    at most 300 tries, one second.
    """
    for case in sorted(cases, key=lambda case: _weight(plain(case))):
        failure = _failure(case, test)
        if failure is None:
            continue
        if valid is not None:
            case, failure = _shrink(case, failure, test, valid)
        if isinstance(failure, Mismatch):
            failure.given = failure.given or show(case)
        else:
            # of any exception type: contract.run reads it again
            failure.__dict__.setdefault("failing_input", show(case))
        raise failure


def _failure(case: Any, test: Callable[[Any], object]) -> Exception | None:
    sample = copy.deepcopy(case)
    try:
        test(sample)
    except Exception as error:  # noqa: BLE001  the caller reports it
        return error
    before, after = plain(case), plain(sample)
    if difference(after, before, Rules(opaque_equal=True)) is None:
        return None
    return Mismatch(
        "your code changed its argument",
        given=show(before),
        expected="the argument as it was",
        got=show(after),
        cause="work on a copy, or build a new value",
    )


def _shrink(
    case: Any, failure: Exception, test: Callable[[Any], object], valid: Callable[[Any], bool]
) -> tuple[Any, Exception]:
    deadline, attempts = time.perf_counter() + SHRINK_SECONDS, 0
    candidates = _smaller(case)
    while (candidate := next(candidates, None)) is not None:
        attempts += 1
        if attempts > SHRINK_ATTEMPTS or time.perf_counter() > deadline:
            break
        if valid(copy.deepcopy(candidate)):
            found = _failure(candidate, test)
            if found is not None and _alike(found, failure):
                case, failure, candidates = candidate, found, _smaller(candidate)
    return case, failure


def _alike(a: Exception, b: Exception) -> bool:
    return type(a) is type(b) and getattr(a, "cause", None) == getattr(b, "cause", None)


def _smaller(case: Any) -> Iterator[Any]:
    """Yield cases with fewer items: first halves dropped, then quarters, down to single items."""
    if isinstance(case, tuple):
        for i, part in enumerate(case):
            for smaller in _smaller(part):
                yield (*case[:i], smaller, *case[i + 1 :])
    elif isinstance(case, dict):
        for keys in _smaller(list(case)):
            yield {key: case[key] for key in keys}
    elif isinstance(case, list):
        yield from _with_items_dropped(case)
    elif isinstance(case, str):
        yield from ("".join(letters) for letters in _with_items_dropped(list(case)))


def _with_items_dropped(case: list[Any]) -> Iterator[list[Any]]:
    step = len(case)
    while step:
        for start in range(0, len(case), step):
            yield case[:start] + case[start + step :]
        step //= 2


def _weight(value: Any) -> int:
    if isinstance(value, (list, tuple, frozenset)):
        return 1 + sum(_weight(item) for item in value)
    if isinstance(value, dict):
        return 1 + sum(_weight(key) + _weight(item) for key, item in value.items())
    if isinstance(value, Record):
        return 1 + sum(_weight(item) for _, item in value.fields)
    if isinstance(value, (str, bytes)):
        return 1 + len(value)
    return 1 + int(getattr(value, "size", 0))
