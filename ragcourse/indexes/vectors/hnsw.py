"""HNSW: nearest neighbours by walking a graph that has motorways.

Every vector is a node, linked to near ones: all in layer 0, and in each layer above the M-th part of those
below. A search walks greedily through the top layer, enters the layer below where it ended, and in layer 0
keeps a pool of the ``ef`` nearest until it has looked behind all of them. Yu. A. Malkov, D. A. Yashunin:
Efficient and robust approximate nearest neighbor search using HNSW graphs, arXiv:1603.09320:

Algorithm 1, INSERT: ``insert`` (lines 1–11, the node's own links), then ``connect`` (12–16, the links back).
Algorithm 2, SEARCH-LAYER: ``search_layer``; one sorted pool stands for both heaps, C and W.
Algorithm 3, SELECT-NEIGHBORS-SIMPLE, the first M of the pool, is not used: clusters would lose each other.
Algorithm 4, SELECT-NEIGHBORS-HEURISTIC: ``select_neighbors_heuristic``, without its two options.
Algorithm 5, K-NN-SEARCH: ``knn_search``, for many queries in one call.

Ours: the walk measures by ``walk_codes``, then the best ``rerank`` are measured exactly. Nodes come in small
batches that do not see each other, so that threads can insert them; the graph is the same for any number.
Some links of layer 0, in both directions, are a tree over all nodes and are never dropped: every node stays
reachable, whatever comes, goes or is equal. A removed node's neighbours choose anew from what lay behind it.

``vectors``, ``rows``    (room, dim)           as given, and as the walk reads them: codes, or vectors again
``scale``, ``frame``     (room, 2), (2, dim)   what turns rows into distances: see ``walk_codes``
``links``                (room, 2M)            in layer 0: packed to the left, then -1
``upper``, ``upper_at``  (rows, M), (room,)    in layer l ≥ 1 those of node i are upper[upper_at[i] + l - 1]
``level``, ``parent``    (room,)               highest layer, P(level ≥ l) = M⁻ˡ; the parent in the tree

Search: O(ef·M·dim), and a little for each of O(log n) layers; adding: the same with ``ef_construction``;
removing: O(n·M) a call, so remove many at once. Memory: 5·dim + 8·M + 20 bytes a vector, and upper links.
Where it loses: few vectors (a scan is exact), large k, memory, filters (many allowed: a wider pool; few: a
scan). "ip" is no metric: long vectors draw all links (Morozov, Babenko 2018), recall at one ef is lower.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors import layers
from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, stored
from ragcourse.indexes.vectors.distance import measure, squared_norms
from ragcourse.indexes.vectors.flat import exact
from ragcourse.indexes.vectors.layers import Graph, Links
from ragcourse.indexes.vectors.prefetch import prefetch
from ragcourse.indexes.vectors.walk_codes import WalkCodes

Node = int | np.integer[Any]
Scratch = tuple[Links, Floats, Links, NDArray[np.uint8], Ints]


@kernel(fastmath={"reassoc", "contract"})
def distance(rows: NDArray[Any], scale: Floats, probe: Floats, node: Node) -> np.float32:
    """Half the squared L2, or minus the inner product, but for a part that is the probe's own."""
    dot = np.float32(0)
    for j in range(len(probe)):
        dot += np.float32(rows[node, j]) * probe[j]
    return np.float32(scale[node, 1] - scale[node, 0] * dot)


@kernel
def probe_of(rows: NDArray[Any], scale: Floats, frame: Floats, node: Node, probe: Floats) -> None:
    """Make a node the probe."""
    for j in range(len(probe)):
        probe[j] = scale[node, 0] * frame[0, j] * rows[node, j] - frame[1, j]


@kernel
def links_of(graph: Graph, layer: Node, node: Node) -> Links:
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
    """Memory for walks: pool of ids and of distances (ef,), new neighbours (2M,), seen (room,), its stamp."""
    ids, fresh = np.empty(ef, np.int32), np.empty(graph.links.shape[1], np.int32)
    return ids, np.empty(ef, np.float32), fresh, np.zeros(len(graph.level), np.uint8), np.zeros(1, np.int64)


