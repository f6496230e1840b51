"""IVF, the inverted file: look only into the cells near the query.

k-means cuts the space into ``nlist`` cells, and each vector is written into the list of its cell; a search
measures the ``nprobe`` cells whose centroids are nearest. The idea is that of the book's index, carried
over to images by Sivic and Zisserman ("Video Google", ICCV 2003, section 4): centroids are the words. For
nearest neighbours: Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI
33, 2011, section IV, there with codes instead of the vectors (see ``ivf_pq.py``).

==========  =============================================  ===============
symbol      meaning                                        shape
==========  =============================================  ===============
centroids   one for each list; unit length unless l2       (nlist, dim)
lists       rows, their norms and slots, list by list      see ``lists.py``
probes      the cells that each query looks into           (nq, nprobe)
==========  =============================================  ===============

One query: O(nlist·dim) for the centroids and O(n·nprobe/nlist·dim) for the lists, least where nlist is
about √n. A batch turns the loop around: list by list, one matrix product with all queries that look into
it, so that each list is read once for the batch. Adding: O(nlist·dim). Removing: O(size of the list).

Where it loses: a neighbour just behind the border of a cell that is not probed is missed, so a high
recall wants a large nprobe, and then HNSW needs far fewer distances. Lists of unequal size cost more than
equal ones. Data that drifts away from the centroids ends in few lists: ``train`` again.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, stored
from ragcourse.indexes.vectors.distance import (
    BLOCK,
    heaps,
    keep_block,
    refined,
    scan,
    sort_heaps,
    squared_norms,
)
from ragcourse.indexes.vectors.flat import exact
from ragcourse.indexes.vectors.kmeans import assign, kmeans
from ragcourse.indexes.vectors.lists import Lists

PER_LIST = 4
"""Untrained, an index waits for so many vectors a list; until then it has one list, and is exact."""

SHARED = 500_000
"""Numbers in a list times queries that look into it, from which a matrix product beats a scan for each."""

_ALL = np.zeros(0, np.bool_)


class IVF(VectorIndex):
    """``nlist`` lists of vectors, of which a search reads ``nprobe``.

    The centroids come from ``train(sample)``, or from the first vectors added, 4 a list or more; or give
    them as ``centroids`` (nlist, dim), trained elsewhere.
    """

    kind = "ivf"
    tuning: ClassVar[tuple[str, ...]] = ("nprobe",)

    def __init__(
        self, dim: int, metric: Metric = "l2", nlist: int = 256, nprobe: int = 8, seed: int = 0,
        *, centroids: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dim, metric)
        self.nlist, self.nprobe = at_least_one("nlist", nlist), at_least_one("nprobe", nprobe)
        self.seed = seed
        self.trained = centroids is not None
        """Are there centroids? Until then there is one list."""
        if centroids is None:
            self._cells = Cells(np.zeros((1, self.dim), np.float32), metric)
        else:
            self._cells = Cells(self._rows(centroids, "centroids"), metric)
            self.nlist = len(self._cells)
        self._lists = self._no_lists(self._cells)

    @property
    def centroids(self) -> Floats:
        """One for each list (nlist, dim); before training one, at the origin."""
        return self._cells.centroids

    def train(self, sample: ArrayLike) -> None:
        """Place the centroids by k-means on ``sample`` (n, dim); vectors in the index change lists."""
        rows = self._rows(sample, "sample")
        if not len(rows):
            raise ValueError("the sample is empty; give vectors like those that will be searched")
        with self._lock.exclusive:
            self._train(rows, self._lists.in_order_of_slots("rows"))

    def _train(self, sample: Floats, rows: Floats) -> None:
        cells = Cells.trained(sample, self.nlist, self.seed, self.metric)
        lists = self._no_lists(cells)
        lists.add(cells.of(rows), rows=rows, norms=squared_norms(rows))
        self._cells, self._lists, self.trained = cells, lists, True  # at the end: training may be interrupted

    def _no_lists(self, cells: Cells) -> Lists:
        row, norm = np.empty((0, self.dim), np.float32), np.empty(0, np.float32)
        return Lists(len(cells), rows=row, norms=norm)

    def _add(self, rows: Floats) -> None:
        if self.trained or len(self) + len(rows) < PER_LIST * self.nlist:
            self._lists.add(self._cells.of(rows), rows=rows, norms=squared_norms(rows))
        else:
            rows = np.concatenate([self._lists.in_order_of_slots("rows"), rows])
            self._train(rows, rows)

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        self._lists.remove(gone, source, target)

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        lists = self._lists
        _, probes = self._cells.nearest(queries, tuning.get("nprobe", self.nprobe))
        allowed = _ALL if mask is None else lists.by_position(mask)
        best, places = heaps(len(queries), k)
        order = np.argsort(probes, axis=None, kind="stable")  # (query, probe) pairs, list by list
        who, where = order // probes.shape[1], probes.ravel()[order]
        shared = len(self) * self.dim * len(who) / len(self._cells) ** 2
        if shared < SHARED:
            self._scan_lists(queries, who, where, allowed, best, places)
        else:
            self._multiply_lists(queries, who, where, allowed, best, places)
        sort_heaps(best, places)
        if shared >= SHARED and self.metric == "l2":
            doubtful = refined(queries, lists["rows"], lists["norms"], best, places)
            if doubtful.any():
                best[doubtful], places[doubtful] = np.inf, -1
                again = doubtful[who]
                self._scan_lists(queries, who[again], where[again], allowed, best, places)
                sort_heaps(best, places)
        return lists.slots_at(places), best

    def _scan_lists(
        self, queries: Floats, who: Ints, where: Ints, allowed: Mask, best: Floats, places: Ints
    ) -> None:
        """For each pair: query ``who[p]`` measures the rows of list ``where[p]``."""
        l2, lists = self.metric == "l2", self._lists
        scan(queries, lists["rows"], l2, lists.starts, lists.sizes, who, where, allowed, best, places)

    def _multiply_lists(
        self, queries: Floats, who: Ints, where: Ints, allowed: Mask, best: Floats, places: Ints
    ) -> None:
        """The same, for all pairs of a list by one matrix product."""
        l2, lists = self.metric == "l2", self._lists
        scaled = queries * np.float32(-2 if l2 else -1)
        bounds = np.searchsorted(where, np.arange(len(self._cells) + 1))
        for cell in np.flatnonzero(lists.sizes * np.diff(bounds)):
            members = who[bounds[cell] : bounds[cell + 1]]
            asked = scaled[members]  # (members, dim)
            first, end = lists.starts[cell], lists.starts[cell] + lists.sizes[cell]
            for start in range(first, end, BLOCK):
                span = slice(start, min(start + BLOCK, end))
                distances = asked @ lists["rows"][span].T  # (members, ≤ BLOCK)
                if l2:
                    distances += lists["norms"][span]
                if len(allowed):
                    distances[:, ~allowed[span]] = np.inf
                keep_block(distances, start, members, best, places)

    def _settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim, "metric": self.metric, "nlist": self.nlist, "nprobe": self.nprobe,
            "seed": self.seed,
        }  # fmt: skip

    def _arrays(self) -> dict[str, NDArray[Any]]:
        trained = {"centroids": self.centroids} if self.trained else {}
        return {"rows": self._lists.in_order_of_slots("rows"), "cells": self._lists.cells, **trained}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.trained = "centroids" in arrays
        if self.trained:
            self._cells = Cells(stored(arrays, "centroids", np.float32, None, self.dim), self.metric)
        rows = stored(arrays, "rows", np.float32, len(self), self.dim)
        self._lists = self._no_lists(self._cells)
        self._lists.add(cells_from(arrays, len(self), len(self._cells)), rows=rows, norms=squared_norms(rows))

    def _memory(self) -> int:
        return self._lists.memory() + self.centroids.nbytes

    def _check(self) -> None:
        assert len(self._lists) == len(self), f"{len(self._lists)} vectors in lists, {len(self)} ids"
        assert len(self._lists.sizes) == len(self._cells), "lists and centroids differ in number"
        self._lists.check()


def at_least_one(name: str, value: int) -> int:
    """``value`` as an int; ``ValueError`` names it when it is no number of things."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}; give a whole number, 1 or more")
    return int(value)


