"""A graph in layers, as plain arrays with room to grow: what ``hnsw`` walks on, and how it is kept.

The M-th part of the nodes of a layer live in the next one, too. Layer 0 has a row of links for each node;
the few rows of all layers above stand in one matrix, those of a node one behind the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Floats, Ints, grown, stored

Links = NDArray[np.int32]

_PER_NODE = ("vectors", "scale", "links", "upper_at", "level", "parent")


class Graph(NamedTuple):
    """n nodes, and room for more: see the table in ``hnsw``."""

    vectors: Floats
    rows: NDArray[Any]
    scale: Floats
    frame: Floats
    links: Links
    upper: Links
    upper_at: Links
    level: NDArray[np.int8]
    parent: Links


def empty_graph(dim: int, M: int) -> Graph:
    """No node, and no room."""
    rows, links, one = np.empty((0, dim), np.float32), np.empty((0, M), np.int32), np.empty(0, np.int32)
    scale, level = np.empty((0, 2), np.float32), np.empty(0, np.int8)
    return Graph(rows, rows, scale, rows, np.tile(links, 2), links, one, level, one)


def with_nodes(graph: Graph, count: int, vectors: Floats, level: NDArray[np.int8]) -> Graph:
    """The graph of ``count`` nodes with those of ``vectors`` (m, dim) behind them, without a link.

    ``rows``, and what goes with them, are the caller's to fill. The old graph stays as it is.
    """
    new, rows = slice(count, count + len(vectors)), level.sum()
    graph = graph._replace(**{name: grown(getattr(graph, name), new.stop) for name in _PER_NODE})
    graph.vectors[new], graph.level[new], graph.links[new], graph.parent[new] = vectors, level, -1, -1
    graph.upper_at[new] = len(graph.upper) + np.cumsum(level) - level
    more = np.full((rows, graph.upper.shape[1]), -1, np.int32)
    return graph._replace(upper=np.concatenate([graph.upper, more])) if rows else graph


def orphans(graph: Graph, count: int, gone: Ints) -> tuple[NDArray[np.bool_], Ints, Ints]:
    """Take nodes out of the tree: which of ``count`` are dead (count,), the survivors that lost their parent
    (m,), and their nearest living ancestors (m,). Has the root died, the first of them becomes the root.
    """
    parent, dead = graph.parent[:count], np.zeros(count, np.bool_)
    dead[gone] = True
    ancestor = parent.astype(np.int64)
    while len(lost := np.flatnonzero((ancestor >= 0) & dead[ancestor])):
        ancestor[lost] = ancestor[ancestor[lost]]
    alone = np.flatnonzero(~dead & (ancestor != parent))
    parent[dead] = parent[alone] = -1
    if len(tops := alone[ancestor[alone] < 0]):
        ancestor[tops] = tops[0]
        alone = alone[alone != tops[0]]
    return dead, alone, ancestor[alone]


def renumbered(graph: Graph, count: int, left: int, source: Ints, target: Ints) -> Graph:
    """Of ``count`` nodes ``left`` remain: ``source[i]`` is ``target[i]`` from now on, in all links, too."""
    for array in (*(getattr(graph, name) for name in _PER_NODE), graph.rows):
        array[target] = array[source]
    level = graph.level[:left].astype(np.int64)
    begin = np.cumsum(level) - level
    upper = graph.upper[np.repeat(graph.upper_at[:left] - begin, level) + np.arange(level.sum())]
    graph.upper_at[:left] = begin
    new = np.append(np.arange(count, dtype=np.int32), np.int32(-1))  # -1 stays -1
    new[source] = target
    for links in (graph.links[:left], upper, graph.parent[:left]):
        links[:] = new[links]
    return graph._replace(upper=upper)


def graph_arrays(graph: Graph, count: int) -> dict[str, NDArray[Any]]:
    """What must be in the file; ``rows`` can be made of the vectors again."""
    names = ("vectors", "links", "upper_at", "level", "parent")
    return {"upper": graph.upper, **{name: getattr(graph, name)[:count] for name in names}}


def graph_from(arrays: dict[str, NDArray[Any]], count: int, entry: int, dim: int, M: int) -> Graph:
    """Take back ``graph_arrays``; ``ValueError`` where something does not fit."""
    graph = empty_graph(dim, M)._replace(
        vectors=stored(arrays, "vectors", np.float32, count, dim),
        scale=np.empty((count, 2), np.float32),
        links=stored(arrays, "links", np.int32, count, 2 * M),
        upper=stored(arrays, "upper", np.int32, None, M),
        upper_at=stored(arrays, "upper_at", np.int32, count),
        level=stored(arrays, "level", np.int8, count),
        parent=stored(arrays, "parent", np.int32, count),
    )
    try:
        check_graph(graph, count, entry)
    except (AssertionError, IndexError) as error:
        raise ValueError(f"its graph is broken: {error}") from error
    return graph


def check_graph(graph: Graph, count: int, entry: int) -> None:
    """Verify the graph of ``count`` nodes; ``AssertionError`` says what is wrong, and shows the first node.

    In every layer: links are packed to the left, lead to other nodes that live in this layer, and to none
    twice. The entry is in the highest layer. The parents are one tree, whose links are there in both
    directions: so every node is reachable from every other in layer 0.
    """
    level, parent = graph.level[:count].astype(np.int64), graph.parent[:count]
    if count == 0:
        assert entry == -1 and len(graph.upper) == 0, "an empty graph has an entry, or links"
        return
    nodes = np.arange(count)
    assert 0 <= entry < count and level[entry] == level.max(), f"entry {entry} is not in the highest layer"
    assert level.min() >= 0 and level.sum() == len(graph.upper), "levels and rows of upper links disagree"
    begin, rows = np.repeat(graph.upper_at[:count] - np.cumsum(level) + level, level), np.arange(level.sum())
    assert np.array_equal(np.sort(begin + rows), rows), "two nodes share a row of upper links"

    def show(wrong: NDArray[np.bool_] | np.bool_, of: NDArray[Any], fault: str) -> None:
        if wrong.any():
            node = int(of[np.argmax(wrong)])
            rows = [graph.links[node], *graph.upper[graph.upper_at[node] :][: level[node]]]
            lines = [f"  layer {layer}: {row[row >= 0].tolist()}" for layer, row in enumerate(rows)]
            head = f"{int(wrong.sum())} of {count} nodes: {fault}; the first is"
            raise AssertionError("\n".join([f"{head} node {node}, parent {parent[node]}", *lines]))

    for layer in range(int(level.max()) + 1):
        of = np.flatnonzero(level >= layer)
        rows = graph.links[of] if layer == 0 else graph.upper[graph.upper_at[of] + layer - 1]
        here = rows >= 0
        show((here[:, 1:] & ~here[:, :-1]).any(axis=1), of, f"a gap between links in layer {layer}")
        show((rows >= count).any(axis=1), of, f"a link to no node in layer {layer}")
        show((rows == of[:, None]).any(axis=1), of, f"a link to itself in layer {layer}")
        ordered = np.sort(rows, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        show(twice.any(axis=1), of, f"a link twice in layer {layer}")
        show((here & (level[rows] < layer)).any(axis=1), of, f"a link to a node that is not in layer {layer}")

    root = parent < 0
    assert root.sum() == 1, f"the tree has {int(root.sum())} roots, at nodes {nodes[root][:10].tolist()}"
    show(parent >= count, nodes, "no such parent")
    to_parent = (graph.links[:count] == parent[:, None]).any(axis=1)
    from_parent = (graph.links[parent] == nodes[:, None]).any(axis=1)
    show(~root & ~(to_parent & from_parent), nodes, "no link to the parent, or none back")
    above = np.where(root, nodes, parent)
    for _ in range(int(count).bit_length()):  # each round doubles the steps
        above = above[above]
    show(~root[above], nodes, "the way up never ends, so it may be unreachable")
