"""Our side of a measured process: a knowledge base with counters on its readers and its embedder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from ragcourse.bench.child import Task
from ragcourse.bench.peers.common import sentences
from ragcourse.documents import Node
from ragcourse.embedders import Embedder, StaticEmbedder
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.readers import READERS, Reader
from ragcourse.recall import Retriever
from ragcourse.start_report import StartReport
from ragcourse.stores import Vectors
from ragcourse.timing import Trace, tracing


class CountingEmbedder:
    """Another embedder that counts the texts it is given."""

    def __init__(self, embedder: Embedder) -> None:
        self.inner = embedder
        self.name, self.dim, self.fingerprint = embedder.name, embedder.dim, embedder.fingerprint
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """What the other one embeds, (n, dim) float32."""
        self.texts += len(texts)
        return self.inner.embed(texts)


class Counter:
    """Counts the documents that any of the readers parses, from now on and in this whole process."""

    def __init__(self) -> None:
        self.parsed = 0
        for ending, reader in READERS.items():
            READERS[ending] = self._counted(reader)

    def _counted(self, reader: Reader) -> Reader:
        @wraps(reader)
        def count(data: bytes) -> Any:
            self.parsed += 1
            return reader(data)

        return count


def store_conf(store: str, home: Path) -> dict[str, Any]:
    """The configuration of one of our stores inside ``home``."""
    if store == "milvus":
        index = {"index_type": "FLAT", "metric_type": "COSINE"}
        return {"type": "milvus", "kwargs": {"uri": str(home / "library.db"), "index_kwargs": index}}
    if store == "map":
        return {"type": "map"}
    return {"type": store, "kwargs": {"dir": str(home)}}


def text_alone(node: Node) -> str:
    """What the peers embed of a node; our default adds the document's title."""
    return node.text


class OurLibrary:
    """A started knowledge base, and what its start did."""

    def __init__(
        self,
        kb: KnowledgeBase,
        report: StartReport,
        trace: Trace,
        counter: Counter,
        embedder: CountingEmbedder,
    ) -> None:
        self.kb = kb
        self.retriever = Retriever(kb)
        self._facts: dict[str, Any] = {
            "parsed": counter.parsed,
            "embedded": embedder.texts,
            "skipped": [list(item) for item in report.skipped],
            "stages": {name: trace.total(name) for name in dict.fromkeys(span.name for span in trace.spans)},
        }

    def ask(self, question: str, k: int) -> list[str]:
        """The texts of the k best nodes."""
        return [hit.node.text for hit in self.retriever(question)[:k]]

    def count(self) -> int:
        """Nodes that the store itself holds, whatever the manifest believes."""
        return self.kb.store().count()

    def facts(self) -> Mapping[str, Any]:
        """Documents parsed and texts embedded by the start; seconds by stage."""
        return self._facts

    def note(self, **facts: Any) -> None:
        """Add to the facts."""
        self._facts |= facts

    def holds(self, passages: Sequence[str]) -> list[str]:
        """Those of ``passages`` that some node in the store contains."""
        texts = [node.text for nodes, _ in self.kb.store().items() for node in nodes]
        return [passage for passage in passages if any(passage in text for text in texts)]

    def close(self) -> None:
        """Release store, manifest and lock."""
        self.kb.close()


def open_library(task: Task, embedder: Embedder | None) -> OurLibrary:
    """Start a knowledge base. ``options["peers"]``: with the sentences and texts that peers get."""
    counter = Counter()
    counting = CountingEmbedder(embedder or StaticEmbedder())
    conf = store_conf(task.store, Path(task.home))
    if task.options.get("peers"):
        kb = KnowledgeBase(task.files, conf, counting, embed_text=text_alone)
        kb.create_node_group("sentence", sentences)
    else:
        kb = KnowledgeBase(task.files, conf, counting)
    with tracing() as trace:
        report = kb.start()
    library = OurLibrary(kb, report, trace, counter, counting)
    if passages := task.options.get("look_for"):
        library.note(holds=library.holds(passages))
    return library
