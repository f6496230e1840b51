"""LazyLLM on its memory store, Chroma and Milvus Lite, as its reference texts set it up."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import tiktoken.registry

from ragcourse.bench.child import Library, Task
from ragcourse.bench.peers.common import sentences

# Importing LazyLLM downloads the token table of GPT-2, though the package ships it as r50k_base.
# Registered here from the shipped file, the import works without a network.
_TABLE = files("lazyllm") / "tokenizers" / "r50k_base.tiktoken"
_RANKS = (line.split() for line in _TABLE.read_text("ascii").splitlines())
tiktoken.registry.ENCODINGS["gpt2"] = tiktoken.Encoding(
    "gpt2",
    pat_str=r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    mergeable_ranks={b64decode(token): int(rank) for token, rank in _RANKS},
    special_tokens={"<|endoftext|>": 50256},
)

from lazyllm import Document, Retriever  # noqa: E402  (needs the table above)


class OurEmbedder:
    """The embedder that all contestants share, behind LazyLLM's interface, with its batching on."""

    batch_size = 1000

    def __init__(self, embedder: Any) -> None:
        self.embedder = embedder

    def __call__(self, texts: str | list[str], **_: Any) -> Any:
        """A list of numbers for a text, a list of such lists for a list."""
        vectors = self.embedder.embed([texts] if isinstance(texts, str) else texts).tolist()
        return vectors[0] if isinstance(texts, str) else vectors


class LazyLLMLibrary:
    """A started document collection with a retriever."""

    def __init__(self, documents: Document, retriever: Retriever) -> None:
        self.documents = documents
        self.retriever = retriever

    def ask(self, question: str, k: int) -> list[str]:
        """The texts of the k best passages."""
        return [node.get_text() for node in self.retriever(question, topk=k)]

    def count(self) -> int:
        """Nodes of the sentence group."""
        return len(self.documents.get_nodes(group="sentence"))

    def facts(self) -> Mapping[str, Any]:
        """Nothing: its stages cannot be told apart from outside."""
        return {}

    def close(self) -> None:
        """Nothing in its interface to close."""


def open_library(task: Task, embedder: Any) -> Library:
    """Declare the collection and the retriever, and start."""
    documents = Document(
        task.files,
        embed=OurEmbedder(embedder),
        store_conf=store_conf(task.store, Path(task.home)),
        manager=False,
    )
    documents.create_node_group("sentence", transform=sentences)
    retriever = Retriever(documents, group_name="sentence", similarity="cosine", topk=task.k)
    documents.start()
    return LazyLLMLibrary(documents, retriever)


def store_conf(store: str, home: Path) -> dict[str, Any]:
    """The configuration form of its reference texts."""
    if store == "chroma":
        return {"type": "chroma", "kwargs": {"dir": str(home / "chroma")}}
    if store == "milvus":
        index = {"index_type": "FLAT", "metric_type": "COSINE"}
        return {"type": "milvus", "kwargs": {"uri": str(home / "milvus.db"), "index_kwargs": index}}
    return {"type": "map"}
