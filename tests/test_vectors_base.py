"""What all vector indexes share: the table of ids, the lock of many readers, the file with its checksum."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ragcourse.indexes.sharing import SharedLock
from ragcourse.indexes.vectors.files import IndexFileError, read_index, write_index
from ragcourse.indexes.vectors.ids import Ids

# ---- ids ----

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.randoms(use_true_random=False)), max_size=30)


@given(STEPS)
def test_ids_follow_their_rows_through_any_adding_and_removing(steps: list) -> None:  # type: ignore[type-arg]
    """The oracle is a list of rows, each carrying the id that it was given."""
    ids, rows = Ids(), list[int]()
    for adding, count, random in steps:
        if adding or not rows:
            wanted = None if random.random() < 0.5 else random.sample(range(1000, 2000), count)
            if wanted and set(wanted) & set(rows):
                with pytest.raises(ValueError, match="in the index already"):
                    ids.new(count, wanted)
                continue
            new = ids.new(count, wanted)
            assert not set(new.tolist()) & set(rows)
            ids.append(new)
            rows += new.tolist()
        else:
            gone = ids.slots(random.sample(rows, min(count, len(rows))))
            source, target = ids.remove(gone)
            for hole, survivor in zip(target, source, strict=True):
                rows[hole] = rows[survivor]
            del rows[len(rows) - len(gone) :]
        assert ids.of_slots.tolist() == rows
        assert all(row in ids for row in rows)
        ids.check()


def test_unfit_ids_are_named() -> None:
    ids = Ids()
    ids.append(ids.new(3, [7, 5, 9]))
    assert ids.new(2, None).tolist() == [10, 11]
    for wanted, said in (
        ([1, 2, 1], "id 1 is given twice"),
        ([1, 2], "2 ids for 3 vectors"),
        ([1, 2, -3], "id -3 is negative"),
        ([1, 5, 2], "id 5 is in the index already"),
        ([0.5, 1, 2], "whole numbers"),
        ([True, False, True], "whole numbers"),
        ([[1, 2, 3]], "whole numbers"),
    ):
        with pytest.raises(ValueError, match=said):
            ids.new(3, wanted)
    with pytest.raises(KeyError, match="id 8 is not in the index"):
        ids.slots([7, 8])
    with pytest.raises(ValueError, match="twice"):
        ids.slots([7, 7])
    assert ids.mask([9, 7, 1234]).tolist() == [True, False, True]
    assert ids.mask([]).tolist() == [False] * 3


# ---- the lock ----


def test_readers_share_and_a_writer_who_waits_is_let_in_before_new_readers() -> None:
    lock, order = SharedLock(), list[str]()
    first_is_in, leave, second_is_in = threading.Event(), threading.Event(), threading.Event()

    def reader(name: str, inside: threading.Event, until: threading.Event) -> None:
        with lock.shared:
            inside.set()
            until.wait(30)
            order.append(name)

    def writer() -> None:
        with lock.exclusive:
            order.append("writer")

    threads = [
        threading.Thread(target=reader, args=("first", first_is_in, leave)),
        threading.Thread(target=reader, args=("second", second_is_in, leave)),
    ]
    for thread in threads:
        thread.start()
    assert first_is_in.wait(30) and second_is_in.wait(30)  # both at once
    threads.append(threading.Thread(target=writer))
    threads[-1].start()
    while not lock.shared._door.locked():  # until the writer waits
        threading.Event().wait(0.001)
    threads.append(threading.Thread(target=reader, args=("late", threading.Event(), leave)))
    threads[-1].start()
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(30)
    assert sorted(order[:2]) == ["first", "second"] and order[2:] == ["writer", "late"]
    with lock.exclusive:
        pass


def test_a_reader_that_fails_leaves_the_lock_open() -> None:
    lock = SharedLock()
    for enter in (lock.shared, lock.exclusive):
        with pytest.raises(RuntimeError), enter:
            raise RuntimeError
    with lock.exclusive:
        pass
    with lock.shared, lock.shared:
        pass


# ---- the file ----

HEAD = {"kind": "some", "settings": {"dim": 3}, "note": ["é", None]}


def test_a_file_keeps_settings_and_arrays(tmp_path: Path) -> None:
    file = tmp_path / "index"
    arrays = {"a": np.arange(6, dtype=np.int8).reshape(2, 3)[:, ::2], "empty": np.empty((0, 4), np.float32)}
    write_index(file, HEAD, arrays)
    head, read = read_index(file)
    assert head == HEAD and read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_every_damaged_byte_and_every_cut_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "index"
    write_index(file, HEAD, {"a": np.arange(20, dtype=np.float32)})
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(IndexFileError, match="index"):
            read_index(file)
        file.write_bytes(content[:place])
        with pytest.raises(IndexFileError, match="index"):
            read_index(file)
    file.write_bytes(content + b"\0")
    with pytest.raises(IndexFileError):
        read_index(file)


def test_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "foreign"
    with pytest.raises(FileNotFoundError, match="foreign"):
        read_index(file)
    save_file({"weights": np.ones(3)}, file)
    with pytest.raises(IndexFileError, match="foreign is not of the format"):
        read_index(file)
    for content in (b"", b"hello", json.dumps(HEAD).encode(), np.arange(9).tobytes()):
        file.write_bytes(content)
        with pytest.raises(IndexFileError, match="foreign"):
            read_index(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(FileNotFoundError, match="foreign"):
        read_index(file)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "index"
    write_index(file, HEAD, {"a": np.ones(3)})
    (tmp_path / "index.new").mkdir()  # where the new one would be written
    with pytest.raises(OSError, match=r"index\.new"):
        write_index(file, HEAD, {"a": np.zeros(3)})
    assert read_index(file)[1]["a"].tolist() == [1, 1, 1]
