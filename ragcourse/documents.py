"""What flows through the pipeline: a document is cut into nodes, a search returns hits.

    file ─readers→ Document ─splitters→ Node ─stores/indexes→ Hit

All three are immutable. Ids are stable: a document is named by its path inside the folder, a node
by a hash of everything that is stored of it. Two nodes with one id are therefore equal, and a node
that an edit did not touch keeps its id, its vector and its place in the store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar]

ROOT_GROUP = "document"
"""The group at the top of every chain of parents: whole documents."""


def content_hash(*parts: str | bytes) -> str:
    """128-bit BLAKE2b of the parts, in hex; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one file. ``id`` is its path relative to the folder, with forward slashes."""

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The document's own title, or its file name without an ending."""
        return str(self.metadata.get("title") or self.id.rsplit("/", 1)[-1].rsplit(".", 1)[0])


@dataclass(frozen=True, slots=True)
class Node:
    """A passage of a document.

    ``start`` and ``end`` are character offsets in the document's text (-1 for text that is not a
    span of it, such as a summary). ``parent`` is the id of the node that this one was cut from.
    """

    id: str
    text: str
    document: str
    group: str
    start: int = -1
    end: int = -1
    parent: str | None = None
    metadata: Metadata = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        text: str,
        *,
        document: str,
        group: str,
        start: int = -1,
        end: int = -1,
        parent: str | None = None,
        metadata: Metadata | None = None,
        occurrence: int = 0,
    ) -> Node:
        """A node whose id is the hash of its content. ``occurrence`` tells equal texts apart."""
        metadata = metadata or {}
        identity = repr((start, end, parent, occurrence, sorted(metadata.items())))
        node_id = content_hash(document, group, text, identity)
        return cls(node_id, text, document, group, start, end, parent, metadata)


@dataclass(frozen=True, slots=True)
class Hit:
    """A node that a search found. ``score`` is a similarity: higher is better."""

    node: Node
    score: float


def check_metadata(metadata: Mapping[str, Any], where: str) -> None:
    """Refuse metadata that some store could not keep and filter by."""
    for key, value in metadata.items():
        if not re.fullmatch(r"\w[\w -]*", key):
            raise ValueError(f"{where}: {key!r} cannot name a metadata field; use letters, digits, - and _")
        if not isinstance(value, (str, int, float, bool)):
            raise ValueError(
                f"{where}: metadata field {key!r} holds a {type(value).__name__}; "
                "a store keeps text, numbers and booleans"
            )
        limit = math.inf if isinstance(value, float) else 2**63
        if not isinstance(value, str) and not abs(value) < limit:
            raise ValueError(f"{where}: metadata field {key!r} holds {value}, a number that no store keeps")
