"""Key indexes, from scratch: keys in, values out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragcourse.indexes.keys.base import ALL, KeyIndex
from ragcourse.indexes.keys.bplus_tree import BPlusTree
from ragcourse.indexes.keys.btree import BTree
from ragcourse.indexes.keys.counting import Counter
from ragcourse.indexes.keys.hash_table import HashTable
from ragcourse.indexes.keys.linear import LinearScan
from ragcourse.indexes.keys.skip_list import SkipList
from ragcourse.indexes.keys.trie import Trie

if TYPE_CHECKING:
    from ragcourse.indexes.keys.static_trie import StaticTrie

__all__ = [
    "ALL",
    "BPlusTree",
    "BTree",
    "Counter",
    "HashTable",
    "KeyIndex",
    "LinearScan",
    "SkipList",
    "StaticTrie",
    "Trie",
]


def __getattr__(name: str) -> Any:
    """``StaticTrie`` is loaded when it is first used: the compiler behind it takes a while."""
    if name == "StaticTrie":
        from ragcourse.indexes.keys.static_trie import StaticTrie

        return StaticTrie
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
