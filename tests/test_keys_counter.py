"""What the counter of a key index counts, to the last comparison, on cases small enough to do by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ragcourse.indexes.keys import BPlusTree, BTree, Counter, HashTable, KeyIndex, LinearScan, SkipList, Trie

NUMBERS = [3, 8, 31, 11, 23]


def counted(index: KeyIndex[Any, Any], what: str, *arguments: Any) -> Counter:
    index.counter = Counter()
    answer = getattr(index, what)(*arguments)
    if what in ("range", "items", "prefix"):
        list(answer)
    counter, index.counter = index.counter, None
    return counter


def filled(index: KeyIndex[Any, Any]) -> Any:
    index.add_all((number, None) for number in NUMBERS)
    return index


def test_a_scan_looks_at_everything() -> None:
    scan = filled(LinearScan())
    assert counted(scan, "get", 3) == Counter(comparisons=5, visits=5)
    assert counted(scan, "get", 4) == Counter(comparisons=5, visits=5)


def test_a_trie_takes_a_step_a_letter() -> None:
    trie: Trie[int] = Trie()
    trie.add_all([("car", 1), ("cart", 2), ("dog", 3)])
    assert counted(trie, "get", "cart") == Counter(comparisons=4, visits=5)  # the root too
    assert counted(trie, "get", "cup") == Counter(comparisons=2, visits=2)  # there is no u below c
    assert counted(trie, "get", "carton") == Counter(comparisons=5, visits=5)
    assert counted(trie, "get", "") == Counter(comparisons=0, visits=1)


def test_a_hash_table_looks_along_one_chain() -> None:
    table = filled(HashTable(load_factor=100))
    total = Counter()
    table.counter = total
    for number in NUMBERS:
        table.get(number)
    chains = table.chain_lengths()
    assert sum(chains) == 5
    assert total == Counter(*2 * [sum(length * (length + 1) // 2 for length in chains)])


def test_a_btree_compares_in_few_nodes() -> None:
    tree = filled(BTree(order=5))
    assert tree.levels() == [[[11]], [[3, 8], [23, 31]]]
    assert counted(tree, "get", 8) == Counter(comparisons=1 + 2, visits=2)  # 8 < 11; 8 < 8, 3 < 8
    assert counted(tree, "get", 11) == Counter(comparisons=1, visits=1)
    assert counted(tree, "range", 4, 25).visits == 3


def test_a_bplus_tree_always_goes_to_the_leaf() -> None:
    tree = filled(BPlusTree(fanout=4))
    assert tree.levels() == [[[11]], [[3, 8], [11, 23, 31]]]
    assert counted(tree, "get", 8) == Counter(comparisons=1 + 2, visits=2 + 1)  # another 8 next door?
    assert counted(tree, "get", 3) == Counter(comparisons=1 + 2, visits=2)
    assert counted(tree, "add", 40, None) == Counter(comparisons=1 + 2, visits=2)
    assert counted(tree, "items").visits == 1  # and one was found from the root without a search


def test_a_skip_list_steps_over_smaller_keys() -> None:
    flat = filled(SkipList(p=1e-9))
    assert len(flat.levels()) == 1
    assert counted(flat, "get", 11) == Counter(comparisons=3, visits=2)  # 3 and 8 are smaller, 11 is not
    assert counted(flat, "rank", 40) == Counter(comparisons=5, visits=5)
    assert counted(flat, "add", 11, None) == Counter(comparisons=4, visits=3)  # behind the 11 that is there


@pytest.mark.parametrize("make", [LinearScan, Trie, HashTable, BTree, BPlusTree, SkipList])
def test_counting_changes_no_answer(make: type[KeyIndex[str, int]]) -> None:
    index = make()
    assert index.counter is None
    index.counter = counter = Counter()
    for place, word in enumerate(["cat", "car", "cart", "car", "dog"]):
        index.add(word, place)
    index.check()
    assert index.get("car") == [1, 3]
    assert index.remove("car", 3) == 1
    assert index.get("car") == [1]
    assert counter.comparisons > 0
    assert counter.visits > 0
    index.counter = None
    before = Counter(counter.comparisons, counter.visits)
    index.get("cart")
    assert counter == before


def test_a_wide_tree_needs_no_more_comparisons_than_a_narrow_one() -> None:
    """Both are binary searches over the same keys, cut into nodes in another way."""
    totals = []
    for order in (5, 200):
        tree: BTree[int, None] = BTree(order)
        tree.add_all((number, None) for number in range(2_000))
        tree.counter = Counter()
        for number in range(0, 2_000, 7):
            tree.get(number)
        totals.append(tree.counter)
    assert totals[1].visits < totals[0].visits / 2
    assert 0.7 < totals[1].comparisons / totals[0].comparisons < 1.4
