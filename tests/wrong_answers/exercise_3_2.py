"""Exercise 3.2, a B-tree's ``add``: the solution, and wrong answers with what their check must say."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any


class Node:
    """As the lesson has it."""

    def __init__(self, keys: Iterable[Any], children: Iterable[Node] = ()) -> None:
        self.keys, self.children = list(keys), list(children)


class Right:
    """The solution of the lesson; the wrong answers replace one part of it."""

    def __init__(self, order: int = 5) -> None:
        self.order, self.root = order, Node([])

    def add(self, key: Any) -> None:
        path = self.path(key)
        if key in path[-1].keys:
            return
        insort(path[-1].keys, key)
        while self.too_full(path[-1]):
            self.split(path)
            if not path:
                return

    def path(self, key: Any) -> list[Node]:
        nodes = [self.root]
        while nodes[-1].children and key not in nodes[-1].keys:
            nodes.append(nodes[-1].children[bisect_left(nodes[-1].keys, key)])
        return nodes

    def too_full(self, node: Node) -> bool:
        return len(node.keys) >= self.order

    def split(self, path: list[Node]) -> None:
        node = path.pop()
        middle, right = self.halves(node)
        if not path:
            self.root = Node([middle], [node, right])
            path.append(self.root)
            return
        self.hand_up(path[-1], node, middle, right)

    def halves(self, node: Node) -> tuple[Any, Node]:
        at = len(node.keys) // 2
        middle, right = node.keys[at], Node(node.keys[at + 1 :], node.children[at + 1 :])
        node.keys, node.children = node.keys[:at], node.children[: at + 1]
        return middle, right

    def hand_up(self, parent: Node, node: Node, middle: Any, right: Node) -> None:
        place = parent.children.index(node)
        parent.keys.insert(place, middle)
        parent.children.insert(place + 1, right)


right = Right


def path(root: Node, key: Any) -> list[Node]:
    """The lesson's function, beside the class."""
    nodes = [root]
    while nodes[-1].children and key not in nodes[-1].keys:
        nodes.append(nodes[-1].children[bisect_left(nodes[-1].keys, key)])
    return nodes


class LowerMiddle(Right):
    """Just as good: of two middle keys the lower one goes up."""

    def halves(self, node: Node) -> tuple[Any, Node]:
        at = (len(node.keys) - 1) // 2
        middle, right = node.keys[at], Node(node.keys[at + 1 :], node.children[at + 1 :])
        node.keys, node.children = node.keys[:at], node.children[: at + 1]
        return middle, right


class stub:
    def __init__(self, order: int = 5) -> None:
        self.order, self.root = order, Node([])

    def add(self, key: Any) -> None:
        raise NotImplementedError("Exercise 3.2: insert into the leaf, then split what is too full")


class _CopiesTheMiddle(Right):
    """What a B+ tree does in its leaves."""

    def halves(self, node: Node) -> tuple[Any, Node]:
        at = len(node.keys) // 2
        middle, right = node.keys[at], Node(node.keys[at:], node.children[at + 1 :])
        node.keys, node.children = node.keys[:at], node.children[: at + 1]
        return middle, right


class _SplitsEarly(Right):
    def too_full(self, node: Node) -> bool:
        return len(node.keys) >= self.order - 1


class _SplitsLate(Right):
    def too_full(self, node: Node) -> bool:
        return len(node.keys) > self.order


class _ForgetsTheChildren(Right):
    """The right half keeps no children, the left one all of them."""

    def halves(self, node: Node) -> tuple[Any, Node]:
        at = len(node.keys) // 2
        middle, right = node.keys[at], Node(node.keys[at + 1 :])
        node.keys = node.keys[:at]
        return middle, right


class _ChildrenOffByOne(Right):
    """The child between the middle key and the next goes to the left half."""

    def halves(self, node: Node) -> tuple[Any, Node]:
        at = len(node.keys) // 2
        middle, right = node.keys[at], Node(node.keys[at + 1 :], node.children[at + 2 :])
        node.keys, node.children = node.keys[:at], node.children[: at + 2]
        return middle, right


