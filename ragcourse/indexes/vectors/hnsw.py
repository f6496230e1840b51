"""HNSW: nearest neighbours by walking a graph that has motorways.

Every vector is a node, linked to some near ones; in layer 0 live all, in each layer above a fraction 1/M
of those below. A search walks greedily through the top layer, takes what it finds as the entry to the layer
below, and in layer 0 keeps a pool of the ``ef`` best: it ends when all in the pool have been looked behind.

Yu. A. Malkov, D. A. Yashunin: Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs, arXiv:1603.09320.

====================================  =====================================================================
paper                                 here
====================================  =====================================================================
Algorithm 1, INSERT                   ``insert`` (to line 11: its own links) and ``connect`` (the links back)
Algorithm 2, SEARCH-LAYER             ``search_layer``: a sorted pool stands for both heaps, C and W
Algorithm 3, SELECT-NEIGHBORS-SIMPLE  the first M of the pool; not used, it links clusters badly
Algorithm 4, …-HEURISTIC              ``select_neighbors_heuristic``, without its two options
Algorithm 5, K-NN-SEARCH              ``knn_search``, for many queries in one call
====================================  =====================================================================

Three things are ours. The walk measures by ``walk_codes``, and the best ``rerank`` are measured exactly.
Nodes come in small batches that do not see each other, so that threads can insert them; the graph does not
depend on how many. And some links of layer 0, in both directions, are a tree over
all nodes: they are never dropped, so every node stays reachable, whatever comes, goes, or is equal.

``rows, scale, frame``  (room, dim), (room, 2), (2, dim)  what distances are made of: see ``walk_codes``
``links``               (room, 2M)   layer 0, packed to the left, then -1
``upper, upper_at``     (rows, M), (room,)   layer l ≥ 1 of node i is row ``upper_at[i] + l - 1``
``level, parent``       (room,)   a node's highest layer, P(level ≥ l) = M⁻ˡ; its parent in the tree, or -1

Searching costs O(M·ef·dim) a layer and grows like log n; adding the same with ``ef_construction``; removing
O(n·M) for each call, since all links are read: remove many at once. Memory: 5·dim + 8M + 20 bytes a node.

Where it loses: few vectors, or queries in large batches (a scan is exact); k in the thousands; filters
(at many allowed ids the pool is widened, at few they are scanned); memory. Under "ip" nothing is a metric:
long vectors draw all links to themselves (Morozov, Babenko 2018), so short ones are rarely found: these
are seldom among the nearest, but recall at a given ef is lower. Prefer cosine where lengths mean nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, stored
from ragcourse.indexes.vectors.distance import measure, squared_norms
from ragcourse.indexes.vectors.flat import exact
from ragcourse.indexes.vectors.layers import (
    Graph, Links, check_graph, empty_graph, graph_arrays, graph_from, renumbered, with_nodes,
)  # fmt: skip
from ragcourse.indexes.vectors.prefetch import prefetch
from ragcourse.indexes.vectors.walk_codes import WalkCodes

EVERY = np.empty(0, np.bool_)  # a filter that lets all pass


class Scratch(NamedTuple):
    """The memory of one walk: the pool, the new neighbours of a node, and which nodes carry the stamp."""

    ids: Links  # (ef,)
    distances: Floats  # (ef,)
    fresh: Links  # (2M,)
    seen: NDArray[np.uint8]  # (room,)
    stamp: NDArray[np.int64]  # (1,)


@kernel(fastmath={"reassoc", "contract"})
def distance(rows: NDArray[Any], scale: Floats, probe: Floats, node: int) -> np.float32:
    """Half the squared L2, or minus the inner product, but for a part that is the probe's own."""
    dot = np.float32(0)
    for j in range(len(probe)):
        dot += np.float32(rows[node, j]) * probe[j]
    return np.float32(scale[node, 1] - scale[node, 0] * dot)


