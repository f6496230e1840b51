"""Exercise 3.3: insert a tower into a skip list.

The heights come from the contract, so that there is one right list. The comparisons go through a function
of the contract's: a walk along the lowest level finds the same place, and is no skip list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_true, when_raised
from ragcourse.grading.plain import plain

contract = Contract("3.3", task="insert a tower into a skip list, linked on each of its levels")

Tower = tuple[int, int]  # key and height
MOST = 60  # towers on a level, twice as many as there ever are
MOST_COMPARISONS = 600  # of one insertion; 31 towers on 5 levels could ask for 160
SECONDS = 2.0
CIRCLE = "set the new tower's link before its predecessor's: the other way round, the tower links to itself"
BACK = "the new tower takes over the link of the one before it; no link leads to a tower that stands before"
NEW_LEVEL = "the head must have the missing levels first; on a new level the head is the predecessor"
TOO_LOW = "is a tower asked for a link on a level that it does not reach? each level has its own predecessor"


class _Less:
    """``a < b``, counted; it ends a search that walks in a circle."""

    def __init__(self) -> None:
        self.calls, self.given = 0, ""

    def __call__(self, a: Any, b: Any) -> bool:
        self.calls += 1
        if self.calls > MOST_COMPARISONS:
            message = f"after {MOST_COMPARISONS} comparisons the search had not ended"
            raise Mismatch(message, given=self.given, cause=BACK)
        return bool(a < b)


def _filled(implementation: Any, towers: Sequence[Tower], *less: _Less) -> Any:
    skip, top = implementation(*less), 1
    for count, (key, height) in enumerate(towers, 1):
        for counter in less:
            counter.calls, counter.given = 0, _shown(towers[:count])
        cause = NEW_LEVEL if height > top else TOO_LOW
        with when_raised(IndexError, cause, given=_shown(towers[:count])):
            skip.add(key, height)
        top = max(top, height)
        if count == 1:
            _levels(skip, towers[:1])  # a circle ends here, also for a search that asks no `less`
    return skip


def _levels(skip: Any, towers: Sequence[Tower]) -> list[list[Any]]:
    """The keys met on each level, from the lowest to the highest that has any."""
    found, given = list[list[Any]](), _given(towers)
    for level, first in enumerate(skip.head.next):
        keys, tower = list[Any](), first
        while tower is not None:
            keys.append(plain(tower.key))
            links = tower.next
            cause = "a tower of height h has h links, and is linked on the levels 0 to h − 1 only"
            lower = f"level {level} leads to a tower that is lower"
            expect_true(level < len(links), lower, given=given, got=keys, cause=cause)
            circle = f"level {level} goes round in a circle"
            cause = CIRCLE if keys[-2:-1] == keys[-1:] else BACK
            expect_true(len(keys) <= MOST, circle, given=given, got=keys[:20], cause=cause)
            tower = links[level]
        found.append(keys)
    while found and not found[-1]:
        found.pop()
    return found


def _expected(towers: Sequence[Tower]) -> list[list[int]]:
    first: dict[int, int] = {}
    for key, height in towers:
        first.setdefault(key, height)
    top = max(first.values(), default=0)
    return [sorted(key for key, height in first.items() if height > level) for level in range(top)]


def _shown(towers: Sequence[Tower]) -> str:
    return "(key, height): " + ", ".join(map(str, towers))


def _given(towers: Sequence[Tower]) -> str:
    return f"{_shown(towers)}; the keys on each level, lowest first"


def _expect(implementation: Any, towers: Sequence[Tower], cause: str) -> None:
    got = _levels(_filled(implementation, towers, _Less()), towers)
    expect_equal(got, _expected(towers), given=_given(towers), cause=cause)


@contract.check("the first key is on each of its levels", points=1, seconds=SECONDS)
def first(SkipList: Any, rng: np.random.Generator) -> None:
    key = int(rng.integers(100))
    cause = "link the tower behind the head, on every level from 0 to height − 1"
    for height in (1, 3):
        got = _levels(_filled(SkipList, [(key, height)]), [(key, height)])
        expect_equal(got, _expected([(key, height)]), given=_given([(key, height)]), cause=cause)


@contract.check("low towers: a sorted list", points=2, seconds=SECONDS)
def sorted_list(SkipList: Any, rng: np.random.Generator) -> None:
    cause = "the new tower takes over the link of the one before it; then that one links to the new tower"
    for keys in ([1, 2], [2, 1], [1, 3, 2], rng.permutation(12).tolist()):
        _expect(SkipList, [(key, 1) for key in keys], cause)


@contract.check(
    "a tower is linked on all its levels, each from its own predecessor", points=3, seconds=SECONDS
)
def linked(SkipList: Any, rng: np.random.Generator) -> None:
    cause = "on each level remember the last tower before you go down: that one must link to the new one"
    _expect(SkipList, [(10, 2), (20, 1), (30, 2), (25, 2)], cause)
    _expect(SkipList, [(10, 3), (20, 2), (30, 1), (40, 3), (35, 3), (5, 2)], cause)
    heights = np.minimum(rng.geometric(0.5, size=14), 4).tolist()
    _expect(SkipList, list(zip(rng.permutation(99)[:14].tolist(), heights, strict=True)), cause)


@contract.check("the highest tower so far", points=2, seconds=SECONDS)
def highest(SkipList: Any, rng: np.random.Generator) -> None:
    cause = (
        "the head must be as high as the highest tower; on a level without towers the head is the predecessor"
    )
    _expect(SkipList, [(10, 1), (20, 3)], cause)
    _expect(SkipList, [(20, 1), (10, 2), (30, 4), (25, 5)], cause)


@contract.check("a key that is there already changes nothing", points=1, seconds=SECONDS)
def twice(SkipList: Any, rng: np.random.Generator) -> None:
    cause = "behind the last smaller key on level 0 stands the key itself, if it is there"
    _expect(SkipList, [(10, 2), (20, 1), (10, 2)], cause)
    _expect(SkipList, [(10, 1), (20, 2), (20, 4), (10, 3)], cause)


@contract.check("random towers", points=2, seconds=SECONDS)
def random_towers(SkipList: Any, rng: np.random.Generator) -> None:
    def test(towers: list[Tower]) -> None:
        expected = _expected(towers)
        expect_equal(_levels(_filled(SkipList, towers, _Less()), towers), expected, given=_given(towers))

    cases = []
    for count in (4, 8, 16):
        heights = np.minimum(rng.geometric(0.6, size=count), 5).tolist()
        cases.append(list(zip(rng.integers(30, size=count).tolist(), heights, strict=True)))
    for_each(cases, test, valid=lambda towers: len(towers) > 0 and all(height >= 1 for _, height in towers))


@contract.check("the place is found over the high levels", points=3, seconds=SECONDS)
def few_comparisons(SkipList: Any, rng: np.random.Generator) -> None:
    """A perfect list of 31: every second tower is one higher. Two comparisons a level are enough."""
    count, levels = 31, 5
    towers = [(2 * i, (i & -i).bit_length()) for i in range(1, count + 1)]
    less = _Less()
    skip = _filled(SkipList, towers, less)
    if less.calls == 0:
        cause = "ask self.less(a, b) in place of a < b"
        raise Mismatch("no comparison went through `less`", given="SkipList(less)", cause=cause)
    most = 3 * levels
    for key in (2 * count + 1, 2 * count - 1, 2 * int(rng.integers(26, 30)) + 1):
        less.calls = 0
        skip.add(key, 1)
        message = f"{less.calls} comparisons where {most} are more than enough"
        cause = "begin at the top level, and go on, level by level, from the tower that you have reached"
        given = f"31 keys on 5 levels, every second one a level higher; then add({key}, 1)"
        expect_true(less.calls <= most, message, given=given, cause=cause)
