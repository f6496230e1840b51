"""Chroma: an HNSW index of its own, documents and metadata in SQLite, one folder on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ragcourse.documents import Hit, Node, Scalar
from ragcourse.stores.base import (
    NODE_FIELDS,
    Allowed,
    DamagedError,
    MismatchError,
    Store,
    StoreError,
    Vectors,
)

_OWN = ("document", "group", "start", "end", "parent")  # a node's fields, kept beside its metadata
_COLLECTION = "ragcourse-"  # and the group's name
_NEW = "-new"  # ends the name of a collection that will take another one's place
_SYNC = 100  # rows that Chroma inserts into its index anew at each opening, at most; its default is 1,000
_DAMAGE = ("Error creating hnsw segment reader", "Error finding id", "Error getting embedding")
_PREFIX = "node."  # so that a document's own field "start" does not collide with ours


_CLIENTS = threading.Lock()  # Chroma counts the clients of a folder without one


class ChromaStore(Store):
    """``dir`` is the database's folder, ``name`` the collection's name.

    Chroma writes to SQLite before ``add`` returns, and repairs its vector index from there at the
    next opening: it needs no flush. But that index, written every thousand records, is written in
    place: ``kill -9`` may leave half of it, and its vectors are nowhere else (``restore``).
    Raises ``MismatchError`` for a collection of another dimension.
    """

    kind = "chroma"
    modules = ("chromadb", "chromadb.api.rust", "chromadb.telemetry.product.posthog")

    def __init__(self, dim: int, dir: str | Path, name: str = "nodes") -> None:
        super().__init__(dim, name)
        self._client = _connect(Path(dir))
        try:
            with self._guard("opening"):
                self._nodes = self._open(_COLLECTION + name)
                self._batch = self._client.get_max_batch_size()
            written = (self._nodes.metadata or {}).get("dim")
            if written != dim:
                raise MismatchError(
                    f"the Chroma collection in {dir} holds vectors of {written} dimensions, not {dim}"
                )
        except BaseException:
            self.close()
            raise

    def _open(self, collection: str) -> Any:
        from chromadb.errors import NotFoundError

        for name in (collection, collection + _NEW):  # the latter alone: killed at the end of a restore
            with suppress(NotFoundError):
                found = self._client.get_collection(name, embedding_function=None)
                if name != collection:
                    found.modify(name=collection)
                return found
        return self._create(collection)

    def _create(self, collection: str) -> Any:
        return self._client.create_collection(
            collection,
            metadata={"dim": self.dim},
            configuration={"hnsw": {"space": self.metric, "sync_threshold": _SYNC, "batch_size": _SYNC}},
            embedding_function=None,
        )

    @classmethod
    def home(cls, **kwargs: Any) -> Path | None:
        return Path(kwargs["dir"]) / "chroma.library"

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        for start in range(0, len(nodes), self._batch):
            part = nodes[start : start + self._batch]
            rows = {node.id: _to_row(node) for node in part}
            held = self._nodes.get(ids=list(rows), include=["metadatas"])
            for node_id, old in zip(held["ids"], held["metadatas"] or (), strict=True):
                rows[node_id] = {**dict.fromkeys(old), **rows[node_id]}  # what is not named would stay
            self._nodes.upsert(
                ids=list(rows),
                embeddings=vectors[start : start + self._batch],
                documents=[node.text for node in part],
                metadatas=list(rows.values()),
            )

    def _search(self, vector: Vectors, k: int, where: Allowed) -> list[Hit]:
        found = self._nodes.query(
            query_embeddings=vector[None, :],
            n_results=k,
            where=_to_filter(where),
            include=["documents", "metadatas", "distances"],
        )
        ids, texts, rows, distances = (
            found[key][0] for key in ("ids", "documents", "metadatas", "distances")
        )
        return [
            Hit(_to_node(node_id, text, row), 1.0 - distance)
            for node_id, text, row, distance in zip(ids, texts, rows, distances, strict=True)
        ]

    def get(self, ids: Sequence[str]) -> list[Node]:
        nodes: dict[str, Node] = {}
        for start in range(0, len(ids), self._batch):
            part = list(dict.fromkeys(ids[start : start + self._batch]))
            with self._guard("reading"):
                found = self._nodes.get(ids=part, include=["documents", "metadatas"])
            nodes.update((node.id, node) for node in _to_nodes(found))
        return [nodes[node_id] for node_id in ids if node_id in nodes]

    def _delete(self, ids: list[str]) -> None:
        for start in range(0, len(ids), self._batch):
            self._nodes.delete(ids=ids[start : start + self._batch])

    def _engine_errors(self) -> tuple[type[Exception], ...]:
        from chromadb.errors import ChromaError

        return (ChromaError, OSError)

    def _is_damage(self, error: Exception) -> bool:
        text = str(error)
        return any(sign in text for sign in _DAMAGE) and "os error" not in text  # no room, no rights, …

    def restore(self, keep: Set[str]) -> None:
        """A new collection takes the place of the old one, of whose damaged index nothing is kept.

        It is new even if the index is whole: where a graph lost many nodes, some that are added again
        may be out of a search's reach. After a crash in the first thousand nodes, 7 of 3,457 were.
        """
        name = self._nodes.name
        with self._guard("building its collection anew"):
            _discard(self._client, name + _NEW)
            old, self._nodes = self._nodes, self._create(name + _NEW)
            try:
                for nodes, vectors in self._pages(old, self._batch):
                    rows = [row for row, node in enumerate(nodes) if node.id in keep]
                    self._add([nodes[row] for row in rows], vectors[rows])
            except DamagedError:
                self._client.delete_collection(self._nodes.name)
                self._nodes = self._create(name + _NEW)
            self._client.delete_collection(name)
            self._nodes.modify(name=name)

    def count(self) -> int:
        with self._guard("counting"):
            return int(self._nodes.count())

    def ids(self) -> set[str]:
        with self._guard("listing"):
            return set(self._nodes.get(include=[])["ids"])

    def items(self, batch: int = 1024) -> Iterator[tuple[list[Node], Vectors]]:
        return self._pages(self._nodes, batch)

    def _pages(self, collection: Any, size: int) -> Iterator[tuple[list[Node], Vectors]]:
        with self._guard("counting"):
            count = collection.count()
        for offset in range(0, count, size):
            with self._guard("reading"):
                found = collection.get(
                    limit=size, offset=offset, include=["documents", "metadatas", "embeddings"]
                )
            yield _to_nodes(found), np.asarray(found["embeddings"], np.float32)

    def drop(self) -> None:
        self._client.delete_collection(self._nodes.name)
        self.close()

    @classmethod
    def erase(cls, **kwargs: Any) -> None:
        client = _connect(Path(kwargs["dir"]))
        try:
            for collection in (_COLLECTION + kwargs["name"], _COLLECTION + kwargs["name"] + _NEW):
                _discard(client, collection)
        finally:
            with _CLIENTS:
                client.close()

    def close(self) -> None:
        with _CLIENTS:
            self._client.close()


def _connect(folder: Path) -> Any:
    import chromadb  # seconds of imports that a memory store never needs
    from chromadb.config import Settings
    from chromadb.errors import ChromaError

    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings.model_construct(anonymized_telemetry=False)  # reads no environment, 3 ms faster
    try:
        with _CLIENTS:
            return chromadb.PersistentClient(str(folder), settings=settings)
    except (ChromaError, OSError) as error:
        raise StoreError(f"Chroma could not open {folder}: {error}") from error


def _discard(client: Any, collection: str) -> None:
    from chromadb.errors import NotFoundError

    with suppress(NotFoundError):
        client.delete_collection(collection)


def _to_row(node: Node) -> dict[str, Any]:
    row = {_PREFIX + field: getattr(node, field) for field in _OWN}
    return {**node.metadata, **{key: value for key, value in row.items() if value is not None}}


def _to_node(node_id: str, text: str, row: dict[str, Any]) -> Node:
    own = {field: row.get(_PREFIX + field) for field in _OWN}
    metadata = {key: value for key, value in row.items() if not key.startswith(_PREFIX)}
    return Node(id=node_id, text=text, metadata=metadata, **own)  # type: ignore[arg-type]


def _to_nodes(found: Any) -> list[Node]:
    return [_to_node(*row) for row in zip(found["ids"], found["documents"], found["metadatas"], strict=True)]


def _to_filter(where: Allowed) -> dict[str, Any] | None:
    """Chroma wants the values of one ``$in`` to be of one type."""
    clauses: list[dict[str, Any]] = []
    for field, values in where.items():
        name = _PREFIX + field if field in NODE_FIELDS else field
        by_type: dict[type, list[Scalar]] = {}
        for value in values:
            by_type.setdefault(type(value), []).append(value)
        clauses.append(_joined("$or", [{name: {"$in": alike}} for alike in by_type.values()]))
    return _joined("$and", clauses) if clauses else None


def _joined(operator: str, clauses: list[dict[str, Any]]) -> dict[str, Any]:
    return {operator: clauses} if len(clauses) > 1 else clauses[0]
