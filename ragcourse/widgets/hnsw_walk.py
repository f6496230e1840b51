"""Widget of lesson 06: one search in an HNSW graph of points on a plane, hop by hop.

The graph is that of the library's index, on two dimensions so that it can be seen. The walk is Algorithm 5
of Malkov and Yashunin (arXiv 1603.09320) once more, slowly: it notes after each hop what a picture needs.
One hop takes the nearest node of the pool that has not been expanded, measures those of its neighbours that
are new, and keeps the best ``ef`` of all (1 above layer 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ragcourse.widgets.base import CourseWidget
from ragcourse.widgets.controls import choice, fixed, slider
from ragcourse.widgets.hnsw_walk_png import paint_walk

if TYPE_CHECKING:
    from ragcourse.indexes.vectors.hnsw import HNSW

LINKS = ("heuristic", "simple")  # Algorithms 4 and 3 of the paper
WANTED = 3  # the k of the search
LEVELS = 2  # a seed that draws three layers for 200 points

Points = NDArray[np.float32]
Layer = Mapping[int, Sequence[int]]


class Layered(NamedTuple):
    """A layered graph over points (n, 2) in the unit square: per layer node → neighbours, 0 first."""

    points: Points
    layers: Sequence[Layer]
    entry: int


class Hop(NamedTuple):
    """What one step changed; ``pool`` is nearest first, ``waiting`` the part of it not yet expanded."""

    layer: int
    node: int  # the node expanded; -1: the layer is entered, -2: the search ends
    fresh: list[int]  # measured in this step
    pool: list[int]
    waiting: list[int]
    parents: dict[int, int]  # measured node → whose neighbour it was; all of this layer so far
    distances: int  # computed so far, in all layers


class HnswWalk(CourseWidget):
    """A plane with the graph, the pool beside it, the layers as a stack; the query is moved by hand."""

    title = "A search in the graph, hop by hop"
    script = Path(__file__).with_suffix(".js")
    links = choice("Links by", LINKS)
    ef = slider("ef", 1, 16, 5)
    x = slider("Query x", 0.0, 1.0, 0.7, step=0.01)
    y = slider("Query y", 0.0, 1.0, 0.2, step=0.01)
    graphs = fixed()

    def __init__(self, **params: Any) -> None:
        if params.get("graphs") is None:
            params["graphs"] = example_graphs()
        super().__init__(**params)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """The graph, the hops of one search with a sentence each, the truth, and what was missed."""
        graph: Layered = params["graphs"][params["links"]]
        query = np.array([params["x"], params["y"]])
        hops = walk(graph, query, max(params["ef"], 1))
        away = np.linalg.norm(graph.points - query, axis=1)
        truth = np.argsort(away, kind="stable")[:WANTED].tolist()
        found = hops[-1].pool[:WANTED]
        return {
            "points": np.ascontiguousarray(graph.points, np.float32),
            "layers": [_arrays(layer) for layer in graph.layers],
            "query": query.tolist(),
            "away": away.astype(np.float32),
            "ef": params["ef"],
            "hops": [_as_json(hop, hops[at - 1] if at else None, away) for at, hop in enumerate(hops)],
            "truth": truth,
            "found": found,
            "summary": _summary(graph, hops, truth, params["ef"]),
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The end of the walk in layer 0, the layers above it, and the pool."""
        paint_walk(figure, result)


def walk(graph: Layered, query: NDArray[np.float64], ef: int) -> list[Hop]:
    """Every step of a search from the entry point: greedy above layer 0, with a pool of ``ef`` in it."""
    hops: list[Hop] = []
    entry, distances = graph.entry, 0
    away = np.linalg.norm(graph.points - query, axis=1)
    for layer in reversed(range(len(graph.layers))):
        size = 1 if layer else ef
        parents, pool, expanded = {entry: entry}, [entry], set[int]()
        distances += layer == len(graph.layers) - 1  # below, the entry's distance is known from above
        hops.append(Hop(layer, -1, [entry], pool, pool, dict(parents), distances))
        while waiting := [node for node in pool if node not in expanded]:
            node = waiting[0]
            expanded.add(node)
            fresh = [other for other in graph.layers[layer][node] if other not in parents]
            parents.update(dict.fromkeys(fresh, node))
            distances += len(fresh)
            pool = sorted([*pool, *fresh], key=lambda other: (away[other], other))[:size]
            waiting = [other for other in pool if other not in expanded]
            hops.append(Hop(layer, node, fresh, pool, waiting, dict(parents), distances))
        entry = pool[0]
    return [*hops, hops[-1]._replace(node=-2, fresh=[])]