@kernel
def search_layer(graph: Graph, scratch: Scratch, probe: Floats, size: int, ef: int, layer: int) -> int:
    """Algorithm 2: from ``size`` entry points in the pool to the ``ef`` nearest; how many there are now."""
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
def select_neighbors_heuristic(graph: Graph, layer: Node, q: Node, candidates: Links, m: int) -> None:
    """Algorithm 4: nearest first, link q to each candidate that is nearer to q than to any chosen before."""
    row, parent, chosen, twins = links_of(graph, layer, q), graph.parent, 0, False
    rows, scale, frame, probe = graph.rows, graph.scale, graph.frame, np.empty_like(graph.frame[0])
    nearest, distances = np.empty(len(candidates), np.int32), np.empty(len(candidates), np.float32)
    probe_of(rows, scale, frame, q, probe)
    for i, e in enumerate(candidates):
        push(nearest, distances, i, len(nearest), e, distance(rows, scale, probe, e))
    for stage in range(3):  # the links of the tree; what the rule keeps; equals, which it cannot tell apart
        for e in nearest:
            tree = layer == 0 and (parent[e] == q or parent[q] == e)
            if chosen == m or (stage == 2 and not twins):
                break
            if tree != (stage == 0):
                continue
            probe_of(rows, scale, frame, e, probe)
            to_q = distance(rows, scale, probe, q)
            for r in row[: chosen if stage > 0 else 0]:
                to_r = distance(rows, scale, probe, r)
                twins |= to_r == to_q
                if r == e or to_r < to_q or (to_r == to_q and stage == 1):
                    break
            else:
                row[chosen], chosen = e, chosen + 1
    row[chosen:] = -1


@kernel
def link(graph: Graph, layer: Node, node: Node, new: Node) -> None:
    """Algorithm 1, lines 12–16: link ``node`` to ``new``; a node with too many links chooses anew."""
    row = links_of(graph, layer, node)
    more = np.full(len(row) + 1, new, np.int32)
    for i in range(len(row)):
        if row[i] == new or row[i] < 0:
            row[i] = new
            return
        more[i] = row[i]
    select_neighbors_heuristic(graph, layer, node, more, len(row))


@kernel
def adopt(graph: Graph, child: Node, node: Node) -> None:
    """Hang ``child`` into the tree: below ``node``, or where that has M children, below one of them."""
    children, last = graph.upper.shape[1], node
    while children == graph.upper.shape[1]:
        node, children = last, 0
        for e in graph.links[node]:
            if e >= 0 and graph.parent[e] == node:
                children, last = children + 1, np.int64(e)
    graph.parent[child] = node
    link(graph, np.int64(0), node, child)
    link(graph, np.int64(0), child, node)


@kernel
def insert(graph: Graph, entry: int, ef: int, nodes: Ints) -> None:
    """Algorithm 1, INSERT, lines 1–11, for new nodes: choose their links, change no other node."""
    probe, scratch = np.empty(graph.rows.shape[1], np.float32), scratch_for(graph, ef)
    (ids, distances), m, top = scratch[:2], graph.upper.shape[1], graph.level[entry]
    for q in nodes:
        probe_of(graph.rows, graph.scale, graph.frame, q, probe)
        ids[0], distances[0], size = entry, distance(graph.rows, graph.scale, probe, entry), min(1, ef)
        for layer in range(top, -1, -1):
            size = search_layer(graph, scratch, probe, size, ef if layer <= graph.level[q] else 1, layer)
            if layer <= graph.level[q]:
                select_neighbors_heuristic(graph, layer, q, ids[:size], m)


@kernel
def connect(graph: Graph, nodes: Ints) -> None:
    """Algorithm 1, lines 12–16, for new nodes: link back to them, and give them a parent."""
    for q in nodes:
        adopt(graph, q, np.int64(graph.links[q, 0]))
        for layer in range(graph.level[q] + 1):
            for e in links_of(graph, layer, q):
                if e >= 0:
                    link(graph, layer, np.int64(e), q)


@kernel
def knn_search(graph: Graph, entry: int, probes: Floats, ef: int, allowed: Mask, found: Ints) -> None:
    """Algorithm 5, K-NN-SEARCH, for each probe; nodes that are not allowed leave after the walk."""
    scratch = scratch_for(graph, ef)
    ids, distances = scratch[:2]
    for i in range(len(probes)):
        probe, size, count = probes[i], min(1, ef), 0
        ids[0], distances[0] = entry, distance(graph.rows, graph.scale, probe, entry)
        for layer in range(graph.level[entry], -1, -1):
            size = search_layer(graph, scratch, probe, size, ef if layer == 0 else 1, layer)
        for j in range(size):
            if count < found.shape[1] and (len(allowed) == 0 or allowed[ids[j]]):
                found[i, count], count = ids[j], count + 1