class Cells:
    """The coarse quantizer: which cells are near a vector."""

    def __init__(self, centroids: Floats, metric: Metric) -> None:
        self.centroids, self._l2 = centroids, metric == "l2"
        self._norms = squared_norms(centroids)
        self._origin = centroids.mean(axis=0) if self._l2 else None

    def __len__(self) -> int:
        return len(self.centroids)

    @classmethod
    def trained(cls, sample: Floats, nlist: int, seed: int, metric: Metric) -> Cells:
        """``nlist`` cells, or as many as the sample has vectors: ten rounds of k-means."""
        k = min(nlist, len(sample))
        return cls(kmeans(sample, k, 10, seed, sample=128 * k, spherical=metric != "l2").centroids, metric)

    def of(self, rows: Floats) -> NDArray[np.int32]:
        """The cell that each row belongs to (n,)."""
        return assign(rows, self.centroids, self._l2, self._origin)[0]

    def nearest(self, queries: Floats, nprobe: int) -> tuple[Floats, Ints]:
        """Distances to the centroids of the ``nprobe`` nearest cells, and the cells, (nq, nprobe)."""
        count = min(at_least_one("nprobe", nprobe), len(self))
        return exact(queries, self.centroids, self._norms, self._l2, count)


def cells_from(arrays: dict[str, NDArray[Any]], count: int, nlist: int) -> NDArray[np.int32]:
    """The list of each vector, from a file; ``ValueError`` when one does not exist."""
    cells = stored(arrays, "cells", np.int32, count)
    if count and not (cells.min() >= 0 and cells.max() < nlist):
        raise ValueError(f"a vector lies in list {cells.max()} of {nlist}")
    return cells
