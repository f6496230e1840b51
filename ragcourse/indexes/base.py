"""What a node-level index promises: three methods, as in the reference practice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ragcourse.documents import Hit, Node


class Index(Protocol):
    """Kept up to date by the knowledge base: it sees each committed node once."""

    def update(self, nodes: Sequence[Node]) -> None:
        """Take in nodes; one whose id is known already replaces it."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Forget nodes; unknown ids are ignored."""
        ...

    def query(self, query: str, k: int) -> Sequence[Hit]:
        """At most ``k`` hits, best first."""
        ...
