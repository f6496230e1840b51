"""The caller's ids of the rows of an index, both ways: slot → id and id → slot."""

from __future__ import annotations

from sys import getsizeof

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


class Ids:
    """Slots are 0 … len - 1. The table id → slot is built when somebody first asks by id."""

    def __init__(self) -> None:
        self._room = np.empty(0, np.int64)
        self._count = 0
        self.next = 0
        """The id that is given next where the caller wants none; a removed one is not given again."""
        self._table: dict[int, int] | None = None

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id: int) -> bool:
        return id in self._slot_of

    @property
    def of_slots(self) -> Ints:
        """The id of each slot (len,)."""
        return self._room[: self._count]

    @property
    def memory_bytes(self) -> int:
        """Bytes of the array and, where it was built, of the table with its integers."""
        return self._room.nbytes + (0 if self._table is None else getsizeof(self._table) + 64 * self._count)

    @property
    def _slot_of(self) -> dict[int, int]:
        if self._table is None:
            self._table = dict(zip(self.of_slots.tolist(), range(self._count), strict=True))
        return self._table

    def new(self, count: int, wanted: ArrayLike | None) -> Ints:
        """Ids for ``count`` new rows: the wanted ones, checked, or the next free ones."""
        if wanted is None:
            if self.next > np.iinfo(np.int64).max - count:
                raise ValueError(f"id {self.next - 1} was the last one; give ids of your own")
            return np.arange(self.next, self.next + count, dtype=np.int64)
        ids = _integers(wanted)
        if len(ids) != count:
            raise ValueError(f"{len(ids)} ids for {count} vectors; give one for each")
        if count and ids.min() < 0:
            raise ValueError(f"id {ids.min()} is negative; ids are 0 or more")
        distinct, first = np.unique(ids, return_index=True)
        if len(distinct) < count:
            twice = ids[np.setdiff1d(np.arange(count), first)[0]]
            raise ValueError(f"id {twice} is given twice; each vector needs an id of its own")
        if self._count and count:
            for id in ids.tolist():
                if id in self._slot_of:
                    raise ValueError(f"id {id} is in the index already; remove it first, or choose another")
        return ids

    def append(self, ids: Ints) -> None:
        """``ids`` take the next slots. They come from ``new``, or from a file."""
        count = self._count + len(ids)
        if count > len(self._room):
            room = np.empty(max(count, 2 * len(self._room)), np.int64)
            room[: self._count] = self.of_slots
            self._room = room
        self._room[self._count : count] = ids
        if self._table is not None:
            self._table.update(zip(ids.tolist(), range(self._count, count), strict=True))
        self._count = count
        if len(ids):
            self.next = max(self.next, int(ids.max()) + 1)

    def slots(self, ids: ArrayLike) -> Ints:
        """The slots of these ids, sorted. ``KeyError`` for an unknown id, ``ValueError`` for one twice."""
        wanted = _integers(ids).tolist()
        for id in wanted:
            if id not in self._slot_of:
                raise KeyError(f"id {id} is not in the index")
        slots = np.array(sorted({self._slot_of[id] for id in wanted}), np.int64)
        if len(slots) < len(wanted):
            raise ValueError("an id is given twice; name each once")
        return slots

    def remove(self, gone: Ints) -> tuple[Ints, Ints]:
        """Forget slots (sorted); the last survivors fill the holes: (their slots, the holes), as many."""
        count = self._count - len(gone)
        target = gone[gone < count]
        source = np.setdiff1d(np.arange(count, self._count), gone, assume_unique=True)
        table = self._slot_of
        for id in self._room[gone].tolist():
            del table[id]
        self._room[target] = self._room[source]
        table.update(zip(self._room[target].tolist(), target.tolist(), strict=True))
        self._count = count
        return source, target

    def mask(self, allowed: ArrayLike) -> NDArray[np.bool_]:
        """Which slots (len,) hold one of the allowed ids."""
        return np.isin(self.of_slots, _integers(allowed))

    def check(self) -> None:
        """Every id once, and both directions agree."""
        ids = self.of_slots
        assert len(np.unique(ids)) == len(ids), "an id stands in two slots"
        if self._table is not None:
            assert self._table == dict(zip(ids.tolist(), range(len(ids)), strict=True)), "id → slot disagrees"


def _integers(ids: ArrayLike) -> Ints:
    given = np.atleast_1d(np.asarray(ids))
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ValueError(f"ids are {given.dtype} of shape {given.shape}; give whole numbers, as (n,)")
    return given.astype(np.int64)
