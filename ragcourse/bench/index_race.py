"""What the races of vector indexes share: calls to be timed, recall, and words for a number of threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ragcourse.bench.index_board import Side
from ragcourse.bench.index_data import K, VectorSet
from ragcourse.bench.index_peers import Contestant

SINGLE = 100
"""Queries that are asked one by one."""

Indexes = Mapping[str, Contestant]
Efforts = Mapping[str, int]
Calls = dict[str, Callable[[], object]]

NONE: Efforts = {}
"""For indexes that have no knob."""


def in_batch(indexes: Indexes, data: VectorSet, efforts: Efforts = NONE, queries: int | None = None) -> Calls:
    """All queries, or the first so many, in one call."""

    def call(name: str) -> Callable[[], object]:
        return lambda: indexes[name].search(data.queries[:queries], K, efforts.get(name, 0))

    return {name: call(name) for name in indexes}


def one_by_one(indexes: Indexes, data: VectorSet, efforts: Efforts = NONE) -> Calls:
    """`SINGLE` queries, a call each."""
    few = [data.queries[i % len(data.queries)][None] for i in range(SINGLE)]

    def calls(name: str) -> Callable[[], object]:
        return lambda: [indexes[name].search(query, K, efforts.get(name, 0)) for query in few]

    return {name: calls(name) for name in indexes}


def recall_of(data: VectorSet, index: Contestant, effort: int = 0) -> float:
    """recall@10 over all queries."""
    return data.recall(index.search(data.queries, K, effort))


def megabytes(name: str, index: Contestant) -> Side:
    """A side that is judged by the size of its index."""
    return Side(name, [index.size / 1e6])


def pair(samples: Mapping[str, list[float]], recalls: Mapping[str, float]) -> tuple[Side, Side]:
    """Our side, which a row does not name, and that of faiss."""
    return Side("", samples["ours"], recalls["ours"]), Side("faiss", samples["faiss"], recalls["faiss"])


def all_use(indexes: Indexes, count: int) -> None:
    """So many threads for each."""
    for index in indexes.values():
        index.use(count)


def threads_said(count: int) -> str:
    """1 thread, 2 threads."""
    return "1 thread" if count == 1 else f"{count} threads"
