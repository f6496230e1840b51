"""What a query costs beyond embedding it and searching the store, and how good its hits are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from ragcourse.bench.ours import store_conf
from ragcourse.bench.process import Progress
from ragcourse.bench.questions import sample_questions
from ragcourse.bench.report import Report, our_versions
from ragcourse.bench.startup import STORES, copy_documents
from ragcourse.embedders import StaticEmbedder
from ragcourse.evaluate import load_questions, recall_at_k
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.paths import HANDBOOK, QUESTIONS
from ragcourse.recall import Retriever
from ragcourse.stores import make_store
from ragcourse.timing import percentile

K = 5
ROUNDS = 5
OVERHEAD_BAR_MS = 0.3
RECALL_BAR = 0.80


@dataclass
class Samples:
    """Milliseconds of a whole query and of the two parts that are not the library's, a question each."""

    whole: list[float] = field(default_factory=list)
    embed: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)

    @property
    def parts(self) -> list[float]:
        """Embedding + the store's own search."""
        return [embed + search for embed, search in zip(self.embed, self.search, strict=True)]

    @property
    def overhead(self) -> list[float]:
        """The rest: what the library adds, question by question."""
        return [whole - parts for whole, parts in zip(self.whole, self.parts, strict=True)]


def query(report: Report, *, rounds: int | None, quick: bool, progress: Progress) -> None:
    """``ragcourse bench query``: overhead, latency and recall@5 of the default set-up in each store."""
    rounds = rounds or (1 if quick else ROUNDS)
    report.versions = our_versions()
    embedder = StaticEmbedder()
    texts = sample_questions(20 if quick else 100)
    with TemporaryDirectory(prefix="ragcourse-query-") as scratch:
        files = Path(scratch) / "files"
        copy_documents(HANDBOOK, files, limit=6 if quick else None)
        libraries: dict[str, KnowledgeBase] = {}
        try:
            for store in STORES:
                progress(f"ingest: {store}")
                libraries[store] = KnowledgeBase(files, store_conf(store, Path(scratch) / store), embedder)
                libraries[store].start()
            samples = {store: Samples() for store in STORES}
            for turn in range(rounds + 1):
                for store, kb in libraries.items():
                    progress(f"round {turn} of {rounds}: {store}" if turn else f"warm-up: {store}")
                    ask(Samples() if turn == 0 else samples[store], kb, texts)
            for store in STORES:
                add_latency(report, store, samples[store])
            for store, kb in libraries.items():
                progress(f"recall: {store}")
                add_recall(report, store, kb)
            progress("Milvus before and after flush")
            add_flush(report, libraries["map"], Path(scratch) / "flush", texts)
        finally:
            for kb in libraries.values():
                kb.close()


def ask(samples: Samples, kb: KnowledgeBase, texts: Sequence[str]) -> None:
    """Time each question whole, and within it the embedding and the store's search."""
    embed, search = Stopwatch(), Stopwatch()
    with timed(kb.embedder, "embed", embed), timed(kb.store(), "search", search):
        retriever = Retriever(kb, k=K)
        for text in texts:
            embed.seconds = search.seconds = 0.0
            started = perf_counter()
            retriever(text)
            samples.whole.append((perf_counter() - started) * 1e3)
            samples.embed.append(embed.seconds * 1e3)
            samples.search.append(search.seconds * 1e3)


@dataclass
class Stopwatch:
    """Seconds spent in the calls that it times."""

    seconds: float = 0.0


@contextmanager
def timed(thing: object, method: str, stopwatch: Stopwatch) -> Iterator[None]:
    """Inside the block, calls of ``thing.method`` are timed; it costs them less than a microsecond."""
    inner = getattr(thing, method)

    def outer(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            stopwatch.seconds += perf_counter() - started

    setattr(thing, method, outer)
    try:
        yield
    finally:
        delattr(thing, method)


def add_latency(report: Report, store: str, samples: Samples) -> None:
    """The overhead against its bar, the whole query against its parts, p50 and p99 in the details."""
    report.add(f"library overhead of a query, {store}", "bar", "ms", samples.overhead, [OVERHEAD_BAR_MS])
    report.add(f"query, {store}", "embedding + the store's search", "ms", samples.whole, samples.parts)
    report.details.setdefault("query_ms", {})[store] = {
        "p50": percentile(samples.whole, 50),
        "p99": percentile(samples.whole, 99),
        "embed_p50": percentile(samples.embed, 50),
        "search_p50": percentile(samples.search, 50),
        "overhead_p50": percentile(samples.overhead, 50),
    }


def add_recall(report: Report, store: str, kb: KnowledgeBase) -> None:
    """recall@5 of the default retriever on the shipped questions whose document is in the library."""
    held = set(kb.documents())
    questions = [asked for asked in load_questions(QUESTIONS) if asked.document in held | {None}]
    recall = recall_at_k(Retriever(kb, k=K), questions, K)
    share = recall.recall
    report.add(f"recall@{K}, {store}", "bar", "share", [share], [RECALL_BAR], better="higher", recall=share)
    report.details.setdefault("recall", {})[store] = {
        "found": recall.found,
        "answerable": recall.answerable,
        "unanswerable": recall.unanswerable,
        "by_kind": {kind: list(counts) for kind, counts in recall.by_kind.items()},
    }


def add_flush(report: Report, source: KnowledgeBase, home: Path, texts: Sequence[str]) -> None:
    """A search in Milvus right after adding, and after the flush that our store always does."""
    embedder = source.embedder
    vectors = embedder.embed(texts)
    store = make_store(store_conf("milvus", home), embedder.dim)
    try:
        for nodes, rows in source.store().items():
            store.add(nodes, rows)
        timed: dict[str, list[float]] = {"before": [], "after": []}
        for phase, kept in timed.items():
            if phase == "after":
                store.flush()
            store.search(vectors[0], K)
            for vector in vectors[:20]:
                started = perf_counter()
                store.search(vector, K)
                kept.append((perf_counter() - started) * 1e3)
        report.add("search in Milvus after flush", "before flush", "ms", timed["after"], timed["before"])
        report.details["milvus_flush_nodes"] = store.count()
        report.details["milvus_flush_ms"] = {phase: median(kept) for phase, kept in timed.items()}
    finally:
        store.close()
