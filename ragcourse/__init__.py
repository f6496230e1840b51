"""Make your RAG fast: the library that the course teaches with.

    from ragcourse import RAG, KnowledgeBase, Retriever

    with KnowledgeBase("data/handbook") as kb:
        kb.start()
        print(RAG(Retriever(kb)).answer("What does a warm start skip?"))

``import ragcourse`` imports nothing else: each name below loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragcourse.documents import Document, Hit, Node
    from ragcourse.embedders import Embedder, StaticEmbedder
    from ragcourse.knowledge_base import KnowledgeBase
    from ragcourse.rag import RAG, Answer
    from ragcourse.recall import Retriever
    from ragcourse.splitters import RecursiveSplitter, SentenceSplitter
    from ragcourse.stores import Store, make_store
    from ragcourse.timing import Comparison, Trace, measure, span, tracing

__version__ = "0.1.0"

_HOME = {
    "Document": "documents",
    "Hit": "documents",
    "Node": "documents",
    "Embedder": "embedders",
    "StaticEmbedder": "embedders",
    "KnowledgeBase": "knowledge_base",
    "Answer": "rag",
    "RAG": "rag",
    "Retriever": "recall",
    "RecursiveSplitter": "splitters",
    "SentenceSplitter": "splitters",
    "Store": "stores",
    "make_store": "stores",
    "Comparison": "timing",
    "Trace": "timing",
    "measure": "timing",
    "span": "timing",
    "tracing": "timing",
}

__all__ = [
    "RAG",
    "Answer",
    "Comparison",
    "Document",
    "Embedder",
    "Hit",
    "KnowledgeBase",
    "Node",
    "RecursiveSplitter",
    "Retriever",
    "SentenceSplitter",
    "StaticEmbedder",
    "Store",
    "Trace",
    "__version__",
    "make_store",
    "measure",
    "span",
    "tracing",
]


def __getattr__(name: str) -> Any:
    """Load the module that ``name`` lives in, once (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'ragcourse' has no attribute {name!r}")
    value = getattr(import_module(f"ragcourse.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
