"""SQ8, scalar quantization: each number as one byte, a quarter of the memory, nearly the same neighbours.

It is the simplest case of product quantization: as many parts as dimensions, and 255 evenly spaced
words for each, so that neither k-means nor a table is needed. With the range [low, high] of a dimension
in the training sample, S = (high − low) / 254 and Z = (high + low) / 2::

    code = round((x − Z) / S),  −127 … 127          x ≈ Z + S·code

Uniform quantization is as old as pulse-code modulation (Bennett, "Spectra of quantized signals", Bell
System Technical Journal 27, 1948): its error is uniform in ±S/2, a variance of S²/12 a dimension. A
number outside of the range takes the nearest end.

========  ==============================  =============
symbol    meaning                         shape
========  ==============================  =============
scale     S of each dimension             (dim,)
middle    Z of each dimension             (dim,)
codes     the bytes                       (n, dim) int8
========  ==============================  =============

The query stays float32, as in ADC: l2 sums (S·code − (q − Z))², the inner product sums (S·q)·code and adds
q·Z once. Search: O(n·dim), but it reads a quarter of the bytes.

Where it loses: an outlier widens the range, and with it every step; PQ at the same recall needs fewer bytes.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors.base import Floats, Metric, stored
from ragcourse.indexes.vectors.coded import AllCodes

Codes = NDArray[np.int8]


@kernel(fastmath={"reassoc", "contract"})
def squared_l2(code: Codes, scale: Floats, shifted: Floats) -> np.float32:
    """Σ (S·code − (q − Z))²."""
    total = np.float32(0)
    for j in range(code.shape[0]):
        difference = scale[j] * np.float32(code[j]) - shifted[j]
        total += difference * difference
    return total


@kernel(fastmath={"reassoc", "contract"})
def dot(code: Codes, weights: Floats) -> np.float32:
    """Σ (S·q)·code."""
    total = np.float32(0)
    for j in range(code.shape[0]):
        total += weights[j] * np.float32(code[j])
    return total


@kernel
def squared_l2_to_all(codes: Codes, scale: Floats, shifted: Floats, distances: Floats) -> None:
    """``distances`` (nq, n) for the queries less Z, ``shifted`` (nq, dim)."""
    for i in range(shifted.shape[0]):
        for row in range(codes.shape[0]):
            distances[i, row] = squared_l2(codes[row], scale, shifted[i])


@kernel
def dot_to_all(codes: Codes, weights: Floats, constants: Floats, distances: Floats) -> None:
    """``distances`` (nq, n), minus the inner products; ``weights`` are queries times S, ``constants`` q·Z."""
    for i in range(weights.shape[0]):
        for row in range(codes.shape[0]):
            distances[i, row] = -(constants[i] + dot(codes[row], weights[i]))


class ScalarQuantizer:
    """One byte a number; ``scale`` and ``middle`` (dim,) come from training, or are given."""

    def __init__(self, scale: ArrayLike = (), middle: ArrayLike = ()) -> None:
        self.scale, self.middle = np.array(scale, np.float32), np.array(middle, np.float32)
        if self.scale.ndim != 1 or self.scale.shape != self.middle.shape or not (self.scale > 0).all():
            raise ValueError("give scale and middle as (dim,) each, and every scale above 0")

    @property
    def nbytes(self) -> int:
        """Bytes of scale and middle."""
        return self.scale.nbytes + self.middle.nbytes

    def train(self, sample: Floats, seed: int = 0) -> None:
        """Take the range of each dimension in ``sample`` (n, dim); nothing is random here."""
        low, high = sample.min(axis=0), sample.max(axis=0)
        self.middle = low / 2 + high / 2
        scale = (high - low) / np.float32(254)  # 0 also where the range is too small to be divided
        self.scale = np.where(scale > 0, scale, 1).astype(np.float32)

    def encode(self, vectors: Floats) -> Codes:
        """(n, dim) → (n, dim) int8."""
        with np.errstate(over="ignore"):
            steps = np.rint((vectors - self.middle) / self.scale)
        return np.asarray(np.clip(steps, -127, 127), np.int8)

    def decode(self, codes: Codes) -> Floats:
        """The vectors that codes stand for (n, dim)."""
        return np.asarray(self.middle + self.scale * codes)

    def distances(self, queries: Floats, codes: Codes, l2: bool = True) -> Floats:
        """From each query, as float32, to each code: (nq, n)."""
        if codes.ndim != 2 or codes.shape[1] != self.scale.size:
            raise ValueError(f"codes have the shape {codes.shape}; encode makes them (n, {self.scale.size})")
        distances = np.empty((len(queries), len(codes)), np.float32)
        if l2:
            squared_l2_to_all(codes, self.scale, queries - self.middle, distances)
        else:
            dot_to_all(codes, queries * self.scale, queries @ self.middle, distances)
        return distances


class SQ8(AllCodes):
    """All vectors as int8; trained by the first 64 vectors or more, by ``train``, or with ``quantizer``."""

    kind = "sq8"
    quantizer: ScalarQuantizer

    def __init__(
        self, dim: int, metric: Metric = "l2", rerank: int = 0, seed: int = 0,
        *, quantizer: ScalarQuantizer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dim, metric, rerank, seed)
        self.quantizer = copy(quantizer) if quantizer else ScalarQuantizer()
        self.trained = quantizer is not None
        if quantizer is not None and quantizer.scale.shape != (self.dim,):
            raise ValueError(f"the quantizer has {quantizer.scale.size} dimensions, the index {self.dim}")
        self._codes = np.empty((0, self.dim), np.int8)

    @property
    def _enough(self) -> int:
        return 64

    def _settings(self) -> dict[str, Any]:
        return {"dim": self.dim, "metric": self.metric, "rerank": self.rerank, "seed": self.seed}

    def _code_arrays(self) -> dict[str, NDArray[Any]]:
        return {"scale": self.quantizer.scale, "middle": self.quantizer.middle, "codes": self.codes}

    def _restore_codes(self, arrays: dict[str, NDArray[Any]]) -> None:
        scale, middle = (stored(arrays, name, np.float32, self.dim) for name in ("scale", "middle"))
        self.quantizer = ScalarQuantizer(scale, middle)
        self._codes = stored(arrays, "codes", np.int8, len(self), self.dim)
