"""The widget of lesson 03: its trees are the library's, its pictures show what its captions say."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ragcourse.indexes.keys import BPlusTree, BTree, HashTable
from ragcourse.widgets.base import pack
from ragcourse.widgets.growth_lists import (
    MOST_LOAD,
    hash_table_frames,
    search,
    skip_list_frames,
    tower_heights,
)
from ragcourse.widgets.growth_trees import GrowingTree, tree_frames
from ragcourse.widgets.growth_trie import trie_frames
from ragcourse.widgets.lookup_pictures import draw_counts, draw_steps, draw_times
from ragcourse.widgets.moving_picture import Frame
from ragcourse.widgets.tree_growth import MOST_KEYS, NUMBERS, STRUCTURES, WORDS, TreeGrowth

OPEN = {"structure": "B-tree", "order": 5, "numbers": NUMBERS, "words": WORDS}


def run(**params: Any) -> dict[str, Any]:
    return TreeGrowth.run(OPEN | params)


def levels(tree: GrowingTree) -> list[list[list[int]]]:
    found, row = [], [tree.root]
    while row:
        found.append([node.keys for node in row])
        row = [child for node in row for child in node.children]
    return found


def rows(frame: Frame, prefix: str) -> list[list[str]]:
    """The texts of the boxes with such names, line by line, left to right."""
    boxes = [box for box in frame.boxes if box.name.startswith(prefix)]
    lines = sorted({box.y for box in boxes})
    return [[b.text for b in sorted((b for b in boxes if b.y == y), key=lambda b: b.x)] for y in lines]


@pytest.mark.parametrize("order", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("plus", [False, True])
def test_each_insertion_ends_with_the_tree_of_the_library(order: int, plus: bool) -> None:
    keys = random.Random(order).choices(range(60), k=32)
    ours = GrowingTree(order, plus)
    theirs: BPlusTree[int, None] | BTree[int, None] = BPlusTree(fanout=order) if plus else BTree(order)
    for key in keys:
        for _ in ours.add(key):
            pass
        if key not in theirs:
            theirs.add(key, None)
        assert levels(ours) == theirs.levels()


def test_the_chapters_keys_split_the_root_step_by_step() -> None:
    way, inserted, split = tree_frames([3, 8, 31, 11, 23], 5)[-3:]
    assert rows(way, "key") == [["3", "8", "11", "31"]]
    assert rows(inserted, "key") == [["3", "8", "11", "23", "31"]] and inserted.boxes[0].look == "full"
    assert rows(split, "key") == [["11"], ["3", "8", "23", "31"]]
    assert "11, the middle one, goes up" in split.caption and "new root" in split.caption
    assert inserted.boxes[0].y == max(box.y for box in split.boxes)  # the leaves stay where they are


def test_a_b_plus_tree_copies_the_key_out_of_its_leaf_and_links_the_leaves() -> None:
    last = tree_frames([1, 2, 3, 4, 5, 6], 5, plus=True)[-1]
    assert rows(last, "up") == [["4"]] and rows(last, "key") == [["1", "2", "3", "4", "5", "6"]]
    assert [line.head for line in last.lines if line.name.startswith("next")] == [True]
    assert next(box for box in last.boxes if box.name == "up 4").since == "key 4"


def test_a_key_that_is_there_changes_nothing() -> None:
    for kind in STRUCTURES:
        once, twice = run(structure=kind), run(structure=kind, numbers=f"{NUMBERS} 8", words=f"{WORDS} car")
        assert len(twice["frames"]) == len(once["frames"]) + 1
        assert "nothing changes" in twice["frames"][-1]["caption"]
        names = [{box[0] for box in result["frames"][-1]["boxes"]} for result in (once, twice)]
        assert names[0] == names[1] and once["summary"] == twice["summary"]


def test_the_search_in_a_skip_list_counts_what_it_compares() -> None:
    towers = {10: 1, 20: 3, 30: 1, 40: 2}
    way = search(towers, 35)
    assert way.cells == [(2, -1), (2, 20), (1, 20), (0, 20), (0, 30)]
    assert way.links == [(2, -1), (0, 20)]
    assert way.compared == 1 + 1 + 2  # 20, then nothing; 40; 30 and 40
    assert search({}, 5) == ([], [], 0)


def test_each_tower_is_linked_on_its_levels() -> None:
    keys = [5, 1, 9, 7]
    last = skip_list_frames(keys, 0.5)[-1]
    heights = dict(zip(keys, tower_heights(4, 0.5), strict=True))
    for level, row in enumerate(reversed(rows(last, "tower"))):
        assert row == ["", *(str(key) for key in sorted(keys) if heights[key] > level)]
    assert len(rows(last, "tower")) == max(heights.values())
    assert tower_heights(9, 0.5)[:4] == tower_heights(4, 0.5)  # a further key changes none before it


def test_a_trie_shows_what_is_shared() -> None:
    way, inserted = trie_frames(["car", "care"])[-2:]
    assert "first 3 letters, car" in way.caption and "1 new node" in inserted.caption
    looks = [(box.text, box.look) for box in inserted.boxes]
    assert looks == [("•", "path"), ("c", "path"), ("a", "path"), ("r", "word"), ("e", "new")]
    assert "no word begins with x" in trie_frames(["car", "x"])[1].caption
    assert "no new node" in trie_frames(["cart", "car"])[-1].caption


def test_a_hash_table_doubles_when_its_load_is_too_high() -> None:
    frames = hash_table_frames([0, 4, 8, 12, 16])
    assert rows(frames[-2], "slot") == [["0", "1", "2", "3"]] and "1.25 keys a slot" in frames[-2].caption
    assert rows(frames[-1], "slot") == [[str(slot) for slot in range(8)]] and "8 slots" in frames[-1].caption
    assert rows(frames[-1], "key") == [["0", "4"], ["8", "12"], ["16"]]
    assert HashTable[int, None]().load_factor == MOST_LOAD


def test_a_long_hash_table_goes_on_in_a_second_row_below_all_chains() -> None:
    result = run(structure="hash table", numbers=f"{NUMBERS} 32 64 96 128")
    last = hash_table_frames([int(key) for key in result["keys"]])[-1]
    assert rows(last, "slot") == [[str(slot) for slot in slots] for slots in (range(16), range(16, 32))]
    below = next(box.y for box in last.boxes if box.name == "slot 16")
    assert all((box.y < below) == (int(box.text) % 32 < 16) for box in last.boxes if box.name[:3] == "key")
    assert len({(box.x, box.y) for box in last.boxes}) == len(last.boxes)
    assert "25 keys in 32 slots; the longest chain has 4" in result["summary"]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_frame_fits_and_says_something(structure: str) -> None:
    result = run(structure=structure)
    for frame in result["frames"]:
        assert frame["caption"] and frame["key"]
        names = [box[0] for box in frame["boxes"]]
        assert len(set(names)) == len(names)
        for _, x, y, width, height, *_ in frame["boxes"]:
            assert width / 2 - 0.01 <= x <= result["width"] - width / 2 + 0.01
            assert height / 2 - 0.01 <= y <= result["height"] - height / 2 + 0.01
    assert len(json.dumps(pack(result))) < 250_000
    assert run(structure=structure, numbers="", words="")["summary"] == "It is empty."


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"numbers": "3 x"}, "'x' cannot be shown"),
        ({"numbers": "3 1000"}, "from 0 to 999"),
        ({"numbers": " ".join(map(str, range(MOST_KEYS + 1)))}, "at most 32"),
        ({"structure": "trie", "words": "two-fold"}, "letters, and nothing else"),
    ],
)
def test_keys_that_cannot_be_shown_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**params)


def test_a_view_of_it_answers_to_its_controls_and_keeps_a_picture() -> None:
    growth = TreeGrowth()
    assert repr(growth) == "TreeGrowth(structure='B-tree', order=5)"
    before = growth.png()
    growth.set_state({"structure": "trie"})  # what a choice sends
    assert "10 words" in growth.result["summary"]
    growth.set_state({"words": WORDS + " retrieve"})  # what Insert sends
    assert growth.result["keys"][-1] == "retrieve"
    assert growth.png() != before and before.startswith(b"\x89PNG")


def test_the_still_pictures_of_the_lesson() -> None:
    assert len(draw_steps([3, 8, 31, 11, 23]).axes) == 3
    (axes,) = draw_counts([16, 64], {"linear scan": [16, 64], "trie": [9.5, 9.5]}).axes
    assert {text.get_text() for text in axes.texts} == {"linear scan  64.0", "trie  9.5"}
    (axes,) = draw_times({"trie": 3e-6, "hash table": 1e-7}, {"trie": 1e-4}).axes
    assert [text.get_text() for text in axes.texts] == ["3 µs", "reference run: 100 µs", "100 ns"]
