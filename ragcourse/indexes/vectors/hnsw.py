"""HNSW: nearest neighbours by walking a graph that has motorways.

Yu. A. Malkov, D. A. Yashunin: Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs. arXiv:1603.09320 (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, grown

Links = NDArray[np.int32]
PER_NODE = ("upper_at", "level", "parent", "children")
NOTHING = np.empty(0, np.int64)
EVERY = np.empty(0, np.bool_)


class Graph(NamedTuple):
    """All that a kernel reads of the index; n nodes have ``room`` for more."""

    rows: NDArray[Any]  # (room, dim) what the walk measures by: int8 codes, or the float32 vectors
    scale: Floats  # (room, 2) of each row: its unit, and half its squared length (0 under ip)
    frame: Floats  # (2, dim) weight and shift that make a probe of a row
    links: Links  # (room, 2M) layer 0, packed to the left, then -1
    upper: Links  # (rows, M) layers 1 … level of all nodes
    upper_at: Links  # (room,) where in ``upper`` the node's layer 1 is
    level: NDArray[np.int8]  # (room,) the node's highest layer
    parent: Links  # (room,) the tree in layer 0 whose links are never dropped; -1: its root
    children: Links  # (room,) at most M


class Scratch(NamedTuple):
    """What one thread needs for its walks."""

    ids: Links  # (ef,) the pool, nearest first
    distances: Floats  # (ef,)
    fresh: Links  # (2M,) neighbours not seen before
    seen: NDArray[np.uint8]  # (room,) equal to the stamp: seen in this walk
    stamp: NDArray[np.int64]  # (1,)


@intrinsic
def prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask the memory for the cache line of ``array[row, column]``, and do not wait for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, view, arguments[1:], wraparound=False)
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind_of_call = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        call = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind_of_call)
        builder.call(call, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@kernel(fastmath={"reassoc", "contract"})
def distance(rows, scale, probe, node):
    """From a probe to a node; half the squared L2, or minus the inner product, plus what is the probe's own."""
    dot = np.float32(0)
    for j in range(len(probe)):
        dot += np.float32(rows[node, j]) * probe[j]
    return scale[node, 1] - scale[node, 0] * dot


@kernel
def probe_of(rows, scale, frame, node, probe):
    """Make the node itself the probe."""
    for j in range(len(probe)):
        probe[j] = scale[node, 0] * frame[0, j] * rows[node, j] - frame[1, j]


@kernel
def links_of(graph, layer, node):
    """The node's row of links in this layer."""
    return graph.links[node] if layer == 0 else graph.upper[graph.upper_at[node] + layer - 1]


@kernel
def push(ids, distances, size, limit, id, d):
    """Put ``id`` into the sorted pool, which holds ``limit`` at most; returns its place."""
    j = min(size, limit - 1)
    while j >= 8 and distances[j - 8] > d:  # eight at once, in a loop that the compiler turns into vectors
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
def search_layer(graph, scratch, probe, size, ef, layer):
    """Algorithm 2, SEARCH-LAYER: from the ``size`` entry points in the pool to the ``ef`` nearest."""
    ids, distances, fresh, seen = scratch.ids, scratch.distances, scratch.fresh, scratch.seen
    scratch.stamp[0] += 1
    if scratch.stamp[0] == 256:
        seen[:] = 0
        scratch.stamp[0] = 1
    stamp = np.uint8(scratch.stamp[0])
    for j in range(size):
        seen[ids[j]] = stamp
    rows, scale, line = graph.rows, graph.scale, 64 // graph.rows.itemsize
    links = graph.links if layer == 0 else graph.upper
    first = 0  # the nearest that is not expanded; an expanded one is marked by ~
    while first < size:
        node = ids[first]
        ids[first] = ~node
        count = 0
        at = node if layer == 0 else graph.upper_at[node] + layer - 1
        for i in range(links.shape[1]):
            e = links[at, i]
            if e < 0:
                break
            fresh[count] = e
            count += seen[e] != stamp
            seen[e] = stamp
        for i in range(count):
            prefetch(scale, fresh[i], 0)
            for j in range(0, len(probe), line):
                prefetch(rows, fresh[i], j)
        first += 1
        if layer == 0 and first < size:
            prefetch(links, max(ids[first], ~ids[first]), 0)
        for i in range(count):
            d = distance(rows, scale, probe, fresh[i])
            if size < ef or d < distances[size - 1]:
                first = min(first, push(ids, distances, size, ef, fresh[i], d))
                size = min(size + 1, ef)
        while first < size and ids[first] < 0:
            first += 1
    for j in range(size):
        ids[j] = ~ids[j]
    return size


