"""Milvus: a vector database behind one ``uri``, a local file (Milvus Lite) or a server.

Milvus Lite 3 is a Python engine on Faiss and Arrow, with wheels for Windows and every index type;
release 2.5 was C++ and answers faster, but knows FLAT and IVF_FLAT only and not Windows.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ragcourse.documents import Hit, Node, Scalar
from ragcourse.stores.base import NODE_FIELDS, Allowed, MismatchError, Store, StoreError, Vectors

_FIELDS = ["text", "document", "group", "start", "end", "parent", "metadata"]
_BATCH = 1000
_COLLECTION = "ragcourse_"  # and the group's name
_METRICS = {"COSINE": "cosine", "IP": "inner product", "L2": "l2"}


class MilvusStore(Store):
    """``uri`` is a path that ends in ``.db`` or the address of a server; ``name`` the collection's.

    ``index_kwargs`` names ``index_type`` (default FLAT), ``metric_type`` (COSINE, IP or L2) and
    ``params``. Scores under L2 are negated squared distances, so that higher is better here too.
    Raises ``MismatchError`` for a collection of another dimension, index or metric, ``StoreError`` if
    it cannot be opened.
    """

    kind = "milvus"
    max_text = 65_535  # of a VARCHAR
    modules = ("pymilvus", "milvus_lite.adapter.grpc.server", "grpc.experimental", "pyarrow.dataset")
    _users: ClassVar[Counter[str]] = Counter()  # open stores of each local database: they share a server
    _users_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        dim: int,
        uri: str | Path,
        name: str = "nodes",
        index_kwargs: dict[str, Any] | list[dict[str, Any]] | None = None,
        token: str = "",
    ) -> None:
        super().__init__(dim, name)
        if isinstance(index_kwargs, list):  # the reference form for several embedders
            if len(index_kwargs) != 1:
                raise ValueError(
                    f"index_kwargs lists {len(index_kwargs)} indexes; this library has one vector a node"
                )
            index_kwargs = index_kwargs[0]
        index = {"index_type": "FLAT", "metric_type": "COSINE", "params": {}, **(index_kwargs or {})}
        if unknown := set(index) - {"index_type", "metric_type", "params", "embed_key"}:
            raise ValueError(
                f"index_kwargs has no field {sorted(unknown)[0]!r}; it takes index_type, metric_type, params"
            )
        if index["metric_type"] not in _METRICS:
            raise ValueError(f"metric_type {index['metric_type']!r} is not one of {', '.join(_METRICS)}")
        self.metric = _METRICS[index["metric_type"]]
        self._uri, self._name = _absolute(uri), _COLLECTION + name
        self._unflushed = self._closed = False
        with self._users_lock:
            self._client = _connect(self._uri, token)
            self._users[self._uri] += 1
        try:
            with self._guard("opening"):
                self._open(index)
        except BaseException:
            self.close()
            raise

    def _open(self, index: dict[str, Any]) -> None:
        if self._client.has_collection(self._name) and self._client.list_indexes(self._name):
            self._check(index)
            self._load()
        else:
            _drop(self._client, self._uri, self._name)  # no index, so no node: killed while making it
            self._create(index)

    def _load(self) -> None:
        from pymilvus import MilvusException

        try:
            self._client.load_collection(self._name)
        except MilvusException:
            if _is_remote(self._uri):
                raise
            # Milvus Lite writes an index in place, so that a kill leaves a torn one; a missing one it builds
            for file in Path(self._uri).glob(f"collections/{self._name}/partitions/*/indexes/*"):
                file.unlink()
            self._client.load_collection(self._name)

    @classmethod
    def home(cls, **kwargs: Any) -> Path | None:
        uri = str(kwargs["uri"])
        return None if _is_remote(uri) else Path(uri + ".library")

    def _check(self, index: dict[str, Any]) -> None:
        fields = self._client.describe_collection(self._name)["fields"]
        written = next(field["params"]["dim"] for field in fields if field["name"] == "vector")
        if int(written) != self.dim:
            raise MismatchError(
                f"the Milvus collection in {self._uri} holds vectors of {written} dimensions, not {self.dim}"
            )
        built = self._client.describe_index(self._name, "vector")
        for key in ("index_type", "metric_type"):
            if built[key] != index[key]:
                raise MismatchError(
                    f"the Milvus collection in {self._uri} has the {key} {built[key]}, not {index[key]}"
                )

    def _create(self, index: dict[str, Any]) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        schema.add_field("text", DataType.VARCHAR, max_length=self.max_text)
        for field in ("document", "group", "parent"):
            schema.add_field(field, DataType.VARCHAR, max_length=4096)
        for field in ("start", "end"):
            schema.add_field(field, DataType.INT64)
        schema.add_field("metadata", DataType.JSON)
        settings = self._client.prepare_index_params()
        params = {**index["params"], "params": index["params"]}  # Milvus Lite 3.2 reads the nested ones only
        settings.add_index(
            "vector", index_type=index["index_type"], metric_type=index["metric_type"], params=params
        )
        self._client.create_collection(self._name, schema=schema, index_params=settings)

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        for node in nodes:
            if len(node.text.encode("utf-8", "surrogatepass")) > self.max_text:
                raise ValueError(
                    f"a node of {node.document} in group {node.group} is longer than the {self.max_text:,} "
                    "bytes that Milvus keeps in a field; split it smaller"
                )
        rows = [_to_row(node, vector) for node, vector in zip(nodes, vectors, strict=True)]
        for start in range(0, len(rows), _BATCH):
            self._client.upsert(self._name, rows[start : start + _BATCH])
        self._unflushed = True

    def _search(self, vector: Vectors, k: int, where: Allowed) -> list[Hit]:
        found = self._client.search(
            self._name,
            data=[vector.tolist()],
            limit=min(k, 16_384),
            filter=_to_filter(where),
            output_fields=_FIELDS,
        )
        sign = -1.0 if self.metric == "l2" else 1.0
        return [Hit(_to_node(row["id"], row["entity"]), sign * row["distance"]) for row in found[0]]

    def get(self, ids: Sequence[str]) -> list[Node]:
        nodes: dict[str, Node] = {}
        for start in range(0, len(ids), _BATCH):
            with self._guard("reading"):
                rows = self._client.get(
                    self._name, ids=list(ids[start : start + _BATCH]), output_fields=["id", *_FIELDS]
                )
            nodes.update((row["id"], _to_node(row["id"], row)) for row in rows)
        return [nodes[node_id] for node_id in ids if node_id in nodes]

    def _delete(self, ids: list[str]) -> None:
        for start in range(0, len(ids), _BATCH):
            self._client.delete(self._name, ids=ids[start : start + _BATCH])
            self._unflushed = True

    def count(self) -> int:
        with self._guard("counting"):
            return int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def ids(self) -> set[str]:
        return {row["id"] for rows in self._pages(["id"], 10_000) for row in rows}

    def items(self, batch: int = 1024) -> Iterator[tuple[list[Node], Vectors]]:
        for rows in self._pages(["id", "vector", *_FIELDS], batch):
            yield (
                [_to_node(row["id"], row) for row in rows],
                np.array([row["vector"] for row in rows], np.float32),
            )

    def _pages(self, fields: list[str], size: int) -> Iterator[list[dict[str, Any]]]:
        with self._guard("reading"):
            pages = self._client.query_iterator(self._name, filter="", output_fields=fields, batch_size=size)
            try:
                while rows := pages.next():
                    yield list(rows)
            finally:
                pages.close()

    def _flush(self) -> None:  # what is sealed is durable, and a search no longer scans it row by row
        if self._unflushed:
            self._client.flush(self._name)
            self._unflushed = False

    def _engine_errors(self) -> tuple[type[Exception], ...]:
        from grpc import RpcError
        from pymilvus import MilvusException

        return (MilvusException, RpcError, OSError)

    def drop(self) -> None:
        _drop(self._client, self._uri, self._name)
        self.close()

    @classmethod
    def erase(cls, **kwargs: Any) -> None:
        uri = _absolute(kwargs["uri"])
        with cls._users_lock:
            client = _connect(uri, kwargs.get("token", ""))
            try:
                _drop(client, uri, _COLLECTION + kwargs["name"])
            finally:
                cls._disconnect(client, uri)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._users_lock:
            self._users[self._uri] -= 1
            self._disconnect(self._client, self._uri)

    @classmethod
    def _disconnect(cls, client: Any, uri: str) -> None:
        client.close()
        if cls._users[uri] == 0 and not _is_remote(uri):
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(uri)


def _is_remote(uri: str) -> bool:
    return re.match(r"(https?|tcp|unix)://", uri) is not None


def _absolute(uri: str | Path) -> str:
    return str(uri) if _is_remote(str(uri)) else str(Path(uri).absolute())


def _connect(uri: str, token: str) -> Any:
    if not _is_remote(uri):
        if not uri.endswith(".db"):
            raise ValueError(f"a local Milvus uri ends in .db, this one is {uri!r}")
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
    from pymilvus import MilvusClient, MilvusException

    try:
        return MilvusClient(uri, token=token)
    except MilvusException as error:
        raise StoreError(f"Milvus could not open {uri}: {error}") from error


def _drop(client: Any, uri: str, collection: str) -> None:
    client.drop_collection(collection)
    leftover = Path(uri) / "collections" / collection
    if not _is_remote(uri) and leftover.exists():
        shutil.rmtree(leftover)  # no collection to Milvus Lite, but in the way of one


def _to_row(node: Node, vector: Vectors) -> dict[str, Any]:
    return {
        "id": node.id,
        "vector": vector,
        "text": node.text,
        "document": node.document,
        "group": node.group,
        "parent": node.parent or "",
        "start": node.start,
        "end": node.end,
        "metadata": dict(node.metadata),
    }


def _to_node(node_id: str, row: Any) -> Node:
    return Node(
        id=node_id,
        text=row["text"],
        document=row["document"],
        group=row["group"],
        start=row["start"],
        end=row["end"],
        parent=row["parent"] or None,
        metadata=row["metadata"],
    )


def _to_filter(where: Allowed) -> str:
    """A filter expression. Milvus Lite takes ``in`` for columns only, not for what is inside a JSON field."""
    clauses = []
    for field, values in where.items():
        name = field if field in NODE_FIELDS else f"metadata[{_literal(field)}]"
        clauses.append(" or ".join(f"{name} == {_literal(value)}" for value in values))
    return " and ".join(f"({clause})" for clause in clauses)


def _literal(value: Scalar) -> str:
    """As JSON, but Milvus knows no ``\\u``: all but quotes, backslashes and line ends stands as it is."""
    if not isinstance(value, str):
        return json.dumps(value)
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(raw, escaped)
    return f'"{value}"'
