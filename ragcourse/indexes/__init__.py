"""Indexes over nodes: what ``KnowledgeBase.register_index`` takes."""

from ragcourse.indexes.base import Index

__all__ = ["Index"]
