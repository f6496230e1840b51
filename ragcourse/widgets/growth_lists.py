"""How a skip list and a hash table grow: towers over a sorted list, and chains that move when the table doubles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ragcourse.widgets.moving_picture import Box, Frame, Line

STEP, LEVEL = 1.22, 1.0  # between towers, between levels; in cells
HEAD, END = -1, 10**9  # keys before and behind all others
MOST_LEVELS = 6


def tower_heights(count: int, p: float, seed: int = 47) -> list[int]:
    """How many levels each tower gets: one, and another as long as a coin that says so with ``p`` does."""
    return np.minimum(np.random.default_rng(seed).geometric(1 - p, size=count), MOST_LEVELS).tolist()


def skip_list_frames(keys: Sequence[int], p: float) -> list[Frame]:
    """Two moments a key: the way to its place, then its tower."""
    unique = list(dict.fromkeys(keys))
    heights = dict(zip(unique, tower_heights(len(unique), p), strict=True))
    columns = {HEAD: 0, **{key: 1 + i for i, key in enumerate(sorted(heights))}, END: 1 + len(heights)}
    frames: list[Frame] = []
    present: dict[int, int] = {}
    top = max(heights.values(), default=1)
    for key in keys:
        moves, compared = _search(present, key)
        asked = f"{compared} comparison{'' if compared == 1 else 's'}"
        if key in present:
            caption = f"{key} is in the list already, found with {asked}: nothing changes."
            frames.append(_towers(caption, key, present, columns, top, moves))
            continue
        if present:
            caption = f"Insert {key}: from the top level, go right while the next key is smaller, else down. "
            frames.append(_towers(caption + f"{asked.capitalize()}.", key, present, columns, top, moves))
        present[key] = heights[key]
        ups = heights[key] - 1
        coin = (
            f"the coin (p = {p:g}) says “one higher” {ups if ups else 'no'} {'time' if ups == 1 else 'times'}"
        )
        caption = f"{key} gets a tower of {heights[key]}: {coin}. It is linked into each of its levels."
        frames.append(_towers(caption, key, present, columns, top, [], new=key))
    return frames


def _search(present: dict[int, int], key: int) -> tuple[list[tuple[int, int, int]], int]:
    """The links travelled as (level, from, to), and how many keys were compared on the way."""
    moves, compared, at = [], 0, HEAD
    for level in reversed(range(max(present.values(), default=1))):
        row = sorted(k for k, height in present.items() if height > level and k > at)
        for following in row:
            compared += 1
            if following >= key:
                break
            moves.append((level, at, following))
            at = following
    return moves, compared


def _towers(
    caption: str,
    key: int,
    present: dict[int, int],
    columns: dict[int, int],
    top: int,
    moves: Sequence[tuple[int, int, int]],
    new: int | None = None,
) -> Frame:
    frame = Frame(caption, str(key))
    levels = max(present.values())
    on_path = {(level, end) for level, start, to in moves for end in (start, to)}
    for level in range(levels):
        y = 0.5 + (top - 1 - level) * LEVEL
        row = [HEAD, *sorted(k for k, height in present.items() if height > level), END]
        for start, to in zip(row, row[1:], strict=False):
            look = "path" if (level, start, to) in moves else "plain" if to != END else "wait"
            x, to_x = columns[start] * STEP + 0.45 + 0.5, columns[to] * STEP - 0.45 + 0.5
            if to == END:
                to_x = columns[END] * STEP + 0.1
            frame.lines.append(Line(f"link {start} {level}", x, y, to_x, y, look, head=True))
        for stored in row[:-1]:
            look = "new" if stored == new else "path" if (level, stored) in on_path else "plain"
            text = "" if stored == HEAD else str(stored)
            name, x = f"tower {stored} {level}", columns[stored] * STEP + 0.5
            since = f"tower {stored} {level - 1}" if level else ""
            frame.boxes.append(Box(name, x, y, text, 0.9, 0.8, look, stored == new, since=since))
    return frame


# ---- hash table ----

FIRST_SLOTS, MOST_LOAD = 4, 1.5


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
                f"Above {MOST_LOAD}: {slots} slots from now on, and every key moves to its own remainder."
            )
            frames.append(_slots(caption, key, chains, None, None))
    return frames


def _spread(chains: Sequence[Sequence[int]], slots: int) -> Iterator[list[int]]:
    for slot in range(slots):
        yield [key for chain in chains for key in chain if key % slots == slot]


def _slots(caption: str, key: int, chains: Sequence[Sequence[int]], at: int | None, new: int | None) -> Frame:
    frame = Frame(caption, str(key))
    for slot, chain in enumerate(chains):
        x = 0.5 + slot * 1.1
        look = "path" if slot == at else "plain"
        frame.boxes.append(Box(f"slot {slot}", x, 0.4, str(slot), 1.0, 0.7, look, bold=slot == at))
        for depth, stored in enumerate(chain):
            y = 1.75 + depth * 1.2
            frame.lines.append(
                Line(f"link {stored}", x, y - 1.2 + (0.35 if depth == 0 else 0.4), x, y - 0.4, look)
            )
            mark = "new" if stored == new else look
            frame.boxes.append(
                Box(f"key {stored}", x, y, str(stored), 0.9, 0.8, mark, stored == new, round_=True)
            )
    return frame
