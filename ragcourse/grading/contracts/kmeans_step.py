"""Exercise 4.1: one step of k-means, from points and centroids to the centroids' next places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import expect_equal, expect_true, when_raised
from ragcourse.grading.plain import plain

contract = Contract("4.1", task="one step of k-means: assign every point, move every centroid")

Floats = NDArray[np.float32]
Case = dict[str, Floats]  # "points" (n, d), "centroids" (c, d)

_NEAR = {"rel": 1e-3, "abs_": 1e-4}  # float32 sums in any order
_THREE = "return three things: nearest (n,), moved (c, d) and the error, one number"
_ONCE = "or were repeated rows added only once, as sums[nearest] += points does? np.add.at adds them all"
_ROWS = (
    "a centroid without points still has a row: np.bincount without minlength=c ends at the last centroid "
    "that has points; then keep the old row where the count is 0"
)


def _distances(case: Case) -> NDArray[np.float64]:
    """Squared distances (n, c), the oracle: in float64, difference by difference."""
    points, centroids = (case[name].astype(np.float64) for name in ("points", "centroids"))
    return np.asarray(((points[:, None] - centroids[None]) ** 2).sum(axis=2))


def _expected(case: Case) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    distances = _distances(case)
    nearest = distances.argmin(axis=1)
    moved = case["centroids"].astype(np.float64)
    for number in np.unique(nearest):
        moved[number] = case["points"][nearest == number].mean(axis=0, dtype=np.float64)
    return nearest, moved, float(distances.min(axis=1).sum())


def _case(rng: np.random.Generator, n: int, c: int, d: int, *, far: float = 0.0) -> Case:
    """Random points, each clearly nearer to one centroid than to the next; ``far`` shifts all of them."""
    while True:
        points = far + rng.integers(-60, 60, size=(4 * n, d)) / 8
        centroids = far + rng.integers(-60, 60, size=(c, d)) / 8
        case = {"points": points.astype(np.float32), "centroids": centroids.astype(np.float32)}
        two = np.sort(_distances(case), axis=1)[:, :2]
        clear = two[:, -1] - two[:, 0] > 0.5 if c > 1 else np.ones(4 * n, bool)
        if clear.sum() >= n and len(np.unique(centroids, axis=0)) == c:
            return {**case, "points": case["points"][clear][:n]}


def _step(implementation: Any, case: Case) -> tuple[Any, Any, Any]:
    last_is_empty = _expected(case)[0].max() + 1 < len(case["centroids"])
    cause = _ROWS if last_is_empty else ""
    with when_raised(ValueError, cause), when_raised(IndexError, cause):
        got = plain(implementation(case["points"], case["centroids"]))
    three = isinstance(got, (tuple, list)) and len(got) == 3
    expect_true(three, "the answer has not three parts", got=got, cause=_THREE)
    nearest, moved, error = got
    return nearest, moved, error


def _expect(part: str, got: Any, expected: Any, cause: str) -> None:
    """Compare one of the three parts; its name is in the message."""
    expect_equal({part: got}, {part: expected}, **_NEAR, cause=cause)


def _cases(rng: np.random.Generator) -> list[Case]:
    return [_case(rng, n, c, d) for n, c, d in ((2, 2, 1), (4, 2, 2), (9, 3, 2), (40, 5, 3), (200, 8, 16))]


@contract.check("one centroid moves to the mean of all points", points=1)
def one(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        nearest, moved, _ = _expected(case)
        got = _step(implementation, case)
        _expect("nearest", got[0], nearest, "with one centroid, number 0 is the nearest of all: " + _THREE)
        cause = f"the mean goes over the points, axis 0; its shape is (1, d); {_ONCE}"
        _expect("moved", got[1], moved, cause)

    for_each([_case(rng, n, 1, d) for n, d in ((1, 1), (3, 2), (20, 4))], test)


@contract.check("every point is given to its nearest centroid", points=2)
def assignment(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        nearest, _, _ = _expected(case)
        cause = "squared distance = ‖x‖² + ‖c‖² − 2 x·c; of these, only ‖x‖² is the same for all centroids"
        _expect("nearest", _step(implementation, case)[0], nearest, cause)

    for_each(_cases(rng), test)


@contract.check("every centroid moves to the mean of its points", points=2)
def update(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        _, moved, _ = _expected(case)
        cause = f"the sum of a centroid's own points, divided by how many they are; {_ONCE}"
        _expect("moved", _step(implementation, case)[1], moved, cause)

    def all_used(case: Case) -> bool:
        return len(np.unique(_expected(case)[0])) == len(case["centroids"])

    for_each(filter(all_used, _cases(rng)), test)


@contract.check("the error is the sum of squared distances, before the move", points=1)
def error(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        _, _, total = _expected(case)
        cause = "squared distances, summed over the points, to the centroids that were given"
        _expect("error", _step(implementation, case)[2], total, cause)

    for_each(_cases(rng), test)


@contract.check("a centroid without points stays where it is", points=2)
def empty(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        _, moved, _ = _expected(case)
        got = _step(implementation, case)[1]
        all_rows = not isinstance(got, np.ndarray) or got.shape[:1] == (len(moved),)
        cause = "the mean of no points is 0 / 0: keep the old row where the count is 0"
        _expect("moved", got, moved, cause if all_rows else _ROWS)

    def with_lonely(case: Case, at: int) -> Case:
        lonely = np.full((1, case["points"].shape[1]), 500, np.float32)
        return {**case, "centroids": np.insert(case["centroids"], at, lonely, axis=0)}

    places = [(case, at) for case in _cases(rng) for at in (0, 1, len(case["centroids"]))]
    for_each([with_lonely(case, at) for case, at in places], test)


@contract.check("of two equally near centroids the first one gets the point", points=1)
def tie(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        nearest, moved, _ = _expected(case)
        got = _step(implementation, case)
        _expect("nearest", got[0], nearest, "the smaller number wins, as with argmin")
        _expect("moved", got[1], moved, "the other centroid has no points, and stays")

    centre = rng.integers(-9, 9, size=(1, 2)).astype(np.float32)
    offsets = np.array([[3, 0], [-3, 0], [0, 3], [3, 0]], np.float32)[: int(rng.integers(2, 5))]
    for_each([{"points": centre, "centroids": centre + offsets}], test)


@contract.check("points far from the origin are assigned as well as others", points=1)
def far(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: Case) -> None:
        nearest, moved, _ = _expected(case)
        cause = (
            "in float32, ‖x‖² − 2 x·c + ‖c‖² is a small difference of large numbers: "
            "first subtract one point, say the mean, from everything, or calculate in float64"
        )
        got = _step(implementation, case)
        _expect("nearest", got[0], nearest, cause)
        _expect("moved", got[1], moved, cause)

    for_each([_case(rng, 300, 12, 4, far=8_000.0)], test)


@contract.check("step after step, the error only falls", points=1)
def descent(implementation: Any, rng: np.random.Generator) -> None:
    case = _case(rng, 150, 6, 3)
    errors = [_expected(case)[2]]
    for _ in range(6):
        moved = np.asarray(_step(implementation, case)[1], np.float32)
        case = {**case, "centroids": moved.reshape(6, 3)}
        errors.append(_expected(case)[2])
        cause = "assign to the nearest, then move to the mean: neither can make the sum larger"
        expect_true(errors[-1] <= errors[-2] * (1 + 1e-5), "the error rose", got=errors, cause=cause)
    expect_true(errors[-1] < errors[0], "the error did not fall", got=errors, cause="do the centroids move?")
