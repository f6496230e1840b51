"""Many may search, one may change: the readers–writer lock (Courtois et al., 1971), fair to writers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class SharedLock:
    """A reader holds ``room`` for all readers; a writer who waits at the ``door`` lets no new reader pass."""

    def __init__(self) -> None:
        self._door, self._room, self._count = Lock(), Lock(), Lock()
        self._readers = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For one of many readers."""
        with self._door:
            self._count.acquire()
        self._readers += 1
        if self._readers == 1:
            self._room.acquire()
        self._count.release()
        try:
            yield
        finally:
            with self._count:
                self._readers -= 1
                if self._readers == 0:
                    self._room.release()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """For the one writer."""
        with self._door, self._room:
            yield
