"""Recall: a question becomes the passages that may answer it."""

from __future__ import annotations

from ragcourse.documents import Hit
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.stores import Where
from ragcourse.timing import span


class Retriever:
    """``retriever(query)`` → the ``k`` best hits of one group of a knowledge base, best first.

    ``target`` names an ancestor group: small nodes are matched, the larger ones that they were cut
    from are returned, each once, with the score of its best child. Without a ``group`` the default
    is just that: the knowledge base's first group is matched, its parents are returned. ``index``
    is a registered one, and brings its group; the default is the store's own search. ``where``
    filters: field → value or allowed values.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        group: str | None = None,
        k: int = 5,
        *,
        index: str = "default",
        target: str | None = None,
        where: Where | None = None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least one hit")
        self.kb, self.k, self.index, self.where = kb, k, index, where
        self.group = group or kb.index_group(index)
        if index != "default" and where:
            raise ValueError(f"index {index!r} knows no filter; use the default index with where=…")
        if index != "default" and (held := kb.index_group(index)) != self.group:
            raise ValueError(f"index {index!r} holds nodes of group {held!r}, not of {self.group!r}")
        kb.search_group(self.group)
        if group is None and target is None:
            target = kb.parent_group(self.group)
        self._path = _path(kb, self.group, target)

    def __call__(self, query: str, k: int | None = None) -> list[Hit]:
        """Hits for a question. Raises ``ValueError`` for an empty one and for k < 1."""
        k = self.k if k is None else k
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least one hit")
        if not query.strip():
            raise ValueError("the query is empty; ask something")
        if self.index == "default":
            with span("embed query"):
                vector = self.kb.embedder.embed([query])[0]
        fetch = k if not self._path else 4 * k
        while True:
            with span("search"):
                if self.index == "default":
                    hits = self.kb.search(vector, fetch, self.group, self.where)
                else:
                    hits = list(self.kb.index(self.index).query(query, fetch))
            found = self._ancestors(hits, k) if self._path else hits
            if len(found) >= k or len(hits) < fetch:
                return found[:k]
            fetch *= 4  # a few parents hold all the best children: look further

    def _ancestors(self, hits: list[Hit], k: int) -> list[Hit]:
        with span("parents"):
            for group in self._path:
                best: dict[str, float] = {}
                for hit in hits:
                    if hit.node.parent is not None:
                        best.setdefault(hit.node.parent, hit.score)  # hits come best first
                wanted = list(best)[:k] if group == self._path[-1] else list(best)
                hits = [Hit(node, best[node.id]) for node in self.kb.get(wanted, group)]
        return hits


def _path(kb: KnowledgeBase, group: str, target: str | None) -> list[str]:
    """The groups on the way from ``group`` up to ``target``."""
    path: list[str] = []
    current: str | None = group
    while target is not None and current != target:
        current = kb.parent_group(current) if current else None
        if current is None:
            raise ValueError(f"{target!r} is no ancestor of {group!r}; those are {', '.join(path) or 'none'}")
        path.append(current)
    return path
