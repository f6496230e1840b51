"""One interface over our vector indexes and those of faiss and hnswlib, for the race between them.

Everyone gets the same float32 rows and the same batch of queries in one call, and gives back the places of
the rows, in the order of adding. ``effort`` is the knob that buys recall: ef of a graph, nprobe of lists.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragcourse.bench.index_data import Floats
from ragcourse.indexes.vectors.base import VectorIndex
from ragcourse.remedies import install_command

Places = NDArray[np.int64]


class Contestant(Protocol):
    """An index in the race."""

    def use(self, threads: int) -> None:
        """Build and search with so many threads."""
        ...

    def add(self, vectors: Floats) -> None:
        """Put in the vectors (n, dim)."""
        ...

    def search(self, queries: Floats, k: int, effort: int = 0) -> Places:
        """Places (nq, k) of the k nearest of each query, -1 for none."""
        ...

    @property
    def size(self) -> int:
        """Bytes that the index takes."""
        ...


class Ours:
    """An index of this library. With several threads a batch is cut into as many parts."""

    def __init__(self, index: VectorIndex, knob: str = "", **tuning: int) -> None:
        self.index, self._knob, self._tuning = index, knob, tuning
        self._threads, self._pool = 1, ThreadPoolExecutor()

    def use(self, threads: int) -> None:
        """Searches with so many threads, and builds, where the index can."""
        self._threads = threads
        if hasattr(self.index, "workers"):
            self.index.workers = threads

    def add(self, vectors: Floats) -> None:
        """Ids are places."""
        self.index.add(vectors)

    def search(self, queries: Floats, k: int, effort: int = 0) -> Places:
        """Parts of the batch run side by side: kernels and BLAS release Python's lock."""
        tuning = self._tuning | ({self._knob: effort} if self._knob else {})
        if self._threads == 1:
            return self.index.search(queries, k, **tuning).ids
        parts = np.array_split(queries, min(self._threads, len(queries)))
        found = self._pool.map(lambda part: self.index.search(part, k, **tuning).ids, parts)
        return np.concatenate(list(found))

    @property
    def size(self) -> int:
        """What the index says of itself."""
        return self.index.memory_bytes


class Faiss:
    """An index of faiss; `threads` (index_threads.py) sets its number of threads.

    ``parameters`` makes the search parameters from the effort.
    """

    def __init__(self, index: Any, parameters: Callable[[int], Any] | None = None) -> None:
        self.index, self._parameters = index, parameters

    def use(self, threads: int) -> None:
        """Faiss has one number for all of its indexes."""

    def add(self, vectors: Floats) -> None:
        """Training comes first, where it is needed."""
        self.index.add(vectors)

    def search(self, queries: Floats, k: int, effort: int = 0) -> Places:
        """In one call."""
        parameters = self._parameters(effort) if self._parameters else None
        found: Places = self.index.search(queries, k, params=parameters)[1]
        return found

    @property
    def size(self) -> int:
        """As written to a file; in memory it is a little more."""
        import faiss

        return int(faiss.serialize_index(self.index).nbytes)


class Hnswlib:
    """The index of hnswlib, by squared L2 distance."""

    def __init__(self, dim: int, room: int, M: int, ef_construction: int, seed: int = 0) -> None:
        import hnswlib

        self.index = hnswlib.Index("l2", dim)
        self.index.init_index(room, M=M, ef_construction=ef_construction, random_seed=seed)

    def use(self, threads: int) -> None:
        """Builds and searches with so many threads."""
        self.index.set_num_threads(threads)

    def add(self, vectors: Floats) -> None:
        """Labels are places."""
        self.index.add_items(vectors)

    def search(self, queries: Floats, k: int, effort: int = 0) -> Places:
        """In one call."""
        self.index.set_ef(max(effort, k))
        return np.asarray(self.index.knn_query(queries, k=k)[0]).astype(np.int64)

    @property
    def size(self) -> int:
        """As written to a file; in memory it is a little more."""
        return int(self.index.index_file_size())


def graphs(
    dim: int, room: int, M: int = 16, ef_construction: int = 200
) -> dict[str, Callable[[], Contestant]]:
    """Makers of empty HNSW indexes with the same parameters, by name; hnswlib only where it is installed."""
    import faiss

    from ragcourse.indexes.vectors.hnsw import HNSW

    def of_faiss() -> Contestant:
        index = faiss.IndexHNSWFlat(dim, M)
        index.hnsw.efConstruction = ef_construction
        return Faiss(index, lambda ef: faiss.SearchParametersHNSW(efSearch=ef))

    makers: dict[str, Callable[[], Contestant]] = {
        "ours, int8": lambda: Ours(HNSW(dim, M=M, ef_construction=ef_construction), "ef"),
        "ours, float32": lambda: Ours(HNSW(dim, M=M, ef_construction=ef_construction, codes="float32"), "ef"),
        "hnswlib": lambda: Hnswlib(dim, room, M, ef_construction),
        "faiss": of_faiss,
    }
    if not _installed("hnswlib"):
        del makers["hnswlib"]
    return makers


def require_peers() -> None:
    """``RuntimeError`` with the command that installs what the race cannot do without."""
    for module in ("faiss", "threadpoolctl", "marisa_trie", "sortedcontainers", "BTrees"):
        if not _installed(module):
            raise RuntimeError(
                f"this benchmark needs {module}, which is not installed: {install_command('lab,bench')}"
            )


def missing_peers() -> list[str]:
    """Remarks on peers that the race can do without, and will."""
    if _installed("hnswlib"):
        return []
    install = install_command("lab,hnswlib")
    return [f"hnswlib is not installed, so its rows are missing; where there is a C++ compiler: {install}"]


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
