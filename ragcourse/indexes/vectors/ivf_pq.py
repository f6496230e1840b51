"""IVF-PQ: look only into the cells near the query, and there only at codes.

Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 33, 2011, section IV
(IVFADC). What is coded is the residual x − c, the way from the centroid of its cell to the vector: residuals
are shorter than vectors and alike in all cells, so that the same bytes describe them better.

==========  =================================  ================
symbol      meaning                            shape
==========  =================================  ================
centroids   c, one for each list               (nlist, dim)
codes       of the residuals, list by list     (n, m) uint8
biases      ‖ŷ‖² + 2 c·ŷ of each code, l2      (n,) float32
tables      −2 q_j·word (l2), −q_j·word (ip)   (nq, m, k*)
==========  =================================  ================

Taken literally, the residual of the query is another one in each cell, and so is its table. With ŷ the
decoded residual, the square tells apart what belongs to whom::

    ‖q − c − ŷ‖²  =  ‖q − c‖²   +   (‖ŷ‖² + 2 c·ŷ)   −   2 q·ŷ
                     the search      the vector's own     one table for
                     of cells        number, stored       all cells

(The paper's authors keep the middle term as a table for each cell, nlist·m·k* numbers; here it is summed up
when the vector is added: 4 bytes more for each, and nothing but look-ups when searching.) The inner product
needs no such term: −q·(c + ŷ) = −q·c − q·ŷ.

Cost of a query: O(nlist·dim + k*·dim) for cells and table, O(n·nprobe/nlist·m) look-ups. Memory: m + 4
bytes, and 20 to find a vector by its slot.

Where it loses: the errors of both parents. A missed cell cannot be re-ranked, a coarse code can
(``rerank``). As to faiss's FastScan, see ``pq.py``.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, stored
from ragcourse.indexes.vectors.coded import AT_ONCE, CodedIndex
from ragcourse.indexes.vectors.distance import heaps, keep_spans, sort_heaps
from ragcourse.indexes.vectors.ivf import PER_LIST, Cells, at_least_one, cells_from
from ragcourse.indexes.vectors.lists import Lists
from ragcourse.indexes.vectors.pq import ProductQuantizer, codes_from, fitting, look_up_lists

SAMPLE = 65_536
"""Of a larger sample so many vectors train the index: 128 a list the centroids, 40,000 the codebooks."""

_ALL = np.zeros(0, np.bool_)


@kernel
def to_places(at: Ints, starts: Ints, sizes: Ints, probes: Ints) -> None:
    """``at`` (nq, k) counts through the lists of ``probes`` (nq, nprobe); make positions of it, keep -1."""
    for i in range(at.shape[0]):
        for j in range(at.shape[1]):
            rest = at[i, j]
            for r in probes[i]:
                if rest < sizes[r]:
                    at[i, j] = starts[r] + rest if rest >= 0 else -1
                    break
                rest -= sizes[r]


class IVFPQ(CodedIndex):
    """``nlist`` lists of codes of ``m`` bytes; a search reads ``nprobe`` of them.

    ``rerank`` as in ``CodedIndex``.

    Trained by ``train``, by the first vectors if there are 4 a list and 4·2^nbits, or with ``centroids``
    (nlist, dim) and ``quantizer``, trained elsewhere.
    """

    kind = "ivf_pq"
    tuning: ClassVar[tuple[str, ...]] = ("nprobe", "rerank")

    def __init__(
        self, dim: int, metric: Metric = "l2", nlist: int = 256, m: int = 16, nbits: int = 8, nprobe: int = 8,
        rerank: int = 0, seed: int = 0,
        *, centroids: ArrayLike | None = None, quantizer: ProductQuantizer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dim, metric, rerank, seed)
        if (centroids is None) != (quantizer is None):
            raise ValueError("give both centroids and quantizer, or neither: they were trained together")
        self.nlist, self.nprobe = at_least_one("nlist", nlist), at_least_one("nprobe", nprobe)
        self.quantizer = fitting(self.dim, m, nbits, quantizer)
        self.m, self.nbits = self.quantizer.m, self.quantizer.nbits
        self._cells = Cells(np.zeros((1, self.dim), np.float32), metric)
        if centroids is not None:
            self.trained = True
            self._cells = Cells(self._rows(centroids, "centroids"), metric)
            self.nlist = len(self._cells)
        self._lists = self._no_lists()

    @property
    def centroids(self) -> Floats:
        """One for each list (nlist, dim); before training one, at the origin."""
        return self._cells.centroids

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The codes (len, m) of the residuals, in the order of ``ids``."""
        return self._lists.in_order_of_slots("codes")

    def _no_lists(self) -> Lists:
        codes, biases = np.empty((0, self.m), np.uint8), np.empty(0, np.float32)
        return Lists(len(self._cells), codes=codes, **({"biases": biases} if self.metric == "l2" else {}))

    @property
    def _enough(self) -> int:
        return max(PER_LIST * self.nlist, 4 << self.nbits)

    def _fit(self, sample: Floats) -> None:
        if len(sample) > SAMPLE:
            random = np.random.default_rng(self.seed)
            sample = sample[np.sort(random.choice(len(sample), max(SAMPLE, self.nlist), replace=False))]
        self._cells = Cells.trained(sample, self.nlist, self.seed, self.metric)
        self.quantizer = copy(self.quantizer)
        self.quantizer.train(sample - self.centroids[self._cells.of(sample)], self.seed, at_most=40_000)
        self._lists = self._no_lists()

    def _encode(self, rows: Floats, first: int) -> None:
        cells = self._cells.of(rows)
        self._file(cells, self.quantizer.encode(rows - self.centroids[cells]))

    def _file(self, cells: NDArray[np.int32], codes: NDArray[np.uint8]) -> None:
        if self.metric == "l2":
            ways = self.quantizer.decode(codes)  # ŷ (n, dim)
            biases = np.einsum("ij,ij->i", ways, ways + 2 * self.centroids[cells])
            self._lists.add(cells, codes=codes, biases=biases)
        else:
            self._lists.add(cells, codes=codes)

    def _remove_codes(self, gone: Ints, source: Ints, target: Ints) -> None:
        self._lists.remove(gone, source, target)

    def _by_codes(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Floats, Ints]:
        lists = self._lists
        centroid_distances, probes = self._cells.nearest(queries, tuning.get("nprobe", self.nprobe))
        allowed = _ALL if mask is None else lists.by_position(mask)
        weights = queries * np.float32(2) if self.metric == "l2" else queries
        bounds = np.zeros(len(queries) + 1, np.int64)  # where each query's candidates end
        np.cumsum(lists.sizes[probes].sum(axis=1), out=bounds[1:])
        best, at = heaps(len(queries), k)
        step = max(1, AT_ONCE * len(queries) // max(int(bounds[-1]), 1))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            limits = bounds[start : start + step + 1] - bounds[start]
            distances = np.empty(limits[-1], np.float32)
            look_up_lists(
                lists["codes"], lists.columns.get("biases", distances[:0]),
                weights[some], self.quantizer.columns, lists.starts, lists.sizes,
                probes[some], centroid_distances[some], allowed, distances,
            )  # fmt: skip
            keep_spans(distances, limits, best[some], at[some])
        sort_heaps(best, at)
        if self.metric == "l2":
            np.maximum(best, 0, out=best)  # a sum of three, and rounding may take it below
        to_places(at, lists.starts, lists.sizes, probes)
        return best, lists.slots_at(at)

    def _settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim, "metric": self.metric, "nlist": self.nlist, "m": self.m, "nbits": self.nbits,
            "nprobe": self.nprobe, "rerank": self.rerank, "seed": self.seed,
        }  # fmt: skip

    def _code_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "centroids": self.centroids, "codebooks": self.quantizer.codebooks,
            "cells": self._lists.cells, "codes": self.codes,
        }  # fmt: skip

    def _restore_codes(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._cells = Cells(stored(arrays, "centroids", np.float32, None, self.dim), self.metric)
        self.quantizer, codes = codes_from(arrays, len(self), self.m, self.dim)
        self._lists = self._no_lists()
        self._file(cells_from(arrays, len(self), len(self._cells)), codes)

    def _code_memory(self) -> int:
        return self._lists.memory() + self.centroids.nbytes + self.quantizer.nbytes

    def _check_codes(self) -> None:
        assert len(self._lists) == len(self), f"{len(self._lists)} codes in lists, {len(self)} ids"
        assert len(self._lists.sizes) == len(self._cells), "lists and centroids differ in number"
        words = self.quantizer.words
        assert not len(self) or self.codes.max() < words, f"a code names word {self.codes.max()} of {words}"
        self._lists.check()