def layers_of(index: HNSW) -> list[dict[int, list[int]]]:
    """The links of a library index per layer, node → neighbours, layer 0 first; nodes as they were added."""
    graph = index._graph
    level = graph.level[: len(index)]

    def links(node: int, layer: int) -> list[int]:
        row = graph.upper[graph.upper_at[node] + layer - 1] if layer else graph.links[node]
        return [int(other) for other in row if other >= 0]

    return [
        {int(node): links(int(node), layer) for node in np.flatnonzero(level >= layer)}
        for layer in range(int(level.max()) + 1)
    ]


def towns(n: int = 200, k: int = 6, seed: int = 33) -> Points:
    """``n`` points (n, 2) in ``k`` round heaps on the unit square."""
    rng = np.random.default_rng(seed)
    centres = rng.random((k, 2))
    points = centres[rng.integers(k, size=n)] + 0.06 * rng.standard_normal((n, 2))
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray(0.04 + 0.92 * (points - low) / (high - low), np.float32)


@cache
def example_graphs() -> dict[str, Layered]:
    """The library's graph over some towns, and one whose nodes know the nearest of their layer only."""
    from ragcourse.indexes.vectors.hnsw import HNSW  # Numba takes a while to import

    points = towns()
    index = HNSW(2, M=4, ef_construction=40, seed=LEVELS)
    index.add(points)
    layers, entry = layers_of(index), index._entry
    nearest = [_nearest(points, sorted(layer), 4 if level else 8) for level, layer in enumerate(layers)]
    return {LINKS[0]: Layered(points, layers, entry), LINKS[1]: Layered(points, nearest, entry)}


def _nearest(points: Points, nodes: list[int], m: int) -> dict[int, list[int]]:
    """Each of these nodes with the ``m`` nearest others of them."""
    here = points[nodes]
    order = np.argsort(np.linalg.norm(here[:, None] - here, axis=2), axis=1, kind="stable")
    return {node: [nodes[i] for i in row[1 : m + 1]] for node, row in zip(nodes, order, strict=True)}


def _arrays(layer: Layer) -> dict[str, Any]:
    """Nodes (n,) and each link once, (m, 2), as the front end takes them."""
    edges = {(min(a, b), max(a, b)) for a, others in layer.items() for b in others}
    flat = np.array(sorted(edges), np.int32).reshape(-1, 2)
    return {"nodes": np.array(sorted(layer), np.int32), "edges": flat}


def _as_json(hop: Hop, before: Hop | None, away: NDArray[np.float64]) -> dict[str, Any]:
    kept = set(hop.pool)
    entered = [node for node in hop.fresh if node in kept]
    return {
        "layer": hop.layer,
        "node": hop.node,
        "entered": entered,
        "refused": [node for node in hop.fresh if node not in kept],
        "pool": hop.pool,
        "waiting": hop.waiting,
        "parents": [list(pair) for pair in hop.parents.items()],
        "distances": hop.distances,
        "said": _said(hop, before, entered),
    }


def _said(hop: Hop, before: Hop | None, entered: list[int]) -> str:
    """The sentence under the plane."""
    if hop.node == -1 and before is None:
        return f"The entry point is node {hop.pool[0]}, at the top, in layer {hop.layer}."
    if hop.node == -1:
        return f"Nothing nearer in layer {hop.layer + 1}: down to layer {hop.layer} from node {hop.pool[0]}."
    if hop.node == -2:
        return "Nobody in the pool waits, and all others seen are farther: the search ends."
    if not hop.fresh:
        return f"Expand {hop.node}: all its neighbours are known."
    text = f"Expand {hop.node}, the nearest that waits: {_count(len(hop.fresh), 'new distance')}, "
    return text + (f"{len(entered)} nearer than the pool's last." if entered else "none enters the pool.")


def _summary(graph: Layered, hops: Sequence[Hop], truth: list[int], ef: int) -> str:
    hit = len(set(truth) & set(hops[-1].pool))
    expanded = sum(hop.node >= 0 for hop in hops)
    text = f"{_count(expanded, 'hop')}, {hops[-1].distances} of {len(graph.points)} distances. "
    if ef < WANTED and hit == ef:
        return text + f"With ef = {ef} the pool holds only {ef} of the {WANTED} nearest."
    return text + f"Found {hit} of the {WANTED} nearest."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
