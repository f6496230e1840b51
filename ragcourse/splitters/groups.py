"""Node groups: nodes cut from documents, or from the nodes of a parent group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ragcourse.documents import ROOT_GROUP, Document, Metadata, Node
from ragcourse.splitters.chunkers import Sentences, SentenceSplitter, Splitter
from ragcourse.splitters.spans import Span


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """How the nodes of a group are made: from each node of ``parent``, by ``transform``."""

    name: str
    transform: Splitter
    parent: str = ROOT_GROUP


def default_groups() -> dict[str, NodeGroup]:
    """The presets: three sizes of chunk from whole documents, and sentences from the medium one."""
    presets = (
        NodeGroup("CoarseChunk", SentenceSplitter(1024, 100)),
        NodeGroup("MediumChunk", SentenceSplitter(256, 25)),
        NodeGroup("FineChunk", SentenceSplitter(128, 12)),
        NodeGroup("sentence", Sentences(), parent="MediumChunk"),
    )
    return {group.name: group for group in presets}


def cut(document: Document, groups: Sequence[NodeGroup]) -> list[Node]:
    """All nodes of a document in all ``groups``, which are ordered parents first.

    Chunks overlap, so two parents can hold the same sentence: it becomes one node, of the first.
    """
    made: dict[str, list[Node]] = {}
    metadata = {"title": document.title, **document.metadata}  # one for all nodes
    for group in groups:
        parents = [None] if group.parent == ROOT_GROUP else made[group.parent]
        unique: dict[tuple[int, int] | str, Node] = {}
        for parent in parents:
            for node in _cut_text(document, group, parent, metadata):
                unique.setdefault((node.start, node.end) if node.start >= 0 else node.id, node)
        made[group.name] = list(unique.values())
    return [node for nodes in made.values() for node in nodes]


def _cut_text(
    document: Document, group: NodeGroup, parent: Node | None, metadata: Metadata
) -> Iterator[Node]:
    text = parent.text if parent else document.text
    offset = parent.start if parent else 0
    repeats: dict[str, int] = {}
    try:
        parts = group.transform(text)
    except Exception as error:
        error.add_note(f"The splitter of group {group.name!r} failed on {document.id}")
        raise
    for start, end, part in _parts(text, parts, group.name):
        placed = start >= 0 and offset >= 0
        repeats[part] = repeats.get(part, -1) + 1
        yield Node.make(
            part,
            document=document.id,
            group=group.name,
            start=start + offset if placed else -1,
            end=end + offset if placed else -1,
            parent=parent.id if parent else None,
            metadata=metadata,
            occurrence=0 if placed else repeats[part],
        )


def _parts(text: str, parts: Sequence[Span] | Sequence[str], group: str) -> Iterator[tuple[int, int, str]]:
    """Spans as they are; strings are looked up in the text, in order, to learn their place."""
    if not isinstance(parts, Iterable):
        raise _wrong_part(group, parts)
    previous, cursor = -1, 0  # begin and end of the part before
    for part in [parts] if isinstance(parts, str) else parts:
        if isinstance(part, str):
            if piece := part.strip():
                start = text.find(piece, cursor)
                if start < 0:  # one that overlaps
                    start = text.find(piece, previous + 1)
                if start >= 0:
                    previous, cursor = start, start + len(piece)
                yield start, start + len(piece) if start >= 0 else -1, piece
        elif isinstance(part, tuple) and len(part) == 2:
            start, end = part
            if not 0 <= start <= end <= len(text):
                raise ValueError(
                    f"the splitter of group {group!r} returned the span {part} "
                    f"of a text with {len(text)} characters"
                )
            if text[start:end].strip():
                yield start, end, text[start:end]
        else:
            raise _wrong_part(group, part)


def _wrong_part(group: str, part: object) -> ValueError:
    return ValueError(
        f"the splitter of group {group!r} returned a {type(part).__name__}; "
        "return strings, or spans (start, end)"
    )
