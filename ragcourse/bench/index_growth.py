"""How the time of a query grows with the data: HNSW's hardly, that of a scan in proportion."""

from __future__ import annotations

from ragcourse.bench.index_board import Bar, Board, Side
from ragcourse.bench.index_data import clustered
from ragcourse.bench.index_graphs import LARGEST_EF, TARGETS, effort_for
from ragcourse.bench.index_peers import Contestant, Ours
from ragcourse.bench.index_race import SINGLE, in_batch, one_by_one, recall_of
from ragcourse.bench.index_threads import threads
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.hnsw import HNSW

AT_RECALL, AT_64, SCAN = f"HNSW at recall {TARGETS[0]}", "HNSW at ef=64", "scan"
_MOST = 2.5  # times, where the data grows tenfold


def growth(board: Board) -> None:
    """The first 10,000, 30,000 and 100,000 of the same vectors, the same queries, one thread."""
    if board.file:
        whole = board.file
        sizes = [len(whole.vectors) // part for part in (10, 3, 1)]
    else:
        sizes = list(board.sizes.growth)
        whole = clustered(sizes[-1], board.sizes.sets[0][1], board.sizes.queries)
    graphs: dict[str, Contestant] = {}
    scans: dict[str, Contestant] = {}
    efforts, recalls = {}, {}
    for size in sizes:
        board.progress(f"growth: {size:,} vectors")
        part, name = whole.first(size), str(size)
        graphs[name], scans[name] = Ours(HNSW(part.dim), "ef"), Ours(Flat(part.dim))
        graphs[name].use(board.thread_counts[-1])
        for index in (graphs[name], scans[name]):
            index.add(part.vectors)
            index.use(1)
        efforts[name] = effort_for(graphs[name], part, TARGETS[0]) or LARGEST_EF
        recalls[name] = recall_of(part, graphs[name], efforts[name])
    board.progress("growth: searches, in turns")
    per = 1e6 / len(whole.queries)
    with threads(1):
        lines = {
            AT_RECALL: board.race(in_batch(graphs, whole, efforts), per),
            AT_64: board.race(in_batch(graphs, whole, dict.fromkeys(graphs, 64)), per),
            SCAN: board.race(one_by_one(scans, whole), 1e6 / SINGLE),
        }
    board.report.details["growth"] = {
        "data": whole.name,
        "sizes": sizes,
        "us": {name: list(samples.values()) for name, samples in lines.items()},
        "ef": list(efforts.values()),
        "recall": list(recalls.values()),
    }
    tenfold = sizes[-1] >= 10 * sizes[0]
    for name, samples in lines.items():
        few, *_, many = samples.values()
        times = [last / first for first, last in zip(few, many, strict=True)]
        limit = sizes[-1] / sizes[0] if name == SCAN else _MOST
        side = Side(name, times, min(recalls.values()) if name == AT_RECALL else None)
        what = f"growth of a query's time, {sizes[0]:,} → {sizes[-1]:,} vectors"
        bar = Bar("growth below 2.5×", 1.0) if tenfold and name == AT_RECALL else None
        board.row(what, side, Side("bar" if name != SCAN else "growth of the data", [limit]), "×", bar)
