"""Exercise 1.2, ``FileStore``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

HEAD = struct.Struct("<4sII")

Changes = Mapping[str, str | None]


def record(changes: Changes) -> bytes:
    body = json.dumps(changes).encode()
    return HEAD.pack(b"NOTE", len(body), zlib.crc32(body)) + body


class Right:
    """The solution of the lesson; the wrong answers replace one part of it."""

    buffering = 0
    magic = True
    checksum = True
    truncates = True
    refuses = True

    def __init__(self, path: Path) -> None:
        self._path, self._items = path, dict[str, str]()
        end = self._replay(path.read_bytes() if path.exists() else b"")
        self._log = path.open("ab", buffering=self.buffering)
        if self.truncates:
            self._log.truncate(end)

    def _replay(self, data: bytes) -> int:
        at = 0
        while (body := self._whole(data, at)) is not None:
            self._apply(json.loads(body))
            at += HEAD.size + len(body)
        if self.refuses and self._damaged(data, at):
            raise ValueError(f"the log is damaged at byte {at}")
        return at

    def _damaged(self, data: bytes, at: int) -> bool:
        return any(self._whole(data, i) is not None for i in range(at + 1, len(data)))

    def _whole(self, data: bytes, at: int) -> bytes | None:
        if len(data) - at < HEAD.size:
            return None
        magic, length, crc = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + length]
        good = (magic == b"NOTE" or not self.magic) and len(body) == length
        return body if good and (zlib.crc32(body) == crc or not self.checksum) else None

    def _apply(self, changes: Changes) -> None:
        for key, text in changes.items():
            if text is None:
                self._items.pop(key, None)
            else:
                self._items[key] = text

    def commit(self, changes: Changes) -> None:
        self._log.write(record(changes))
        os.fsync(self._log.fileno())
        self._apply(changes)

    def items(self) -> dict[str, str]:
        return dict(self._items)

    def close(self) -> None:
        self._log.close()


right = Right


class OneChecksumPerLine(Right):
    """Another format, just as good: a line of JSON with its checksum in front."""

    def _replay(self, data: bytes) -> int:
        at = 0
        for line in data.splitlines(keepends=True):
            if not (line.endswith(b"\n") and line[:8] == b"%08x" % zlib.crc32(line[8:-1])):
                if any(data[at + len(line) :]):
                    raise ValueError(f"the log is damaged at byte {at}")
                break
            self._apply(json.loads(line[8:-1]))
            at += len(line)
        return at

    def commit(self, changes: Changes) -> None:
        body = json.dumps(changes).encode()
        self._log.write(b"%08x%s\n" % (zlib.crc32(body), body))
        os.fsync(self._log.fileno())
        self._apply(changes)


class stub:
    """The class as a learner finds it."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError("Exercise 1.2: replay the whole records")


class _NeverSyncs(Right):
    def commit(self, changes: Changes) -> None:
        self._log.write(record(changes))
        self._apply(changes)


class _SyncsBeforeItWrites(Right):
    def commit(self, changes: Changes) -> None:
        os.fsync(self._log.fileno())
        self._log.write(record(changes))
        self._apply(changes)


class _Buffered(Right):
    buffering = -1


class _FlushesOnClose(Right):
    buffering = -1

    def commit(self, changes: Changes) -> None:
        self._log.write(record(changes))
        self._apply(changes)


class _LeavesTheTail(Right):
    truncates = False


class _NoChecksum(Right):
    checksum = False


class _NoMagic(Right):
    magic = False


class _DropsAllBehindDamage(Right):
    refuses = False


class _TrustsTheLength(Right):
    def _damaged(self, data: bytes, at: int) -> bool:
        if len(data) - at < HEAD.size:
            return False
        _, length, _ = HEAD.unpack_from(data, at)
        return any(data[at + HEAD.size + length :])


