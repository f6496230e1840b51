"""What the indexes of codes share: search by short codes, and measure the best few again by the vectors.

A quantizer replaces a vector by a code of a few bytes; the code's distance to a query is an estimate. With
``rerank`` the index keeps the vectors, too: the nearest ``rerank`` by code are measured exactly, and the k
nearest of those are the answer. The codes, all of which are read, are small; the vectors, of which few are
read, can be large: Jégou, Tavenard, Douze, Amsaleg, "Searching in one billion vectors: re-rank with source
coding", ICASSP 2011.

=============  ==========================================  ======================
symbol         meaning                                     shape
=============  ==========================================  ======================
codes          one short row for each vector               (n, bytes), or in lists
kept           the vectors, with ``rerank`` or untrained   (room, dim) or (0, dim)
=============  ==========================================  ======================

Until it is trained, by ``train(sample)`` or by the first vectors added if they are enough, such an index
keeps the vectors alone, and is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, grown, stored
from ragcourse.indexes.vectors.distance import heaps, keep_spans, measure, sort_heaps, squared_norms
from ragcourse.indexes.vectors.flat import exact

AT_ONCE = 1 << 18
"""Distances that are computed before the smallest are kept: 1 MB."""


class Quantizer(Protocol):
    """What makes codes of vectors (n, dim), and estimates distances from them."""

    def train(self, sample: Floats, seed: int = 0) -> None:
        """Fit to a sample (n, dim)."""

    def encode(self, vectors: Floats) -> NDArray[Any]:
        """The codes (n, …)."""

    def decode(self, codes: NDArray[Any]) -> Floats:
        """The vectors that codes stand for (n, dim)."""

    def distances(self, queries: Floats, codes: NDArray[Any], l2: bool = True) -> Floats:
        """From each query, which is not quantized, to each code: (nq, n)."""

    @property
    def nbytes(self) -> int:
        """Bytes of what was learnt."""


class CodedIndex(VectorIndex):
    """``rerank`` > 0 keeps the vectors and measures so many candidates again, or as many as a search asks."""

    tuning: ClassVar[tuple[str, ...]] = ("rerank",)

    def __init__(self, dim: int, metric: Metric, rerank: int, seed: int) -> None:
        super().__init__(dim, metric)
        if not isinstance(rerank, (int, np.integer)) or isinstance(rerank, bool) or rerank < 0:
            raise ValueError(f"rerank is {rerank!r}; give the number of candidates to measure again, or 0")
        self.rerank, self.seed = int(rerank), seed
        self.trained = False
        """Are vectors turned into codes?"""
        self._kept = np.empty((0, self.dim), np.float32)

    def train(self, sample: ArrayLike) -> None:
        """Fit the quantizer to ``sample`` (n, dim); vectors in the index get new codes.

        ``ValueError`` once vectors were turned into codes, unless ``rerank`` keeps them, too.
        """
        rows = self._rows(sample, "sample")
        if not len(rows):
            raise ValueError("the sample is empty; give vectors like those that will be searched")
        with self._lock.exclusive:
            if self.trained and len(self) and not self.rerank:
                raise ValueError(f"{len(self)} vectors are codes already; train an index before adding to it")
            self._fit_and_encode(rows, self._kept[: len(self)])

    def _fit_and_encode(self, sample: Floats, rows: Floats) -> None:
        before = vars(self).copy()
        try:
            self._fit(sample)
            self.trained = True
            if len(rows):
                self._encode(rows, 0)
        except BaseException:  # training takes a while, and may be interrupted
            vars(self).update(before)
            raise
        if not self.rerank:
            self._kept = np.empty((0, self.dim), np.float32)

    def _add(self, rows: Floats) -> None:
        count = len(self) + len(rows)
        if self.rerank or not self.trained:
            self._kept = grown(self._kept, count)
            self._kept[len(self) : count] = rows
        if self.trained:
            self._encode(rows, len(self))
        elif count >= self._enough:
            self._fit_and_encode(self._kept[:count], self._kept[:count])

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        if self.rerank or not self.trained:
            self._kept[target] = self._kept[source]
        if self.trained:
            self._remove_codes(gone, source, target)

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        wanted = tuning.pop("rerank", self.rerank)
        if wanted and not self.rerank:
            raise ValueError(f"this index keeps codes alone; build it with rerank={wanted} or so")
        l2, kept = self.metric == "l2", self._kept[: len(self)]
        if not self.trained:
            best, at = exact(queries, kept, squared_norms(kept), l2, k, mask)
            return at, best
        candidates = min(max(k, wanted), len(self))
        best, at = self._by_codes(queries, candidates, mask, **tuning)
        if wanted:
            measure(queries, kept, l2, at, best)
            order = np.argsort(best, axis=1, kind="stable")[:, :k]
            best, at = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
        return at, best

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"kept": self._kept[: len(self)], **(self._code_arrays() if self.trained else {})}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.trained = "codes" in arrays
        count = len(self) if self.rerank or not self.trained else 0
        self._kept = stored(arrays, "kept", np.float32, count, self.dim)
        if self.trained:
            self._restore_codes(arrays)

    def _memory(self) -> int:
        return self._kept.nbytes + (self._code_memory() if self.trained else 0)

    def _check(self) -> None:
        wanted = len(self) if self.rerank or not self.trained else 0
        assert len(self._kept) >= wanted, f"{len(self._kept)} vectors are kept for {len(self)} ids"
        if self.trained:
            self._check_codes()

    # What a subclass writes.

    @property
    @abstractmethod
    def _enough(self) -> int:
        """So many vectors train an index that was not trained before."""

    @abstractmethod
    def _fit(self, sample: Floats) -> None:
        """Train a copy of the quantizer, and begin with no codes; the old arrays stay as they are."""

    @abstractmethod
    def _encode(self, rows: Floats, first: int) -> None:
        """The codes of rows (n, dim) take the slots ``first`` …, the next ones."""

    @abstractmethod
    def _remove_codes(self, gone: Ints, source: Ints, target: Ints) -> None:
        """As ``VectorIndex._remove``."""

    @abstractmethod
    def _by_codes(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Floats, Ints]:
        """The k nearest by code: distances and slots (nq, k), nearest first."""

    @abstractmethod
    def _code_arrays(self) -> dict[str, NDArray[Any]]:
        """What the file needs of quantizer and codes; one of them is named "codes"."""

    @abstractmethod
    def _restore_codes(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back ``_code_arrays``; ``ValueError`` if they do not fit."""

    @abstractmethod
    def _code_memory(self) -> int:
        """Bytes of quantizer and codes."""

    @abstractmethod
    def _check_codes(self) -> None:
        """Verify the codes; ``AssertionError``."""


