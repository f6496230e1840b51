"""Exercise 4.1, ``kmeans_step``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = tuple[Any, Any, Any]


def _nearest(points: Any, centroids: Any) -> tuple[Any, Any]:
    """The nearest centroid of each point, and the distances (n, c), calculated around the mean."""
    middle = points.mean(axis=0)
    x, c = points - middle, centroids - middle
    distances = (x * x).sum(axis=1)[:, None] + (c * c).sum(axis=1) - 2 * x @ c.T
    return distances.argmin(axis=1), distances


def _means(points: Any, centroids: Any, nearest: Any) -> Any:
    counts = np.bincount(nearest, minlength=len(centroids))
    sums = np.zeros(centroids.shape)
    np.add.at(sums, nearest, points)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centroids)


def right(points: Any, centroids: Any) -> Step:
    nearest, distances = _nearest(points, centroids)
    return nearest, _means(points, centroids, nearest), float(distances.min(axis=1).sum())


def stub(points: Any, centroids: Any) -> Step:
    raise NotImplementedError("Exercise 4.1: assign every point, then move every centroid")


def no_centroid_lengths(points: Any, centroids: Any) -> Step:
    """Leaves out ‖c‖²: the largest inner product is not the smallest distance."""
    nearest = (points @ centroids.T).argmax(axis=1)
    return nearest, _means(points, centroids, nearest), right(points, centroids)[2]


def float32_far_away(points: Any, centroids: Any) -> Step:
    """The identity without the shift to the middle."""
    distances = (points * points).sum(axis=1)[:, None] + (centroids * centroids).sum(axis=1)
    distances = distances - 2 * points @ centroids.T
    nearest = distances.argmin(axis=1)
    return nearest, _means(points, centroids, nearest), float(distances.min(axis=1).sum())


def nan_when_empty(points: Any, centroids: Any) -> Step:
    nearest, distances = _nearest(points, centroids)
    counts = np.bincount(nearest, minlength=len(centroids))
    sums = np.zeros(centroids.shape)
    np.add.at(sums, nearest, points)
    with np.errstate(invalid="ignore"):
        return nearest, sums / counts[:, None], float(distances.min(axis=1).sum())


def zero_when_empty(points: Any, centroids: Any) -> Step:
    nearest, distances = _nearest(points, centroids)
    counts = np.bincount(nearest, minlength=len(centroids))
    sums = np.zeros(centroids.shape)
    np.add.at(sums, nearest, points)
    return nearest, sums / np.maximum(counts, 1)[:, None], float(distances.min(axis=1).sum())


def drops_the_empty(points: Any, centroids: Any) -> Step:
    nearest, moved, error = right(points, centroids)
    return nearest, moved[np.unique(nearest)], error


def last_of_a_tie(points: Any, centroids: Any) -> Step:
    _, distances = _nearest(points, centroids)
    nearest = len(centroids) - 1 - distances[:, ::-1].argmin(axis=1)
    return nearest, _means(points, centroids, nearest), float(distances.min(axis=1).sum())


def buffered_addition(points: Any, centroids: Any) -> Step:
    """``sums[nearest] += points`` adds only the last point of each centroid."""
    nearest, distances = _nearest(points, centroids)
    counts = np.bincount(nearest, minlength=len(centroids))[:, None]
    sums = np.zeros(centroids.shape)
    sums[nearest] += points
    moved = np.where(counts > 0, sums / np.maximum(counts, 1), centroids)
    return nearest, moved, float(distances.min(axis=1).sum())


def counts_end_early(points: Any, centroids: Any) -> Step:
    """``bincount`` without ``minlength``: no rows after the last centroid that has points."""
    nearest, moved, error = right(points, centroids)
    return nearest, moved[: len(np.bincount(nearest))], error


def counts_do_not_fit(points: Any, centroids: Any) -> Step:
    """The same, where the shorter counts meet the sums and raise an error."""
    nearest, distances = _nearest(points, centroids)
    sums = np.zeros(centroids.shape)
    np.add.at(sums, nearest, points)
    counts = np.bincount(nearest)[:, None]
    moved = np.where(counts > 0, sums / np.maximum(counts, 1), centroids)
    return nearest, moved, float(distances.min(axis=1).sum())


def mean_of_the_transpose(points: Any, centroids: Any) -> Step:
    nearest, moved, error = right(points, centroids)
    means = [points[nearest == c].mean() if c in nearest else moved[c, 0] for c in range(len(moved))]
    return nearest, np.array(means)[:, None] * np.ones_like(moved), error


def in_place(points: Any, centroids: Any) -> Step:
    nearest, moved, error = right(points, centroids)
    centroids[:] = moved
    return nearest, centroids, error


def median_for_mean(points: Any, centroids: Any) -> Step:
    nearest, moved, error = right(points, centroids)
    for c in np.unique(nearest):
        moved[c] = np.median(points[nearest == c], axis=0)
    return nearest, moved, error


def _with_error(change: Callable[[Any, Any, Step], Any]) -> Callable[[Any, Any], Step]:
    def step(points: Any, centroids: Any) -> Step:
        answer = right(points, centroids)
        return answer[0], answer[1], change(points, centroids, answer)

    return step


def _after_the_move(points: Any, centroids: Any, answer: Step) -> float:
    return float(((points - answer[1][answer[0]]) ** 2).sum())


def _distances_not_squared(points: Any, centroids: Any, answer: Step) -> float:
    return float(np.sqrt(((points - centroids[answer[0]]) ** 2).sum(axis=1)).sum())


def never_moves(points: Any, centroids: Any) -> Step:
    nearest, _, error = right(points, centroids)
    return nearest, centroids.copy(), error


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "the largest inner product": (no_centroid_lengths, "only ‖x‖² is the same for all"),
    "float32 far from the origin": (float32_far_away, "a small difference of large numbers"),
    "NaN where empty": (nan_when_empty, "the mean of no points is 0 / 0"),
    "zero where empty": (zero_when_empty, "keep the old row where the count is 0"),
    "empty ones are dropped": (drops_the_empty, "keep the old row where the count is 0"),
    "the last of a tie": (last_of_a_tie, "the smaller number wins"),
    "an addition that forgets": (buffered_addition, "repeated rows added only once"),
    "counts without minlength": (counts_end_early, "without minlength=c"),
    "counts without minlength, an error": (counts_do_not_fit, "without minlength=c"),
    "one mean for all dimensions": (mean_of_the_transpose, "the mean goes over the points"),
    "the centroids changed in place": (in_place, "your code changed its argument"),
    "the median": (median_for_mean, "the mean goes over the points"),
    "never moves": (never_moves, "at ['moved']: "),
    "the error after the move": (_with_error(_after_the_move), "to the centroids that were given"),
    "distances not squared": (_with_error(_distances_not_squared), "squared distances, summed"),
    "the mean error": (
        _with_error(lambda points, centroids, answer: answer[2] / len(points)),
        "summed over the points",
    ),
    "the centroids alone": (lambda points, centroids: right(points, centroids)[1], "return three things"),
}
