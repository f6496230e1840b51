"""hnswlib behind the interface of this folder: the C++ library by the authors of HNSW, to compare with ours.

hnswlib is optional, since it has no ready-made packages and is compiled while it is installed. What it does
otherwise than ``hnsw.HNSW``: a removed vector is only marked, and carries the walk on until its place is
given to a new one; ``ef`` belongs to the whole index, so searches of several threads take turns; a filter
asks Python about each node, so it is slow. Where its walk finds fewer than k, the vectors are scanned.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, grown, stored
from ragcourse.indexes.vectors.distance import squared_norms
from ragcourse.indexes.vectors.flat import exact
from ragcourse.remedies import install_command


class HnswlibIndex(VectorIndex):
    """``M``, ``ef_construction``, ``ef``, ``seed`` as in ``HNSW``; ``workers``: threads, here not repeatable.

    ``ImportError`` without hnswlib, with the command that installs it.
    """

    kind = "hnswlib"
    tuning: ClassVar[tuple[str, ...]] = ("ef",)

    def __init__(
        self,
        dim: int,
        metric: Metric = "l2",
        M: int = 16,
        ef_construction: int = 200,
        ef: int = 64,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__(dim, metric)
        self.M, self.ef_construction, self.ef, self.seed, self.workers = M, ef_construction, ef, seed, workers
        self._labels = np.empty(0, np.int64)  # slot → the label in hnswlib, which is never given twice
        self._slots = np.empty(0, np.int64)  # label → slot
        self._next = 0
        self._turn = Lock()
        self._index = self._empty()
        self._index.init_index(
            max_elements=1, M=M, ef_construction=ef_construction, random_seed=seed, allow_replace_deleted=True
        )

    def _empty(self) -> Any:
        try:
            import hnswlib
        except ImportError as error:
            raise ImportError(
                "hnswlib is not installed; it needs a C++ compiler: " + install_command("hnswlib")
            ) from error
        return hnswlib.Index(space="l2" if self.metric == "l2" else "ip", dim=self.dim)

    def _add(self, rows: Floats) -> None:
        new = np.arange(self._next, self._next + len(rows))
        room = self._index.get_max_elements()
        if len(self) + len(rows) > room:
            self._index.resize_index(max(2 * room, len(self) + len(rows)))
        self._index.add_items(rows, new, num_threads=self.workers, replace_deleted=True)
        self._labels = grown(self._labels, len(self) + len(rows))
        self._slots = grown(self._slots, self._next + len(rows))
        self._labels[len(self) : len(self) + len(rows)] = new
        self._slots[new] = np.arange(len(self), len(self) + len(rows))
        self._next += len(rows)

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        for label in self._labels[gone].tolist():
            self._index.mark_deleted(label)
        self._labels[target] = self._labels[source]
        self._slots[self._labels[target]] = target

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        allowed = None if mask is None else lambda label: bool(mask[self._slots[label]])
        with self._turn:
            self._index.set_ef(max(tuning.get("ef") or self.ef, k))
            try:
                labels, distances = self._index.knn_query(queries, k, num_threads=1, filter=allowed)
            except RuntimeError:  # it found fewer than k
                return self._scan(queries, k, mask)
        return self._slots[labels.astype(np.int64)], distances - (self.metric != "l2")

    def _scan(self, queries: Floats, k: int, mask: Mask | None) -> tuple[Ints, Floats]:
        few = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
        rows = np.array(self._index.get_items(self._labels[few]), np.float32)
        distances, at = exact(queries, rows, squared_norms(rows), self.metric == "l2", k)
        return few[at], distances

    def _settings(self) -> dict[str, Any]:
        names = ("dim", "metric", "M", "ef_construction", "ef", "seed", "workers")
        return {name: getattr(self, name) for name in names}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            self._index.save_index(str(path))
            content = np.frombuffer(path.read_bytes(), np.uint8)
        return {"labels": self._labels[: len(self)], "hnswlib": content}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._labels = stored(arrays, "labels", np.int64, len(self))
        self._index = self._empty()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            path.write_bytes(stored(arrays, "hnswlib", np.uint8, None).tobytes())
            try:
                self._index.load_index(str(path), allow_replace_deleted=True)
            except RuntimeError as error:
                raise ValueError(f"hnswlib cannot read it: {error}") from error
        self._next = 1 + max(self._index.get_ids_list(), default=-1)
        self._slots = np.full(self._next, -1, np.int64)
        self._slots[self._labels] = np.arange(len(self))

    def _memory(self) -> int:
        return int(self._index.index_file_size()) + self._labels.nbytes + self._slots.nbytes

    def _check(self) -> None:
        labels = self._labels[: len(self)]
        assert np.array_equal(self._slots[labels], np.arange(len(self))), "slot → label → slot disagrees"
        unknown = set(labels.tolist()) - set(self._index.get_ids_list())
        assert not unknown, f"labels {sorted(unknown)[:5]} are not in hnswlib"