@kernel
def in_tree(parent, a, b):
    """Is this a link of the tree?"""
    return parent[a] == b or parent[b] == a


@kernel
def select_neighbors_heuristic(graph, q, candidates, count, m, layer):
    """Algorithm 4, SELECT-NEIGHBORS-HEURISTIC: keep e if it is nearer to q than to any one kept before."""
    row = links_of(graph, layer, q)
    probe = np.empty(graph.rows.shape[1], np.float32)
    kept = 0
    for tree in (True, False):
        for i in range(count):
            e = candidates[i]
            if kept == m:
                break
            if tree != (layer == 0 and in_tree(graph.parent, q, e)):
                continue
            good = True
            if not tree and kept:
                probe_of(graph.rows, graph.scale, graph.frame, e, probe)
                to_q = distance(graph.rows, graph.scale, probe, q)
                for j in range(kept):
                    if distance(graph.rows, graph.scale, probe, row[j]) <= to_q:
                        good = False
                        break
            if good:
                row[kept] = e
                kept += 1
    row[kept:] = -1


@kernel
def relink(graph, layer, node, candidates, count):
    """Choose the links of a node anew among these candidates."""
    ids, distances = np.empty(count, np.int32), np.empty(count, np.float32)
    probe = np.empty(graph.rows.shape[1], np.float32)
    probe_of(graph.rows, graph.scale, graph.frame, node, probe)
    for i in range(count):
        push(ids, distances, i, count, candidates[i], distance(graph.rows, graph.scale, probe, candidates[i]))
    select_neighbors_heuristic(graph, node, ids, count, len(links_of(graph, layer, node)), layer)


@kernel
def link(graph, layer, node, new, count):
    """Algorithm 1, lines 12–16, for one node: add links to ``new``; shrink where they are too many."""
    row = links_of(graph, layer, node)
    size = 0
    while size < len(row) and row[size] >= 0:
        size += 1
    both = np.empty(size + count, np.int32)
    both[:size] = row[:size]
    for i in range(count):
        known = False
        for j in range(size):
            known |= both[j] == new[i]
        if not known:
            both[size] = new[i]
            size += 1
    if size <= len(row):
        row[:size] = both[:size]
    else:
        relink(graph, layer, node, both, size)


@kernel
def adopt(graph, child, node):
    """Hang ``child`` into the tree below ``node``, or below a descendant that has room."""
    while graph.children[node] >= graph.upper.shape[1]:
        for e in graph.links[node]:
            if graph.parent[e] == node:
                node = e
                break
    graph.parent[child] = node
    graph.children[node] += 1
    link(graph, 0, node, np.full(1, child, np.int32), 1)
    link(graph, 0, child, np.full(1, node, np.int32), 1)


@kernel
def insert(graph, scratch, entry, ef, first, last):
    """Algorithm 1, INSERT, for the nodes first … last - 1, up to line 11: their own links."""
    probe = np.empty(graph.rows.shape[1], np.float32)
    for q in range(first, last):
        probe_of(graph.rows, graph.scale, graph.frame, q, probe)
        scratch.ids[0], scratch.distances[0], size = entry, distance(graph.rows, graph.scale, probe, entry), 1
        for layer in range(graph.level[entry], graph.level[q], -1):
            size = search_layer(graph, scratch, probe, 1, 1, layer)
        for layer in range(min(graph.level[entry], graph.level[q]), -1, -1):
            size = search_layer(graph, scratch, probe, size, ef, layer)
            select_neighbors_heuristic(graph, q, scratch.ids, size, graph.upper.shape[1], layer)


@kernel
def hang(graph, first, last):
    """Give each new node its place in the tree, and list its links as (target, source), packed in an int64."""
    room, found = len(graph.links), 0
    edges = np.empty((last - first) * (graph.level[first:last].max() + 2) * graph.upper.shape[1], np.int64)
    for q in range(first, last):
        best = graph.links[q, 0]
        for e in graph.links[q]:
            if e >= 0 and graph.children[e] < graph.upper.shape[1]:
                best = e
                break
        adopt(graph, q, best)
        for layer in range(graph.level[q] + 1):
            for e in links_of(graph, layer, q):
                if e >= 0:
                    edges[found] = (layer * room + e) << 32 | q
                    found += 1
    return np.sort(edges[:found])


