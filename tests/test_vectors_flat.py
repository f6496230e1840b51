"""Flat search, and the kernels that every index shares: distances, heaps of the k smallest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragcourse.indexes.vectors import flat
from ragcourse.indexes.vectors.base import Metric
from ragcourse.indexes.vectors.distance import (
    BLOCK,
    distances_to,
    heaps,
    keep,
    keep_block,
    keep_spans,
    measure,
    refined,
    sort_heaps,
    squared_norms,
)
from ragcourse.indexes.vectors.flat import Flat, exact
from tests.vectors_kit import KINDS, METRICS, all_scores, assert_exact, live, vectors

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "search"]), st.integers(0, 40)), min_size=1, max_size=8
)


@settings(max_examples=40)
@given(st.lists(st.integers(-50, 50), max_size=300), st.integers(1, 40))
def test_a_heap_keeps_the_smallest(numbers: list[int], k: int) -> None:
    distances = np.array(numbers, np.float32)
    best, at = heaps(1, k)
    keep(distances[:100], 0, best[0], at[0])
    keep(distances[100:], 100, best[0], at[0])
    sort_heaps(best, at)
    kept = min(k, len(numbers))
    assert best[0, :kept].tolist() == sorted(numbers)[:kept] and (at[0, kept:] == -1).all()
    assert len(set(at[0, :kept].tolist())) == kept and (distances[at[0, :kept]] == best[0, :kept]).all()


def test_infinite_distances_are_never_kept() -> None:
    best, at = heaps(1, 3)
    keep(np.float32([np.inf, 2, np.inf, 1]), 10, best[0], at[0])
    sort_heaps(best, at)
    assert at.tolist() == [[13, 11, -1]] and best.tolist() == [[1, 2, np.inf]]


def test_blocks_and_spans_reach_the_right_query() -> None:
    best, at = heaps(3, 2)
    keep_block(np.float32([[5, 1, 3], [2, 9, 4]]), 100, np.array([2, 0]), best, at)
    sort_heaps(best, at)
    assert at.tolist() == [[100, 102], [-1, -1], [101, 102]] and best[2].tolist() == [1, 3]
    best, at = heaps(2, 2)
    keep_spans(np.float32([3, 1, 2, 7]), np.array([0, 3, 4]), best, at)
    sort_heaps(best, at)
    assert at.tolist() == [[1, 2], [0, -1]]


@pytest.mark.parametrize("dim", [1, 3, 16, 17, 100])
def test_distances_are_those_of_the_definition(dim: int) -> None:
    rows, query = vectors(30, dim), vectors(1, dim, 1)
    for l2, wanted in ((True, -all_scores(query, rows, "l2")), (False, -all_scores(query, rows, "ip"))):
        found = np.empty(20, np.float32)
        distances_to(query[0], rows, l2, 10, found)
        np.testing.assert_allclose(found, wanted[0, 10:], rtol=1e-4, atol=1e-4)
        at, best = np.array([[4, -1, 29]]), np.empty((1, 3), np.float32)
        measure(query, rows, l2, at, best)
        np.testing.assert_allclose(best[0], [wanted[0, 4], np.inf, wanted[0, 29]], rtol=1e-4, atol=1e-4)


def test_refined_measures_anew_and_says_which_queries_rounding_may_mislead() -> None:
    rows = np.concatenate([vectors(20, 8), vectors(20, 8) + np.float32(1e4)])
    at, best = np.array([[2, 0, -1], [22, 21, 20]]), np.zeros((2, 3), np.float32)
    doubtful = refined(rows[[0, 21]], rows, np.zeros(40, np.float32), best, at)
    assert doubtful.tolist() == [False, True]
    assert at[0].tolist() == [0, 2, -1] and at[1, 0] == 21 and (np.diff(best, axis=1) >= 0).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 7, 32])
@pytest.mark.parametrize("queries", [1, 2, 3, 50])
def test_flat_is_the_brute_force(metric: Metric, dim: int, queries: int) -> None:
    rows = vectors(2 * BLOCK + 77, dim)
    index = Flat(dim, metric)
    index.add(rows)
    index.check()
    held = dict(enumerate(rows))
    for k in (1, 10, 200):
        assert_exact(index, held, vectors(queries, dim, 1), k)
    for allowed in (np.arange(5), np.arange(0, len(rows), 2)):  # copied together, and masked
        assert_exact(index, held, vectors(queries, dim, 1), 10, allowed=allowed)


def test_scan_and_matrix_product_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = vectors(3000, 24), vectors(40, 24, 1)
    for l2 in (True, False):
        product = exact(queries, rows, squared_norms(rows), l2, 20)
        monkeypatch.setattr(flat, "BATCH", 1000)
        scanned = exact(queries, rows, squared_norms(rows), l2, 20)
        monkeypatch.undo()
        np.testing.assert_allclose(product[0], scanned[0], rtol=1e-4, atol=1e-4)
        assert (product[1] == scanned[1]).mean() > 0.99


@settings(max_examples=12)
@given(STEPS, st.sampled_from(KINDS), st.sampled_from(METRICS), st.integers(0, 9))
def test_any_life_of_any_index_ends_like_the_dictionary_beside_it(steps, kind, metric, seed) -> None:  # type: ignore[no-untyped-def]
    live(kind, metric, steps, seed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("metric", METRICS)
def test_a_long_life(kind, metric) -> None:  # type: ignore[no-untyped-def]
    steps = [("add", 1)] * 5 + [("add", 300), ("remove", 80), ("search", 30), ("add", 1), ("remove", 200)]
    live(kind, metric, [*steps, ("remove", 26), ("search", 3), ("add", 60), ("search", 60)], seed=1)


def test_memory_is_counted_with_its_room() -> None:
    index = Flat(10)
    index.add(vectors(1000, 10))
    assert 44_000 <= index.memory_bytes <= 100_000
