"""A vector store in the role of an index: ``store_conf["indices"]`` of the reference texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from ragcourse.documents import Hit, Node
from ragcourse.embedders import Embedder
from ragcourse.indexes.base import VectorFed
from ragcourse.stores.base import Store, Vectors


class StoreIndex(VectorFed):
    """Nodes of one group in a store of another type.

    It is filled anew at each start, since the library that it indexes may have changed without it.
    ``opened`` closes what was opened for it.
    """

    def __init__(self, store: Store, embedder: Embedder, opened: ExitStack) -> None:
        self._store, self._embedder, self._opened = store, embedder, opened

    def add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        self._store.add(nodes, vectors)
        self._store.flush()

    def remove(self, ids: Iterable[str]) -> None:
        self._store.delete(ids)
        self._store.flush()

    def query(self, query: str, k: int) -> list[Hit]:
        return self._store.search(self._embedder.embed([query])[0], k)

    def close(self) -> None:
        self._opened.close()
