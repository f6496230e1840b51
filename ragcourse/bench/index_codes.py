"""The race of the codes: PQ and IVF-PQ of this library and of faiss; FastScan beside them.

Ours gets the cells and codebooks that faiss has trained, so that both search the same codes and find the
same: what differs is the time. Training is a race of its own.
"""

from __future__ import annotations

from typing import Any

import faiss

from ragcourse.bench.index_board import Bar, Board, Side
from ragcourse.bench.index_data import Floats, K, VectorSet
from ragcourse.bench.index_lists import lists_for
from ragcourse.bench.index_peers import Contestant, Faiss, Ours
from ragcourse.bench.index_race import all_use, in_batch, megabytes, recall_of, threads_said
from ragcourse.bench.index_threads import threads
from ragcourse.indexes.vectors.ivf_pq import IVFPQ
from ragcourse.indexes.vectors.pq import PQ, ProductQuantizer

PART = 8
"""Dimensions that a byte stands for."""

RERANK = 50
_SAMPLE = 20_000  # vectors to train on
FASTSCAN = (
    "faiss's FastScan keeps the table of distances in the processor's registers and looks up 32 codes in one "
    "instruction. Neither NumPy nor Numba can be told to do so: it stands beside ours, out of reach."
)


def pq(board: Board) -> None:
    """PQ and IVF-PQ, without and with re-ranking."""
    for data in board.sets:
        m, nlist, sample = data.dim // PART, lists_for(len(data.vectors)), data.vectors[:_SAMPLE]
        board.progress(f"{data.name}: training PQ of {m} bytes")
        index, fast = faiss.IndexPQ(data.dim, m, 8), faiss.IndexPQFastScan(data.dim, 2 * m, 4)
        for trained in (index, fast):
            trained.train(sample)
        ours = PQ(data.dim, quantizer=ProductQuantizer.from_codebooks(codebooks(index.pq)))
        _race(board, data, f"PQ, {m} bytes", ours, index, fast)

        board.progress(f"{data.name}: training IVF-PQ of {nlist} lists")
        nprobe = max(1, nlist // 8)
        index = faiss.IndexIVFPQ(faiss.IndexFlatL2(data.dim), data.dim, nlist, m, 8)
        fast = faiss.IndexIVFPQFastScan(faiss.IndexFlatL2(data.dim), data.dim, nlist, 2 * m, 4)
        for trained in (index, fast):
            trained.train(sample)
            trained.nprobe = nprobe
        same: dict[str, Any] = {
            "nprobe": nprobe,
            "centroids": index.quantizer.reconstruct_n(0, nlist),
            "quantizer": ProductQuantizer.from_codebooks(codebooks(index.pq)),
        }
        refined = faiss.IndexRefineFlat(faiss.clone_index(index))
        refined.k_factor = RERANK / K
        where = f"{m} bytes, nprobe={nprobe} of {nlist}"
        _race(board, data, f"IVF-PQ, {where}", IVFPQ(data.dim, **same), index, fast)
        ours_refined = IVFPQ(data.dim, rerank=RERANK, **same)
        _race(board, data, f"IVF-PQ, {where}, {RERANK} measured again", ours_refined, refined)
    board.report.notes.append(FASTSCAN)


def codebooks(quantizer: Any) -> Floats:
    """The words of a product quantizer of faiss, (m, words, dim / m)."""
    words: Floats = faiss.vector_to_array(quantizer.centroids)
    return words.reshape(quantizer.M, quantizer.ksub, quantizer.dsub)


def _race(
    board: Board, data: VectorSet, what: str, ours: PQ | IVFPQ, theirs: Any, beside: Any = None
) -> None:
    """Ours against theirs on the same codes; the one ``beside`` has other codes, of as many bytes."""
    peer = f"faiss {type(theirs).__name__}"
    indexes: dict[str, Contestant] = {"": Ours(ours), peer: Faiss(theirs)}
    if beside is not None:
        indexes[f"faiss {type(beside).__name__}"] = Faiss(beside)
    for index in indexes.values():
        index.add(data.vectors)
    for count in board.thread_counts:
        board.progress(f"{data.name}: {what}, {threads_said(count)}")
        with threads(count):
            all_use(indexes, count)
            samples = board.race(in_batch(indexes, data), per=1e6 / len(data.queries))
        sides = {name: Side(name, samples[name], recall_of(data, index)) for name, index in indexes.items()}
        for name in [name for name in indexes if name]:
            bar = Bar("PQ and IVF-PQ", 1.2, 1.5) if count == 1 and name == peer else None
            board.row(f"{what}, {data.name}, {threads_said(count)}", sides[""], sides[name], "µs/query", bar)
    mine, other = megabytes("", indexes[""]), megabytes(f"{peer}, its file", indexes[peer])
    board.row(f"{what}, memory, {data.name}", mine, other, "MB")
