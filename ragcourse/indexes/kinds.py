"""The course's own indexes by name, each behind the adapter of its family."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ragcourse.embedders import Embedder
from ragcourse.indexes.base import Index, VectorFed
from ragcourse.indexes.key_nodes import KeyNodeIndex
from ragcourse.indexes.keys.base import KeyIndex
from ragcourse.indexes.vector_nodes import Fetch, VectorNodeIndex
from ragcourse.indexes.vectors.base import VectorIndex

KINDS = {
    "linear": "keys.linear:LinearScan",
    "trie": "keys.trie:Trie",
    "hash_table": "keys.hash_table:HashTable",
    "btree": "keys.btree:BTree",
    "bplus_tree": "keys.bplus_tree:BPlusTree",
    "skip_list": "keys.skip_list:SkipList",
    "flat": "vectors.flat:Flat",
    "ivf": "vectors.ivf:IVF",
    "sq8": "vectors.scalar:SQ8",
    "pq": "vectors.pq:PQ",
    "ivf_pq": "vectors.ivf_pq:IVFPQ",
    "hnsw": "vectors.hnsw:HNSW",
    "hnswlib": "vectors.hnswlib_adapter:HnswlibIndex",
}
"""Name → where its class is, loaded when it is first used: the compiler behind them takes a while."""


def structure(kind: str) -> type[KeyIndex[Any, Any]] | type[VectorIndex]:
    """The class of a kind. ``ValueError`` names those there are."""
    if kind not in KINDS:
        raise ValueError(f"there is no index of kind {kind!r}; there are {', '.join(KINDS)}")
    module, name = KINDS[kind].split(":")
    found: type[KeyIndex[Any, Any]] | type[VectorIndex]
    found = getattr(import_module(f"ragcourse.indexes.{module}"), name)
    return found


def index_of_nodes(
    structure: type[KeyIndex[Any, Any]] | type[VectorIndex],
    embedder: Embedder,
    fetch: Fetch | None = None,
    **settings: Any,
) -> Index | VectorFed:
    """A structure behind the adapter of its family: keys, or vectors under the cosine unless told otherwise.

    ``settings`` go to the structure; ``keys_of`` says what the keys of a text are.
    """
    if issubclass(structure, VectorIndex):
        settings = {"metric": "cosine", **settings}
        return VectorNodeIndex(structure(embedder.dim, **settings), embedder, fetch)
    cut = {"keys_of": settings.pop("keys_of")} if "keys_of" in settings else {}
    return KeyNodeIndex(structure(**settings), **cut)