class _SplitsOnce(Right):
    """Does not look whether the parent is too full now."""

    def add(self, key: Any) -> None:
        path = self.path(key)
        if key in path[-1].keys:
            return
        insort(path[-1].keys, key)
        if self.too_full(path[-1]):
            self.split(path)


class _RightHalfFirst(Right):
    def hand_up(self, parent: Node, node: Node, middle: Any, right: Node) -> None:
        place = parent.children.index(node)
        parent.keys.insert(place, middle)
        parent.children.insert(place, right)


class _AppendsTheHalf(Right):
    def hand_up(self, parent: Node, node: Node, middle: Any, right: Node) -> None:
        insort(parent.keys, middle)
        parent.children.append(right)


class _GrowsDown(Right):
    """Hangs both halves below the node that was too full."""

    def split(self, path: list[Node]) -> None:
        node = path[-1]
        at = len(node.keys) // 2
        left = Node(node.keys[:at], node.children[: at + 1])
        right = Node(node.keys[at + 1 :], node.children[at + 1 :])
        node.keys, node.children = [node.keys[at]], [left, right]


class _SplitsAtTheEnd(Right):
    def halves(self, node: Node) -> tuple[Any, Node]:
        middle, right = node.keys[-2], Node(node.keys[-1:], node.children[-2:])
        node.keys, node.children = node.keys[:-2], node.children[:-2]
        return middle, right


class _KeepsDuplicates(Right):
    def add(self, key: Any) -> None:
        nodes = [self.root]
        while nodes[-1].children:
            nodes.append(nodes[-1].children[bisect_left(nodes[-1].keys, key)])
        insort(nodes[-1].keys, key)
        while self.too_full(nodes[-1]):
            self.split(nodes)


class _LooksInTheLeafOnly(_KeepsDuplicates):
    def add(self, key: Any) -> None:
        node = self.root
        while node.children:
            node = node.children[bisect_left(node.keys, key)]
        if key not in node.keys:
            super().add(key)


class _HidesTheFunction(Right):
    def add(self, key: Any) -> None:
        path = path(self.root, key)  # noqa: F823
        if key not in path[-1].keys:
            insort(path[-1].keys, key)


class _CountsInHalves(Right):
    """Bayer and McCreight's k: a node has up to 2k keys, here with k rounded down from half of the order."""

    def too_full(self, node: Node) -> bool:
        return len(node.keys) > 2 * (self.order // 2)


class _Unsorted(Right):
    def add(self, key: Any) -> None:
        path = self.path(key)
        if key in path[-1].keys:
            return
        path[-1].keys.append(key)
        while self.too_full(path[-1]):
            self.split(path)


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "copies the middle key": (_CopiesTheMiddle, "two stay, the third goes up"),
    "splits a key early": (_SplitsEarly, "split only when it has `order` keys"),
    "splits a key late": (_SplitsLate, "two stay, the third goes up"),
    "forgets the children": (_ForgetsTheChildren, "a node is split with its children"),
    "children off by one": (_ChildrenOffByOne, "a node is split with its children"),
    "splits once": (_SplitsOnce, "is it too full now?"),
    "the right half first": (_RightHalfFirst, "each at the place behind the old node's"),
    "appends the half": (_AppendsTheHalf, "each at the place behind the old node's"),
    "grows downwards": (_GrowsDown, "the middle key and the new half"),
    "splits at the end": (_SplitsAtTheEnd, "two stay, the third goes up"),
    "keeps duplicates": (_KeepsDuplicates, "look whether the key is in the node"),
    "looks in the leaf only": (_LooksInTheLeafOnly, "look whether the key is in the node"),
    "splits a key early, told in the singular": (_SplitsEarly, "1 item was expected, there are 2"),
    "forgets the children, told in the singular": (_ForgetsTheChildren, "a node has 1 key and 4 children"),
    "hides the function path": (_HidesTheFunction, "does yours have the name of the function"),
    "counts in halves": (_CountsInHalves, "a leaf is too full as soon as it has `order` keys"),
    "unsorted": (_Unsorted, "insert into the leaf where the key belongs"),
}

ALSO_RIGHT = (LowerMiddle,)
