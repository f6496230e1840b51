"""The nodes of a B+ tree, and what neighbours do to each other when one of them holds too little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragcourse.indexes.keys.counting import Counter


class Leaf:
    """Sorted keys, the value of each, and the next leaf."""

    __slots__ = ("keys", "next", "values")

    def __init__(self, keys: list[Any], values: list[Any], next: Leaf | None) -> None:
        self.keys, self.values, self.next = keys, values, next


class Inner:
    """Children, and between each two of them a separator."""

    __slots__ = ("children", "keys")

    def __init__(self, keys: list[Any], children: list[Any]) -> None:
        self.keys, self.children = keys, children  # children: all Inner or all Leaf


def weight(node: Leaf | Inner) -> int:
    """The entries of a leaf, the children of an inner node."""
    return len(node.keys) if isinstance(node, Leaf) else len(node.children)


def shift_right(parent: Inner, place: int) -> None:
    """Move the last entry or child of the child at ``place`` to the front of the next one."""
    left, right = parent.children[place], parent.children[place + 1]
    if isinstance(left, Leaf):
        right.keys.insert(0, left.keys.pop())
        right.values.insert(0, left.values.pop())
        parent.keys[place] = right.keys[0]
    else:
        right.keys.insert(0, parent.keys[place])
        right.children.insert(0, left.children.pop())
        parent.keys[place] = left.keys.pop()


def shift_left(parent: Inner, place: int) -> None:
    """Move the first entry or child of the child after ``place`` to the end of the one at ``place``."""
    left, right = parent.children[place], parent.children[place + 1]
    if isinstance(left, Leaf):
        left.keys.append(right.keys.pop(0))
        left.values.append(right.values.pop(0))
        parent.keys[place] = right.keys[0]
    else:
        left.keys.append(parent.keys[place])
        left.children.append(right.children.pop(0))
        parent.keys[place] = right.keys.pop(0)


def merge(parent: Inner, place: int) -> None:
    """Make one node of the child at ``place`` and the next one."""
    left, right = parent.children[place], parent.children.pop(place + 1)
    separator = parent.keys.pop(place)
    if isinstance(left, Leaf):
        left.keys += right.keys
        left.values += right.values
        left.next = right.next
    else:
        left.keys += [separator, *right.keys]
        left.children += right.children


def slices(
    leaf: Leaf | None, start: int, last: Leaf | None, stop: int, counter: Counter | None
) -> Iterator[Iterator[tuple[Any, Any]]]:
    """The ``(key, value)`` from a place in one leaf to before a place in another, leaf by leaf."""
    while leaf is not None and leaf is not last:
        yield zip(leaf.keys[start:], leaf.values[start:], strict=True)
        leaf, start = leaf.next, 0
        if counter is not None:
            counter.visits += leaf is not None
    if leaf is not None:
        yield zip(leaf.keys[start:stop], leaf.values[start:stop], strict=True)
