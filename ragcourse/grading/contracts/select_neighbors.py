"""Exercise 6.2: Algorithm 4 of Malkov and Yashunin (arXiv 1603.09320), neighbours chosen by a heuristic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import expect_equal, expect_error, expect_true

contract = Contract("6.2", task="choose neighbours that lie in different directions (Algorithm 4)")

Point = tuple[float, float]
Candidates = list[tuple[float, int]]


class _Distance:
    """The distance of two of the points; counts the questions."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = np.asarray(points, dtype=np.float64)
        self.asked = 0

    def __call__(self, a: int, b: int) -> float:
        self.asked += 1
        return float(np.linalg.norm(self._points[int(a)] - self._points[int(b)]))


def _candidates(points: Sequence[Point], rng: np.random.Generator | None = None) -> Candidates:
    """The points as candidates of a node at the origin, shuffled if there is a generator."""
    pairs = [(float(np.hypot(*point)), node) for node, point in enumerate(points)]
    return [pairs[i] for i in rng.permutation(len(pairs))] if rng else sorted(pairs)


def _oracle(points: Sequence[Point], M: int, keep_pruned: bool) -> list[int]:
    distance = _Distance(points)
    kept: list[int] = []
    pruned: list[int] = []
    for apart, node in sorted(_candidates(points)):
        if len(kept) < M:
            (kept if all(apart < distance(node, other) for other in kept) else pruned).append(node)
    return kept + (pruned[: M - len(kept)] if keep_pruned else [])


def _expect(
    select: Any,
    points: Sequence[Point],
    M: int,
    keep_pruned: bool = False,
    candidates: Candidates | None = None,
) -> _Distance:
    expected = _oracle(points, M, keep_pruned)
    pairs = _candidates(points) if candidates is None else candidates
    distance = _Distance(points)
    got = select(list(pairs), distance, M, keep_pruned)
    given = {"candidates": pairs, "M": M, "keep_pruned": keep_pruned, "base": (0, 0)}
    given["points"] = dict(enumerate(points))
    expect_equal([int(node) for node in got], expected, given=given)
    return distance


def _cloud(rng: np.random.Generator, n: int) -> list[Point]:
    return [(round(float(x), 3), round(float(y), 3)) for x, y in rng.normal(size=(n, 2))]


@contract.check(
    "the nearest candidate is always kept", points=1, cause="there is nobody it could be compared with"
)
def nearest(select: Any, rng: np.random.Generator) -> None:
    _expect(select, [(float(rng.integers(1, 9)), 0.0)], 1)
    _expect(select, [(2.0, 0.0), (1.0, 0.0)], 1)


@contract.check(
    "of two in one direction only the nearer is kept",
    points=2,
    cause="drop a candidate that is nearer to one that was kept than to the base",
)
def one_direction(select: Any, rng: np.random.Generator) -> None:
    far = 2.0 + float(rng.integers(1, 9))
    _expect(select, [(1.0, 0.0), (far, 0.0)], 2)
    _expect(select, [(1.0, 0.0), (1.1, 0.1), (1.2, 0.0), (-far, 0.0)], 2)  # a cluster, and the way out of it
    _expect(select, [(1.0, 0.0), (0.0, 1.5), (-2.0, 0.0), (0.0, -far)], 4)


@contract.check(
    "nearer than to every one that was kept",
    points=2,
    cause="the paper says “closer … compared to any element”; what it means is: to all of them",
)
def every(select: Any, rng: np.random.Generator) -> None:
    _expect(select, [(1.0, 0.0), (0.0, 1.5), (3.0, 0.3)], 3)  # far from the second, but behind the first
    _expect(select, [(1.0, 0.0), (0.0, 1.5), (-0.2, 3.0)], 3)


@contract.check(
    "what was dropped drops nobody",
    points=2,
    cause="compare with the candidates that were kept, not with all the nearer ones",
)
def dropped(select: Any, rng: np.random.Generator) -> None:
    # the second lies behind the first and is dropped; the third is near the second alone
    _expect(select, [(1.0, 0.0), (1.7, 1.0), (0.45, 2.4)], 3)


@contract.check("at most M, and then no more distances", points=1, cause="stop as soon as M are kept")
def at_most(select: Any, rng: np.random.Generator) -> None:
    angles = np.linspace(0, 2 * np.pi, 5, endpoint=False)  # each keeps clear of the others
    star = [
        (round((1 + i / 50) * float(np.cos(a)), 3), round((1 + i / 50) * float(np.sin(a)), 3))
        for i, a in enumerate(angles)
    ]
    distance = _expect(select, star, 2)
    message = f"{distance.asked} distances were computed; the second kept candidate needs 1"
    expect_true(distance.asked <= 1, message, given={"points": star, "M": 2})


@contract.check(
    "the order in which the candidates come does not matter",
    points=1,
    cause="go from the nearest on; if “nearer than to every one” fails, too, mend that first",
)
def any_order(select: Any, rng: np.random.Generator) -> None:
    points = [(1.0, 0.0), (2.0, 0.1), (0.0, 3.0), (-4.0, 0.5)]
    _expect(select, points, 2, candidates=sorted(_candidates(points), reverse=True))
    cloud = _cloud(rng, 8)
    _expect(select, cloud, 3, candidates=_candidates(cloud, rng))


@contract.check(
    "random candidates, nothing filled up",
    points=2,
    cause="with keep_pruned=False the dropped stay out; if a check above fails, too, mend that first",
)
def random_plain(select: Any, rng: np.random.Generator) -> None:
    for n, M in ((4, 2), (6, 6), (12, 4), (20, 8)):
        _expect(select, _cloud(rng, n), M)


@contract.check(
    "keep_pruned fills up with the nearest that were dropped",
    points=2,
    cause="first those that were kept, then the dropped ones from the nearest on, M in all",
)
def filled_up(select: Any, rng: np.random.Generator) -> None:
    _expect(select, [(1.0, 0.0), (1.1, 0.0), (1.2, 0.0), (-5.0, 0.0)], 3, keep_pruned=True)
    for n, M in ((5, 3), (12, 6), (3, 8)):
        _expect(select, _cloud(rng, n), M, keep_pruned=True)


@contract.check("a tie drops the candidate", points=1, cause="nearer means nearer: < and not <=")
def ties(select: Any, rng: np.random.Generator) -> None:
    _expect(select, [(1.0, 0.0), (1.0, 0.0), (1.0, 0.0)], 2, keep_pruned=True)
    far = float(rng.integers(2, 9))
    _expect(select, [(0.0, 0.0), (far, 0.0)], 2)  # the first is the base's double: both distances are equal


@contract.check("M below 1 is refused", points=1, cause="raise a ValueError whose text names M")
def refused(select: Any, rng: np.random.Generator) -> None:
    expect_error(
        ValueError, lambda: select([(1.0, 0)], _Distance([(1.0, 0.0)]), 0), mentions="M", given={"M": 0}
    )


@contract.check(
    "the candidates stay as they were", points=1, cause="sorted() makes a new list, .sort() does not"
)
def unchanged(select: Any, rng: np.random.Generator) -> None:
    points = _cloud(rng, 6)

    def test(candidates: Candidates) -> None:
        select(candidates, _Distance(points), 3, True)

    for_each([sorted(_candidates(points), reverse=True)], test)
