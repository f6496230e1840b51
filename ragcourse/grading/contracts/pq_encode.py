"""Exercise 5.1: encode vectors, the nearest codeword of each piece."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._given import given
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error
from ragcourse.grading.plain import show

contract = Contract("5.1", task="replace each piece of each vector by the number of its nearest codeword")

Floats = NDArray[np.float32]

FOUR = np.array(
    [[3.2, 4.5, 1.8, 2.7], [2.9, 4.3, 1.5, 2.9], [3.1, 4.6, 1.9, 2.5], [3.0, 4.4, 1.7, 2.8]], np.float32
)
CODEBOOKS = np.array([[[3.0, 4.4], [3.2, 4.5]], [[1.8, 2.7], [1.5, 2.9]]], np.float32)  # (2, 2, 2)


class _Case(NamedTuple):
    vectors: Floats  # (n, m · width)
    codebooks: Floats  # (m, codewords, width)


def distances(case: _Case) -> NDArray[np.float64]:
    """Squared distance of each piece to each codeword, (n, m, codewords): the oracle, in float64."""
    m, _, width = case.codebooks.shape
    pieces = case.vectors.astype(np.float64).reshape(len(case.vectors), m, 1, width)
    squared: NDArray[np.float64] = ((pieces - case.codebooks.astype(np.float64)) ** 2).sum(axis=3)
    return squared


def _test(implementation: Any, case: _Case, cause: str) -> None:
    squared = distances(case)
    expected = squared.argmin(axis=2).astype(np.uint8)  # (n, m)
    got = implementation(case.vectors, case.codebooks)
    if not isinstance(got, np.ndarray) or got.shape != expected.shape or got.dtype.kind not in "ui":
        raise Mismatch(
            "this is no array of codes",
            expected=f"an array of shape (n, m) = {expected.shape}, uint8",
            got=f"{got.dtype} {got.shape}" if isinstance(got, np.ndarray) else show(got),
            cause="one row a vector, one column a piece",
        )
    if got.size and int(got.max()) < squared.shape[2] and int(got.min()) >= 0:
        chosen = np.take_along_axis(squared, got.astype(np.int64)[:, :, None], axis=2)[:, :, 0]
        nearest = squared.min(axis=2)
        as_near = (chosen <= nearest * (1 + 1e-4)) & (chosen > nearest)  # float32 could not tell them apart
        got = np.where(as_near, expected, got)
    expect_equal(got, expected, cause=cause)


def _given(case: _Case) -> str:
    (n, d), (m, codewords, width) = case.vectors.shape, case.codebooks.shape
    text = f"vectors ({n}, {d}), codebooks ({m}, {codewords}, {width})"
    if case.vectors.size + case.codebooks.size > 40:
        return text
    return f"{text}\nvectors: {case.vectors.tolist()}\ncodebooks: {case.codebooks.tolist()}"


def _check(implementation: Any, cases: list[_Case], cause: str) -> None:
    for case in cases:
        with given(_given(case)):
            for_each([case], lambda case: _test(implementation, case, cause))


def _random(rng: np.random.Generator, n: int, m: int, codewords: int, width: int) -> _Case:
    return _Case(
        rng.standard_normal((n, m * width)).astype(np.float32),
        rng.standard_normal((m, codewords, width)).astype(np.float32),
    )


@contract.check("with a single piece: the nearest codeword", points=1)
def _one_piece(implementation: Any, rng: np.random.Generator) -> None:
    cause = "smallest squared distance ‖x − c‖², not the largest inner product; the first one is number 0"
    book = np.array([[[1.0, 0.0], [9.0, 9.0], [0.0, 2.0], [-5.0, 1.0]]], np.float32)[:, rng.permutation(4)]
    near = book[0, int(rng.integers(4))] + rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    _check(implementation, [_Case(near[None], book), _random(rng, 30, 1, 8, 3)], cause)


@contract.check("the codes are bytes, also of no vectors at all", points=1)
def _bytes(implementation: Any, rng: np.random.Generator) -> None:
    for n in (3, 0):
        case = _random(rng, n, 2, 4, 3)
        with given(_given(case)):
            got = implementation(case.vectors, case.codebooks)
            found = (str(got.dtype), list(got.shape)) if isinstance(got, np.ndarray) else show(got)
            expect_equal(found, ("uint8", [n, 2]), cause="argmin gives int64, eight bytes a number")


@contract.check("a piece is a run of neighbouring numbers", points=2)
def _runs(implementation: Any, rng: np.random.Generator) -> None:
    cause = "piece j is columns j · width to (j + 1) · width; .reshape(n, m, width) gives them all"
    codebook = rng.permutation(np.arange(4.0, dtype=np.float32) * 10)[:, None]  # (4, 1)
    same = np.tile(np.repeat(codebook, 3, axis=1)[None], (2, 1, 1))  # (2, 4, 3), one book twice
    low, high = np.float32(rng.uniform(-2, 2)), np.float32(30 + rng.uniform(-2, 2))
    vectors = np.array([[low] * 3 + [high] * 3, [high] * 3 + [low] * 3], np.float32)
    _check(implementation, [_Case(vectors[:1], same), _Case(vectors, same)], cause)


@contract.check("each piece has a codebook of its own", points=2)
def _own_book(implementation: Any, rng: np.random.Generator) -> None:
    book = rng.standard_normal((1, 4, 2)).astype(np.float32)
    books = np.concatenate([book, book[:, ::-1], book[:, [2, 3, 0, 1]]])
    piece = np.tile(book[0, int(rng.integers(4))], 3)[None]  # three equal pieces, three codes
    _check(implementation, [_Case(piece, books)], "codebooks[j] belongs to piece j, and to no other")


@contract.check("the four vectors of section 3", points=1)
def _four(implementation: Any, rng: np.random.Generator) -> None:
    cause = "X1 = (3.2, 4.5 | 1.8, 2.7) has the code (1, 0), counted from 0: its pieces are codewords"
    _check(implementation, [_Case(FOUR[:1], CODEBOOKS), _Case(FOUR, CODEBOOKS)], cause)


@contract.check("of two equally near codewords the first", points=1)
def _ties(implementation: Any, rng: np.random.Generator) -> None:
    books = np.array([[[4.0], [1.0], [1.0], [-1.0]], [[-2.0], [2.0], [2.0], [9.0]]], np.float32)
    _check(implementation, [_Case(np.zeros((1, 2), np.float32), books)], "argmin takes the first of equals")


@contract.check("random vectors, up to 256 codewords a piece", points=2)
def _many(implementation: Any, rng: np.random.Generator) -> None:
    shapes = [(1, 1, 2, 1), (3, 2, 3, 1), (5, 3, 4, 2), (40, 8, 16, 4), (200, 4, 256, 3)]
    cases = [_random(rng, *shape) for shape in shapes]
    _check(implementation, cases, "squared L2 within each piece; and code 255 is a byte, too")


@contract.check("vectors far from the origin", points=2)
def _far(implementation: Any, rng: np.random.Generator) -> None:
    near = _random(rng, 30, 3, 16, 4)
    far = np.float32(rng.choice([-3000.0, 3000.0]))
    cause = (
        "‖x‖² − 2x·c + ‖c‖² subtracts large numbers, and float32 keeps seven digits: "
        "work in float64, or subtract first and square then"
    )
    _check(implementation, [_Case(near.vectors + far, near.codebooks + far)], cause)


@contract.check("vectors that do not fit the codebooks are refused", points=1)
def _misfit(implementation: Any, rng: np.random.Generator) -> None:
    case = _random(rng, 4, 2, 4, 3)
    for d in (5, 12):
        vectors = rng.standard_normal((4, d)).astype(np.float32)
        expect_error(
            ValueError,
            lambda vectors=vectors: implementation(vectors, case.codebooks),  # type: ignore[misc]
            mentions=str(d),
            given=f"vectors (4, {d}), codebooks (2, 4, 3): they take 6 dimensions",
            cause="say in the message how many dimensions came, and how many were wanted",
        )
