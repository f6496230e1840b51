"""Exercise 5.1, ``encode``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _refuse(vectors: Array, codebooks: Array) -> None:
    m, _, width = codebooks.shape
    if vectors.shape[1] != m * width:
        raise ValueError(f"the vectors have {vectors.shape[1]} dimensions, the codebooks {m * width}")


def right(vectors: Array, codebooks: Array) -> Array:
    _refuse(vectors, codebooks)
    m, _, width = codebooks.shape
    codes = np.empty((len(vectors), m), np.uint8)
    for j in range(m):
        piece = vectors[:, j * width : (j + 1) * width].astype(np.float64)
        book = codebooks[j].astype(np.float64)
        distances = (piece**2).sum(1)[:, None] - 2 * piece @ book.T + (book**2).sum(1)
        codes[:, j] = distances.argmin(1)
    return codes


def broadcast(vectors: Array, codebooks: Array) -> Array:
    """Another right one: everything at once, subtracted first."""
    _refuse(vectors, codebooks)
    m, _, width = codebooks.shape
    pieces = vectors.reshape(len(vectors), m, 1, width)
    codes: Array = ((pieces - codebooks) ** 2).sum(axis=3).argmin(axis=2).astype(np.uint8)
    return codes


def stub(vectors: Array, codebooks: Array) -> Array:
    raise NotImplementedError("Exercise 5.1: the nearest codeword of each piece")


def _by(score: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """A right loop over the pieces; ``score`` of (n, width) and (codewords, width): small is near."""

    def encode(vectors: Array, codebooks: Array) -> Array:
        _refuse(vectors, codebooks)
        pieces = vectors.reshape(len(vectors), len(codebooks), codebooks.shape[2])
        columns = [score(pieces[:, j], book).argmin(1) for j, book in enumerate(codebooks)]
        return np.stack(columns, axis=1).astype(np.uint8)

    return encode


def _direct(piece: Array, book: Array) -> Array:
    squared: Array = ((piece[:, None] - book) ** 2).sum(2)
    return squared


def _strided(vectors: Array, codebooks: Array) -> Array:
    _refuse(vectors, codebooks)
    m, _, width = codebooks.shape
    return broadcast(vectors.reshape(len(vectors), width, m).swapaxes(1, 2).reshape(vectors.shape), codebooks)


def _one_book(vectors: Array, codebooks: Array) -> Array:
    _refuse(vectors, codebooks)
    return broadcast(vectors, np.broadcast_to(codebooks[:1], codebooks.shape))


def _last_of_equals(piece: Array, book: Array) -> Array:
    distances = _direct(piece, book)
    distances[:] = np.where(distances == distances.min(1, keepdims=True), -np.arange(len(book)), 1)
    return distances


def _no_refusal(vectors: Array, codebooks: Array) -> Array:
    m, _, width = codebooks.shape
    padded = np.zeros((len(vectors), m * width), np.float32)
    used = min(m * width, vectors.shape[1])
    padded[:, :used] = vectors[:, :used]
    return right(padded, codebooks)


def _normalises_in_place(vectors: Array, codebooks: Array) -> Array:
    codes = right(vectors, codebooks)
    vectors -= 1
    return codes


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "counts from 1": (lambda vectors, books: right(vectors, books) + np.uint8(1), "one is number 0"),
    "int64": (lambda vectors, books: right(vectors, books).astype(np.int64), "eight bytes a number"),
    "transposed": (lambda vectors, books: right(vectors, books).T, "one row a vector"),
    "strided pieces": (_strided, "piece j is columns"),
    "one codebook for all": (_one_book, "belongs to piece j"),
    "largest inner product": (_by(lambda piece, book: -(piece @ book.T)), "not the largest inner product"),
    "nearest without the codewords' lengths": (
        _by(lambda piece, book: (piece**2).sum(1)[:, None] - 2 * piece @ book.T),
        "not the largest inner product",
    ),
    "the farthest": (_by(lambda piece, book: -_direct(piece, book)), "smallest squared distance"),
    "the last of equals": (_by(_last_of_equals), "the first of equals"),
    "L1": (_by(lambda piece, book: np.abs(piece[:, None] - book).sum(2)), "smallest squared distance"),
    "float32 and the binomial formula": (
        _by(lambda piece, book: (piece**2).sum(1)[:, None] - 2 * piece @ book.T + (book**2).sum(1)),
        "float32 keeps seven digits",
    ),
    "pads what does not fit": (_no_refusal, "how many dimensions came"),
    "changes the vectors": (_normalises_in_place, "work on a copy"),
}

ALSO_RIGHT = (broadcast,)
