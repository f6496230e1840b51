"""LangChain on Chroma, as its users keep a library: add the documents when the collection is empty.

With ``options["sync"]`` it runs its indexing API instead, which does notice changes: it reads and
hashes all documents on every start and keeps what it has seen in a second database.
"""

# Base classes come from an environment where mypy does not look.
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chromadb
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_text_splitters import TextSplitter

from ragcourse.bench.child import Library, Stages, Task
from ragcourse.bench.peers.common import COLLECTION, sentences, texts


class OurEmbedder(Embeddings):
    """The embedder that all contestants share, behind LangChain's interface."""

    def __init__(self, embedder: Any) -> None:
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text."""
        vectors: list[list[float]] = self.embedder.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self.embed_documents([text])[0]


class SentenceSplitter(TextSplitter):
    """The sentences that all contestants share, behind LangChain's interface."""

    def split_text(self, text: str) -> list[str]:
        """The sentences of a text."""
        return sentences(text)


class LangChainLibrary:
    """An open collection."""

    def __init__(self, store: Chroma, stages: Stages) -> None:
        self.store = store
        self.stages = stages

    def ask(self, question: str, k: int) -> list[str]:
        """The texts of the k best passages."""
        return [document.page_content for document in self.store.similarity_search(question, k=k)]

    def count(self) -> int:
        """Passages in the collection."""
        return int(self.store._collection.count())

    def facts(self) -> Mapping[str, Any]:
        """Seconds by stage."""
        return {"stages": self.stages.seconds}

    def close(self) -> None:
        """Chroma's client needs no closing."""


def open_library(task: Task, embedder: Any) -> Library:
    """Open the collection, and fill it if it is empty."""
    stages = Stages()
    with stages("client"):
        client = chromadb.PersistentClient(task.home)
    with stages("collection"):
        store = Chroma(
            COLLECTION,
            embedding_function=OurEmbedder(embedder),
            client=client,
            collection_metadata={"hnsw:space": "cosine"},
        )
    with stages("ingest"):
        if task.options.get("sync"):
            synchronise(store, task)
        elif store._collection.count() == 0:
            store.add_documents(passages(task.files))
    return LangChainLibrary(store, stages)


def passages(folder: str) -> list[Document]:
    """All documents, split."""
    documents = [Document(page_content=text, metadata={"source": name}) for name, text in texts(folder)]
    return list(SentenceSplitter().split_documents(documents))


def synchronise(store: Chroma, task: Task) -> None:
    """Compare all documents with the records, add and delete what changed."""
    from langchain_classic.indexes import SQLRecordManager

    records = SQLRecordManager(COLLECTION, db_url=f"sqlite:///{Path(task.home) / 'records.db'}")
    records.create_schema()
    index(passages(task.files), records, store, cleanup="full", source_id_key="source", batch_size=1000)
