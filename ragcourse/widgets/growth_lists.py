"""How a skip list and a hash table grow: towers over a sorted list; chains that move as the table doubles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ragcourse.widgets.moving_picture import Box, Frame, Line

STEP, LEVEL = 1.22, 1.0  # between towers, between levels; in cells
HEAD, END = -1, 10**9  # stand before and behind all keys
MOST_LEVELS = 6


def tower_heights(count: int, p: float, seed: int = 47) -> list[int]:
    """How many levels each tower gets: one, and another as long as a coin that says so with ``p`` does."""
    heights = np.random.default_rng(seed).geometric(1 - p, size=count)
    return [min(int(height), MOST_LEVELS) for height in heights]


class Way(NamedTuple):
    """How a search went: the links travelled and the cells stood on, by level, and the keys compared."""

    links: list[tuple[int, int]]  # level, and where the link begins
    cells: list[tuple[int, int]]  # level and key
    compared: int


NOWHERE = Way([], [], 0)


def skip_list_frames(keys: Sequence[int], p: float) -> list[Frame]:
    """Two moments a key: the way to its place, then its tower."""
    unique = list(dict.fromkeys(keys))
    heights = dict(zip(unique, tower_heights(len(unique), p), strict=True))
    present: dict[int, int] = {}
    frames: list[Frame] = []

    def show(caption: str, key: int, way: Way, new: int | None = None) -> None:
        frames.append(_towers(Frame(caption, str(key)), present, heights, way, new))

    for key in keys:
        way = search(present, key)
        asked = f"{way.compared} comparison{'' if way.compared == 1 else 's'}"
        if key in present:
            show(f"{key} is in the list already, found with {asked}: nothing changes.", key, way)
            continue
        if present:
            rule = "from the top level, go right while the next key is smaller, else down"
            show(f"Insert {key}: {rule}. {asked.capitalize()}.", key, way)
        present[key] = heights[key]
        ups = f"{heights[key] - 1} time{'' if heights[key] == 2 else 's'}" if heights[key] > 1 else "not once"
        coin = f"the coin (p = {p:g}) says “one higher” {ups}"
        show(f"{key} gets a tower of {heights[key]}: {coin}. It is linked on each level.", key, NOWHERE, key)
    return frames


def search(present: Mapping[int, int], key: int) -> Way:
    """Pugh's search in a list of these towers, key → height."""
    links, cells, compared, at = [], [], 0, HEAD
    for level in reversed(range(max(present.values(), default=0))):
        cells.append((level, at))
        for following in sorted(other for other, height in present.items() if height > level and other > at):
            compared += 1
            if following >= key:
                break
            links.append((level, at))
            at = following
            cells.append((level, at))
    return Way(links, cells, compared)


def _towers(
    frame: Frame, present: Mapping[int, int], heights: Mapping[int, int], way: Way, new: int | None
) -> Frame:
    """Fill in a frame; there is room for the towers that are still to come."""
    columns = {key: STEP * column + 0.5 for column, key in enumerate([HEAD, *sorted(heights), END])}
    top = max(heights.values())
    for level in range(max(present.values())):
        y = 0.5 + (top - 1 - level) * LEVEL
        row = [HEAD, *sorted(key for key, height in present.items() if height > level), END]
        for start, to in pairwise(row):
            look = "path" if (level, start) in way.links else "wait" if to == END else "plain"
            ends = (columns[start] + 0.45, y, columns[to] - (0.4 if to == END else 0.45), y)
            frame.lines.append(Line(f"link {start} {level}", *ends, look, head=True))
        for stored in row[:-1]:
            look = "new" if stored == new else "path" if (level, stored) in way.cells else "plain"
            text = "" if stored == HEAD else str(stored)
            since = f"tower {stored} {level - 1}" if level else ""
            place = (columns[stored], y, text, 0.9, 0.8)
            frame.boxes.append(Box(f"tower {stored} {level}", *place, look, stored == new, since=since))
    return frame


# ---- hash table ----

FIRST_SLOTS, MOST_LOAD = 4, 1.0  # the load as in the library
ROW = 16  # slots


def hash_table_frames(keys: Sequence[int]) -> list[Frame]:
    """The slot and its chain, the key at the end of it; then all keys move when there are more than slots."""
    slots = FIRST_SLOTS
    chains: list[list[int]] = [[] for _ in range(slots)]
    frames: list[Frame] = []
    for key in keys:
        slot = key % slots
        chain = chains[slot]
        asked = f"{len(chain)} {'key' if len(chain) == 1 else 'keys'} to compare with"
        where = f"{key} mod {slots} = {slot}"
        if key in chain:
            frames.append(
                _slots(f"{where}: {key} is there already, nothing changes.", key, chains, slot, None)
            )
            continue
        frames.append(_slots(f"Insert {key}: {where}, so to slot {slot}; {asked}.", key, chains, slot, None))
        chain.append(key)
        load = sum(map(len, chains)) / slots
        caption = f"{key} goes to the end of its chain. Load: {load:.2f} keys a slot."
        frames.append(_slots(caption, key, chains, slot, key))
        if load > MOST_LOAD:
            slots *= 2
            chains = list(_spread(chains, slots))
            caption = (
                f"Above {MOST_LOAD:g}: {slots} slots from now on, and every key moves to its own remainder."
            )
            frames.append(_slots(caption, key, chains, None, None))
    return frames


def _spread(chains: Sequence[Sequence[int]], slots: int) -> Iterator[list[int]]:
    for slot in range(slots):
        yield [key for chain in chains for key in chain if key % slots == slot]


def _slots(caption: str, key: int, chains: Sequence[Sequence[int]], at: int | None, new: int | None) -> Frame:
    frame, top = Frame(caption, str(key)), 0.4
    for slot, chain in enumerate(chains):
        if slot and slot % ROW == 0:  # below the longest chain of the row before
            top += 1.3 + 1.2 * max(map(len, chains[slot - ROW : slot]))
        x = 0.5 + slot % ROW * 1.1
        look = "path" if slot == at else "plain"
        frame.boxes.append(Box(f"slot {slot}", x, top, str(slot), 1.0, 0.7, look, bold=slot == at))
        for depth, stored in enumerate(chain):
            y = top + 1.35 + depth * 1.2
            frame.lines.append(
                Line(f"link {stored}", x, y - 1.2 + (0.35 if depth == 0 else 0.4), x, y - 0.4, look)
            )
            mark = "new" if stored == new else look
            frame.boxes.append(
                Box(f"key {stored}", x, y, str(stored), 0.9, 0.8, mark, stored == new, round_=True)
            )
    return frame
