"""The log of the file store: torn tails, damage, compaction, a full disk."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ragcourse.documents import Node
from ragcourse.stores import DamagedError, FileStore, StoreError
from ragcourse.stores import file as file_module

DIM = 4


def node(i: int, text: str = "text") -> Node:
    return Node(f"id-{i}", f"{text} {i} ü", "a.md", "nodes", i, i + 1, None, {"n": i})


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def contents(store: FileStore) -> dict[str, tuple[str, bytes]]:
    return {
        n.id: (n.text, v.tobytes()) for nodes, rows in store.items() for n, v in zip(nodes, rows, strict=True)
    }


def write(
    folder: Path, *steps: Callable[[FileStore], None]
) -> tuple[list[int], list[dict[str, tuple[str, bytes]]]]:
    """Apply the steps; returns the length of the log and the contents, before the first and after each."""
    store = FileStore(DIM, folder)
    sizes, states = [store.path.stat().st_size], [contents(store)]
    for step in steps:
        step(store)
        sizes.append(store.path.stat().st_size)
        states.append(contents(store))
    store.close()
    return sizes, states


STEPS: tuple[Callable[[FileStore], None], ...] = (
    lambda store: store.add([node(i) for i in range(4)], vectors(4)),
    lambda store: store.delete(["id-1", "id-2"]),
    lambda store: store.add([node(3, "newer"), node(9)], vectors(2, 1)),
)


def reopened(folder: Path) -> dict[str, tuple[str, bytes]]:
    store = FileStore(DIM, folder)
    try:
        return contents(store)
    finally:
        store.close()


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_log_cut_at_any_byte_of_its_last_record_is_the_log_before_it(last: int, tmp_path: Path) -> None:
    sizes, states = write(tmp_path, *STEPS[:last])
    assert all(a != b for a, b in itertools.pairwise(states))
    path = tmp_path / "nodes.log"
    data = path.read_bytes()
    assert len(data) == sizes[-1]
    for cut in range(sizes[-2], sizes[-1]):
        path.write_bytes(data[:cut])
        assert reopened(tmp_path) == states[-2], cut
        assert path.stat().st_size == sizes[-2], (
            cut
        )  # the tail is gone, what comes next stands behind whole records
    path.write_bytes(data)
    assert reopened(tmp_path) == states[-1]


def test_a_log_cut_in_its_very_first_record_is_empty(tmp_path: Path) -> None:
    sizes, _ = write(tmp_path)
    path = tmp_path / "nodes.log"
    data = path.read_bytes()
    for cut in range(sizes[0]):
        path.write_bytes(data[:cut])
        store = FileStore(DIM, tmp_path)
        store.add([node(1)], vectors(1))
        store.close()
        assert set(reopened(tmp_path)) == {"id-1"}, cut


def test_after_a_torn_tail_the_log_goes_on(tmp_path: Path) -> None:
    sizes, states = write(tmp_path, *STEPS)
    path = tmp_path / "nodes.log"
    os.truncate(path, sizes[-1] - 5)
    store = FileStore(DIM, tmp_path)
    STEPS[-1](store)
    store.close()
    assert reopened(tmp_path) == states[-1]


def test_any_flipped_bit_is_found(tmp_path: Path) -> None:
    """In the last record it looks like a torn tail; before it, nothing but damage can be the cause."""
    sizes, states = write(tmp_path, *STEPS)
    path = tmp_path / "nodes.log"
    data = path.read_bytes()
    for at in range(sizes[-1]):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        if at < sizes[-2]:
            with pytest.raises(DamagedError, match=r"nodes\.log is damaged at byte \d+"):
                FileStore(DIM, tmp_path)
            assert path.stat().st_size == sizes[-1]  # nothing was cut off
        else:
            try:
                assert reopened(tmp_path) == states[-2], at
            except DamagedError:  # its lengths: they have a checksum of their own
                assert at < sizes[-2] + 20
        path.write_bytes(data)


def test_space_that_was_allotted_and_never_written_is_a_torn_tail(tmp_path: Path) -> None:
    sizes, states = write(tmp_path, *STEPS)
    with (tmp_path / "nodes.log").open("ab") as file:
        file.write(bytes(4096))
    assert reopened(tmp_path) == states[-1]
    assert (tmp_path / "nodes.log").stat().st_size == sizes[-1]


def test_a_file_that_is_no_log_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "nodes.log"
    path.write_text("My shopping list, which I would not like to lose")
    with pytest.raises(DamagedError, match=r"nodes\.log is damaged at byte 0"):
        FileStore(DIM, tmp_path)
    assert path.read_text().startswith("My shopping list")


def test_compaction_keeps_the_living_and_the_size_in_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "_DEAD", 20)
    rng = random.Random(5)
    store = FileStore(DIM, tmp_path)
    held: dict[str, str] = {}
    largest = 0
    for step in range(300):
        if rng.random() < 0.6:
            some = [node(rng.randrange(50), f"step {step}") for _ in range(3)]
            store.add(some, vectors(3, step))
            held |= {n.id: n.text for n in some}
        elif held:
            gone = rng.sample(sorted(held), min(4, len(held)))
            store.delete(gone)
            for node_id in gone:
                del held[node_id]
        largest = max(largest, store.path.stat().st_size)
        if step % 50 == 49:
            before = contents(store)
            store.close()
            store = FileStore(DIM, tmp_path)
            assert {key: text for key, (text, _) in contents(store).items()} == held
            assert contents(store) == before
    store.close()
    assert largest < 30_000  # 300 steps without compaction are above 60,000 bytes
    assert [path.name for path in tmp_path.iterdir()] == ["nodes.log"]


def test_a_crash_in_a_compaction_leaves_the_old_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "_DEAD", 2)

    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    store = FileStore(DIM, tmp_path)
    store.add([node(i) for i in range(8)], vectors(8))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", crash)
        store.delete([f"id-{i}" for i in range(6)])
    assert store.path.with_suffix(".log.new").exists()
    store.close()
    assert set(reopened(tmp_path)) == {"id-6", "id-7"}
    store = FileStore(DIM, tmp_path)
    store.drop()
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file on a disk with ``room`` bytes left: like the kernel, it takes what still fits, then refuses."""

    def __init__(self, file: object, room: int) -> None:
        self._file, self.room = file, room

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        part = data[: self.room]
        self.room -= len(part)
        return self._file.write(part)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("room", [0, 1, 20, 21, 100, 300])
