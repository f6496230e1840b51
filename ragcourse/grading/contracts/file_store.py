"""Exercise 1.2: a store in one file whose commits survive a crash at any byte.

A process that is killed leaves an append-only file as a prefix of what it would have become; after a
power cut, the part that was not synced may also be zeros or garbage. So no process has to be killed
here: each prefix is one crash, and every one of them is tried.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._files import read_bytes
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error, expect_true
from ragcourse.grading.plain import difference, plain, show
from ragcourse.grading.spy import spy

contract = Contract("1.2", task="a store in one file whose commits survive a crash at any byte")

Batch = dict[str, str | None]
State = dict[str, str]

_TEXTS = ["one line", 'a "quoted" word', "two\nlines", "", "größer", "語", "\u2028", "back\\slash", "{}"]


class _History(NamedTuple):
    """A file after some commits: its bytes, where each commit ends, and the state after each (from none)."""

    data: bytes
    ends: list[int]
    states: list[State]


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ragcourse-store-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _opened(implementation: Any, path: Path, data: bytes | None = None) -> Iterator[Any]:
    """A store over `path`, which gets the bytes `data` first; closed at the end."""
    if data is not None:
        path.unlink(missing_ok=True)  # ext4 syncs a file that is truncated and written anew
        with path.open("xb") as file:
            file.write(data)
    store = implementation(path)
    try:
        yield store
    finally:
        store.close()


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise Mismatch("commit() returned and there is no file", cause="all is kept in the one file `path`")
    return read_bytes(path)


def _apply(state: State, batch: Batch) -> State:
    merged = {**state, **batch}
    return {key: value for key, value in merged.items() if value is not None}


def _batches(rng: np.random.Generator, count: int, keys: int = 2) -> list[Batch]:
    """Batches of several keys, all of whose values differ, so that half of one is never a whole state."""
    batches: list[Batch] = []
    for number in range(count):
        names = rng.choice(6, size=keys, replace=False)
        batches.append({f"node-{name}": f"text {number}.{rng.integers(1000, 9999)}" for name in names})
    return batches


def _single_keys(rng: np.random.Generator, count: int) -> list[Batch]:
    return [{f"key {i}": str(rng.integers(999))} for i in range(count)]


def _history(implementation: Any, folder: Path, batches: list[Batch]) -> _History:
    path = folder / "history.log"
    ends: list[int] = []
    states = [State()]
    with _opened(implementation, path) as store:
        for batch in batches:
            store.commit(dict(batch))
            before = ends[-1] if ends else 0
            ends.append(len(_bytes(path)))
            cause = "commit() appends one record, and has written it when it returns"
            expect_true(ends[-1] > before, "a commit did not make the file grow", given=batch, cause=cause)
            states.append(_apply(states[-1], batch))
        data = _bytes(path)
    return _History(data, ends, states)


def _expect_one_of(got: object, states: list[State], given: object) -> None:
    """The first state is the expected one; a store that can prove a commit whole may show the next, too."""
    found = plain(got)
    if all(difference(found, state) is not None for state in states):
        raise Mismatch(
            "this matches no state that may be left here",
            given=given if isinstance(given, str) else show(given),
            expected=show(states[0]),
            got=show(found),
        )


# ---- without a crash ----


@contract.check("what was committed is there after a restart", points=1)
def restart(implementation: Any, rng: np.random.Generator) -> None:
    def test(batches: list[Batch]) -> None:
        expected: State = {}
        with _folder() as folder:
            for batch in batches:
                expected = _apply(expected, batch)
                with _opened(implementation, folder / "store.log") as store:
                    store.commit(dict(batch))
                    expect_equal(store.items(), expected, cause="items() before the restart")
            with _opened(implementation, folder / "store.log") as store:
                cause = "__init__ must read the file from its beginning and apply each commit in turn"
                expect_equal(store.items(), expected, cause=cause)

    texts = rng.permutation(_TEXTS)
    every: Batch = {f"key {i}": str(text) for i, text in enumerate(texts)}
    single = _single_keys(rng, 5)
    for_each([single[:1], single[:2], [every], single], test, valid=bool)


@contract.check(
    "a commit is written when commit() returns",
    points=1,
    cause="what waits in Python's buffer dies with the process: open with buffering=0, or flush()",
)
def written(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        path, state = folder / "store.log", State()
        with _opened(implementation, path) as store:
            for batch in _single_keys(rng, 3):
                state = _apply(state, batch)
                store.commit(dict(batch))
                with _opened(implementation, folder / "copy.log", _bytes(path)) as copy:
                    given = "the process is killed after commit() has returned, before close()"
                    expect_equal(copy.items(), state, given=given)


@contract.check("the last value wins, None deletes", points=1)
def upsert(implementation: Any, rng: np.random.Generator) -> None:
    def test(batches: list[Batch]) -> None:
        expected: State = {}
        for batch in batches:
            expected = _apply(expected, batch)
        with _folder() as folder:
            path = folder / "store.log"
            with _opened(implementation, path) as store:
                for batch in batches:
                    store.commit(dict(batch))
            with _opened(implementation, path) as store:
                cause = "a later commit replaces or (None) removes; deleting an unknown key is allowed"
                expect_equal(store.items(), expected, cause=cause)

    values = [None, "x", "y", "z"]
    cases: list[list[Batch]] = [[{"a": "1"}, {"a": "2"}], [{"a": "1"}, {"a": None}], [{"a": None}]]
    cases += [[{f"k{rng.integers(3)}": values[rng.integers(4)] for _ in range(2)} for _ in range(12)]]
    for_each(cases, test, valid=bool)


@contract.check(
    "a commit is synced when commit() returns",
    points=2,
    cause="write, then os.fsync(file.fileno()), in this order, in every commit",
)
def synced(implementation: Any, rng: np.random.Generator) -> None:
    given = "the power fails after commit() has returned: only what os.fsync saw is left"
    with _folder() as folder:
        path, state = folder / "store.log", State()
        durable = [b""]
        watched = spy(implementation, os, ["fsync", "fdatasync"], lambda: durable.append(_bytes(path)))
        with _opened(implementation, path) as store, watched:
            for batch in _single_keys(rng, 3):
                state = _apply(state, batch)
                store.commit(dict(batch))
                left = durable[-1]
                with _opened(implementation, folder / f"copy{len(durable)}.log", left) as copy:
                    expect_equal(copy.items(), state, given=given)


@contract.check("a commit only adds to the end of the file", points=1)
def append_only(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        path, before = folder / "store.log", b""
        with _opened(implementation, path) as store:
            store.commit({f"key {i}": "a fairly long text " * 3 for i in range(60)})
            before = _bytes(path)
            for batch in _batches(rng, 3, keys=1):
                store.commit(dict(batch))
                after = _bytes(path)
                cause = "a file that is written over is torn if the crash comes in between"
                expect_true(after.startswith(before), "earlier bytes of the file were changed", cause=cause)
                cause = "write the changes, not the whole state"
                grown = f"{len(after) - len(before)} bytes for {show(batch)}"
                small = len(after) - len(before) < 300
                expect_true(small, "a small commit wrote much", got=grown, cause=cause)
                before = after


# ---- crashes ----


@contract.check(
    "cut at any byte: every whole commit, and nothing of the other",
    points=3,
    cause="a record counts once all its bytes are there; what follows it is dropped",
)
def cut_anywhere(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        history = _history(implementation, folder, _batches(rng, 3))

        def test(case: dict[str, Any]) -> None:
            cut = case["bytes left of the file"]
            whole = bisect_right(history.ends, cut)
            with _opened(implementation, folder / "cut.log", history.data[:cut]) as store:
                _expect_one_of(store.items(), history.states[whole : whole + 2], case)

        cuts = range(len(history.data) + 1)
        for_each([{"bytes left of the file": cut, "commits end at": history.ends} for cut in cuts], test)


@contract.check(
    "zeros or changed bytes at the end are no commit",
    points=2,
    cause="a checksum over the record tells; is a record of length 0 a record to you? crc32(b'') is 0",
)
def torn_tail(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        history = _history(implementation, folder, _batches(rng, 3))
        data, states = history.data, history.states
        start, end = history.ends[-2], history.ends[-1]
        tails = {
            f"{count} zero bytes behind the last commit": (data + bytes(count), states[-1:])
            for count in (1, 4, 8, 12, 16, 64)
        }
        for at in sorted(rng.choice(np.arange((start + end) // 2, end), size=8, replace=False)):
            damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            tails[f"one bit changed in the last commit, byte {at} of {end}"] = (damaged, states[-2:])
        half = (start + end) // 2
        zeroed = data[:half] + bytes(end - half)
        tails["the second half of the last commit is zeros"] = (zeroed, states[-2:-1])

        def test(tail: str) -> None:
            with _opened(implementation, folder / "torn.log", tails[tail][0]) as store:
                _expect_one_of(store.items(), tails[tail][1], tail)

        for_each(list(tails), test)


@contract.check(
    "the store goes on after a crash",
    points=3,
    cause="a torn tail stands between the old commits and the new one: cut it off when you find it",
)
def goes_on(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        history = _history(implementation, folder, _batches(rng, 2))
        last = len(history.data)
        cuts = [int(cut) for cut in rng.integers(1, last, size=16)]
        ends, states = history.ends, history.states
        crashes = {}
        for cut in [*cuts, last - 1]:
            whole = bisect_right(ends, cut)
            left = history.data[:cut]
            crashes[f"the file is cut to {cut} of {last} bytes"] = (left, states[whole : whole + 2])
        crashes["the file ends in 16 zero bytes"] = (history.data + bytes(16), states[-1:])

        def test(crash: str) -> None:
            path, (data, before) = folder / "crashed.log", crashes[crash]
            with _opened(implementation, path, data) as store:
                store.commit({"after": "the crash"})
                data = _bytes(path)
            with _opened(implementation, folder / "again.log", data) as store:
                given = f"{crash}; opened, committed, opened again"
                expected = [{**state, "after": "the crash"} for state in before]
                _expect_one_of(store.items(), expected, given)

        for_each(list(crashes), test)


@contract.check("damage before the last commit is refused", points=1)
def damaged(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        batches: list[Batch] = [{f"key {i}": "long text " * 20 + str(rng.integers(99))} for i in range(4)]
        data, ends, _ = _history(implementation, folder, batches)
        for victim in (0, 1, 2):
            at = (([0, *ends])[victim] + ends[victim]) // 2
            damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

            def reopen(damaged: bytes = damaged) -> object:
                with _opened(implementation, folder / "damaged.log", damaged) as store:
                    return store.items()

            expect_error(
                ValueError,
                reopen,
                given=f"one bit changed in commit {victim + 1} of 4: byte {at} of {len(data)}",
                cause="a crash tears only the end; to drop what follows damage loses commits in silence",
            )


@contract.check("a flipped bit in a record's head loses no commit behind it", points=2)
def damaged_head(implementation: Any, rng: np.random.Generator) -> None:
    with _folder() as folder:
        data, ends, states = _history(implementation, folder, _batches(rng, 4))

        def test(flip: tuple[int, int]) -> None:
            at, bit = flip
            damaged = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            try:
                with _opened(implementation, folder / "head.log", damaged) as store:
                    got = plain(store.items())
            except ValueError:
                return
            commit = 1 + bisect_right(ends, at)
            if difference(got, states[-1]) is not None:
                raise Mismatch(
                    "commits were dropped, and nobody was told",
                    given=f"bit {bit} of byte {at} changed, in commit {commit} of 4 (they end at {ends})",
                    expected=f"a ValueError, or {show(states[-1])}",
                    got=show(got),
                    cause="the length may itself be damaged: is there a whole record behind the bad one?",
                )

        starts = [0, ends[0]]
        for_each([(start + i, bit) for start in starts for i in range(12) for bit in range(8)], test)
