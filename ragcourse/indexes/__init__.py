"""Indexes over nodes: what ``KnowledgeBase.register_index`` takes."""

from ragcourse.indexes.base import Index, VectorFed

__all__ = ["Index", "VectorFed"]
