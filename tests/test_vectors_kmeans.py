"""k-means against a Lloyd iteration written out in double precision, and against faiss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragcourse.indexes.vectors.kmeans import assign, column_minima, kmeans, update
from tests.vectors_kit import vectors


def lloyd_step(points: Any, centroids: Any) -> tuple[Any, Any, float]:
    """Cells, means, and the mean squared error before the update."""
    squared = ((points[:, None].astype(float) - centroids[None]) ** 2).sum(axis=2)
    cells = squared.argmin(axis=1)
    means = np.stack([points[cells == c].mean(axis=0, dtype=float) for c in range(len(centroids))])
    return cells, means, float(squared.min(axis=1).mean())


def objective(points: Any, centroids: Any) -> float:
    return float(((points[:, None].astype(float) - centroids[None]) ** 2).sum(axis=2).min(axis=1).mean())


@pytest.mark.parametrize(("n", "dim", "k"), [(40, 3, 4), (600, 8, 7), (1300, 2, 12)])
def test_one_iteration_is_lloyds(n: int, dim: int, k: int) -> None:
    points, centroids = vectors(n, dim), vectors(n, dim)[:k] + np.float32(0.1)
    cells, lowest = assign(points, centroids)
    wanted_cells, wanted_means, wanted_error = lloyd_step(points, centroids)
    assert (cells == wanted_cells).all()
    errors = lowest + (points**2).sum(axis=1)
    assert errors.mean() == pytest.approx(wanted_error, rel=1e-4)
    np.testing.assert_allclose(update(points, cells, errors, centroids), wanted_means, atol=1e-4)


def test_assign_without_l2_takes_the_largest_inner_product() -> None:
    points, centroids = vectors(700, 6), vectors(9, 6, 1) * np.float32(3)
    assert (assign(points, centroids, l2=False)[0] == (points @ centroids.T).argmax(axis=1)).all()


def test_the_first_of_equal_minima_is_taken() -> None:
    lowest, where = np.empty(2, np.float32), np.empty(2, np.int32)
    column_minima(np.float32([[1, 2], [0, 0], [0, 5]]), np.float32([0, 1, 1]), lowest, where)
    assert where.tolist() == [0, 1] and lowest.tolist() == [1, 1]


@pytest.mark.parametrize("start", ["random", "k-means++"])
def test_the_objective_never_rises_and_is_what_it_says(start: Any) -> None:
    points = vectors(2000, 5)
    found = kmeans(points, 15, 20, 3, start=start)
    assert (np.diff(found.objective) <= 1e-6 * found.objective[0]).all()
    assert found.objective[-1] < 0.95 * found.objective[0]
    assert objective(points, found.centroids) <= found.objective[-1] * (1 + 1e-4)
    again = kmeans(points, 15, 20, 3, start=start)
    assert (again.centroids == found.centroids).all() and again.objective == found.objective
    assert (kmeans(points, 15, 20, 4, start=start).centroids != found.centroids).any()


def test_clusters_far_apart_are_found_by_plus_plus() -> None:
    corners = np.float32([[0, 0], [100, 0], [0, 100], [100, 100], [50, 300]])
    noise = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
    points = np.repeat(corners, 200, axis=0) + noise
    for seed in range(5):
        found = kmeans(points, 5, 10, seed, start="k-means++")
        order = np.lexsort(np.round(found.centroids).T)
        np.testing.assert_allclose(found.centroids[order], corners[np.lexsort(corners.T)], atol=0.5)


def test_far_from_the_origin_it_does_the_same() -> None:
    points = vectors(1000, 4)
    near = kmeans(points, 8, 10, 0)
    far = kmeans(points + np.float32(20_000), 8, 10, 0)
    np.testing.assert_allclose(far.centroids - 20_000, near.centroids, atol=0.05)
    assert far.objective[-1] == pytest.approx(near.objective[-1], rel=0.01)


def test_an_empty_cell_moves_to_the_point_that_is_worst_off() -> None:
    points = np.float32([[0, 0], [0, 1], [9, 9]])
    centroids = np.float32([[0, 0], [50, 50]])
    cells, lowest = assign(points, centroids)
    moved = update(points, cells, lowest + (points**2).sum(axis=1), centroids)
    assert cells.tolist() == [0, 0, 0] and moved[1].tolist() == [9, 9]


@pytest.mark.parametrize("start", ["random", "k-means++"])
def test_equal_points_and_as_many_centroids_as_points(start: Any) -> None:
    equal = kmeans(np.ones((20, 3), np.float32), 6, 5, start=start)
    assert (equal.centroids == 1).all() and equal.objective[-1] == 0
    points = vectors(30, 3)
    every = kmeans(points, 30, 5, start=start)
    assert every.objective[-1] == pytest.approx(0, abs=1e-4)
    one = kmeans(points, 1, 5, start=start)
    np.testing.assert_allclose(one.centroids[0], points.mean(axis=0), atol=1e-5)


def test_a_sample_comes_close_to_all_points() -> None:
    points = vectors(20_000, 6)
    whole, part = kmeans(points, 20, 15, 0), kmeans(points, 20, 15, 0, sample=2000)
    assert objective(points, part.centroids) < 1.1 * objective(points, whole.centroids)


def test_spherical_centroids_have_length_one() -> None:
    points = vectors(1000, 8)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = kmeans(points, 12, 10, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, rtol=1e-5)
    random = points[:12]
    assert (points @ found.centroids.T).max(axis=1).mean() > (points @ random.T).max(axis=1).mean()


def test_it_stops_when_little_is_won() -> None:
    points = vectors(2000, 5)
    early, late = kmeans(points, 10, 100, tolerance=0.01), kmeans(points, 10, 100)
    assert len(early.objective) < len(late.objective) <= 100


@pytest.mark.parametrize(
    ("change", "message"),
    [({"k": 0}, "k is 0"), ({"k": 11}, "k is 11 for 10 points"), ({"start": "best"}, "start is 'best'"),
     ({"points": np.full((10, 2), np.nan)}, "finite"), ({"points": np.zeros(10)}, "shape"),
     ({"iterations": 0}, "iterations is 0")],
)  # fmt: skip
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kmeans(**{"points": vectors(10, 2), "k": 3, **change})


def test_the_objective_is_that_of_faiss() -> None:
    faiss = pytest.importorskip("faiss")
    points = vectors(5000, 16)
    theirs = faiss.Kmeans(16, 50, niter=20, seed=1, max_points_per_centroid=5000)
    theirs.train(points)
    ours = min(objective(points, kmeans(points, 50, 20, seed).centroids) for seed in range(3))
    assert ours < 1.03 * objective(points, theirs.centroids)
