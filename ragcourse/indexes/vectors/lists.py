"""Lists of one inverted file, each contiguous in memory, with room to grow.

All lists share one set of arrays, the columns: a list is the span ``start … start + size`` of each, and may
grow to ``start + room``. A list that is full moves to the end with twice the room; when the end is reached,
all lists are packed anew, so that adding costs O(1) amortised. Reading a list touches one piece of memory
after the other, which is what the hardware fetches ahead of time.

=========  ===========================================  ============
symbol     meaning                                      shape
=========  ===========================================  ============
starts     first position of each list                  (nlist,)
sizes      members of each list                         (nlist,)
rooms      members it can take before it must move      (nlist,)
slots      the index's slot at each position            (capacity,)
cells      the list of each slot                        (n,)
places     the position of each slot                    (n,)
=========  ===========================================  ============
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Ints, Mask, grown

Column = NDArray[Any]


class Lists:
    """``nlist`` empty lists; each keyword gives a column's type: ``rows=np.empty((0, dim), np.float32)``."""

    def __init__(self, nlist: int, **columns: Column) -> None:
        self.starts, self.sizes, self.rooms = (np.zeros(nlist, np.int64) for _ in range(3))
        self.slots = np.empty(0, np.int64)
        self.columns: dict[str, Column] = dict(columns)
        self._cells, self._places = np.empty(0, np.int32), np.empty(0, np.int64)
        self._count = self._end = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    @property
    def cells(self) -> NDArray[np.int32]:
        """The list of each slot (n,)."""
        return self._cells[: self._count]

    @property
    def places(self) -> Ints:
        """The position of each slot (n,)."""
        return self._places[: self._count]

    def in_order_of_slots(self, name: str) -> Column:
        """One column as (n, …), in the order of slots."""
        return np.asarray(self.columns[name][self.places])

    def by_position(self, mask: Mask) -> Mask:
        """A mask of slots (n,) as one of positions (capacity,)."""
        allowed = np.zeros(len(self.slots), np.bool_)
        allowed[self.places] = mask
        return allowed

    def slots_at(self, places: Ints) -> Ints:
        """The slots at these positions, -1 for position -1."""
        return np.where(places < 0, -1, self.slots[places])

    def add(self, cells: NDArray[np.int32], **values: Column) -> None:
        """The next slots: their lists (n,), and a row of each column for each, (n, …)."""
        added = np.bincount(cells, minlength=len(self.sizes))
        if (self.sizes + added > self.rooms).any():
            self._make_room(self.sizes + added, bulk=len(cells) > len(self))
        order = np.argsort(cells, kind="stable")
        first = np.cumsum(added) - added  # where each list begins in ``order``
        places = np.empty(len(cells), np.int64)
        places[order] = np.arange(len(cells)) + np.repeat(self.starts + self.sizes - first, added)
        for name, value in values.items():
            self.columns[name][places] = value
        count = len(self) + len(cells)
        self.slots[places] = np.arange(len(self), count)
        self._cells, self._places = grown(self._cells, count), grown(self._places, count)
        self._cells[len(self) : count], self._places[len(self) : count] = cells, places
        self.sizes += added
        self._count = count

    def remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        """Forget slots; then ``source`` take the names ``target``: see ``VectorIndex._remove``."""
        self.slots[self._places[gone]] = -1
        for cell in np.unique(self._cells[gone]):
            first = self.starts[cell]
            left = np.flatnonzero(self.slots[first : first + self.sizes[cell]] >= 0)
            self._move(first + left, first)
            self.sizes[cell] = len(left)
        self._cells[target], self._places[target] = self._cells[source], self._places[source]
        self.slots[self._places[target]] = target
        self._count -= len(gone)
        if len(self.slots) > 4 * len(self) + 1024:
            self._pack(self.sizes.copy())

    def memory(self) -> int:
        """Bytes of everything, the room to grow included."""
        own: list[Column] = [self.starts, self.sizes, self.rooms, self.slots, self._cells, self._places]
        return sum(array.nbytes for array in own + list(self.columns.values()))

    def check(self) -> None:
        """Lists do not overlap, and slots and positions point at each other."""
        order = np.argsort(self.starts, kind="stable")
        order = order[self.rooms[order] > 0]
        ends = self.starts[order] + self.rooms[order]
        full = np.flatnonzero(self.sizes > self.rooms)
        assert not len(full), f"lists {full[:5]} hold more than they have room for"
        assert (ends[:-1] <= self.starts[order][1:]).all(), f"lists overlap: {self.starts[order]}, {ends}"
        assert not len(ends) or ends[-1] <= self._end <= len(self.slots), "a list lies behind the end"
        assert (np.bincount(self.cells, minlength=len(self.sizes)) == self.sizes).all(), "sizes miscount"
        wrong = np.flatnonzero(self.slots[self.places] != np.arange(len(self)))
        assert not len(wrong), f"slots {wrong[:5]} are not where they should be"
        inside = self.places - self.starts[self.cells]
        wrong = np.flatnonzero((inside < 0) | (inside >= self.sizes[self.cells]))
        assert not len(wrong), f"slots {wrong[:5]} lie outside of their lists"

    def _make_room(self, needed: Ints, bulk: bool) -> None:
        full = np.flatnonzero(needed > self.rooms)
        rooms = 2 * needed[full] + 4
        if bulk or self._end + rooms.sum() > len(self.slots):
            self._pack(needed if bulk else needed + needed // 4, spare=0 if bulk else int(rooms.sum()))
            return
        for cell, room in zip(full, rooms, strict=True):
            first = self.starts[cell]
            self._move(np.arange(first, first + self.sizes[cell]), self._end)
            self.starts[cell], self.rooms[cell] = self._end, room
            self._end += int(room)

    def _pack(self, rooms: Ints, spare: int = 0) -> None:
        """New columns: list after list with the given rooms, then space for those that will move."""
        starts = np.cumsum(rooms) - rooms
        places = self.places + (starts - self.starts)[self.cells]
        self._end = int(rooms.sum())
        capacity = self._end + (self._end // 4 + spare if spare else 0)
        for name, column in self.columns.items():
            self.columns[name] = np.zeros((capacity, *column.shape[1:]), column.dtype)
            self.columns[name][places] = column[self.places]
        self.slots = np.full(capacity, -1, np.int64)
        self.slots[places] = np.arange(len(self))
        self._places[: len(self)] = places
        self.starts, self.rooms = starts, rooms

    def _move(self, source: Ints, first: int) -> None:
        """What lies at the positions ``source`` goes to ``first`` and on, in the same order."""
        target = slice(first, first + len(source))
        for column in self.columns.values():
            column[target] = column[source]
        self.slots[target] = self.slots[source]
        self._places[self.slots[target]] = np.arange(first, first + len(source))
