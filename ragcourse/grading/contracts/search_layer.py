"""Exercise 6.1: Algorithm 2 of Malkov and Yashunin (arXiv 1603.09320), with a filter added.

The learner's function sees the graph and a function that says how far a node is from the query. So the
contract can draw graphs of any kind, and count each distance that was computed.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error, expect_true

contract = Contract(
    "6.1", task="search one layer of the graph with a pool of ef candidates, and with a filter"
)

Links = dict[int, list[int]]
Found = list[tuple[float, int]]


class _Graph(NamedTuple):
    """Distances of the nodes from the query (n,), and the neighbours of each node."""

    distances: list[float]
    links: Links


class _Distance:
    """The function given to the learner: counts, and notices a second question about one node."""

    def __init__(self, distances: Sequence[float]) -> None:
        self._distances = distances
        self.asked: list[int] = []

    def __call__(self, node: int) -> float:
        self.asked.append(int(node))
        return self._distances[int(node)]


def _oracle(
    graph: _Graph, starts: Sequence[int], ef: int, allowed: Collection[int] | None
) -> tuple[Found, int]:
    """What must come back, and how many distances the algorithm computes."""
    seen = set(starts)
    waiting = [(graph.distances[node], node) for node in seen]
    heapq.heapify(waiting)
    pool = sorted(pair for pair in waiting if allowed is None or pair[1] in allowed)[:ef]
    while waiting:
        nearest, node = heapq.heappop(waiting)
        if len(pool) == ef and nearest > pool[-1][0]:
            break
        for other in graph.links[node]:
            if other not in seen:
                seen.add(other)
                pair = (graph.distances[other], other)
                heapq.heappush(waiting, pair)
                if allowed is None or other in allowed:
                    pool = sorted([*pool, pair])[:ef]
    return pool, len(seen)


def _expect(
    search_layer: Any,
    graph: _Graph,
    starts: Sequence[int],
    ef: int,
    allowed: Collection[int] | None = None,
    cause: str = "",
) -> _Distance:
    """Call the learner's function and compare; return what it asked for."""
    expected, _ = _oracle(graph, starts, ef, allowed)
    distance = _Distance(graph.distances)
    filtered = () if allowed is None else (set(allowed),)
    got = search_layer(distance, graph.links, list(starts), ef, *filtered)
    expect_equal(_pairs(got), expected, given=_given(graph, starts, ef, allowed), cause=cause)
    return distance


def _pairs(got: object) -> Found:
    try:
        return [(float(pair[0]), int(pair[1])) for pair in got]  # type: ignore[attr-defined]
    except (TypeError, ValueError, IndexError) as error:
        cause = "return a list of pairs (distance, node), the nearest first"
        raise Mismatch(
            "the result is no list of pairs (distance, node)", got=type(got).__name__, cause=cause
        ) from error


def _given(
    graph: _Graph, starts: Sequence[int], ef: int, allowed: Collection[int] | None
) -> dict[str, object]:
    given: dict[str, object] = {"distance": dict(enumerate(graph.distances)), "links": graph.links}
    given |= {"entry_points": list(starts), "ef": ef}
    return given if allowed is None else given | {"allowed": set(allowed)}


def _path(distances: Sequence[float]) -> _Graph:
    """Nodes in a row, each linked with the one before and the one after."""
    last = len(distances) - 1
    return _Graph(
        list(distances), {i: [j for j in (i - 1, i + 1) if 0 <= j <= last] for i in range(last + 1)}
    )


def _plane(rng: np.random.Generator, n: int, degree: int = 3) -> _Graph:
    """Points on a plane, linked both ways with their nearest, and a query."""
    points, query = rng.random((n, 2)), rng.random(2)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    links: Links = {node: [] for node in range(n)}
    for node in range(n):
        for other in np.argsort(apart[node])[1 : degree + 1].tolist():
            links[node] = sorted({*links[node], other})
            links[other] = sorted({*links[other], node})
    return _Graph(
        [round(float(d), 4) + node * 1e-6 for node, d in enumerate(np.linalg.norm(points - query, axis=1))],
        links,
    )


@contract.check(
    "a graph of one node",
    points=1,
    cause="the entry points themselves belong to the result, with the distances as distance() gave them",
)
def one_node(search_layer: Any, rng: np.random.Generator) -> None:
    _expect(search_layer, _Graph([float(rng.integers(1, 9))], {0: []}), [0], 1)


@contract.check(
    "ef = 1 walks from neighbour to neighbour",
    points=1,
    cause="take the nearest candidate, look at its neighbours, keep what is nearer than the worst kept",
)
def greedy(search_layer: Any, rng: np.random.Generator) -> None:
    for length in (2, 3, 6):
        start = int(rng.integers(3))
        _expect(
            search_layer,
            _path([float(abs(length - 1 - i)) + 0.5 for i in range(length)]),
            [min(start, length - 1)],
            1,
        )


@contract.check(
    "the result is sorted, and holds ef nodes at most",
    points=1,
    cause="nearest first: a heap of the farthest gives them in another order",
)
def sorted_pool(search_layer: Any, rng: np.random.Generator) -> None:
    for n, ef in ((4, 2), (8, 5), (8, 20)):
        order = rng.permutation(n).astype(float).tolist()
        complete = {i: [j for j in range(n) if j != i] for i in range(n)}
        _expect(search_layer, _Graph(order, complete), [0], ef)