@kernel
def probe_of(rows: NDArray[Any], scale: Floats, frame: Floats, node: int, probe: Floats) -> None:
    """Make a node the probe."""
    for j in range(len(probe)):
        probe[j] = scale[node, 0] * frame[0, j] * rows[node, j] - frame[1, j]


@kernel
def links_of(graph: Graph, layer: int, node: int) -> Links:
    """The node's row of links in this layer."""
    row: Links = graph.links[node] if layer == 0 else graph.upper[graph.upper_at[node] + layer - 1]
    return row


@kernel
def push(ids: Links, distances: Floats, size: int, limit: int, id: int, d: np.float32) -> int:
    """Put ``id`` at its place in a sorted pool; where the pool is full, the farthest falls out."""
    j = min(size, limit - 1)
    while j >= 8 and distances[j - 8] > d:  # eight at once, which the compiler turns into vector moves
        for i in range(8):
            distances[j - i] = distances[j - i - 1]
        for i in range(8):
            ids[j - i] = ids[j - i - 1]
        j -= 8
    while j > 0 and distances[j - 1] > d:
        ids[j], distances[j] = ids[j - 1], distances[j - 1]
        j -= 1
    ids[j], distances[j] = id, d
    return j


@kernel
def scratch_for(graph: Graph, ef: int) -> Scratch:
    """Memory for walks with pools of ``ef``."""
    seen, ids, distances = np.zeros(len(graph.level), np.uint8), np.empty(ef, np.int32), np.empty(ef, np.float32)
    return Scratch(ids, distances, np.empty(graph.links.shape[1], np.int32), seen, np.zeros(1, np.int64))


@kernel
def enter(graph: Graph, scratch: Scratch, probe: Floats, entry: int) -> int:
    """A pool with one node in it, where a walk begins."""
    scratch.ids[0], scratch.distances[0] = entry, distance(graph.rows, graph.scale, probe, entry)
    return int(np.int64(1))


@kernel
def search_layer(graph: Graph, scratch: Scratch, probe: Floats, size: int, ef: int, layer: int) -> int:
    """Algorithm 2, SEARCH-LAYER: from ``size`` entry points in the pool to the ``ef`` nearest; how many."""
    ids, distances, fresh, seen, stamp = scratch
    rows, scale, line = graph.rows, graph.scale, 64 // graph.rows.itemsize
    links = graph.links if layer == 0 else graph.upper
    stamp[0] = stamp[0] % 255 + 1
    if stamp[0] == 1:
        seen[:] = 0
    now = np.uint8(stamp[0])
    for i in range(size):
        seen[ids[i]] = now
    first = 0  # the nearest that was not looked behind; those that were stand in the pool as ~id
    while first < size:
        node = ids[first]
        ids[first] = ~node
        at = node if layer == 0 else graph.upper_at[node] + layer - 1
        count = 0
        for i in range(links.shape[1]):
            e = links[at, i]
            if e < 0:
                break
            fresh[count] = e
            count += seen[e] != now  # no branch: nobody can predict it
            seen[e] = now
        for i in range(count):
            prefetch(scale, fresh[i], 0)
            for j in range(0, len(probe), line):
                prefetch(rows, fresh[i], j)
        first += 1
        if first < size and layer == 0:
            prefetch(links, max(ids[first], ~ids[first]), 0)
        for i in range(count):
            d = distance(rows, scale, probe, fresh[i])
            if size < ef or d < distances[size - 1]:
                first = min(first, push(ids, distances, size, ef, fresh[i], d))
                size = min(size + 1, ef)
        while first < size and ids[first] < 0:
            first += 1
    for i in range(size):
        ids[i] = ~ids[i]
    return size


