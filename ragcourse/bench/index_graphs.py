"""The race of the graphs: HNSW of this library, of hnswlib and of faiss, and how its cost grows with the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter

from ragcourse.bench.index_board import Bar, Board, Side, least_effort
from ragcourse.bench.index_data import K, VectorSet, clustered
from ragcourse.bench.index_peers import Contestant, Ours, graphs
from ragcourse.bench.index_threads import threads
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.hnsw import HNSW

TARGETS = (0.95, 0.99)
PARAMETERS = "M=16, ef_construction=200"
_LARGEST_EF = 1000
_SINGLE = 200  # queries asked one by one


def hnsw(board: Board) -> None:
    """Search at equal recall, curves, builds and memory, on every set of vectors."""
    for data in board.sets:
        built = _build_each(board, data)
        _memory(board, data, built)
        with threads(1):
            _each_uses(built, 1)
            _curve(board, data, built)
        for count in board.thread_counts:
            with threads(count):
                _each_uses(built, count)
                _search(board, data, built, count)
    for data in board.sets:
        _build_race(board, data.first(min(board.sizes.build, len(data.vectors))))


def growth(board: Board) -> None:
    """Time of a query at recall 0.95, HNSW and scan, as the vectors get ten times as many."""
    sizes = board.sizes.growth
    whole = board.file or clustered(sizes[-1], board.sizes.sets[0][1], board.sizes.queries)
    kept = board.report.details["growth"]
    kept.update(sizes=list(sizes), data=whole.name, recall=[], ef=[], hnsw_us=[], hnsw_64_us=[], scan_us=[])
    with threads(1):
        candidates: dict[str, Callable[[], object]] = {}
        for size in sizes:
            board.progress(f"growth: {size:,} vectors")
            part = whole.first(size)
            graph, scan = Ours(HNSW(part.dim), "ef"), Ours(Flat(part.dim))
            graph.use(board.thread_counts[-1])
            graph.add(part.vectors)
            graph.use(1)
            scan.add(part.vectors)
            ef = _effort(graph, part, TARGETS[0]) or _LARGEST_EF
            kept["ef"].append(ef)
            kept["recall"].append(part.recall(graph.search(part.queries, K, ef)))
            one_by_one = part.queries[:_SINGLE]
            candidates |= {
                f"hnsw_us {size}": lambda graph=graph, ef=ef: graph.search(whole.queries, K, ef),
                f"hnsw_64_us {size}": lambda graph=graph: graph.search(whole.queries, K, 64),
                f"scan_us {size}": lambda scan=scan, few=one_by_one: [scan.search(q[None], K) for q in few],
            }
        board.progress("growth: searches, interleaved")
        samples = board.race(candidates)
    for name, seconds in samples.items():
        line = name.split()[0]
        asked = min(_SINGLE, len(whole.queries)) if line == "scan_us" else len(whole.queries)
        kept[line].append([1e6 * second / asked for second in seconds])
    times = sizes[-1] / sizes[0]
    what = f"time of a query, {sizes[0]:,} → {sizes[-1]:,} vectors, growth"
    for line, name, bar in (
        ("hnsw_us", f"HNSW at recall {TARGETS[0]}", Bar("growth", 1.0)),
        ("hnsw_64_us", "HNSW at ef=64", None),
        ("scan_us", "scan", None),
    ):
        grown = [last / first for first, last in zip(kept[line][0], kept[line][-1], strict=True)]
        limit = times / 4 if line != "scan_us" else times  # 2.5× where the data grows tenfold
        recall = min(kept["recall"]) if line == "hnsw_us" else None
        bar = bar if times >= 10 else None
        board.row(what, Side(name, grown, recall), Side("bar", [limit]), "×", bar)


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
    for ours in ("ours, int8", "ours, float32"):
        for peer in sorted(seconds.keys() - {"ours, int8", "ours, float32"}):
            what = f"HNSW build, {data.name}, {_threads(count)}, once"
            board.row(what, Side(ours, [seconds[ours]]), Side(peer, [seconds[peer]]), "s")
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
        samples = board.race({name: lambda make=make: build(make) for name, make in makers.items()})
    for ours in ("ours, int8", "ours, float32"):
        for peer in sorted(samples.keys() - {"ours, int8", "ours, float32"}):
            bar = Bar("HNSW build", 1.2, 2.0) if peer == "hnswlib" and ours == "ours, int8" else None
            what = f"HNSW build, {data.name}, 1 thread, {PARAMETERS}"
            board.row(what, Side(ours, samples[ours]), Side(peer, samples[peer]), "s", bar)


def _memory(board: Board, data: VectorSet, built: dict[str, Contestant]) -> None:
    for ours in ("ours, int8", "ours, float32"):
        for peer in sorted(built.keys() - {"ours, int8", "ours, float32"}):
            mine, theirs = Side(ours, [built[ours].size / 1e6]), Side(f"{peer}, its file", [built[peer].size / 1e6])
            board.row(f"HNSW memory, {data.name}", mine, theirs, "MB")


def _curve(board: Board, data: VectorSet, built: dict[str, Contestant]) -> None:
    """Recall and time at each ef, all contestants in turns."""
    curves = {name: [] for name in built}
    for ef in board.sizes.efforts:
        board.progress(f"{data.name}: curve, ef={ef}")
        samples = board.race(_searches(built, data, dict.fromkeys(built, ef)), per=1e6 / len(data.queries))
        for name, index in built.items():
            recall = data.recall(index.search(data.queries, K, ef))
            curves[name].append({"effort": ef, "recall": recall, "us": samples[name]})
    board.report.details["curves"][f"HNSW, {data.name}"] = curves


def _search(board: Board, data: VectorSet, built: dict[str, Contestant], count: int) -> None:
    """Everyone at the smallest ef that reaches the recall, in turns."""
    for target in TARGETS:
        board.progress(f"{data.name}: recall {target}, {_threads(count)}")
        efforts = {name: _effort(index, data, target) for name, index in built.items()}
        reached = {name: ef for name, ef in efforts.items() if ef is not None}
        board.report.notes += [
            f"{name}: no ef up to {_LARGEST_EF} reaches recall {target} on {data.name}"
            for name in efforts.keys() - reached.keys()
        ]
        recalls = {name: data.recall(built[name].search(data.queries, K, ef)) for name, ef in reached.items()}
        samples = board.race(_searches(built, data, reached), per=1e6 / len(data.queries))
        _compare(board, f"HNSW search at recall {target}, {data.name}, {_threads(count)}", samples, recalls, reached,
                 bar=count == 1 and data is not board.handbook)  # fmt: skip
        if count == 1 and target == TARGETS[0]:
            few = data.queries[:_SINGLE]
            single = {
                name: lambda index=built[name], ef=ef: [index.search(query[None], K, ef) for query in few]
                for name, ef in reached.items()
            }
            samples = board.race(single, per=1e6 / len(few))
            _compare(board, f"the same, one query a call, {data.name}", samples, recalls, reached, bar=False)


def _compare(
    board: Board, what: str, samples: dict[str, list[float]], recalls: dict[str, float], efforts: dict[str, int],
    *, bar: bool,
) -> None:  # fmt: skip
    """A row for each of ours against each of theirs, in µs a query."""
    ours = [name for name in samples if name.startswith("ours")]
    for mine in ours:
        for peer in [name for name in samples if name not in ours]:
            asked = Bar("HNSW search", 1.2, 1.9) if bar and mine == "ours, int8" else None
            sides = (Side(f"{name}, ef={efforts[name]}", samples[name], recalls[name]) for name in (mine, peer))
            board.row(what, *sides, "µs/query", asked)


def _searches(
    built: dict[str, Contestant], data: VectorSet, efforts: dict[str, int]
) -> dict[str, Callable[[], object]]:
    return {
        name: lambda index=built[name], ef=ef: index.search(data.queries, K, ef) for name, ef in efforts.items()
    }


def _effort(index: Contestant, data: VectorSet, target: float) -> int | None:
    """The smallest ef with that recall."""
    recall = cache(lambda ef: data.recall(index.search(data.queries, K, ef)))
    return least_effort(recall, target, K, min(_LARGEST_EF, len(data.vectors)))


def _each_uses(built: dict[str, Contestant], count: int) -> None:
    for index in built.values():
        index.use(count)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
