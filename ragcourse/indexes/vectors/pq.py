"""PQ, product quantization: a vector as m bytes, and its distance to a query as a sum of m table entries.

Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 33, 2011.

- Section II.B, the quantizer: cut a vector into m parts, and replace each part by the nearest of
  k* = 2^nbits codewords that k-means found for that part. The m codebooks of k* words stand for (k*)^m
  different vectors, 2^64 of them with m = 8.
- Section III.A, asymmetric distance computation (ADC), equation 13: the query is not quantized. Its
  distance to every codeword is computed once, and a vector's distance is looked up part by part::

      d(q, x) ≈ Σ_j table[j, code[j]],    table[j, c] = ‖q_j − codebook[j, c]‖², or −q_j · codebook[j, c]

============  ============================  ==========================  =======================
symbol        in the paper                  meaning                     shape
============  ============================  ==========================  =======================
codebooks     C_1 … C_m                     words of each part          (m, k*, dim / m)
codes         q(x)                          word of each part           (n, m) uint8
tables        d(u_j(x), q_j(y))             one table for each query    (nq, m, k*)
dim / m       D*                            numbers in a part
============  ============================  ==========================  =======================

Cost: encoding O(n·k*·dim), a matrix product; a table O(k*·dim); the search O(n·m) look-ups, whatever the
dimension. Memory: m bytes a vector, also where nbits < 8. Of 128 float32, m = 16 leaves 1/32.

Where it loses: a code is an estimate, and the nearest by code is often not the nearest (``rerank``). One
look-up for each part is a load from memory for each, and the compiler cannot do several at once. faiss's
4-bit FastScan (André, Kermarrec, Le Scouarnec, PVLDB 9, 2015) makes the table so small, 16 entries of one
byte, that it fits in a register and one instruction looks up 32 or 64 codes: 6 to 14 times faster than
this, at some loss of recall, and out of reach of plain loops.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, stored
from ragcourse.indexes.vectors.coded import AllCodes
from ragcourse.indexes.vectors.ivf import at_least_one
from ragcourse.indexes.vectors.kmeans import assign, kmeans

Codes = NDArray[np.uint8]

@kernel(fastmath={"contract"})
def fill_table(query: Floats, words: Floats, l2: bool, table: Floats) -> None:
    """``table`` (m, k*) of a query (dim,) to ``words`` (m, dim / m, k*)."""
    parts, numbers, count = words.shape
    for part in range(parts):
        row = table[part]
        for c in range(count):
            row[c] = 0
        for j in range(numbers):
            value, column = query[part * numbers + j], words[part, j]
            if l2:
                for c in range(count):
                    difference = value - column[c]
                    row[c] += difference * difference
            else:
                for c in range(count):
                    row[c] -= value * column[c]


@kernel
def look_up(codes: Codes, table: Floats, first: int, distances: Floats) -> None:
    """``distances`` (n,) of the codes ``first`` …, four at a time, as the sums of one wait for each other."""
    n, m = distances.shape[0], codes.shape[1]
    for i in range(0, n - 3, 4):
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        row = first + i
        for j in range(m):
            a += table[j, codes[row, j]]
            b += table[j, codes[row + 1, j]]
            c += table[j, codes[row + 2, j]]
            d += table[j, codes[row + 3, j]]
        distances[i], distances[i + 1], distances[i + 2], distances[i + 3] = a, b, c, d
    for i in range(n - n % 4, n):
        a = np.float32(0)
        for j in range(m):
            a += table[j, codes[first + i, j]]
        distances[i] = a


@kernel
def look_up_all(codes: Codes, queries: Floats, words: Floats, l2: bool, distances: Floats) -> None:
    """``distances`` (nq, n) of all codes to all queries (nq, dim)."""
    table = np.empty((words.shape[0], words.shape[2]), np.float32)
    for i in range(queries.shape[0]):
        fill_table(queries[i], words, l2, table)
        look_up(codes, table, 0, distances[i])


@kernel
def look_up_lists(
    codes: Codes, biases: Floats, queries: Floats, words: Floats, starts: Ints, sizes: Ints,
    probes: Ints, centroid_distances: Floats, allowed: Mask, distances: Floats,
) -> None:  # fmt: skip
    """Distances of the codes in the lists ``probes`` (nq, nprobe), list after list and query after query.

    Minus the inner product of query and code; to that come the distance of the list's centroid and, if there
    are biases, the code's own: see ``ivf_pq.py``. ``allowed`` (n,) says which may be found; (0,) allows all.
    """
    table = np.empty((words.shape[0], words.shape[2]), np.float32)
    here = 0
    for i in range(probes.shape[0]):
        fill_table(queries[i], words, False, table)
        for p in range(probes.shape[1]):
            first, count, base = starts[probes[i, p]], sizes[probes[i, p]], centroid_distances[i, p]
            span = distances[here : here + count]
            look_up(codes, table, first, span)
            for j in range(count):
                span[j] += base
            if biases.shape[0]:
                for j in range(count):
                    span[j] += biases[first + j]
            if allowed.shape[0]:
                for j in range(count):
                    if not allowed[first + j]:
                        span[j] = np.inf
            here += count


class ProductQuantizer:
    """``m`` codebooks of 2^``nbits`` words, at most 8 bits; ``m`` divides ``dim``."""

    def __init__(self, dim: int, m: int, nbits: int = 8) -> None:
        self.dim, self.m = at_least_one("dim", dim), at_least_one("m", m)
        self.nbits = at_least_one("nbits", nbits)
        if self.dim % self.m:
            fits = [part for part in range(1, self.dim + 1) if self.dim % part == 0]
            raise ValueError(f"{m} parts do not divide {dim} dimensions; m may be one of {fits}")
        if self.nbits > 8:
            raise ValueError(f"nbits is {nbits}; a code takes one byte, so give 1 to 8")
        self.columns = np.empty((self.m, self.dim // self.m, 0), np.float32)
        """The codebooks as the kernels read them, (m, dim / m, k*)."""

    @classmethod
    def from_codebooks(cls, codebooks: ArrayLike) -> Self:
        """A quantizer with codebooks (m, words, dim / m) that were trained elsewhere; at most 256 words."""
        given = np.asarray(codebooks, np.float32)
        if given.ndim != 3 or not 1 <= given.shape[1] <= 256 or not np.isfinite(given).all():
            raise ValueError(f"codebooks are {given.shape}; give finite numbers, as (m, ≤ 256, dim / m)")
        m, words, part = given.shape
        quantizer = cls(m * part, m, max(1, int(words - 1).bit_length()))
        quantizer.columns = np.ascontiguousarray(given.transpose(0, 2, 1))
        return quantizer

    @property
    def codebooks(self) -> Floats:
        """The words (m, k*, dim / m)."""
        return np.ascontiguousarray(self.columns.transpose(0, 2, 1))

    @property
    def words(self) -> int:
        """Words in each codebook: 2^nbits, fewer after a small sample, 0 before training."""
        return int(self.columns.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of the codebooks."""
        return self.columns.nbytes

    def train(self, sample: Floats, seed: int = 0, iterations: int = 10, at_most: int = 20_000) -> None:
        """k-means in each part, on ``at_most`` of ``sample`` (n, dim): 78 a word, where more change little.

        A sample of fewer than 2^nbits vectors gives as many words as it has vectors.
        """
        sample = self._rows(sample)
        if len(sample) > at_most:
            sample = sample[np.sort(np.random.default_rng(seed).choice(len(sample), at_most, replace=False))]
        words = min(1 << self.nbits, len(sample))
        self.columns = np.stack(
            [kmeans(part, words, iterations, seed).centroids.T.copy() for part in self._parts(sample)]
        )

    def encode(self, vectors: Floats) -> Codes:
        """The nearest word of each part: (n, dim) → (n, m) uint8."""
        self._need_words()
        vectors = self._rows(vectors)
        codes = np.empty((len(vectors), self.m), np.uint8)
        for j, (part, words) in enumerate(zip(self._parts(vectors), self.columns, strict=True)):
            codes[:, j] = assign(part, np.ascontiguousarray(words.T), origin=words.mean(axis=1))[0]
        return codes

    def decode(self, codes: Codes) -> Floats:
        """The vectors that codes (n, m) stand for, (n, dim)."""
        parts = [words.T[codes[:, j]] for j, words in enumerate(self.columns)]  # m × (n, dim / m)
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def tables(self, queries: Floats, l2: bool = True) -> Floats:
        """The distance of each part of ``queries`` (nq, dim) to each word: (nq, m, k*)."""
        self._need_words()
        tables = np.empty((len(queries), self.m, self.words), np.float32)
        for query, table in zip(self._rows(queries), tables, strict=True):
            fill_table(query, self.columns, l2, table)
        return tables

    def distances(self, queries: Floats, codes: Codes, l2: bool = True) -> Floats:
        """ADC: the estimated distance of each query to each code, (nq, n)."""
        self._need_words()
        if codes.ndim != 2 or codes.shape[1] != self.m or codes.dtype != np.uint8:
            raise ValueError(f"codes are {codes.dtype} {codes.shape}; encode makes them uint8 (n, {self.m})")
        if self.words < 256 and codes.max(initial=0) >= self.words:
            raise ValueError(f"a code names word {codes.max()} of {self.words}: it is another quantizer's")
        distances = np.empty((len(queries), len(codes)), np.float32)
        look_up_all(codes, self._rows(queries), self.columns, l2, distances)
        return distances

    def _rows(self, vectors: ArrayLike) -> Floats:
        rows = np.ascontiguousarray(vectors, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise ValueError(f"vectors have the shape {rows.shape}; this quantizer takes (n, {self.dim})")
        return rows

    def _need_words(self) -> None:
        if not self.words:
            raise ValueError("this quantizer has no codebooks yet; train it on vectors like yours")

    def _parts(self, vectors: Floats) -> list[Floats]:
        return np.split(vectors, self.m, axis=1)


class PQ(AllCodes):
    """All vectors as codes of ``m`` bytes, every one looked at.

    Trained by ``train``, by the first 4·2^nbits vectors or more, or with ``quantizer``, whose codebooks it
    takes; ``rerank`` as in ``CodedIndex``.
    """

    kind = "pq"
    quantizer: ProductQuantizer

    def __init__(
        self, dim: int, metric: Metric = "l2", m: int = 16, nbits: int = 8, rerank: int = 0, seed: int = 0,
        *, quantizer: ProductQuantizer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dim, metric, rerank, seed)
        self.quantizer = fitting(self.dim, m, nbits, quantizer)
        self.m, self.nbits = self.quantizer.m, self.quantizer.nbits
        self.trained = quantizer is not None
        self._codes = np.empty((0, self.m), np.uint8)

    @property
    def _enough(self) -> int:
        return 4 << self.nbits

    def _settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim, "metric": self.metric, "m": self.m, "nbits": self.nbits,
            "rerank": self.rerank, "seed": self.seed,
        }  # fmt: skip

    def _code_arrays(self) -> dict[str, NDArray[Any]]:
        return {"codebooks": self.quantizer.codebooks, "codes": self.codes}

    def _restore_codes(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.quantizer, self._codes = codes_from(arrays, len(self), self.m, self.dim)

    def _check_codes(self) -> None:
        super()._check_codes()
        words = self.quantizer.words
        assert not len(self) or self.codes.max() < words, f"a code names word {self.codes.max()} of {words}"


def fitting(dim: int, m: int, nbits: int, given: ProductQuantizer | None) -> ProductQuantizer:
    """The quantizer given, if it is for ``dim`` dimensions and trained; else a new one."""
    if given is None:
        return ProductQuantizer(dim, m, nbits)
    if given.dim != dim or not given.words:
        raise ValueError(f"give a trained quantizer for {dim} dimensions; this one is for {given.dim}")
    return copy(given)  # which the caller may train again


def codes_from(
    arrays: dict[str, NDArray[Any]], count: int, m: int, dim: int
) -> tuple[ProductQuantizer, Codes]:
    """Quantizer and codes of an index, from its file; each code must name words that exist."""
    quantizer = ProductQuantizer.from_codebooks(stored(arrays, "codebooks", np.float32, m, None, dim // m))
    codes = stored(arrays, "codes", np.uint8, count, m)
    if count and codes.max() >= quantizer.words:
        raise ValueError(f"a code names word {codes.max()} of {quantizer.words}")
    return quantizer, codes