@kernel
def connect(graph, edges, first, last):
    """Algorithm 1, lines 12–16, for a batch: the links back, target by target."""
    room, low = len(graph.links), (1 << 32) - 1
    if first > 0:
        while first < len(edges) and edges[first] >> 32 == edges[first - 1] >> 32:
            first += 1
    while first < last:
        stop = first
        while stop < len(edges) and edges[stop] >> 32 == edges[first] >> 32:
            stop += 1
        layer, node = divmod(edges[first] >> 32, room)
        link(graph, layer, node, edges[first:stop] & low, stop - first)
        first = stop


@kernel
def regrow(graph, dead, count):
    """The tree without the dead: an orphan goes to its nearest living ancestor, or to the new root."""
    parent = graph.parent[:count].copy()
    graph.children[:count] = 0
    root = -1
    for node in range(count):
        while parent[node] >= 0 and dead[parent[node]]:
            parent[node] = parent[parent[node]]
        if graph.parent[node] != parent[node] or dead[node]:
            graph.parent[node] = -1 
        elif parent[node] >= 0:
            graph.children[parent[node]] += 1
        if parent[node] < 0 and not dead[node] and root < 0:
            root = node
    for node in range(count):
        if not dead[node] and node != root and graph.parent[node] < 0:
            adopt(graph, node, root if parent[node] < 0 else parent[node])


@kernel
def repair(graph, dead, count):
    """Relink every survivor that pointed to a dead node, to what lay behind that node."""
    width = graph.links.shape[1]
    found, seen, mark = np.empty(width + width * width, np.int32), np.zeros(count, np.int32), 0
    for node in range(count):
        for layer in range(0 if dead[node] else graph.level[node] + 1):
            size, broken, mark = 0, False, mark + 1
            seen[node] = mark
            for e in links_of(graph, layer, node):
                if e >= 0:
                    broken |= dead[e]
                    for f in links_of(graph, layer, e) if dead[e] else np.full(1, e, np.int32):
                        if f >= 0 and not dead[f] and seen[f] != mark:
                            seen[f], found[size], size = mark, f, size + 1
            if broken:
                relink(graph, layer, node, found, size)


