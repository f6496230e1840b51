"""What a walk measures by: one byte for each dimension, or the vectors themselves.

A walk only has to find the neighbourhood; the last step measures exactly. With a quarter of the bytes, most
of what it reads stays in the cache. A vector x becomes ``codes`` c, with x ≈ mean + spread · unit · c:

========  ===============================================================  ==============
symbol    meaning                                                          shape
========  ===============================================================  ==============
mean      of the vectors when the code was fitted; 0 under inner product   (dim,)
spread    the standard deviation of each dimension then                    (dim,)
unit      of each row: so that its largest code is ±127; nothing is cut    (n,)
scale     (unit, half the squared length of spread · unit · c)             (n, 2)
probe     what is multiplied with codes: (q − mean) · spread               (dim,)
frame     makes a probe of a row: scale[0] · frame[0] · row − frame[1]     (2, dim)
========  ===============================================================  ==============

With them ½‖q − x‖² = scale[1] − scale[0] · (probe · c), but for a part that is the query's own and orders
nothing. Uneven dimensions, a far origin and long tails cost no accuracy, since each has a number of its own.

Where it loses: vectors nearer to each other than the codes are to them, as in many tight clusters.
``fit`` measures that on a sample, and then the walk takes the vectors: spread 1, unit 1, codes x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Floats, stored
from ragcourse.indexes.vectors.layers import Graph

CLOSE = 8
"""Neighbours must be so many times farther away than a vector is from its code."""


class WalkCodes:
    """The code of one index. ``centred``: moving all vectors changes no distance, so not for ip."""

    def __init__(self, dim: int, centred: bool, codes: str) -> None:
        if codes not in ("int8", "float32"):
            raise ValueError(f"codes is {codes!r}; known are int8, float32")
        self.centred, self.wanted, self.int8 = centred, codes, codes == "int8"
        self.mean, self.spread = np.zeros(dim, np.float32), np.ones(dim, np.float32)

    def probes(self, queries: Floats) -> Floats:
        """The probes (n, dim) of queries (n, dim)."""
        return (queries - self.mean) * self.spread

    def fit(self, vectors: Floats) -> None:
        """Fit mean and spread to vectors (n, dim), n ≥ 1; turn to float32 where bytes would be too coarse."""
        self.int8, self.spread = self.wanted == "int8", np.ones_like(self.spread)
        if self.centred:
            self.mean = vectors.mean(axis=0)
        if self.int8:
            spread = vectors.std(axis=0)
            if spread.any():
                self.spread = np.maximum(spread, spread.max() / 16)
            if self._too_coarse(vectors[:: 1 + len(vectors) // 20_000]):
                self.int8, self.spread = False, np.ones_like(self.spread)

    def _too_coarse(self, vectors: Floats) -> bool:
        """For a quarter of a sample: is the 10th neighbour that is no twin nearer than the code allows?"""
        vectors = vectors - self.mean
        sample = vectors[:: 1 + len(vectors) // 64]  # (≤ 64, dim)
        codes, scale = self.encode(sample + self.mean)
        error = np.linalg.norm(codes * scale[:, :1] * self.spread - sample, axis=1)
        lengths = np.einsum("ij,ij->i", vectors, vectors)
        squares = np.einsum("ij,ij->i", sample, sample)[:, None] + lengths - 2 * sample @ vectors.T
        squares[squares <= 1e-6 * lengths] = np.inf  # itself, and its equals
        tenth = np.partition(squares, min(10, len(vectors)) - 1, axis=1)[:, min(10, len(vectors)) - 1]
        return bool((np.sqrt(tenth) < CLOSE * error).mean() > 0.25)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What must be in the file."""
        return {"mean": self.mean, "spread": self.spread, "int8": np.array([self.int8])}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back ``arrays``; ``ValueError`` where a shape does not fit."""
        self.mean = stored(arrays, "mean", np.float32, len(self.mean))
        self.spread = stored(arrays, "spread", np.float32, len(self.spread))
        self.int8 = bool(stored(arrays, "int8", np.bool_, 1)[0])

    def write(self, graph: Graph, first: int, last: int, fit: bool) -> Graph:
        """The graph with rows and scale of its nodes ``first`` … ``last - 1``; after a new fit, of all."""
        if fit:
            self.fit(graph.vectors[:last])
        if fit or first == 0:
            rows = _aligned(graph.vectors.shape) if self.int8 else graph.vectors
            frame = np.stack([self.spread**2, self.mean * (not self.int8)])
            graph, first = graph._replace(rows=rows, frame=frame), 0
        for at in range(first, last, 4096):
            part = slice(at, min(at + 4096, last))
            graph.rows[part], graph.scale[part] = self.encode(graph.vectors[part])
        return graph

    def encode(self, vectors: Floats) -> tuple[NDArray[Any], Floats]:
        """The rows (n, dim), int8 or float32, and the scale (n, 2) of vectors (n, dim)."""
        rows = (vectors - self.mean) / self.spread
        scale = np.ones((len(vectors), 2), np.float32)
        codes = vectors
        if self.int8:
            unit = np.abs(rows).max(axis=1, keepdims=True) / 127
            unit[unit == 0] = 1
            codes = np.rint(rows / unit).astype(np.int8)
            rows = codes * unit * self.spread
            scale[:, 0] = unit[:, 0]
        scale[:, 1] = np.einsum("ij,ij->i", rows, rows) / 2 if self.centred else 0
        return codes, scale


def _aligned(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Room that begins with a cache line: a row of 128 bytes then lies in two lines, not in three."""
    count = shape[0] * shape[1]
    raw = np.empty(count + 64, np.int8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + count].reshape(shape)