@kernel
def select_neighbors_heuristic(graph: Graph, layer: int, q: int, candidates: Links, m: int) -> None:
    """Algorithm 4: of candidates, nearest first, link q to e if e is nearer to q than to any chosen before."""
    row, parent, chosen, twins = links_of(graph, layer, q), graph.parent, 0, False
    rows, scale, probe = graph.rows, graph.scale, np.empty(graph.rows.shape[1], np.float32)
    for stage in range(3):  # links of the tree, always; the rule; last, equals that the rule cannot tell apart
        for e in candidates:
            tree = layer == 0 and (parent[e] == q or parent[q] == e)
            if chosen == m or tree != (stage == 0) or (stage == 2 and not twins):
                continue
            good = True
            if stage > 0:
                probe_of(rows, scale, graph.frame, e, probe)
                to_q = distance(rows, scale, probe, q)
                for r in row[:chosen]:
                    to_r = distance(rows, scale, probe, r)
                    twins |= to_r == to_q
                    if r == e or to_r < to_q or (to_r == to_q and stage == 1):
                        good = False
                        break
            if good:
                row[chosen] = e
                chosen += 1
    row[chosen:] = -1


@kernel
def relink(graph: Graph, layer: int, node: int, candidates: Links) -> None:
    """Choose all links of a node anew."""
    count = len(candidates)
    ids, distances = np.empty(count, np.int32), np.empty(count, np.float32)
    probe = np.empty(graph.rows.shape[1], np.float32)
    probe_of(graph.rows, graph.scale, graph.frame, node, probe)
    for i in range(count):
        push(ids, distances, i, count, candidates[i], distance(graph.rows, graph.scale, probe, candidates[i]))
    select_neighbors_heuristic(graph, layer, node, ids, len(links_of(graph, layer, node)))


@kernel
def link(graph: Graph, layer: int, node: int, new: int) -> None:
    """Algorithm 1, lines 12–16: link ``node`` to ``new``; a node with too many links chooses anew."""
    row = links_of(graph, layer, node)
    more = np.full(len(row) + 1, new, np.int32)
    for i in range(len(row)):
        if row[i] == new or row[i] < 0:
            row[i] = new
            return
        more[i] = row[i]
    relink(graph, layer, node, more)


@kernel
def adopt(graph: Graph, child: int, node: int) -> None:
    """Hang ``child`` into the tree: below ``node``, or where that has M children, below one of them."""
    children, last = graph.upper.shape[1], node
    while children == graph.upper.shape[1]:
        node, children = last, 0
        for e in graph.links[node]:
            if e >= 0 and graph.parent[e] == node:
                children, last = children + 1, int(e)
    graph.parent[child] = node
    for a, b in ((node, child), (child, node)):
        link(graph, int(np.int64(0)), a, b)


@kernel
def insert(graph: Graph, entry: int, ef: int, nodes: Ints) -> None:
    """Algorithm 1, INSERT, lines 1–11, for new nodes: choose their links, change no other node."""
    probe, top, scratch = np.empty(graph.rows.shape[1], np.float32), graph.level[entry], scratch_for(graph, ef)
    for q in nodes:
        probe_of(graph.rows, graph.scale, graph.frame, q, probe)
        size = enter(graph, scratch, probe, entry)
        for layer in range(top, -1, -1):
            size = search_layer(graph, scratch, probe, size, ef if layer <= graph.level[q] else 1, layer)
            if layer <= graph.level[q]:
                select_neighbors_heuristic(graph, layer, q, scratch.ids[:size], graph.upper.shape[1])


@kernel
def connect(graph: Graph, nodes: Ints) -> None:
    """Algorithm 1, lines 12–16, for new nodes: link back to them, and give them a parent."""
    for q in nodes:
        adopt(graph, q, int(graph.links[q, 0]))
        for layer in range(graph.level[q] + 1):
            for e in links_of(graph, layer, q):
                if e >= 0:
                    link(graph, layer, int(e), q)


@kernel
def knn_search(graph: Graph, entry: int, probes: Floats, ef: int, allowed: Mask, found: Ints) -> None:
    """Algorithm 5, K-NN-SEARCH, for each probe; nodes that are not allowed carry the walk, and leave after it."""
    scratch = scratch_for(graph, ef)
    for i in range(len(probes)):
        size, count = enter(graph, scratch, probes[i], entry), 0
        for layer in range(graph.level[entry], -1, -1):
            size = search_layer(graph, scratch, probes[i], size, ef if layer == 0 else 1, layer)
        for j in range(size):
            if count < found.shape[1] and (len(allowed) == 0 or allowed[scratch.ids[j]]):
                found[i, count] = scratch.ids[j]
                count += 1


