"""LlamaIndex on Chroma: build the index when the collection is empty, else open it.

With ``options["sync"]`` it runs its ingestion pipeline with a document store instead, which does
notice new, changed and deleted documents.
"""

# Base classes come from an environment where mypy does not look.
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chromadb
from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser.interface import TextSplitter
from llama_index.core.schema import Document
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from pydantic import PrivateAttr

from ragcourse.bench.child import Library, Stages, Task
from ragcourse.bench.peers.common import COLLECTION, sentences


class OurEmbedder(BaseEmbedding):
    """The embedder that all contestants share, behind LlamaIndex's interface."""

    _embedder: Any = PrivateAttr()

    def __init__(self, embedder: Any) -> None:
        super().__init__(model_name="shared", embed_batch_size=1000)
        self._embedder = embedder

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed(texts).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class SentenceSplitter(TextSplitter):
    """The sentences that all contestants share, behind LlamaIndex's interface."""

    def split_text(self, text: str) -> list[str]:
        """The sentences of a text."""
        return sentences(text)


class LlamaIndexLibrary:
    """An index over an open collection."""

    def __init__(self, index: VectorStoreIndex, collection: Any, k: int, stages: Stages) -> None:
        self.retriever = index.as_retriever(similarity_top_k=k)
        self.collection = collection
        self.stages = stages

    def ask(self, question: str, k: int) -> list[str]:
        """The texts of the k best passages; k was set when the index was opened."""
        return [found.node.get_content() for found in self.retriever.retrieve(question)]

    def count(self) -> int:
        """Passages in the collection."""
        return int(self.collection.count())

    def facts(self) -> Mapping[str, Any]:
        """Seconds by stage."""
        return {"stages": self.stages.seconds}

    def close(self) -> None:
        """Chroma's client needs no closing."""


def open_library(task: Task, embedder: Any) -> Library:
    """Open the index, and build it if the collection is empty."""
    stages = Stages()
    model = OurEmbedder(embedder)
    with stages("client"):
        client = chromadb.PersistentClient(task.home)
    with stages("collection"):
        collection = client.get_or_create_collection(COLLECTION, metadata={"hnsw:space": "cosine"})
        vectors = ChromaVectorStore(chroma_collection=collection)
    with stages("ingest"):
        if task.options.get("sync"):
            synchronise(task, vectors, model)
        if task.options.get("sync") or collection.count():
            index = VectorStoreIndex.from_vector_store(vectors, embed_model=model)
        else:
            index = VectorStoreIndex.from_documents(
                documents(task.files),
                storage_context=StorageContext.from_defaults(vector_store=vectors),
                embed_model=model,
                transformations=[SentenceSplitter()],
            )
    return LlamaIndexLibrary(index, collection, task.k, stages)


def documents(folder: str) -> list[Document]:
    """All documents, read."""
    return list(SimpleDirectoryReader(folder, recursive=True, filename_as_id=True).load_data())


def synchronise(task: Task, vectors: ChromaVectorStore, model: OurEmbedder) -> None:
    """Compare all documents with the document store, add and delete what changed."""
    kept = str(Path(task.home) / "pipeline")
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), model],
        vector_store=vectors,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )
    if Path(kept).is_dir():
        pipeline.load(kept)
    pipeline.run(documents=documents(task.files))
    pipeline.persist(kept)
