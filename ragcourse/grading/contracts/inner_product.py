"""Exercise 4.3: turn a search for the largest inner product into one for the smallest distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import expect_equal, expect_true
from ragcourse.grading.plain import plain

contract = Contract("4.3", task="with one more dimension the largest inner product is the smallest distance")

Floats = NDArray[np.float32]
Case = dict[str, Floats]  # "vectors" (n, d), "queries" (m, d)


def _random(rng: np.random.Generator, n: int, m: int, d: int, *, spread: float = 1.0) -> Case:
    """Vectors of different lengths; no two inner products with one query are close to each other."""
    while True:
        vectors = rng.normal(size=(n, d)) * np.exp(spread * rng.normal(size=(n, 1)))
        queries = rng.normal(size=(m, d)) * rng.uniform(0.2, 5, size=(m, 1))
        gaps = np.diff(np.sort(queries @ vectors.T, axis=1), axis=1)
        if n == 1 or (gaps > 1e-4 * np.abs(vectors).max() * np.abs(queries).max()).all():
            return {"vectors": vectors.astype(np.float32), "queries": queries.astype(np.float32)}


def _lifted(implementation: Any, case: Case) -> tuple[NDArray[Any], NDArray[Any]]:
    """The learner's two arrays, with shapes checked."""
    got = plain(implementation(case["vectors"], case["queries"]))
    two = isinstance(got, (tuple, list)) and len(got) == 2
    expect_true(two, "the answer has not two parts", got=got, cause="return new vectors, new queries")
    for part, name in zip(got, ("vectors", "queries"), strict=True):
        n, d = case[name].shape
        shape = list(part.shape) if isinstance(part, np.ndarray) else None
        expect_equal(shape, [n, d + 1], cause=f"the {name} get one more column: np.column_stack")
    finite = bool(np.isfinite(got[0]).all() and np.isfinite(got[1]).all())
    cause = "the root of what? It must not be negative"
    expect_true(finite, "a number is NaN or infinite", got=got, cause=cause)
    return got[0].astype(np.float64), got[1].astype(np.float64)


def _cases(rng: np.random.Generator) -> list[Case]:
    return [_random(rng, n, m, d) for n, m, d in ((1, 1, 1), (3, 1, 2), (6, 2, 2), (12, 4, 3), (20, 8, 16))]


@contract.check("one column is added, the others stay as they are", points=1)
def columns(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        vectors, queries = (part.copy() for part in (case["vectors"], case["queries"]))
        lifted = _lifted(implementation, case)
        cause = "the first d columns are the given ones: nothing is scaled"
        expect_equal(lifted[0][:, :-1], vectors, rel=1e-5, cause=cause)
        expect_equal(lifted[1][:, :-1], queries, rel=1e-5, cause=cause)

    for_each(_cases(rng), test)


@contract.check("every inner product stays what it was", points=1)
def products(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        wanted = case["queries"].astype(np.float64) @ case["vectors"].astype(np.float64).T
        vectors, queries = _lifted(implementation, case)
        cause = "q'·x' is q·x + (last of q') · (last of x'): the second part must vanish for every x"
        size = float(np.abs(wanted).max())
        expect_equal(queries @ vectors.T, wanted, rel=1e-3, abs_=1e-5 * size + 1e-9, cause=cause)

    for_each(_cases(rng), test)


@contract.check("all vectors become equally long, as long as the longest was", points=2)
def lengths(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        longest = float(np.linalg.norm(case["vectors"].astype(np.float64), axis=1).max())
        vectors, _ = _lifted(implementation, case)
        got = np.linalg.norm(vectors, axis=1)
        cause = "Pythagoras: ‖x'‖² = ‖x‖² + (new number)², and this is to be the same for all"
        expect_equal(got, np.full(len(got), longest), rel=1e-3, abs_=1e-9, cause=cause)

    equal = {"vectors": np.eye(3, dtype=np.float32) * 7, "queries": np.ones((1, 3), np.float32)}
    for_each([*_cases(rng), equal], test)


@contract.check("the nearest by L2 are the largest by inner product, in the same order", points=2)
def order(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        products = case["queries"].astype(np.float64) @ case["vectors"].astype(np.float64).T
        wanted = np.argsort(-products, axis=1)
        vectors, queries = _lifted(implementation, case)
        distances = ((queries[:, None] - vectors[None]) ** 2).sum(axis=2)
        cause = "‖q' − x'‖² = ‖q'‖² + ‖x'‖² − 2 q·x: only the last part may differ from one x to the next"
        expect_equal(np.argsort(distances, axis=1), wanted, cause=cause)

    for_each([*_cases(rng), _random(rng, 15, 5, 4, spread=0.3)], test)
