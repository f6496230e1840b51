"""Widget of lesson 03: keys go into a structure one by one, and every step of it is to be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets
from matplotlib.figure import Figure

from ragcourse.widgets.base import PICTURE_WIDTH, CourseWidget
from ragcourse.widgets.controls import choice, slider
from ragcourse.widgets.growth_lists import hash_table_frames, skip_list_frames
from ragcourse.widgets.growth_trees import tree_frames
from ragcourse.widgets.growth_trie import trie_frames
from ragcourse.widgets.moving_picture import Frame, extent, paint_frame

STRUCTURES = ("B-tree", "B+ tree", "skip list, p = 0.5", "skip list, p = 0.25", "trie", "hash table")
NUMBERS = "3 8 31 11 23 29 50 28 36 40 1 5 15 20 26 33 45 9 13 60 17"  # the first five are the chapter's
WORDS = "car card care cat do dog done to tree trie"
MOST_KEYS, MOST_LETTERS, LARGEST = 32, 10, 999


class TreeGrowth(CourseWidget):
    """Nodes split, towers rise, words share letters. ``numbers`` and ``words`` are the keys, in order."""

    title = "Watch it grow"
    script = Path(__file__).with_suffix(".js")
    structure = choice("Structure", STRUCTURES)
    order = slider("Order", 3, 7, 5)
    numbers = traitlets.Unicode(NUMBERS).tag(sync=True, fixed=True)
    words = traitlets.Unicode(WORDS).tag(sync=True, fixed=True)

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """The frames of the growth, packed, their size in cells, and a sentence about the end."""
        frames = growth(params)
        width, height = extent(frames)
        return {
            "frames": [frame.packed() for frame in frames],
            "width": width,
            "height": height,
            "kind": params["structure"],
            "order": params["order"],
            "keys": _keys(params),
            "summary": _summary(params, frames[-1]),
        }

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """The last frame."""
        frames = growth({name: getattr(self, name) for name in self._parameters()})
        width, height = result["width"], result["height"]
        cell = min(0.42, PICTURE_WIDTH / (width + 0.6))  # inches
        figure.set_size_inches(PICTURE_WIDTH, cell * (height + 0.3) + 0.35)
        axes = figure.add_subplot()
        paint_frame(axes, frames[-1], width, height, cell=72 * cell)
        figure.suptitle(f"{result['kind']}: {result['summary']}", fontsize=9, x=0.02, ha="left")


def growth(params: Mapping[str, Any]) -> list[Frame]:
    """All frames, one at least. ``ValueError`` for keys that cannot be shown."""
    kind, keys = params["structure"], _keys(params)
    if not keys:
        return [Frame("Nothing is in it yet: type a key below.")]
    if kind == "trie":
        return trie_frames(keys)
    numbers = [int(key) for key in keys]
    if kind == "hash table":
        return hash_table_frames(numbers)
    if kind.startswith("skip list"):
        return skip_list_frames(numbers, float(kind.split("=")[1]))
    return tree_frames(numbers, params["order"], plus=kind == "B+ tree")


def _keys(params: Mapping[str, Any]) -> list[str]:
    words = params["structure"] == "trie"
    keys = str(params["words" if words else "numbers"]).split()
    if len(keys) > MOST_KEYS:
        raise ValueError(f"{len(keys)} keys: give at most {MOST_KEYS}, with spaces between them")
    for key in keys:
        if words and not (key.isalpha() and len(key) <= MOST_LETTERS):
            raise ValueError(
                f"{key!r} cannot be shown: words have 1 to {MOST_LETTERS} letters, and nothing else"
            )
        if not words and not (key.isascii() and key.isdigit() and int(key) <= LARGEST):
            raise ValueError(f"{key!r} cannot be shown: numbers are whole, from 0 to {LARGEST}")
    return keys


def _summary(params: Mapping[str, Any], last: Frame) -> str:
    """What stands there at the end."""
    keys = list(dict.fromkeys(_keys(params)))
    kind, count = params["structure"], len(keys)
    if not keys:
        return "It is empty."
    if kind == "trie":
        letters = sum(map(len, keys))
        return f"{count} words of {letters} letters in {len(last.boxes) - 1} nodes below the root."
    if kind == "hash table":
        slots = sum(box.name.startswith("slot") for box in last.boxes)
        longest = max(Counter(int(key) % slots for key in keys).values())
        return f"{count} keys in {slots} slots; the longest chain has {longest}."
    if kind.startswith("skip list"):
        cells = [
            box for box in last.boxes if box.name.startswith("tower") and not box.name.startswith("tower -1")
        ]
        levels = 1 + max(int(box.name.split()[2]) for box in cells)
        return f"{count} keys on {levels} levels, {len(cells) / count:.2f} levels a key."
    nodes = [box for box in last.boxes if box.name.startswith("box")]
    levels = len({box.y for box in nodes})
    return f"{count} keys in {len(nodes)} nodes on {levels} levels, all leaves on the lowest."
