"""A key index over nodes: ``update``, ``remove`` and ``query`` for a trie, a B-tree, a hash table …"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from ragcourse.documents import Hit, Node
from ragcourse.indexes.keys.base import KeyIndex
from ragcourse.indexes.sharing import SharedLock

Bucket = dict[str, None]
"""The ids of the nodes with one key, in order of adding: its only value, so that none is searched for."""


@runtime_checkable
class _Prefixed(Protocol):
    def prefix(self, prefix: str) -> Iterator[tuple[str, Bucket]]: ...


def whole_text(text: str) -> list[str]:
    """One key, the text itself: for a library of words or titles, as in the reference practice."""
    return [text]


def words(text: str) -> list[str]:
    """The different words of a text, without case, in order of appearance."""
    return list(dict.fromkeys(re.findall(r"\w+", text.casefold())))


class KeyNodeIndex:
    """Finds nodes by keys that their text and the query share; the score is the share of the query's keys.

    ``keys_of`` cuts both into keys: ``whole_text`` or ``words``. With a trie, a query that ends in ``*``
    asks for all keys that start like its last one. It is in memory, and filled anew at each start:
    that takes no longer than to read it from a file. Threads may query while one changes it.
    """

    def __init__(
        self, keys: KeyIndex[str, Bucket], keys_of: Callable[[str], Collection[str]] = whole_text
    ) -> None:
        self.keys, self.keys_of = keys, keys_of
        self._nodes: dict[str, Node] = {}
        self._lock = SharedLock()

    def update(self, nodes: Sequence[Node]) -> None:
        """Take in nodes; one whose id is known already replaces it."""
        with self._lock.exclusive:
            for node in nodes:
                self._forget(node.id)
                self._nodes[node.id] = node
                for key in self._keys(node.text):
                    if found := self.keys.get(key):
                        found[0][node.id] = None
                    else:
                        self.keys.add(key, {node.id: None})

    def remove(self, ids: Iterable[str]) -> None:
        """Forget nodes; unknown ids are ignored."""
        with self._lock.exclusive:
            for node_id in ids:
                self._forget(node_id)

    def query(self, query: str, k: int) -> list[Hit]:
        """The ``k`` nodes with most of the query's keys; of equals, first those that its first keys find."""
        wanted = self._keys(query.removesuffix("*"))
        shared: Counter[str] = Counter()
        with self._lock.shared:
            for place, key in enumerate(wanted, start=1):
                if query.endswith("*") and place == len(wanted) and isinstance(self.keys, _Prefixed):
                    starting = self.keys.prefix(key)
                    shared.update({node_id: None for _, bucket in starting for node_id in bucket}.keys())
                elif found := self.keys.get(key):
                    shared.update(found[0].keys())
            best = shared.most_common(k)
            return [Hit(self._nodes[node_id], count / len(wanted)) for node_id, count in best]

    def _forget(self, node_id: str) -> None:
        if node := self._nodes.pop(node_id, None):
            for key in self._keys(node.text):
                (bucket,) = self.keys.get(key)
                del bucket[node_id]
                if not bucket:
                    self.keys.remove(key)

    def _keys(self, text: str) -> list[str]:
        return list(dict.fromkeys(self.keys_of(text)))  # each once
