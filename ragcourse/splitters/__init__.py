"""Documents become nodes: by sentence, recursively, by a fixed number of tokens, or by your function.

A splitter is called with a text and returns its parts, either as spans ``(start, end)`` or as
strings. ``chunk_size`` and ``chunk_overlap`` are in tokens: words and punctuation marks.
"""

from ragcourse.splitters.chunkers import (
    RecursiveSplitter,
    Sentences,
    SentenceSplitter,
    Splitter,
    TokenSplitter,
    fingerprint,
)
from ragcourse.splitters.groups import GroupTree, NodeGroup, cut
from ragcourse.splitters.spans import count_tokens

__all__ = [
    "GroupTree",
    "NodeGroup",
    "RecursiveSplitter",
    "SentenceSplitter",
    "Sentences",
    "Splitter",
    "TokenSplitter",
    "count_tokens",
    "cut",
    "fingerprint",
]
