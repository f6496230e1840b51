"""Exercise 3.3, a skip list's ``add``: the solution, and wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from operator import lt
from typing import Any


class Tower:
    """As the lesson has it."""

    def __init__(self, key: Any, height: int) -> None:
        self.key = key
        self.next: list[Tower | None] = [None] * height


class Right:
    """The solution of the lesson; the wrong answers replace one part of it."""

    def __init__(self, less: Callable[[Any, Any], bool] = lt) -> None:
        self.head, self.less = Tower(None, 1), less

    def add(self, key: Any, height: int) -> None:
        self.raise_head(height)
        before = self.before(key)
        after = before[0].next[0]
        if after and not self.less(key, after.key):
            return
        self.link(Tower(key, height), before)

    def raise_head(self, height: int) -> None:
        self.head.next += [None] * (height - len(self.head.next))

    def before(self, key: Any) -> list[Tower]:
        found, tower = [self.head] * len(self.head.next), self.head
        for level in reversed(range(len(found))):
            while (after := tower.next[level]) and self.less(after.key, key):
                tower = after
            found[level] = tower
        return found

    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(len(tower.next)):
            tower.next[level] = before[level].next[level]
            before[level].next[level] = tower


right = Right


class stub:
    def __init__(self, less: Callable[[Any, Any], bool] = lt) -> None:
        self.head, self.less = Tower(None, 1), less

    def add(self, key: Any, height: int) -> None:
        raise NotImplementedError("Exercise 3.3: find the predecessor on each level, then link the tower")


class _LowestLevelOnly(Right):
    def link(self, tower: Tower, before: list[Tower]) -> None:
        tower.next[0] = before[0].next[0]
        before[0].next[0] = tower


class _OnePredecessor(Right):
    """Takes the predecessor on the lowest level for all levels, where it is high enough."""

    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(len(tower.next)):
            one = before[0] if level < len(before[0].next) else self.head
            tower.next[level] = one.next[level]
            one.next[level] = tower


class _LosesTheRest(Right):
    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(len(tower.next)):
            before[level].next[level] = tower


class _WrongOrderOfLinks(Right):
    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(len(tower.next)):
            before[level].next[level] = tower
            tower.next[level] = before[level].next[level]


class _HeadStaysLow(Right):
    def raise_head(self, height: int) -> None:
        pass

    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(min(len(tower.next), len(before))):
            tower.next[level] = before[level].next[level]
            before[level].next[level] = tower


class _HeadStaysLowAndFails(Right):
    def raise_head(self, height: int) -> None:
        pass


class _RaisesTheHeadTooLate(Right):
    """Looks for the predecessors first: on the new levels there is none among them."""

    def add(self, key: Any, height: int) -> None:
        before = self.before(key)
        self.raise_head(height)
        self.link(Tower(key, height), before)


class _OnePredecessorAndFails(Right):
    def link(self, tower: Tower, before: list[Tower]) -> None:
        for level in range(len(tower.next)):
            tower.next[level] = before[0].next[level]
            before[0].next[level] = tower


class _LinksBack(Right):
    """From the second tower on: the last one of a level links back to the first."""

    def link(self, tower: Tower, before: list[Tower]) -> None:
        super().link(tower, before)
        if tower.next[0] is None and before[0] is not self.head:
            tower.next[0] = self.head.next[0]


class _KeepsDuplicates(Right):
    def add(self, key: Any, height: int) -> None:
        self.raise_head(height)
        self.link(Tower(key, height), self.before(key))


class _WalksTheLowestLevel(Right):
    """Right, and no better than a linked list."""

    def before(self, key: Any) -> list[Tower]:
        found, tower = [self.head] * len(self.head.next), self.head
        while (after := tower.next[0]) and self.less(after.key, key):
            tower = after
            for level in range(len(tower.next)):
                found[level] = tower
        return found


class _StartsAgainOnEachLevel(Right):
    def before(self, key: Any) -> list[Tower]:
        found = [self.head] * len(self.head.next)
        for level in range(len(found)):
            tower = self.head
            while (after := tower.next[level]) and self.less(after.key, key):
                tower = after
            found[level] = tower
        return found


class _DoesNotAskLess(Right):
    def before(self, key: Any) -> list[Tower]:
        found, tower = [self.head] * len(self.head.next), self.head
        for level in reversed(range(len(found))):
            while (after := tower.next[level]) and after.key < key:
                tower = after
            found[level] = tower
        return found

    def add(self, key: Any, height: int) -> None:
        self.raise_head(height)
        before = self.before(key)
        after = before[0].next[0]
        if after is None or after.key != key:
            self.link(Tower(key, height), before)


class _WrongOrderWithoutLess(_WrongOrderOfLinks, _DoesNotAskLess):
    """Its search cannot be ended by `less`."""


class _NewestFirst(Right):
    """Puts every tower behind the head."""

    def before(self, key: Any) -> list[Tower]:
        return [self.head] * len(self.head.next)

    def add(self, key: Any, height: int) -> None:
        self.raise_head(height)
        self.link(Tower(key, height), self.before(key))


class _OneTooFar(Right):
    def before(self, key: Any) -> list[Tower]:
        found, tower = [self.head] * len(self.head.next), self.head
        for level in reversed(range(len(found))):
            while after := tower.next[level]:
                tower = after
                if not self.less(after.key, key):
                    break
            found[level] = tower
        return found


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "lowest level only": (_LowestLevelOnly, "link the tower behind the head, on every level"),
    "one predecessor for all": (_OnePredecessor, "on each level remember the last tower"),
    "loses the rest": (_LosesTheRest, "takes over the link of the one before it"),
    "links in the wrong order": (_WrongOrderOfLinks, "set the new tower's link before its predecessor's"),
    "the same, and asks no less": (_WrongOrderWithoutLess, "set the new tower's link before"),
    "links back": (_LinksBack, "no link leads to a tower that stands before"),
    "one predecessor, and fails": (_OnePredecessorAndFails, "a level that it does not reach"),
    "raises the head too late": (_RaisesTheHeadTooLate, "on a new level the head is the predecessor"),
    "the head stays low": (_HeadStaysLow, "on every level from 0 to height − 1"),
    "the head stays low, and fails": (_HeadStaysLowAndFails, "the head must have the missing levels first"),
    "keeps duplicates": (_KeepsDuplicates, "behind the last smaller key on level 0"),
    "walks the lowest level": (_WalksTheLowestLevel, "begin at the top level"),
    "starts again on each level": (_StartsAgainOnEachLevel, "begin at the top level"),
    "does not ask less": (_DoesNotAskLess, "ask self.less(a, b)"),
    "newest first": (_NewestFirst, "takes over the link of the one before it"),
    "one too far": (_OneTooFar, "takes over the link of the one before it"),
}
