"""Key structures to compare, and what those of Python objects take: counted in a process apart.

    python -m ragcourse.bench.index_memory NAME COUNT

prints bytes, as tracemalloc counts them. Keys and values are there before, and are not counted: every
structure refers to the same.
What a C extension takes from the system itself, as BTrees does, tracemalloc does not see.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ragcourse.bench.process import ChildFailed

Build = Callable[[list[Any]], Any]


def random_keys(count: int, seed: int = 0) -> list[int]:
    """``count`` different whole numbers in random order."""
    keys: list[int] = np.random.default_rng(seed).choice(2**40, count, replace=False).tolist()
    return keys


def english(count: int) -> list[str]:
    """``count`` English words, spread evenly over all, in random order; or all, where there are fewer."""
    from ragcourse.words import english_words

    words = english_words()
    some = words[:: max(1, len(words) // count)][:count]
    return [some[i] for i in np.random.default_rng(0).permutation(len(some))]


def sorted_dict(keys: Iterable[int]) -> Any:
    """A SortedDict, filled key by key."""
    from sortedcontainers import SortedDict

    tree = SortedDict()
    for key in keys:
        tree[key] = None
    return tree


def bplus_tree(keys: Iterable[int]) -> Any:
    """Our B+ tree, filled key by key."""
    from ragcourse.indexes.keys import BPlusTree

    tree: BPlusTree[int, None] = BPlusTree()
    for key in keys:
        tree.add(key, None)
    return tree


def btree(keys: Iterable[int]) -> Any:
    """Our B-tree, filled key by key."""
    from ragcourse.indexes.keys import BTree

    tree: BTree[int, None] = BTree(order=64)
    for key in keys:
        tree.add(key, None)
    return tree


def skip_list(keys: Iterable[int]) -> Any:
    """Our skip list, filled key by key."""
    from ragcourse.indexes.keys import SkipList

    tree: SkipList[int, None] = SkipList()
    for key in keys:
        tree.add(key, None)
    return tree


def oobtree(keys: Iterable[int]) -> Any:
    """The tree of any ordered keys of BTrees, filled key by key."""
    from BTrees.OOBTree import OOBTree

    tree = OOBTree()
    for key in keys:
        tree[key] = None
    return tree


def object_trie(words: Iterable[str]) -> Any:
    """Our trie of one object a node."""
    from ragcourse.indexes.keys import Trie

    trie: Trie[int] = Trie()
    trie.add_all((word, 0) for word in words)
    return trie


BUILDERS: dict[str, tuple[Callable[[int], list[Any]], Build]] = {
    "sorted_dict": (random_keys, sorted_dict),
    "bplus_tree": (random_keys, bplus_tree),
    "object_trie": (english, object_trie),
}


def built_bytes(name: str, count: int) -> int:
    """Bytes of one of `BUILDERS` with so many keys."""
    command = [sys.executable, "-m", "ragcourse.bench.index_memory", name, str(count)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if child.returncode:
        raise ChildFailed(f"measuring the memory of {name} failed: {child.stderr.strip()[-300:]}")
    return int(json.loads(child.stdout))


def main(name: str, count: str) -> None:
    """The inside of the process."""
    make, build = BUILDERS[name]
    build(make(10))  # what is imported or compiled does not count
    keys = make(int(count))
    gc.collect()
    tracemalloc.start()
    kept = build(keys)
    gc.collect()
    print(tracemalloc.get_traced_memory()[0])
    del kept


if __name__ == "__main__":
    main(*sys.argv[1:])
