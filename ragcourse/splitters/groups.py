"""Node groups: nodes cut from documents, or from the nodes of a parent group."""

from __future__ import annotations

import re
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


class GroupTree:
    """Node groups by name; each is cut from whole documents or from a group that was there before it.

    It begins with the presets: three sizes of chunk from whole documents, sentences from the medium one.
    """

    def __init__(self) -> None:
        presets = (
            NodeGroup("CoarseChunk", SentenceSplitter(1024, 100)),
            NodeGroup("MediumChunk", SentenceSplitter(256, 25)),
            NodeGroup("FineChunk", SentenceSplitter(128, 12)),
            NodeGroup("sentence", Sentences(), parent="MediumChunk"),
        )
        self._groups = {group.name: group for group in presets}

    def __getitem__(self, name: str) -> NodeGroup:
        """Raises ``ValueError`` that names the groups there are."""
        if name not in self._groups:
            raise ValueError(f"there is no group {name!r}; have {', '.join(self._groups)}")
        return self._groups[name]

    def define(self, name: str, transform: Splitter, parent: str = ROOT_GROUP) -> None:
        """Add a group, or cut one anew. Raises ``ValueError`` for what cannot be a group."""
        if parent != ROOT_GROUP and parent not in self._groups:
            raise ValueError(
                f"group {name!r}: there is no parent group {parent!r}; have {', '.join(self._groups)}"
            )
        if not callable(transform):
            raise ValueError(
                f"group {name!r}: transform is a {type(transform).__name__}, not a function of a text"
            )
        if not re.fullmatch(r"[A-Za-z0-9_]{0,63}[A-Za-z0-9]", name) or name == ROOT_GROUP:
            raise ValueError(
                f"{name!r} cannot name a group: use letters, digits and underscores, at most 64, a letter "
                f"or digit at the end, and not {ROOT_GROUP!r}, which is the whole text"
            )
        if parent != ROOT_GROUP and name in (group.name for group in self.chain([parent])):
            raise ValueError(
                f"group {name!r} would be cut from its own nodes: its parent {parent!r} comes from it"
            )
        self._groups[name] = NodeGroup(name, transform, parent)

    def chain(self, names: Iterable[str]) -> list[NodeGroup]:
        """These groups and all that they are cut from, parents first."""
        found: dict[str, NodeGroup] = {}

        def visit(name: str) -> None:
            if name != ROOT_GROUP and name not in found:
                visit(self[name].parent)
                found[name] = self[name]

        for name in names:
            visit(name)
        return list(found.values())


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