class _BadMagicIsTorn(_TrustsTheLength):
    def _damaged(self, data: bytes, at: int) -> bool:
        return data[at : at + 4] == b"NOTE" and super()._damaged(data, at)


class _RefusesTornTail(Right):
    def _replay(self, data: bytes) -> int:
        if (end := super()._replay(data)) != len(data):
            raise ValueError("the log is damaged")
        return end


class _OneRecordPerKey(Right):
    def commit(self, changes: Changes) -> None:
        for key, text in changes.items():
            super().commit({key: text})


class _KeepsNone(Right):
    def _apply(self, changes: Changes) -> None:
        self._items.update(changes)  # type: ignore[arg-type]


class _FirstWins(Right):
    def _apply(self, changes: Changes) -> None:
        super()._apply({key: text for key, text in changes.items() if text is None or key not in self._items})


class _ForgetsToApply(Right):
    def commit(self, changes: Changes) -> None:
        self._log.write(record(changes))
        os.fsync(self._log.fileno())


class _WritesTheWholeState(Right):
    def commit(self, changes: Changes) -> None:
        self._log.write(record({**self._items, **changes}))
        os.fsync(self._log.fileno())
        self._apply(changes)


class _Overwrites(Right):
    """`json.dump` over the old file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._items = json.loads(path.read_bytes()) if path.exists() and path.stat().st_size else {}

    def commit(self, changes: Changes) -> None:
        self._apply(changes)
        with self._path.open("w") as file:
            json.dump(self._items, file)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        pass


class _BareLines(Right):
    """JSON lines without a checksum; a line that does not parse is skipped."""

    def _replay(self, data: bytes) -> int:
        at = 0
        for line in data.splitlines(keepends=True):
            try:
                self._apply(json.loads(line))
            except ValueError:
                break
            at += len(line)
        return at

    def commit(self, changes: Changes) -> None:
        self._log.write(json.dumps(changes).encode() + b"\n")
        os.fsync(self._log.fileno())
        self._apply(changes)


class _RemembersInTheClass(Right):
    """Passes as long as the process lives."""

    memory: ClassVar[dict[str, dict[str, str]]] = {}

    def __init__(self, path: Path) -> None:
        self._items = self.memory.setdefault(str(path), {})

    def commit(self, changes: Changes) -> None:
        self._apply(changes)

    def close(self) -> None:
        pass


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "json.dump over the old file": (_Overwrites, "written over"),
    "never syncs": (_NeverSyncs, "in every commit"),
    "syncs, then writes": (_SyncsBeforeItWrites, "in this order"),
    "syncs what is still buffered": (_Buffered, "Python's buffer"),
    "written at close": (_FlushesOnClose, "Python's buffer"),
    "leaves the torn tail": (_LeavesTheTail, "cut it off"),
    "no checksum": (_NoChecksum, "a checksum over the record"),
    "zeros are a record": (_NoMagic, "crc32(b'') is 0"),
    "drops all behind damage": (_DropsAllBehindDamage, "loses commits in silence"),
    "trusts a damaged length": (_TrustsTheLength, "the length may itself be damaged"),
    "a bad magic is torn": (_BadMagicIsTorn, "the length may itself be damaged"),
    "refuses a torn tail": (_RefusesTornTail, "every whole commit, and nothing of the other"),
    "one record a key": (_OneRecordPerKey, "every whole commit, and nothing of the other"),
    "None is a value": (_KeepsNone, "deleting an unknown key"),
    "the first value wins": (_FirstWins, "a later commit replaces"),
    "in the file only": (_ForgetsToApply, "before the restart"),
    "the whole state each time": (_WritesTheWholeState, "not the whole state"),
    "bare JSON lines": (_BareLines, "a checksum over the record"),
    "a dictionary in the class": (_RemembersInTheClass, "the one file"),
}

ALSO_RIGHT = (OneChecksumPerLine,)
forget = _RemembersInTheClass.memory.clear