def test_a_full_disk_refuses_a_change_and_keeps_all_before_it(room: int, tmp_path: Path) -> None:
    store = FileStore(DIM, tmp_path)
    store.add([node(i) for i in range(4)], vectors(4))
    before, size = contents(store), store.path.stat().st_size
    log = store._log
    store._log = FullDisk(log, room)  # type: ignore[assignment]
    with pytest.raises(StoreError, match=r"(?i)no space left"):
        store.add([node(i, "x" * 200) for i in range(3, 8)], vectors(5, 1))
    store._log = FullDisk(log, min(room, 10))  # type: ignore[assignment]
    with pytest.raises(StoreError, match=r"(?i)no space left"):
        store.delete(["id-0"])
    assert contents(store) == before and store.path.stat().st_size == size
    store._log = log  # room again: the same store goes on
    store.add([node(7)], vectors(1, 2))
    store.flush()
    after = contents(store)
    store.close()
    assert reopened(tmp_path) == after and set(after) == {*before, "id-7"}


def test_a_full_disk_in_a_compaction_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "_DEAD", 2)
    store = FileStore(DIM, tmp_path)
    store.add([node(i) for i in range(8)], vectors(8))

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="No space left"):
        patch.setattr(os, "fsync", refuse)
        store.delete([f"id-{i}" for i in range(6)])
    assert [path.name for path in tmp_path.iterdir()] == ["nodes.log"]  # what it had written was given back
    assert store.ids() == {"id-6", "id-7"}
    store.close()
    assert set(reopened(tmp_path)) == {"id-6", "id-7"}