@kernel
def forget(graph: Graph, dead: Mask) -> None:
    """Take the dead nodes out of the tree, then out of the links: a link goes on to what lay behind them."""
    parent, width, root = graph.parent, graph.links.shape[1], -1
    orphan = np.zeros(len(dead), np.bool_)
    for node in range(len(dead)):
        while parent[node] >= 0 and dead[parent[node]]:
            parent[node], orphan[node] = parent[parent[node]], True
        if parent[node] < 0 and not dead[node] and root < 0:
            root = node
    ancestor = parent[: len(dead)].copy()
    parent[: len(dead)][dead | orphan] = -1
    for node in range(len(dead)):
        if not dead[node] and node != root and parent[node] < 0:
            adopt(graph, node, int(ancestor[node]) if ancestor[node] >= 0 else root)
    found, seen, now = np.empty(width + width * width, np.int32), np.zeros(len(dead), np.int64), 0
    for node in range(len(dead)):
        for layer in range(0 if dead[node] else graph.level[node] + 1):
            count, broken, now = 0, False, now + 1
            seen[node] = now
            for e in links_of(graph, layer, node):
                if e >= 0:
                    broken |= dead[e]
                    for f in links_of(graph, layer, e) if dead[e] else np.full(1, e, np.int32):
                        if f >= 0 and not dead[f] and seen[f] != now:
                            seen[f], found[count] = now, f
                            count += 1
            if broken:
                relink(graph, layer, node, found[:count])


