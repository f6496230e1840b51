"""The race of scans and lists: flat and IVF of this library and of faiss.

Both IVF search the same cells, trained by faiss and copied into ours, so that at the same nprobe they look
at the same vectors and find the same: what differs is the time. Training is a race of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np

from ragcourse.bench.index_board import Bar, Board, Side, least_effort
from ragcourse.bench.index_data import VectorSet
from ragcourse.bench.index_peers import Contestant, Faiss, Ours
from ragcourse.bench.index_race import (
    SINGLE,
    all_use,
    in_batch,
    megabytes,
    one_by_one,
    pair,
    recall_of,
    threads_said,
)
from ragcourse.bench.index_threads import threads
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.ivf import IVF

TARGETS = (0.95, 0.99)
NPROBES = (1, 2, 4, 8, 16, 32, 64)
_BATCH = 100
_BLAS_FROM = 20  # queries: from there on, tuned, faiss's flat index multiplies matrices, as ours does


def flat(board: Board) -> None:
    """Every vector looked at: one query a call, and a batch of 100."""
    for data in board.sets:
        indexes: dict[str, Contestant] = {
            "ours": Ours(Flat(data.dim)),
            "faiss": Faiss(faiss.IndexFlatL2(data.dim)),
        }
        for index in indexes.values():
            index.add(data.vectors)
        for count in board.thread_counts:
            board.progress(f"{data.name}: flat, {threads_said(count)}")
            calls = in_batch(indexes, data, queries=_BATCH)
            calls["tuned"] = _with_blas_from(_BLAS_FROM, calls["faiss"])
            with threads(count):
                all_use(indexes, count)
                batch = board.race(calls, per=1e6 / min(_BATCH, len(data.queries)))
                singles = board.race(one_by_one(indexes, data), per=1e6 / SINGLE)
            recalls = {name: recall_of(data, index) for name, index in indexes.items()}
            where = f"{data.name}, {threads_said(count)}"
            mine = Side("", batch["ours"], recalls["ours"])
            tuned = f"faiss, tuned (distance_compute_blas_threshold={_BLAS_FROM})"
            bar = Bar("flat, batch of 100", 0.95, 1.0) if count == 1 else None
            what = f"flat, batch of {_BATCH}, {where}"
            board.row(what, mine, Side(tuned, batch["tuned"], recalls["faiss"]), "µs/query", bar)
            board.row(what, mine, Side("faiss as shipped", batch["faiss"], recalls["faiss"]), "µs/query")
            board.row(f"flat, one query a call, {where}", *pair(singles, recalls), "µs/query")


def ivf(board: Board) -> None:
    """The same cells and nprobe on both sides: curves, and batches and single queries at two recalls."""
    for data in board.sets:
        nlist = lists_for(len(data.vectors))
        board.progress(f"{data.name}: IVF, {nlist} lists")
        both = _same_cells(data, nlist)
        mine, other = megabytes("", both["ours"]), megabytes("faiss, its file", both["faiss"])
        board.row(f"IVF memory, {data.name}", mine, other, "MB")
        curves: dict[str, list[dict[str, Any]]] = {name: [] for name in both}
        with threads(1):
            all_use(both, 1)
            for nprobe in [n for n in NPROBES if n <= nlist]:
                efforts = dict.fromkeys(both, nprobe)
                samples = board.race(in_batch(both, data, efforts), per=1e6 / len(data.queries))
                for name, index in both.items():
                    recall = recall_of(data, index, nprobe)
                    curves[name].append({"effort": nprobe, "recall": recall, "us": samples[name]})
        board.report.details["curves"][f"IVF, {data.name}"] = curves
        for target in TARGETS:
            nprobe = least_effort(partial(recall_of, data, both["ours"]), target, 1, nlist) or nlist
            for count in board.thread_counts:
                _at_recall(board, data, both, f"recall {target} (nprobe={nprobe} of {nlist})", nprobe, count)


def _at_recall(
    board: Board, data: VectorSet, both: dict[str, Contestant], what: str, nprobe: int, count: int
) -> None:
    efforts = dict.fromkeys(both, nprobe)
    board.progress(f"{data.name}: IVF at {what}, {threads_said(count)}")
    with threads(count):
        all_use(both, count)
        batch = board.race(in_batch(both, data, efforts), per=1e6 / len(data.queries))
        singles = board.race(one_by_one(both, data, efforts), per=1e6 / SINGLE)
    recalls = {name: recall_of(data, index, nprobe) for name, index in both.items()}
    asked = (
        (f"batch of {len(data.queries):,}", batch, Bar("IVF-Flat, batch", 1.0, 2.0)),
        ("one query a call", singles, Bar("IVF-Flat, one query", 1.0)),
    )
    for how, samples, bar in asked:
        said = f"IVF at {what}, {how}, {data.name}, {threads_said(count)}"
        board.row(said, *pair(samples, recalls), "µs/query", bar if count == 1 else None)


def lists_for(count: int) -> int:
    """About √n lists, as a power of two."""
    return 1 << round(float(np.log2(count)) / 2)


def _same_cells(data: VectorSet, nlist: int) -> dict[str, Contestant]:
    """IVF of faiss, trained by itself, and ours with the same centroids."""
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(data.dim), data.dim, nlist)
    index.train(data.vectors)
    both: dict[str, Contestant] = {
        "ours": Ours(IVF(data.dim, centroids=index.quantizer.reconstruct_n(0, nlist)), "nprobe"),
        "faiss": Faiss(index, lambda nprobe: faiss.SearchParametersIVF(nprobe=nprobe)),
    }
    for contestant in both.values():
        contestant.add(data.vectors)
    return both


def _with_blas_from(queries: int, search: Callable[[], object]) -> Callable[[], object]:
    """The same search while faiss multiplies matrices from so many queries on."""

    def tuned() -> object:
        before = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = queries
        try:
            return search()
        finally:
            faiss.cvar.distance_compute_blas_threshold = before

    return tuned
