"""What vector indexes are measured on: real embeddings and clustered vectors, or what a file holds.

All sets are searched by squared L2 distance. What is compared by angle has unit length, where the order
by L2 and by cosine is the same. A query is never one of the vectors that are searched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

K = 10
"""Neighbours asked for, everywhere."""

_TIE = 1e-5  # a vector that is by this share farther than the k-th is as good: rounding orders them


@dataclass(frozen=True)
class VectorSet:
    """``vectors`` (n, dim) to search and ``queries`` (nq, dim), with the distance of each k-th neighbour."""

    name: str
    vectors: Floats
    queries: Floats
    reach: Floats  # (nq,) squared distance of the K-th nearest vector

    @classmethod
    def of(cls, name: str, vectors: Floats, queries: Floats) -> VectorSet:
        """Find the true neighbours by looking at every vector; its size goes into the name."""
        n, dim = vectors.shape
        size = f"{n // 1000}k" if n % 1000 == 0 else f"{n:,}"
        return cls(f"{name} {size} × {dim}", vectors, queries, _reach(vectors, queries))

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.vectors.shape[1])

    def recall(self, found: NDArray[np.integer]) -> float:
        """The share of the K nearest that is in ``found`` (nq, K), where -1 stands for none; a tie counts."""
        found = np.sort(found, axis=1)
        twice = np.zeros(found.shape, bool)
        twice[:, 1:] = found[:, 1:] == found[:, :-1]
        difference = self.vectors[np.maximum(found, 0)] - self.queries[:, None]  # (nq, K, dim)
        distances = np.einsum("qkd,qkd->qk", difference, difference)
        near = distances <= self.reach[:, None] * (1 + _TIE) + 1e-9
        return float((near & ~twice & (found >= 0)).mean())

    def first(self, count: int) -> VectorSet:
        """The same queries over the first ``count`` vectors alone."""
        return VectorSet.of(self.name.rsplit(" ", 3)[0], self.vectors[:count], self.queries)


def _reach(vectors: Floats, queries: Floats) -> Floats:
    """Squared distance of the K-th nearest of each query (nq,)."""
    norms = np.einsum("nd,nd->n", vectors, vectors)
    reach = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 128):
        part = queries[start : start + 128]
        distances = norms - 2 * (part @ vectors.T)  # (128, n), all less by ‖q‖²
        near = np.argpartition(distances, 2 * K, axis=1)[:, : 2 * K]
        difference = vectors[near] - part[:, None]  # again, without cancellation
        exact = np.einsum("qkd,qkd->qk", difference, difference)
        reach[start : start + 128] = np.partition(exact, K - 1, axis=1)[:, K - 1]
    return reach


def clustered(n: int, dim: int, queries: int = 1000, seed: int = 7) -> VectorSet:
    """``n`` unit vectors in clusters, as embeddings of texts are: of ``dim`` numbers, but ~50 that matter.

    Every vector is the centre of one of n / 100 clusters and a Gaussian of 1.25 times the centres' spread,
    both in a random subspace of 64 dimensions (or ``dim``), plus 1 % noise in all; the queries are drawn
    alike. With that spread the clusters overlap so far that an index has to look about as hard for a recall
    as it does in the handbook; where they hardly overlap, it finds everything in the first place it looks.
    """
    random = np.random.default_rng(seed)
    inside = min(64, dim)
    basis = np.linalg.qr(random.standard_normal((dim, inside)))[0].T  # (inside, dim)
    spread = np.linspace(1, 0.5, inside)
    centres = 0.8 * random.standard_normal((max(1, n // 100), inside)) * spread
    drawn = np.empty((n + queries, dim), np.float32)
    for start in range(0, len(drawn), 10_000):
        count = len(drawn[start : start + 10_000])
        latent = centres[random.integers(len(centres), size=count)]
        latent = latent + random.standard_normal((count, inside)) * spread
        drawn[start : start + count] = latent @ basis + 0.01 * random.standard_normal((count, dim))
    drawn = unit(drawn)
    return VectorSet.of("clustered", drawn[:n], drawn[n:])


def handbook() -> VectorSet:
    """The handbook's passages and the docstrings of Python's library, asked the course's questions."""
    from ragcourse.embedders import StaticEmbedder
    from ragcourse.evaluate import load_questions
    from ragcourse.knowledge_base import KnowledgeBase
    from ragcourse.paths import HANDBOOK, QUESTIONS
    from ragcourse.stdlib_docs import stdlib_docstrings

    embedder = StaticEmbedder()
    with KnowledgeBase(HANDBOOK, {"type": "map"}, embedder) as kb:
        kb.start()
        passages = [rows for _, rows in kb.store().items()]
    docstrings = embedder.embed([document.text for document in stdlib_docstrings()])
    questions = embedder.embed([question.question for question in load_questions(QUESTIONS)])
    vectors = np.concatenate([*passages, docstrings])
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))]
    return VectorSet.of("handbook and docstrings", unit(vectors), unit(questions))


def unit(vectors: Floats) -> Floats:
    """The same directions with length 1; a zero vector stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def effective_dimension(vectors: Floats) -> float:
    """(Σλ)² / Σλ² of the covariance's eigenvalues λ: how many dimensions the spread amounts to."""
    values = np.linalg.eigvalsh(np.cov(vectors[:20_000], rowvar=False))
    return float(values.sum() ** 2 / (values**2).sum())