class HNSW(VectorIndex):
    """``M`` links a node and layer, 2M in layer 0 (2 … 512; 12–48 are useful); ``ef_construction`` and ``ef``:
    the pool while building and while searching, more is better and slower; ``seed`` of the levels; ``codes``
    of the walk, "int8" (where they are fine enough) or "float32"; ``workers``: threads that insert.
    """

    kind = "hnsw"
    tuning: ClassVar[tuple[str, ...]] = ("ef", "rerank")

    def __init__(
        self, dim: int, metric: Metric = "l2", M: int = 16, ef_construction: int = 200, ef: int = 64,
        seed: int = 0, codes: Literal["int8", "float32"] = "int8", workers: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(dim, metric)
        for name, value, least in (("M", M, 2), ("ef_construction", ef_construction, 1), ("ef", ef, 1),
                                   ("seed", seed, 0), ("workers", workers, 1)):  # fmt: skip
            if not isinstance(value, (int, np.integer)) or not least <= value <= 2**31:
                raise ValueError(f"{name} is {value!r}; give a whole number, {least} or more")
        if codes not in ("int8", "float32"):
            raise ValueError(f"codes is {codes!r}; known are int8, float32")
        self.M, self.ef_construction, self.ef, self.seed = int(M), int(ef_construction), int(ef), int(seed)
        self.codes, self.workers = codes, int(workers)
        self._random, self._drawn = np.random.default_rng(seed), 0
        self._graph, self._entry = empty_graph(self.dim, self.M), -1
        self._code = WalkCodes(self.dim, metric != "ip", codes == "int8")

    def _add(self, rows: Floats) -> None:
        old, new, room = len(self), len(self) + len(rows), len(self._graph.level)
        chance = self._random.random((len(rows), 2))
        level = (-np.log(1 - chance[:, 0]) / np.log(self.M)).astype(np.int8)
        graph, self._drawn = with_nodes(self._graph, old, rows, level), self._drawn + len(rows)
        if grew := len(graph.level) > room:
            self._code.fit(graph.vectors[:new], self.codes == "int8")
        self._graph = self._code.write(graph, 0 if grew else old, new)
        try:
            self._insert(old + np.argsort(chance[:, 1]))
        except BaseException:  # an interrupt, say: the new nodes leave the graph again
            self._remove(np.arange(old, new), nothing := np.empty(0, np.int64), nothing)
            raise

    def _insert(self, nodes: Ints) -> None:
        """In random order, in batches of 1/64 of the old or of the new nodes: few neighbours are missed."""
        graph, level, ef, at = self._graph, self._graph.level[nodes], self.ef_construction, 0
        if self._entry < 0:
            self._entry, at = int(nodes[0]), 1
        with ThreadPoolExecutor(self.workers) as pool:
            while at < len(nodes):
                stop = min(len(nodes), at + 1 + min(len(self) + at, len(nodes)) // 64)
                higher = np.flatnonzero(level[at:stop] > graph.level[self._entry])[:1]
                stop = at + 1 + int(higher[0]) if len(higher) else stop  # it opens a layer: it comes last
                parts = np.array_split(nodes[at:stop], self.workers if stop - at >= 8 * self.workers else 1)
                list((pool.map if len(parts) > 1 else map)(partial(insert, graph, self._entry, ef), parts))
                connect(graph, nodes[at:stop])
                self._entry, at = int(nodes[stop - 1]) if len(higher) else self._entry, stop

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        left, count = len(self), len(self) + len(gone)
        dead = np.zeros(count, np.bool_)
        dead[gone] = True
        forget(self._graph, dead)
        self._graph = renumbered(self._graph, count, left, source, target)
        self._entry = int(self._graph.level[:left].argmax()) if left else -1

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        graph, n, l2, ef = self._graph, len(self), self.metric == "l2", max(tuning.get("ef") or self.ef, k)
        count = n if mask is None else int(np.count_nonzero(mask))
        found = np.full((len(queries), min(max(tuning.get("rerank") or 2 * k, k), count)), -1, np.int64)
        if mask is None or count * count > ef * self.M * n:  # else a scan of what is allowed is cheaper
            probes, allowed = self._code.probes(queries), EVERY if mask is None else mask
            knn_search(graph, self._entry, probes, min(n, ef * n // count), allowed, found)
        best = np.empty(found.shape, np.float32)
        measure(queries, graph.vectors, l2, found, best)
        order = np.argsort(best, axis=1, kind="stable")[:, :k]
        slots, distances = np.take_along_axis(found, order, 1), np.take_along_axis(best, order, 1)
        if mask is not None and len(short := np.flatnonzero(slots[:, -1] < 0)):
            few = np.flatnonzero(mask)
            rows = graph.vectors[few]
            distances[short], at = exact(queries[short], rows, squared_norms(rows), l2, k)
            slots[short] = few[at]
        return slots, distances

    def _settings(self) -> dict[str, Any]:
        names = ("dim", "metric", "M", "ef_construction", "ef", "seed", "codes", "workers")
        return {name: getattr(self, name) for name in names}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        code = {"mean": self._code.mean, "spread": self._code.spread}
        state = np.array([self._entry, self._drawn, self._code.int8])
        return {**graph_arrays(self._graph, len(self)), **code, "state": state}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._entry, self._drawn, int8 = stored(arrays, "state", np.int64, 3).tolist()
        self._random.bit_generator.advance(2 * self._drawn)  # type: ignore[attr-defined]
        self._code.int8 = bool(int8)
        self._code.mean = stored(arrays, "mean", np.float32, self.dim)
        self._code.spread = stored(arrays, "spread", np.float32, self.dim)
        self._graph = self._code.write(graph_from(arrays, len(self), self.dim, self.M), 0, len(self))
        try:
            self._check()
        except (AssertionError, IndexError) as error:
            raise ValueError(f"its graph is broken: {error}") from error

    def _memory(self) -> int:
        return sum(array.nbytes for array in {id(array): array for array in self._graph}.values())

    def _check(self) -> None:
        check_graph(self._graph, len(self), self._entry)