@kernel
def forget(graph: Graph, dead: Mask, orphans: Ints, ancestors: Ints) -> None:
    """Give orphans of the tree a parent, and those who had links to the dead what lay behind these."""
    for i in range(len(orphans)):
        adopt(graph, orphans[i], ancestors[i])
    seen, now, M = np.zeros(len(dead), np.int64), 0, graph.upper.shape[1]
    found = np.empty(2 * M + 4 * M * M, np.int32)
    for node in range(len(dead)):
        for layer in range(0 if dead[node] else graph.level[node] + 1):
            row, broken = links_of(graph, layer, node), False
            for e in row:
                broken |= e >= 0 and dead[e]
            if broken:
                seen[node], count, now = now + 1, 0, now + 1
                for e in row:
                    for f in links_of(graph, layer, e) if e >= 0 and dead[e] else np.full(1, e, np.int32):
                        if f >= 0 and not dead[f] and seen[f] != now:
                            seen[f], found[count], count = now, f, count + 1
                select_neighbors_heuristic(graph, layer, node, found[:count], 2 * M if layer == 0 else M)


class HNSW(VectorIndex):
    """``M``: links a node and layer, 2M in layer 0; ``ef_construction``, ``ef``: pools to build, to search;
    ``codes`` of the walk: "int8", where that is fine enough, or "float32"; ``workers``: threads that insert.
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
        self.M, self.ef_construction, self.ef, self.seed = int(M), int(ef_construction), int(ef), int(seed)
        self.codes, self.workers, self._code = codes, int(workers), WalkCodes(self.dim, metric != "ip", codes)
        self._random, self._drawn, self._entry = np.random.default_rng(seed), 0, -1
        self._graph = layers.empty_graph(self.dim, self.M)

    def _add(self, rows: Floats) -> None:
        old, new, room = len(self), len(self) + len(rows), len(self._graph.level)
        chance = self._random.random(len(rows))
        level = (-np.log(1 - chance) / np.log(self.M)).astype(np.int8)
        graph, self._drawn = layers.with_nodes(self._graph, old, rows, level), self._drawn + len(rows)
        self._graph = self._code.write(graph, old, new, fit=len(graph.level) > room)
        try:
            self._insert(old + np.argsort(-chance))
        except BaseException:  # an interrupt, say: the new nodes leave the graph again
            self._remove(np.arange(old, new), nothing := np.empty(0, np.int64), nothing)
            raise

    def _insert(self, nodes: Ints) -> None:
        """In random order, the highest level first; in batches of 1/64 of the graph, or of the new nodes."""
        graph, ef, at = self._graph, self.ef_construction, 0
        if self._entry < 0:
            self._entry, at = int(nodes[0]), 1
        with ThreadPoolExecutor(self.workers) as pool:
            while at < len(nodes):
                size = 1 + (min(len(self) + at, len(nodes)) // 64 if at else 0)  # the first may open a layer
                batch = nodes[at : at + size]
                parts = np.array_split(batch, self.workers if len(batch) >= 8 * self.workers else 1)
                list((pool.map if parts[1:] else map)(lambda p: insert(graph, self._entry, ef, p), parts))
                connect(graph, batch)
                self._entry = max(self._entry, int(batch[0]), key=graph.level.__getitem__)
                at += len(batch)

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        left, count = len(self), len(self) + len(gone)
        forget(self._graph, *layers.orphans(self._graph, count, gone))
        self._graph = layers.renumbered(self._graph, count, left, source, target)
        self._entry = int(self._graph.level[:left].argmax()) if left else -1

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        graph, n, l2, ef = self._graph, len(self), self.metric == "l2", max(tuning.get("ef") or self.ef, k)
        count = n if mask is None else int(np.count_nonzero(mask))
        found = np.full((len(queries), min(max(tuning.get("rerank") or 2 * k, k), count)), -1, np.int64)
        if mask is None or count * count > ef * self.M * n:  # else a scan of what is allowed is cheaper
            probes, allowed = self._code.probes(queries), np.empty(0, np.bool_) if mask is None else mask
            knn_search(graph, self._entry, probes, min(n, ef * n // count), allowed, found)
        measure(queries, graph.vectors, l2, found, best := np.empty(found.shape, np.float32))
        order = np.arange(len(queries))[:, None], best.argsort(axis=1, kind="stable")[:, :k]
        slots, distances = found[order], best[order]
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
        state = np.array([self._entry, self._drawn])
        return {**layers.graph_arrays(self._graph, len(self)), **self._code.arrays(), "state": state}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._entry, self._drawn = stored(arrays, "state", np.int64, 2).tolist()
        self._random.bit_generator.advance(self._drawn)  # type: ignore[attr-defined]
        self._code.restore(arrays)
        graph = layers.graph_from(arrays, len(self), self._entry, self.dim, self.M)
        self._graph = self._code.write(graph, 0, len(self), fit=False)

    def _memory(self) -> int:
        return sum(array.nbytes for array in {id(array): array for array in self._graph}.values())

    def _check(self) -> None:
        layers.check_graph(self._graph, len(self), self._entry)