@kernel
def rename(matrix, new):
    """Give the nodes in a matrix of links their new numbers."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if matrix[i, j] >= 0:
                matrix[i, j] = new[matrix[i, j]]


@kernel(fastmath={"reassoc", "contract"})
def exact(vectors, node, query, l2):
    """The distance that the caller gets: squared L2, or minus the inner product."""
    total = np.float32(0)
    if l2:
        for j in range(len(query)):
            total += (query[j] - vectors[node, j]) ** 2
    else:
        for j in range(len(query)):
            total -= query[j] * vectors[node, j]
    return total


@kernel
def rerank_exact(vectors, query, l2, candidates, count, slots, distances):
    """The len(slots) nearest of the candidates, by their exact distances."""
    size, k = 0, len(slots)
    for i in range(count):
        for j in range(0, len(query), 16):
            prefetch(vectors, candidates[i], j)
    for i in range(count):
        d = exact(vectors, candidates[i], query, l2)
        if size < k or d < distances[size - 1]:
            push(slots, distances, size, k, candidates[i], d)
            size = min(size + 1, k)


@kernel
def knn_search(graph, scratch, vectors, entry, queries, probes, l2, ef, rerank, allowed, slots, distances):
    """Algorithm 5, K-NN-SEARCH, for each query; forbidden nodes carry the walk and leave after it."""
    ids = scratch.ids
    for i in range(len(queries)):
        ids[0], scratch.distances[0] = entry, distance(graph.rows, graph.scale, probes[i], entry)
        for layer in range(graph.level[entry], 0, -1):
            search_layer(graph, scratch, probes[i], 1, 1, layer)
        size = search_layer(graph, scratch, probes[i], 1, ef, 0)
        count = 0
        for j in range(size):
            if len(allowed) == 0 or allowed[ids[j]]:
                ids[count] = ids[j]
                count += 1
        rerank_exact(vectors, queries[i], l2, ids, min(count, rerank), slots[i], distances[i])


class HNSW(VectorIndex):
    """The graph index of Malkov and Yashunin.

    M: links of a new node in each layer; a node has at most M, in layer 0 at most 2M. 12–48.
    ef_construction: pool while building; ef: pool while searching, ≥ k. More: better and slower.
    codes: "int8" walks on one byte a dimension and measures the best ``rerank`` exactly; "float32" walks
        on the vectors themselves. workers: threads that build; the graph is the same for any number.
    """

    kind = "hnsw"
    tuning: ClassVar[tuple[str, ...]] = ("ef", "rerank")

    def __init__(
        self,
        dim: int,
        metric: Metric = "l2",
        M: int = 16,
        ef_construction: int = 200,
        ef: int = 64,
        seed: int = 0,
        codes: Literal["int8", "float32"] = "int8",
        workers: int = 1,
    ) -> None:
        super().__init__(dim, metric)
        if not 2 <= M <= 512 or ef_construction < 1 or ef < 1 or workers < 1:
            raise ValueError(
                f"M={M}, ef_construction={ef_construction}, ef={ef}, workers={workers}: M is 2 … 512, the others at least 1"
            )
        if codes not in ("int8", "float32"):
            raise ValueError(f"codes is {codes!r}; known are int8, float32")
        self.M, self.ef_construction, self.ef = M, ef_construction, ef
        self.seed, self.codes, self.workers = seed, codes, workers
        self._entry, self._drawn = -1, 0
        self._random = np.random.default_rng(seed)
        self._spare: list[Scratch] = []
        self._mean, self._spread = np.zeros(dim, np.float32), np.ones(dim, np.float32)
        self._vectors = np.empty((0, dim), np.float32)
        self._graph = Graph(
            np.empty((0, dim), np.int8) if codes == "int8" else self._vectors,
            np.empty((0, 2), np.float32),
            np.ones((2, dim), np.float32),
            np.empty((0, 2 * M), np.int32),
            np.empty((0, M), np.int32),
            *(np.empty(0, kind) for kind in (np.int32, np.int8, np.int32, np.int32)),
        )

    def _settings(self) -> dict[str, Any]:
        names = ("dim", "metric", "M", "ef_construction", "ef", "seed", "codes", "workers")
        return {name: getattr(self, name) for name in names}

    def _add(self, rows: Floats) -> None:
        old, new = len(self), len(self) + len(rows)
        try:
            self._place(rows, old, new)
            self._build(old, new)
        except BaseException:  # an interrupt, no memory: the new nodes leave the graph again
            self._drop(np.arange(old, min(new, len(self._vectors))), old)
            raise

    def _place(self, rows: Floats, old: int, new: int) -> None:
        """The new rows, their codes and their levels, without links."""
        graph, room = self._graph, len(self._vectors)
        self._vectors = grown(self._vectors, new)
        self._vectors[old:new] = rows
        level = (-np.log(1 - self._random.random(len(rows))) / np.log(self.M)).astype(np.int8)
        self._drawn += len(rows)
        upper = np.full((level.sum(), self.M), -1, np.int32)
        graph = graph._replace(
            rows=grown(graph.rows, new) if self.codes == "int8" else self._vectors,
            upper=np.concatenate([graph.upper, upper]) if len(upper) else graph.upper,
            **{name: grown(getattr(graph, name), new) for name in ("scale", "links", *PER_NODE)},
        )
        graph.links[old:new], graph.parent[old:new], graph.children[old:new] = -1, -1, 0
        graph.level[old:new] = level
        graph.upper_at[old:new] = len(graph.upper) - len(upper) + np.cumsum(level) - level
        self._graph = graph
        if len(self._vectors) > room:
            self._spare.clear()
            self._calibrate(new)
        self._encode(old if len(self._vectors) == room else 0, new)

    def _calibrate(self, count: int) -> None:
        """Fit the code to the vectors there are: done anew whenever the arrays grow."""
        vectors, frame = self._vectors[:count], self._graph.frame
        if self.metric != "ip":
            self._mean = vectors.mean(axis=0)
        if self.codes == "int8":
            spread = vectors.std(axis=0)
            self._spread = np.maximum(spread, spread.max() / 16) if spread.any() else np.ones_like(spread)
        frame[0] = self._spread**2
        frame[1] = 0 if self.codes == "int8" else self._mean

    def _encode(self, first: int, last: int) -> None:
        graph = self._graph
        for at in range(first, last, 4096):
            part = slice(at, min(at + 4096, last))
            rows = (self._vectors[part] - self._mean) / self._spread
            graph.scale[part, 0] = 1
            if self.codes == "int8":
                unit = np.abs(rows).max(axis=1, keepdims=True) / 127
                unit[unit == 0] = 1
                rows = np.rint(rows / unit)
                graph.rows[part], graph.scale[part, 0] = rows, unit[:, 0]
                rows *= unit * self._spread
            graph.scale[part, 1] = 0 if self.metric == "ip" else np.einsum("ij,ij->i", rows, rows) / 2

    def _build(self, at: int, new: int) -> None:
        """Insert in batches that grow: the nodes of one batch do not see each other, only the graph before."""
        graph, M = self._graph, self.M
        if at == 0:
            self._entry, at = 0, 1
        with ThreadPoolExecutor(self.workers) as pool:
            while at < new:
                stop = min(new, at + 1 + at // 64)
                higher = np.flatnonzero(graph.level[at:stop] > graph.level[self._entry])
                stop = at + int(higher[0]) + 1 if len(higher) else stop  # it opens a layer: it comes last
                entry = self._entry
                parts = self.workers if stop - at >= 16 * self.workers else 1
                run = map if parts == 1 else pool.map

                def walk(first: int, last: int, entry: int = entry) -> None:
                    with self._scratch(self.ef_construction) as scratch:
                        insert(graph, scratch, entry, self.ef_construction, first, last)

                cuts = np.linspace(at, stop, parts + 1).astype(int)
                list(run(walk, cuts[:-1], cuts[1:]))
                edges = hang(graph, at, stop)
                cuts = np.linspace(0, len(edges), parts + 1).astype(int)
                list(run(lambda first, last, edges=edges: connect(graph, edges, first, last), cuts[:-1], cuts[1:]))
                if len(higher):
                    self._entry = stop - 1
                at = stop

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        self._drop(gone, len(self), source, target)

    def _drop(self, gone: Ints, left: int, source: Ints = NOTHING, target: Ints = NOTHING) -> None:
        graph, count = self._graph, left + len(gone)
        dead = np.zeros(count, bool)
        dead[gone] = True
        regrow(graph, dead, count)
        repair(graph, dead, count)
        for array in (self._vectors, graph.rows, graph.scale, graph.links, *(getattr(graph, n) for n in PER_NODE)):
            array[target] = array[source]
        level = graph.level[:left].astype(np.int64)
        kept = np.repeat(graph.upper_at[:left] - np.cumsum(level) + level, level) + np.arange(level.sum())
        graph.upper_at[:left] = np.cumsum(level) - level
        self._graph = graph = graph._replace(upper=graph.upper[kept])
        new = np.arange(count, dtype=np.int32)
        new[source] = target
        for matrix in (graph.links[:left], graph.upper, graph.parent[:left, None]):
            rename(matrix, new)
        self._entry = int(level.argmax()) if left else -1

    @contextmanager
    def _scratch(self, ef: int) -> Iterator[Scratch]:
        """Scratch memory of its own for each walk at the same time."""
        try:
            scratch = self._spare.pop()
        except IndexError:
            room = len(self._vectors)
            scratch = Scratch(NOTHING, NOTHING, np.empty(2 * self.M, np.int32), np.zeros(room, np.uint8), np.zeros(1, np.int64))
        if len(scratch.ids) < ef:
            scratch = scratch._replace(ids=np.empty(ef, np.int32), distances=np.empty(ef, np.float32))
        yield scratch
        self._spare.append(scratch)

    def _search(self, queries: Floats, k: int, mask: Mask | None, ef: int = 0, rerank: int = 0) -> tuple[Ints, Floats]:
        slots, distances = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf, np.float32)
        ef = max(ef or self.ef, k)
        count, n = len(self) if mask is None else np.count_nonzero(mask), len(self)
        if mask is None or count * count > ef * self.M * n:
            ef = min(n, ef * n // count)
            probes = (queries - self._mean) * self._spread
            with self._scratch(ef) as scratch:
                knn_search(
                    self._graph, scratch, self._vectors, self._entry, queries, probes, self.metric == "l2",
                    ef, max(rerank or 2 * k, k), EVERY if mask is None else mask, slots, distances,
                )
        if mask is not None:
            for i in np.flatnonzero(slots[:, -1] < 0):  # a narrow filter
                slots[i], distances[i] = self._scan(queries[i], np.flatnonzero(mask), k)
        return slots, distances

    def _scan(self, query: Floats, slots: Ints, k: int) -> tuple[Ints, Floats]:
        vectors = self._vectors[slots]
        distances = ((vectors - query) ** 2).sum(axis=1) if self.metric == "l2" else -(vectors @ query)
        best = np.argpartition(distances, k - 1)[:k]
        best = best[np.argsort(distances[best])]
        return slots[best], distances[best]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        graph, n = self._graph, len(self)
        return {
            **{name: getattr(graph, name)[:n] for name in ("links", "upper_at", "level", "parent")},
            "vectors": self._vectors[:n], "upper": graph.upper, "mean": self._mean, "spread": self._spread,
            "state": np.array([self._entry, self._drawn]),
        }

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        raise NotImplementedError

    def _memory(self) -> int:
        arrays = [*self._graph, *(() if self.codes == "float32" else (self._vectors,))]
        return sum(array.nbytes for array in arrays)

    def _check(self) -> None:
        pass
