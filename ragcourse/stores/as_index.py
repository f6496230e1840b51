"""A vector store in the role of an index: ``store_conf["indices"]`` of the reference texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ragcourse.documents import Hit, Node
from ragcourse.embedders import Embedder
from ragcourse.stores.base import Store


class StoreIndex:
    """Nodes of one group, embedded once more into a store of another type.

    It is filled anew at each start, since the library that it indexes may have changed without it.
    """

    def __init__(self, store: Store, embedder: Embedder, embed_text: Callable[[Node], str]) -> None:
        self._store, self._embedder, self._embed_text = store, embedder, embed_text
        store.delete(store.ids())

    def update(self, nodes: Sequence[Node]) -> None:
        self._store.add(nodes, self._embedder.embed([self._embed_text(node) for node in nodes]))
        self._store.flush()

    def remove(self, ids: Iterable[str]) -> None:
        self._store.delete(ids)
        self._store.flush()

    def query(self, query: str, k: int) -> list[Hit]:
        return self._store.search(self._embedder.embed([query])[0], k)

    def close(self) -> None:
        self._store.close()
