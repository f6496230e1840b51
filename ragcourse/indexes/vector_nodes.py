"""A vector index over nodes: ``update``, ``remove`` and ``query`` for HNSW, IVF, PQ …"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.documents import Hit, Node
from ragcourse.embedders import Embedder
from ragcourse.indexes.base import VectorFed
from ragcourse.indexes.vectors.base import VectorIndex
from ragcourse.indexes.vectors.files import IndexFileError

Fetch = Callable[[Sequence[str]], Sequence[Node]]


class VectorNodeIndex(VectorFed):
    """Nodes by the nearness of their vectors. The index's numbers and the nodes' ids meet here only.

    ``fetch`` gives nodes by id where they are kept elsewhere, as in a store: each is asked for once, when
    it is first found. Without it they must come by ``update`` or ``add``.
    """

    def __init__(self, vectors: VectorIndex, embedder: Embedder, fetch: Fetch | None = None) -> None:
        self.vectors, self.embedder = vectors, embedder
        self._fetch = fetch
        self._nodes: dict[str, Node] = {}
        self._number: dict[str, int] = {}
        self._name: dict[int, str] = {}
        self._next = 0
        self._asked = vectors._settings()  # training may settle what was left open
        self.changed = False
        """Does it hold other nodes than when it was saved or loaded?"""

    @property
    def node_ids(self) -> Set[str]:
        """Ids of the nodes that it holds."""
        return self._number.keys()

    def update(self, nodes: Sequence[Node]) -> None:
        """Take in nodes, with their text embedded; one whose id is known already replaces it."""
        self.add(nodes, self.embedder.embed([node.text for node in nodes]))

    def add(self, nodes: Sequence[Node], vectors: NDArray[np.float32]) -> None:
        """Take in nodes with their vectors (len(nodes), dim); one whose id is known already is replaced."""
        if not nodes:
            return
        rows = {node.id: row for row, node in enumerate(nodes)}  # of one that is given twice, the last
        self.remove(rows)
        numbers = {node_id: number for number, node_id in enumerate(rows, start=self._next)}
        self._next += len(numbers)
        self._name.update({number: node_id for node_id, number in numbers.items()})  # before they are found
        if self._fetch is None:
            self._nodes.update({node.id: node for node in nodes})
        try:
            self.vectors.add(vectors[list(rows.values())], np.array(list(numbers.values())))
        except BaseException:
            for node_id, number in numbers.items():
                del self._name[number]
                self._nodes.pop(node_id, None)
            raise
        self._number.update(numbers)
        self.changed = True

    def remove(self, ids: Iterable[str]) -> None:
        """Forget nodes; unknown ids are ignored."""
        known = [node_id for node_id in ids if node_id in self._number]
        if known:
            numbers = [self._number.pop(node_id) for node_id in known]
            self.vectors.remove(numbers)
            for number, node_id in zip(numbers, known, strict=True):
                del self._name[number]
                self._nodes.pop(node_id, None)
            self.changed = True

    def query(self, query: str, k: int) -> list[Hit]:
        """The ``k`` nodes nearest to the query's vector; the score is the similarity under the metric."""
        found = self.vectors.search(self.embedder.embed([query])[0], k)
        scores = {
            node_id: score
            for number, score in zip(found.ids.tolist(), found.scores.tolist(), strict=True)
            if (node_id := self._name.get(number)) is not None  # -1, or removed since by another thread
        }
        missing = [node_id for node_id in scores if node_id not in self._nodes]
        if missing and self._fetch is not None:
            self._nodes.update({node.id: node for node in self._fetch(missing)})
        nodes = {node_id: node for node_id in scores if (node := self._nodes.get(node_id))}
        return [Hit(node, scores[node_id]) for node_id, node in nodes.items()]

    def save(self, path: Path, made_from: Any) -> None:
        """Write the index and the ids of its nodes to one file; ``made_from`` says what they depend on."""
        note = {"asked": self._asked, "made_from": made_from, "nodes": list(self._name.items())}
        self.vectors.save(path, note)
        self.changed = False

    def load(self, path: Path, made_from: Any) -> bool:
        """Take the index from a file; False: there is none, or it is damaged or was made otherwise."""
        try:
            loaded = type(self.vectors).load(path)
        except (FileNotFoundError, IndexFileError):
            return False
        note, loaded.note = loaded.note, None
        if not isinstance(note, dict):  # an index of vectors alone
            return False
        if (note.get("asked"), note.get("made_from")) != (self._asked, made_from):
            return False
        self.vectors = loaded
        self._name = dict(note["nodes"])
        self._number = {node_id: number for number, node_id in self._name.items()}
        self._next = max(self._name, default=-1) + 1
        return True
