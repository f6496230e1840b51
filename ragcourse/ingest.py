"""Changed files become changes of a library: they are read and cut, and their nodes embedded."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragcourse.documents import Metadata, Node, check_metadata, content_hash
from ragcourse.embedders import Embedder
from ragcourse.folder_diff import FolderDiff
from ragcourse.manifest import Change, FileRecord
from ragcourse.progress import Progress
from ragcourse.readers import FileEntry, ReadError, read
from ragcourse.splitters import NodeGroup, cut
from ragcourse.start_report import StartReport
from ragcourse.stores import Store, Vectors
from ragcourse.timing import span

BATCH = 1000
"""Nodes that are written to the store and committed at a time, as long as a document is not longer."""


def with_title(node: Node) -> str:
    """What is embedded of a node by default: the document's title and the text."""
    title = node.metadata.get("title")
    return f"{title}: {node.text}" if title else node.text


@dataclass(frozen=True, slots=True)
class Cutter:
    """Reads files below ``folder`` and cuts them into the groups of ``chain``, parents first.

    Nodes of the groups ``searched`` go to a ``store``, which may set a limit to their length.
    """

    folder: Path
    chain: Sequence[NodeGroup]
    searched: Collection[str]
    store: type[Store]

    def batches(self, diff: FolderDiff, report: StartReport, progress: bool) -> Iterator[list[Change]]:
        """The new and changed files, in batches of about ``BATCH`` nodes.

        What became of each is written to ``report``; what cannot be opened now, to ``diff.unread``.
        """
        batch, size = list[Change](), 0
        added = {entry.id for entry in diff.added}
        work = [*diff.added, *diff.changed]
        with Progress(progress and bool(work)) as bar:
            bar.begin("reading, splitting, embedding", total=len(work))
            for entry in work:
                bar.advance()
                seen_ns = time.time_ns()
                try:
                    data = entry.path.read_bytes()
                except OSError as error:  # not its content is at fault: keep what we have of it
                    report.skipped.append((entry.id, f"cannot open the file: {error.strerror}"))
                    diff.unread.append(entry.id)
                    continue
                change = self.change(entry, data, seen_ns)
                if change.file and change.file.problem:
                    report.skipped.append((entry.id, change.file.problem))
                    if entry.id not in added:
                        report.removed.append(entry.id)  # what it held before is no longer in the folder
                else:
                    (report.added if entry.id in added else report.changed).append(entry.id)
                batch.append(change)
                size += len(change.nodes)
                if size >= BATCH:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch

    def change(self, entry: FileEntry, data: bytes, seen_ns: int) -> Change:
        """One file, as nodes or, if it cannot be read or kept, as the reason for that."""

        def record(problem: str | None, metadata: Metadata) -> FileRecord:
            return FileRecord(entry.id, entry.stamp, seen_ns, content_hash(data), problem, metadata)

        try:
            with span("read"):
                document = read(entry.path, self.folder, data)
                check_metadata(document.metadata, document.id)
        except ReadError as error:
            return Change(entry.id, record(str(error), {}), ())
        with span("split"):
            nodes = cut(document, self.chain)
        longest = max((len(node.text.encode()) for node in nodes if node.group in self.searched), default=0)
        if (limit := self.store.max_text) is not None and longest > limit:
            problem = f"a passage of {longest:,} bytes: the {self.store.kind} store keeps {limit:,}"
            return Change(entry.id, record(problem, {}), ())
        return Change(entry.id, record(None, document.metadata), nodes)


@dataclass(frozen=True, slots=True)
class NodeEmbedder:
    """Embeds nodes by ``text``, each mixed with its parent, which has the share ``context``."""

    embedder: Embedder
    text: Callable[[Node], str]
    context: float

    def embed(self, nodes: Sequence[Node], parents: Mapping[str, Node]) -> Vectors:
        """Unit vectors (n, dim); ``parents`` holds the parent of each node that has one, by id."""
        vectors = self.embedder.embed([self.text(node) for node in nodes])
        rows = [row for row, node in enumerate(nodes) if node.parent]
        if self.context and rows:
            names = [nodes[row].parent or "" for row in rows]
            place = {name: i for i, name in enumerate(dict.fromkeys(names))}
            around = self.embedder.embed([self.text(parents[name]) for name in place])
            mixed = (1 - self.context) * vectors[rows]
            mixed += self.context * around[[place[name] for name in names]]
            vectors[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return vectors
