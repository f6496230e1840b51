"""``ragcourse bench indexes``: our indexes against hnswlib, faiss, marisa-trie, SortedDict and BTrees.

All in one process and on the same data, taking turns, with one thread and with all; every timing of an
approximate search has its recall beside it. No parameter is fitted to a data set: both sides get the same M,
ef_construction, nlist and bytes a code, and the knob that buys recall is turned until both reach the same.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from ragcourse.bench.index_board import QUICK, Board, Sizes, bars_table
from ragcourse.bench.index_peers import missing_peers, require_peers
from ragcourse.bench.process import Progress
from ragcourse.bench.report import Report, our_versions, write_atomically
from ragcourse.paths import RESULTS

PARTS = ("flat", "kmeans", "ivf", "pq", "hnsw", "growth", "keys")
_OF_FILE = PARTS[:-1]


def indexes(
    report: Report,
    *,
    rounds: int | None,
    quick: bool,
    progress: Progress,
    only: str | None = None,
    file: Path | None = None,
) -> None:
    """Fill the report: all of `PARTS`, or ``only`` one; on the course's vectors, or on those in ``file``.

    Unless it is ``quick``, a run writes the table of bars and the pictures of its parts beside its results.
    Raises ``ValueError`` for an unknown part or a file without usable vectors, ``RuntimeError`` for a peer
    that is not installed.
    """
    if only is not None and only not in PARTS:
        raise ValueError(f"--only {only}: there is no such part; have {', '.join(PARTS)}")
    if file is not None and only == "keys":
        raise ValueError("--only keys has no use for the vectors of --file; leave one of them out")
    require_peers()
    from ragcourse.bench.index_files import from_file

    sizes = QUICK if quick else Sizes()
    board = Board(report, sizes, rounds or sizes.rounds, progress)
    if file is not None:
        progress(f"reading {file}")
        board.file = from_file(file, sizes.queries)
    report.versions = our_versions() | _versions()
    report.notes += missing_peers()
    for part in [only] if only else PARTS if file is None else _OF_FILE:
        _part(part)(board)
    describe(board)
    if quick:
        return
    written = [write_atomically(RESULTS / f"{report.name}.md", bars_table(report.details))]
    from ragcourse.bench.index_plots import draw

    written += draw(report.details, RESULTS, "indexes" if file is None else report.name)
    for path in written:
        progress(f"written: {path}")


def describe(board: Board) -> None:
    """What a reader must know to judge the figures, in the details of the report."""
    import faiss

    from ragcourse.bench.index_data import effective_dimension

    if "sets" in vars(board):  # made because a part has asked for them
        board.report.details["data"] = {
            data.name: {
                "vectors": len(data.vectors),
                "queries": len(data.queries),
                "effective_dimension": round(effective_dimension(data.vectors), 1),
            }
            for data in board.sets
        }
    board.report.details["faiss"] = faiss.get_compile_options().strip()
    board.report.details["threads"] = board.thread_counts


def _part(name: str) -> Callable[[Board], None]:
    """A part is imported when it runs: the parts on vectors load faiss and the compiler."""
    if name == "keys":
        from ragcourse.bench.index_keys import keys

        return keys
    from ragcourse.bench.index_codes import pq
    from ragcourse.bench.index_graphs import hnsw
    from ragcourse.bench.index_growth import growth
    from ragcourse.bench.index_lists import flat, ivf
    from ragcourse.bench.index_training import training

    return {"flat": flat, "kmeans": training, "ivf": ivf, "pq": pq, "hnsw": hnsw, "growth": growth}[name]


def _versions() -> dict[str, str]:
    versions = {}
    packages = ("numba", "faiss-cpu", "hnswlib", "marisa-trie", "sortedcontainers", "BTrees", "english-words")
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
