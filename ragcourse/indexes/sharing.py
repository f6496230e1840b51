"""Many may search, one may change: the readers–writer lock (Courtois et al., 1971), fair to writers."""

from __future__ import annotations

from threading import Lock


class SharedLock:
    """``with lock.shared:`` for one of many readers, ``with lock.exclusive:`` for the one writer."""

    def __init__(self) -> None:
        door, room = Lock(), Lock()
        self.shared, self.exclusive = _Shared(door, room), _Exclusive(door, room)


class _Exclusive:
    """A writer who waits for the ``room`` stands in the ``door``, so that no new reader passes."""

    def __init__(self, door: Lock, room: Lock) -> None:
        self._door, self._room = door, room

    def __enter__(self) -> None:
        self._door.acquire()
        try:
            self._room.acquire()
        except BaseException:  # an interrupt while it waits
            self._door.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._room.release()
        self._door.release()


class _Shared:
    """The first reader takes the ``room`` for all of them, the last one gives it back."""

    def __init__(self, door: Lock, room: Lock) -> None:
        self._door, self._room = door, room
        self._counting, self._readers = Lock(), 0

    def __enter__(self) -> None:
        with self._door, self._counting:
            if self._readers == 0:
                self._room.acquire()
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._counting:
            self._readers -= 1
            if self._readers == 0:
                self._room.release()