@contract.check(
    "a pool of several gets out of a dead end",
    points=2,
    cause="go on while the pool is not full or a candidate is nearer than its farthest, and no longer",
)
def dead_end(search_layer: Any, rng: np.random.Generator) -> None:
    away, near = 6.0 + rng.random(), rng.random()
    hill = _path([5.0, 4.0, away, away + 1, 3.0, near])  # 1 is a dead end; behind the hill it is nearer
    _expect(search_layer, hill, [0], 1)
    _expect(search_layer, hill, [0], 3)
    _expect(search_layer, hill, [0], 4)


@contract.check(
    "several entry points", points=1, cause="all of them are candidates at the start, and at most ef stay"
)
def entries(search_layer: Any, rng: np.random.Generator) -> None:
    near, far = float(rng.integers(1, 5)), float(rng.integers(5, 9))
    islands = _Graph([far, far + 1, near, near + 1], {0: [1], 1: [0], 2: [3], 3: [2]})
    _expect(search_layer, islands, [0, 2], 3)
    _expect(search_layer, _Graph([far, near, near + 0.5], {0: [], 1: [], 2: []}), [0, 1, 2], 2)
    graph = _plane(rng, 12)
    for starts, ef in (([0, 7], 3), ([3, 5, 9, 1], 2), ([2, 4, 6, 8, 10], 1)):
        _expect(search_layer, graph, starts, ef)


@contract.check(
    "random graphs agree with the algorithm",
    points=3,
    cause="stop as soon as the nearest candidate is farther than the farthest of a full pool, not before",
)
def random_graphs(search_layer: Any, rng: np.random.Generator) -> None:
    for n, ef in ((5, 1), (8, 2), (15, 3), (25, 6), (25, 1)):
        _expect(search_layer, _plane(rng, n), [int(rng.integers(n))], ef)


@contract.check(
    "no distance is computed twice",
    points=2,
    cause="remember every node whose distance is known, not only those whose neighbours were looked at",
)
def once(search_layer: Any, rng: np.random.Generator) -> None:
    graph = _plane(rng, 20)
    for starts, ef in (([0], 4), ([1, 2, 3], 8)):
        asked = _expect(search_layer, graph, starts, ef).asked
        twice = sorted({node for node in asked if asked.count(node) > 1})
        expect_true(
            not twice, f"{len(asked)} distances computed for {len(set(asked))} nodes", got={"twice": twice}
        )


@contract.check(
    "it stops where the algorithm stops",
    points=2,
    cause="a candidate farther than the farthest of a full pool ends the search: none behind it is nearer",
)
def stops(search_layer: Any, rng: np.random.Generator) -> None:
    line = _path([float(i) for i in range(30)])  # the query is at node 0; all others lead away
    for graph, ef in ((line, 1), (line, 4), (_plane(rng, 30), 3)):
        asked = _expect(search_layer, graph, [0], ef).asked
        needed = _oracle(graph, [0], ef, None)[1]
        message = f"{len(asked)} distances computed where {needed} are enough"
        expect_true(len(asked) <= needed, message, given=_given(graph, [0], ef, None))


@contract.check(
    "what is not allowed is walked through, and not returned",
    points=2,
    cause="a node that is not allowed is a candidate as any other, and never enters the result, entry or not",
)
def filtered(search_layer: Any, rng: np.random.Generator) -> None:
    _expect(search_layer, _path([3.0, 2.0, 1.0, 0.5]), [0], 2, {3})
    _expect(search_layer, _path([1.0, 2.0, 3.0]), [0], 1, {1, 2})
    for n, ef in ((8, 2), (20, 3)):
        allowed = set(rng.permutation(n)[: n // 2].tolist())
        _expect(search_layer, _plane(rng, n), [int(rng.integers(n))], ef, allowed)


@contract.check(
    "with few allowed nodes it goes on until it has ef of them",
    points=2,
    cause="while the result is not full, no candidate is too far; only allowed nodes fill it, entries too",
)
def rare(search_layer: Any, rng: np.random.Generator) -> None:
    _expect(search_layer, _path([0.0, 1.0, 2.0, 3.0, 4.0]), [1], 2, {4})
    _expect(search_layer, _path([0.0, 9.0, 8.0, 1.0]), [0], 2, {0, 3})
    _expect(
        search_layer,
        _path([0.0, 1.0, 2.0]),
        [0],
        2,
        set(),
        cause="an empty set allows nothing; None allows all",
    )


@contract.check("ef below 1 is refused", points=1, cause="raise a ValueError whose text names ef")
def refused(search_layer: Any, rng: np.random.Generator) -> None:
    graph = _path([1.0, 2.0])
    expect_error(
        ValueError,
        lambda: search_layer(_Distance(graph.distances), graph.links, [0], 0),
        mentions="ef",
        given={"ef": 0},
    )


@contract.check("the graph and the entry points stay as they were", points=1, cause="work on copies")
def unchanged(search_layer: Any, rng: np.random.Generator) -> None:
    graph = _plane(rng, 10)

    def test(case: dict[str, Any]) -> None:
        search_layer(_Distance(graph.distances), case["links"], case["entry_points"], 4, case["allowed"])

    for_each([{"links": graph.links, "entry_points": [0, 5], "allowed": {1, 2, 3}}], test)