class AllCodes(CodedIndex):
    """One code for each slot, in one matrix; a search estimates the distance of every one.

    A subclass sets ``quantizer`` and ``_codes`` (0, …) before anything is added.
    """

    quantizer: Quantizer
    _codes: NDArray[Any]

    @property
    def codes(self) -> NDArray[Any]:
        """The codes (len, …), in the order of ``ids``; none before training."""
        return self._codes[: len(self)]

    def _fit(self, sample: Floats) -> None:
        self.quantizer = copy(self.quantizer)
        self.quantizer.train(sample, self.seed)
        self._codes = self._codes[:0]

    def _encode(self, rows: Floats, first: int) -> None:
        codes = self.quantizer.encode(rows)
        self._codes = grown(self._codes, first + len(rows))
        self._codes[first : first + len(rows)] = codes

    def _remove_codes(self, gone: Ints, source: Ints, target: Ints) -> None:
        self._codes[target] = self._codes[source]

    def _by_codes(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Floats, Ints]:
        best, at, l2 = *heaps(len(queries), k), self.metric == "l2"
        step = max(1, AT_ONCE // len(self))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            distances = self.quantizer.distances(queries[some], self.codes, l2)  # (≤ step, n)
            if mask is not None:
                distances[:, ~mask] = np.inf
            bounds = np.arange(len(distances) + 1) * len(self)
            keep_spans(distances.ravel(), bounds, best[some], at[some])
        sort_heaps(best, at)
        return best, at

    def _code_memory(self) -> int:
        return self._codes.nbytes + self.quantizer.nbytes

    def _check_codes(self) -> None:
        assert len(self._codes) >= len(self), f"{len(self._codes)} codes for {len(self)} ids"
