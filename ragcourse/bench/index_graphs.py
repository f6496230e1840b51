"""The race of the graphs: HNSW of this library, of hnswlib and of faiss, with the same parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, partial
from time import perf_counter
from typing import Any

from ragcourse.bench.index_board import Bar, Board, Side, least_effort
from ragcourse.bench.index_data import K, VectorSet
from ragcourse.bench.index_peers import Contestant, graphs
from ragcourse.bench.index_race import (
    SINGLE,
    all_use,
    in_batch,
    megabytes,
    one_by_one,
    recall_of,
    threads_said,
)
from ragcourse.bench.index_threads import threads

TARGETS = (0.95, 0.99)
PARAMETERS = "M=16, ef_construction=200"
LARGEST_EF = 1000
SEARCH = Bar("HNSW search", 1.2, 1.9)


def hnsw(board: Board) -> None:
    """Search at equal recall, curves and memory on every set of vectors; builds on the first two."""
    for data in board.sets:
        built = _build_each(board, data)
        _memory(board, data, built)
        with threads(1):
            all_use(built, 1)
            _curve(board, data, built)
        for target in TARGETS:
            _search(board, data, built, target)
    for data in board.sets[:2]:
        _build_race(board, data.first(min(board.sizes.build, len(data.vectors))))


def _build_each(board: Board, data: VectorSet) -> dict[str, Contestant]:
    """Every graph over all vectors, built once, with all threads; the time is one sample a side."""
    built, seconds = {}, {}
    count = board.thread_counts[-1]
    with threads(count):
        for name, make in graphs(data.dim, len(data.vectors)).items():
            board.progress(f"{data.name}: building, {name}")
            built[name] = make()
            built[name].use(count)
            begin = perf_counter()
            built[name].add(data.vectors)
            seconds[name] = perf_counter() - begin
    what = f"HNSW build, {data.name}, {threads_said(count)}, once"
    _rows(board, what, {name: Side(name, [taken]) for name, taken in seconds.items()}, "s")
    return built


def _build_race(board: Board, data: VectorSet) -> None:
    """The same builds, smaller, in turns, with one thread."""
    board.progress(f"{data.name}: builds, interleaved")

    def build(make: Callable[[], Contestant]) -> None:
        index = make()
        index.use(1)
        index.add(data.vectors)

    makers = graphs(data.dim, len(data.vectors))
    with threads(1):
        samples = board.race({name: partial(build, make) for name, make in makers.items()})
    what = f"HNSW build, {data.name}, 1 thread, {PARAMETERS}"
    sides = {name: Side(name, taken) for name, taken in samples.items()}
    _rows(board, what, sides, "s", Bar("HNSW build", 1.2, 2.0), ("hnswlib",))


def _memory(board: Board, data: VectorSet, built: dict[str, Contestant]) -> None:
    said = {name: name if name.startswith("ours") else f"{name}, its file" for name in built}
    sides = {name: megabytes(said[name], index) for name, index in built.items()}
    _rows(board, f"HNSW memory, {data.name}", sides, "MB")


def _curve(board: Board, data: VectorSet, built: dict[str, Contestant]) -> None:
    """Recall and time at each ef, all contestants in turns."""
    curves: dict[str, list[dict[str, Any]]] = {name: [] for name in built}
    for ef in board.sizes.efforts:
        board.progress(f"{data.name}: curve, ef={ef}")
        samples = board.race(in_batch(built, data, dict.fromkeys(built, ef)), per=1e6 / len(data.queries))
        for name, index in built.items():
            recall = recall_of(data, index, ef)
            curves[name].append({"effort": ef, "recall": recall, "us": samples[name]})
    board.report.details["curves"][f"HNSW, {data.name}"] = curves


def _search(board: Board, data: VectorSet, built: dict[str, Contestant], target: float) -> None:
    """Everyone at the smallest ef that reaches the recall, in turns."""
    board.progress(f"{data.name}: HNSW at recall {target}")
    found = {name: effort_for(index, data, target) for name, index in built.items()}
    efforts = {name: ef for name, ef in found.items() if ef is not None}
    board.report.notes += [
        f"{name}: no ef up to {LARGEST_EF} reaches recall {target} on {data.name}"
        for name in found.keys() - efforts.keys()
    ]
    able = {name: built[name] for name in efforts}
    recalls = {name: recall_of(data, index, efforts[name]) for name, index in able.items()}
    for count in board.thread_counts:
        with threads(count):
            all_use(able, count)
            batch = board.race(in_batch(able, data, efforts), per=1e6 / len(data.queries))
            singles = board.race(one_by_one(able, data, efforts), per=1e6 / SINGLE) if count == 1 else {}
        what, where = f"HNSW search at recall {target}", f"{data.name}, {threads_said(count)}"
        bar = SEARCH if count == 1 else None
        _rows(board, f"{what}, {where}", _sides(batch, recalls, efforts), "µs/query", bar)
        _rows(board, f"{what}, one query a call, {where}", _sides(singles, recalls, efforts), "µs/query")


def _sides(
    samples: dict[str, list[float]], recalls: dict[str, float], efforts: dict[str, int]
) -> dict[str, Side]:
    return {name: Side(f"{name}, ef={efforts[name]}", samples[name], recalls[name]) for name in samples}


def _rows(
    board: Board,
    what: str,
    sides: dict[str, Side],
    unit: str,
    bar: Bar | None = None,
    against: Collection[str] = ("hnswlib", "faiss"),
) -> None:
    """Each of ours against each of theirs; the bar is there for our default against some of them."""
    for mine in [name for name in sides if name.startswith("ours")]:
        for peer in [name for name in sides if not name.startswith("ours")]:
            asked = bar if mine == "ours, int8" and peer in against else None
            board.row(what, sides[mine], sides[peer], unit, asked)


def effort_for(index: Contestant, data: VectorSet, target: float) -> int | None:
    """The smallest ef with that recall."""
    recall = cache(partial(recall_of, data, index))
    return least_effort(recall, target, K, min(LARGEST_EF, len(data.vectors)))
