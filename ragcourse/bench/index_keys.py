"""The race of the key structures: ours against SortedDict, BTrees and marisa-trie, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import marisa_trie

from ragcourse.bench.index_board import Bar, Board, Side
from ragcourse.bench.index_memory import (
    bplus_tree,
    btree,
    built_bytes,
    english,
    oobtree,
    random_keys,
    skip_list,
    sorted_dict,
)
from ragcourse.indexes.keys import StaticTrie

Build = Callable[[Sequence[int]], Any]
Scan = Callable[[Any, int, int], object]

_RANGE = 1000  # entries, or a quarter of all
_RANGES = 200
_LOOK_UPS = 20_000


PEERS: dict[str, Build] = {"SortedDict": sorted_dict, "BTrees.OOBTree": oobtree}


def keys(board: Board) -> None:
    """Trees over random whole numbers, tries over English words."""
    _trees(board, {"B+ tree": bplus_tree}, board.sizes.keys)
    _trees(board, {"B-tree": btree, "skip list": skip_list}, board.sizes.keys // 10)
    _tree_memory(board, board.sizes.keys)
    _tries(board)


def _trees(board: Board, ours: dict[str, Build], count: int) -> None:
    builders = ours | PEERS
    drawn = random_keys(count)
    board.progress(f"keys: {count:,} insertions each")
    inserted = board.race({name: partial(build, drawn) for name, build in builders.items()}, 1e6 / count)
    trees = {name: build(drawn) for name, build in builders.items()}

    ordered = sorted(drawn)
    width = min(_RANGE, count // 4)
    step = max(1, (count - width) // _RANGES)
    bounds = [(ordered[i], ordered[i + width]) for i in range(0, count - width, step)][:_RANGES]
    board.progress("keys: ranges and look-ups")
    scans: dict[str, Scan] = dict.fromkeys(builders, _our_range)
    scans |= {"SortedDict": _sorted_dict_range, "BTrees.OOBTree": _oobtree_range}
    ranged = board.race(
        {name: partial(_scan_each, scans[name], tree, bounds) for name, tree in trees.items()},
        1e6 / len(bounds),
    )
    some = drawn[:: max(1, count // _LOOK_UPS)]
    found = board.race(
        {name: partial(_get_each, tree, some) for name, tree in trees.items()}, 1e6 / len(some)
    )
    for mine in ours:
        for peer in PEERS:
            asked = mine == "B+ tree" and peer == "SortedDict"
            for what, samples, unit, must in (
                (f"insert, {count:,} random keys", inserted, "µs/key", 1.1),
                (f"range of {width:,} of {count:,}", ranged, "µs/range", 10.0),
                (f"look-up in {count:,}", found, "µs/key", None),
            ):
                bar = Bar(f"B+ tree, {what}", must) if asked and must else None
                board.row(what, Side(mine, samples[mine]), Side(peer, samples[peer]), unit, bar)


def _tree_memory(board: Board, count: int) -> None:
    board.progress("keys: memory of the trees")
    ours = Side("B+ tree", [built_bytes("bplus_tree", count) / 1e6])
    theirs = Side("SortedDict", [built_bytes("sorted_dict", count) / 1e6])
    board.row(f"memory of {count:,} entries", ours, theirs, "MB", Bar("B+ tree, memory", 1 / 0.35))


def _scan_each(scan: Scan, tree: Any, bounds: list[tuple[int, int]]) -> None:
    for low, high in bounds:
        scan(tree, low, high)


def _get_each(tree: Any, some: list[int]) -> None:
    get = tree.get
    for key in some:
        get(key)


def _our_range(tree: Any, low: int, high: int) -> object:
    return list(tree.range(low, high))


def _sorted_dict_range(tree: Any, low: int, high: int) -> object:
    return [(key, tree[key]) for key in tree.irange(low, high, (True, False))]


def _oobtree_range(tree: Any, low: int, high: int) -> object:
    return list(tree.items(low, high, excludemax=True))


def _tries(board: Board) -> None:
    wanted = board.sizes.words
    words = english(wanted)
    board.progress(f"keys: tries of {len(words):,} words")
    ours: StaticTrie[int] = StaticTrie(words)
    theirs = marisa_trie.Trie(words)
    asked = [word if i % 2 else word + "q" for i, word in enumerate(words)]  # half of them mostly unknown
    prefixes = [word[:4] for word in words[:500]]
    built = board.race({"ours": lambda: StaticTrie(words), "marisa-trie": lambda: marisa_trie.Trie(words)})
    found = board.race(
        {
            "ours": lambda: ours.find_many(asked),
            "ours, one a call": lambda: [ours.get(word) for word in asked],
            "marisa-trie": lambda: [theirs.get(word, -1) for word in asked],
        },
        1e6 / len(asked),
    )
    listed = board.race(
        {
            "ours": lambda: [[word for word, _ in ours.prefix(prefix)] for prefix in prefixes],
            "marisa-trie": lambda: [theirs.keys(prefix) for prefix in prefixes],
        },
        1e6 / len(prefixes),
    )
    agree = (ours.find_many(asked) >= 0).tolist() == [theirs.get(word, -1) >= 0 for word in asked]
    board.report.require(agree, "our trie and marisa-trie do not know the same words")
    count = f"{len(words):,} words"
    for what, samples, unit, bar in (
        (f"look-up in a batch of {count}", found, "µs/word", Bar("trie, look-up in batches", 0.9)),
        ("words with a prefix of 4 letters", listed, "µs/prefix", None),
        (f"build, {count}", built, "s", None),
    ):
        board.row(
            what, Side("static trie", samples["ours"]), Side("marisa-trie", samples["marisa-trie"]), unit, bar
        )
    alone = Side("static trie, one a call", found["ours, one a call"])
    board.row(f"look-up of {count}", alone, Side("marisa-trie", found["marisa-trie"]), "µs/word")
    mine = Side("static trie", [ours.memory_bytes / 1e6])
    board.progress("keys: memory of one object a node")
    objects = Side("one object a node", [built_bytes("object_trie", wanted) / 1e6])
    board.row(f"memory of {count}", mine, objects, "MB", Bar("trie, memory", 30.0))
    board.row(f"memory of {count}", mine, Side("marisa-trie, its file", [len(theirs.tobytes()) / 1e6]), "MB")
