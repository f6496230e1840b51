"""Trie: one node a letter, so that words which start alike share their beginning.

Source: E. Fredkin, "Trie Memory", Communications of the ACM 3(9), 1960; the name is from re*trie*val.

Idea: a key is spelt along a path from the root. A look-up takes one step a letter, however many keys
there are, and the node where a prefix ends has below it all keys with that prefix, and nothing else.

| symbol | meaning |
|---|---|
| m | letters of the key |
| n | keys in the trie |
| s | letters below the node where a prefix ends |

Complexity: ``add``, ``get``, ``remove`` O(m); ``prefix`` O(m + s), in key order; memory: one node for
each letter that is not shared, as an object with a table of its children.

Loses on exact look-up to a hash table, which hashes the word in one go, and on memory to everything:
``StaticTrie`` keeps the same trie in arrays. It wins on prefixes, and where many keys are absent: it
stops at the first letter that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ragcourse.indexes.keys.base import ALL, KeyIndex, V, Whole, no_such


class Node:
    """The place in the trie where one prefix ends."""

    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}  # letter → node
        self.values: list[Any] | None = None  # of the key that ends here


class Trie(KeyIndex[str, V]):
    """Words, letter by letter. The keys are ``str``: any code points, and as many as you like, or none.

    >>> trie = Trie()
    >>> for place, word in enumerate(["car", "cart", "cat", "dog"]):
    ...     trie.add(word, place)
    >>> trie.get("cart")
    [1]
    >>> list(trie.prefix("car"))
    [('car', 0), ('cart', 1)]
    >>> trie.remove("cart")
    1
    """

    def __init__(self) -> None:
        super().__init__()
        self._root = Node()

    def add(self, key: str, value: V) -> None:
        """Follow the letters, making the nodes that are missing. O(m)."""
        node = self._root
        for letter in text(key):
            child = node.children.get(letter)
            if child is None:
                child = node.children[letter] = Node()
            node = child
        if node.values is None:
            node.values = []
        node.values.append(value)
        self._size += 1

    def get(self, key: str) -> list[V]:
        """Follow the letters; the values are where they end. O(m)."""
        path = self._path(key)
        return list(path[-1].values or ()) if len(path) > len(key) else []

    def prefix(self, prefix: str, limit: int | None = None) -> Iterator[tuple[str, V]]:
        """The ``(key, value)`` whose key starts with ``prefix``, in key order; at most ``limit`` of them.

        ``""`` gives all. O(m + s), or less when the caller stops early.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; give 0 or more, or None for all")
        path = self._path(prefix)
        return islice(self._below(path[-1], prefix), limit) if len(path) > len(prefix) else iter(())

    def remove(self, key: str, value: V | Whole = ALL) -> int:
        """Remove the value, then prune: no node stays from which no key can be reached. O(m)."""
        path = self._path(key)
        node = path[-1]
        if len(path) <= len(key) or node.values is None:
            raise no_such(key)
        if value is ALL:
            gone = len(node.values)
            node.values.clear()
        elif value in node.values:
            gone = 1
            node.values.remove(value)
        else:
            raise no_such(key, value)
        if not node.values:
            node.values = None
        for letter, parent in zip(reversed(key), reversed(path[:-1]), strict=True):
            if node.values or node.children:
                break
            del parent.children[letter]
            node = parent
        self._size -= gone
        return gone

    def items(self) -> Iterator[tuple[str, V]]:
        """Every ``(key, value)`` in key order."""
        return self._below(self._root, "")

    def check(self) -> None:
        """A node below the root serves a key, an edge is one letter, and ``len`` is right."""
        values = 0
        stack = [("", self._root)]
        while stack:
            word, node = stack.pop()
            self._must(node.values != [], f"{word!r} has an empty list of values instead of none")
            useful = node.values is not None or bool(node.children) or node is self._root
            self._must(useful, f"no key is at or below {word!r}")
            for letter, child in node.children.items():
                self._must(len(letter) == 1, f"the edge {letter!r} below {word!r} is not one letter")
                stack.append((word + letter, child))
            values += len(node.values or ())
        self._must(values == self._size, f"there are {values} values, len says {self._size}")

    def dump(self) -> str:
        """One line a node, indented by its depth."""
        lines = []
        stack = [("", 0, self._root)]
        while stack:
            letter, depth, node = stack.pop()
            ends = "" if node.values is None else f" → {node.values!r}"
            lines.append("  " * depth + (letter or "(root)") + ends)
            for letter in sorted(node.children, reverse=True):
                stack.append((letter, depth + 1, node.children[letter]))
        return "\n".join(lines)

    def _path(self, key: str) -> list[Node]:
        """The nodes along ``key`` from the root, as far as there are any: len(key) + 1 if all are."""
        path = [node := self._root]
        for letter in text(key):
            child = node.children.get(letter)
            if child is None:
                break
            path.append(node := child)
        if self._counter is not None:
            self._counter.comparisons += min(len(path), len(key))  # letters tried
            self._counter.visits += len(path)
        return path

    def _below(self, node: Node, word: str) -> Iterator[tuple[str, V]]:
        stack = [(word, node)]
        while stack:
            word, node = stack.pop()
            for value in node.values or ():
                yield word, value
            for letter in sorted(node.children, reverse=True):  # the smallest is popped first
                stack.append((word + letter, node.children[letter]))


def text(key: object) -> str:
    """The key, if it is a ``str``; ``TypeError`` names it and its type."""
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} is of type {type(key).__name__}; a trie wants str")
    return key
