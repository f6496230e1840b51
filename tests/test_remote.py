"""Values and calls between a judge and a learner's process, over a real socket."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragcourse.grading.contract import place_of
from ragcourse.grading.expect import Mismatch, expect_error
from ragcourse.grading.hand_in import hand_in_over
from ragcourse.grading.judge_link import JudgeLink
from ragcourse.grading.link import LIMIT, Ended
from ragcourse.grading.origin import origin_of, read_origin
from ragcourse.grading.plain import plain
from ragcourse.grading.remote import Remote
from ragcourse.grading.wire import MAX_DEPTH, Decoder, Encoder, WireError
from ragcourse.timing import Span


def remotely(implementation: object, use: Callable[[Any], Any]) -> Any:
    """Return or raise what `use(implementation)` does in a judge, with only a socket in between."""
    ours, theirs = socket.socketpair()
    came: list[Any] = []
    done = threading.Event()

    def handed_in(link: JudgeLink, request: Any) -> str:
        try:
            came.append(use(request[1]))
        except Exception as error:  # noqa: BLE001  raised again below
            came.append(error)
        finally:
            done.set()
        return ""

    judge = JudgeLink(ours, handed_in, LIMIT)
    reader = threading.Thread(target=judge.read, daemon=True)
    reader.start()
    try:
        hand_in_over(theirs, "9.9", implementation)
    finally:
        reader.join()
        done.wait()
    if isinstance(came[0], Exception):
        raise came[0]
    return came[0]


# ---- values ----


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    names: tuple[str, ...]

    def norm(self) -> int:
        return abs(self.x)


@dataclasses.dataclass
class Counter:
    value: int = 0

    def add(self, more: int) -> None:
        self.value += more


class Words(list[str]):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("not to be asked")


class Odd:
    pass


VALUES = [
    None, True, 0, -1, 2**200, -(2**64), 1.5, math.inf, "größe \u2028", "\ud800", b"\x00\xff",
    [], [1, [2, (3,)]], {1: {"a": None}}, {1, 2}, frozenset([3, 4]), range(3), {"a": 1}.keys(),
    np.arange(6.0).reshape(2, 3), np.array(["ab", "c"]), np.array([True, False]), np.zeros((0, 3)),
    np.float32(0.1), np.int64(7), np.datetime64("2020-01-01"), Path("/a/b"),
    Point(3, ("a",)), [Point(1, ()), Point(2, ())], Counter(3), Odd(), [Odd()], 1j,
    Words(["a", "b"]), collections.OrderedDict(a=1), collections.deque([1]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_the_same_plain_data_on_the_other_side(value: Any) -> None:
    assert repr(remotely(lambda: value, lambda get: plain(get()))) == repr(plain(value))


def test_an_array_of_objects_arrives_as_a_list() -> None:
    value = np.array([1, "a", None], dtype=object)
    assert remotely(lambda: value, lambda get: plain(get())) == [1, "a", None]


def test_nan_and_signed_zero_cross() -> None:
    got = remotely(lambda: [math.nan, -0.0], lambda get: get())
    assert math.isnan(got[0]) and math.copysign(1, got[1]) == -1


def test_a_loop_of_lists_is_opaque_where_it_is_too_deep() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "nested deeper" in repr(remotely(lambda: loop, lambda get: plain(get())))


def test_generators_are_fetched_as_they_are_needed() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield len(made)

    def use(get: Any) -> list[int]:
        items = iter(get())
        return [next(items) for _ in range(3)]

    assert remotely(endless, use) == [1, 2, 3] and len(made) == 3
    assert len(remotely(endless, lambda get: plain(get()))) == 100_000


def test_an_error_in_a_generator_arrives_behind_the_items_before_it() -> None:
    def three() -> Iterator[int]:
        yield from range(3)
        raise ValueError("no fourth")

    def use(get: Any) -> list[int]:
        seen = []
        with pytest.raises(ValueError, match="no fourth"):
            for item in get():
                seen.append(item)
        return seen

    assert remotely(three, use) == [0, 1, 2]


def test_a_value_above_64_mb_is_an_error_and_no_end() -> None:
    def use(get: Any) -> tuple[str, int]:
        with pytest.raises(Exception, match="larger than 64 MB") as caught:
            get(LIMIT)
        return type(caught.value).__name__, len(get(1000))

    assert remotely(lambda size: bytes(size), use) == ("TooLarge", 1000)


# ---- use of an object ----


class Store:
    version = 3

    def __init__(self, name: str = "a") -> None:
        self.name, self._items = name, {"k": "v"}
        self.closed = False

    @property
    def size(self) -> int:
        return len(self._items)

    def put(self, key: str, value: Any = None) -> None:
        self._items[key] = value

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._items[key] = value

    def __delitem__(self, key: str) -> None:
        del self._items[key]

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __eq__(self, other: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return False


def test_a_class_is_used_as_if_it_were_here() -> None:
    def use(made: Any) -> list[Any]:
        seen: list[Any] = [made.version]
        with made(name="b") as store:
            store.put("x", value=[1])
            store["y"] = 2
            store.name = "c"
            del store["k"]
            seen += [store.size, len(store), "x" in store, "k" in store, list(store), store["x"], store.name]
            seen += [bool(store), type(store).__name__, store == 3, isinstance(store, Remote)]
        return [*seen, store.closed]

    assert remotely(Store, use) == [
        3, 2, 2, True, False, ["x", "y"], [1], "c", False, "Store", False, True, True,
    ]  # fmt: skip


def test_what_an_object_does_not_have_is_missed_as_here() -> None:
    def use(made: Any) -> None:
        odd = made()
        for call in (
            lambda: odd.nothing,
            lambda: odd(1),
            lambda: odd["?"],
            lambda: len(odd),
            lambda: list(odd),
        ):
            with pytest.raises((AttributeError, TypeError), match="Odd"):
                call()
        with pytest.raises(TypeError, match="context manager"), odd:
            pass

    remotely(Odd, use)


def test_a_dataclass_with_methods_shows_what_it_holds_now() -> None:
    def use(made: Any) -> tuple[Any, Any]:
        counter = made()
        before = repr(plain(counter))
        counter.add(5)
        return before, repr(plain(counter))

    assert remotely(Counter, use) == ("Counter(value=0)", "Counter(value=5)")


def test_changed_arguments_are_changed_here() -> None:
    def implementation(numbers: list[int], table: dict[str, Any], array: Any, spans: list[Span]) -> None:
        numbers.sort()
        table["inner"].add("new")
        array[0] = 9
        spans[0].name = "other"

    numbers, table, array = [3, 1], {"inner": {"old"}}, np.zeros(2)
    span = Span("name", 0, 1, 0)
    inner = table["inner"]
    remotely(implementation, lambda call: call(numbers, table, array, [span]))
    assert numbers == [1, 3] and inner == {"old", "new"} and array[0] == 9 and span.name == "other"


def test_arguments_that_were_left_alone_stay_the_same_objects() -> None:
    inner: list[int] = [1]
    outer: list[Any] = [inner, {"a": inner}]
    remotely(lambda value: None, lambda call: call(outer))
    assert outer[0] is inner and outer[1]["a"] is inner


def test_the_learners_process_gets_real_classes_of_the_course() -> None:
    def implementation(span: Any) -> Any:
        return type(span) is Span

    assert remotely(implementation, lambda call: call(Span("a", 0, 2, 0))) is True


# ---- errors ----


class Own(KeyError):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        (ValueError("bad k"), ValueError, "ValueError"), (Own("gone"), KeyError, "Own"),
        (NotImplementedError("todo"), NotImplementedError, "NotImplementedError"),
        (SystemExit(0), Exception, "SystemExit"), (KeyboardInterrupt(), Exception, "KeyboardInterrupt"),
        (GeneratorExit(), Exception, "GeneratorExit"), (StopIteration(3), Exception, "StopIteration"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), ValueError, "UnicodeDecodeError"),
        (ExceptionGroup("two", [ValueError()]), Exception, "ExceptionGroup"),
        (FileNotFoundError(2, "no"), OSError, "FileNotFoundError"),
    ],
)  # fmt: skip
def test_an_error_arrives_with_its_name_its_base_and_its_text(
    error: BaseException, kind: type[Exception], name: str
) -> None:
    def implementation() -> None:
        raise error

    with pytest.raises(Exception) as raised:
        remotely(implementation, lambda call: call())
    caught = raised.value
    assert isinstance(caught, kind) and not isinstance(caught, StopIteration)
    assert (type(caught).__name__, str(caught)) == (name, str(error))
    assert place_of(caught).startswith("\nin implementation, line ") and "raise error" in place_of(caught)


def test_expect_error_works_across() -> None:
    def implementation(k: int) -> None:
        raise ValueError(f"k is {k}, and must be above 0")

    remotely(implementation, lambda call: expect_error(ValueError, lambda: call(0), mentions="k"))
    with pytest.raises(Mismatch, match="another error"):
        remotely(implementation, lambda call: expect_error(KeyError, lambda: call(0)))


def test_an_error_of_the_contract_comes_back_as_itself_and_tells_nothing_on_the_way() -> None:
    texts: list[str] = []
    wrong = Mismatch("the answer is 42")

    def implementation(ask: Callable[[], None]) -> None:
        try:
            ask()
        except AssertionError as error:
            texts.append(str(error))
            raise

    def ask() -> None:
        raise wrong

    with pytest.raises(Mismatch) as caught:
        remotely(implementation, lambda call: call(ask))
    assert caught.value is wrong and texts == [""]


def test_leaving_a_with_block_tells_nothing_either() -> None:
    seen: list[str] = []

    class Curious(Store):
        def __exit__(self, *error: object) -> None:
            seen.append(str(error[1]))

    def use(made: Any) -> None:
        with made():
            raise Mismatch("the answer is 42")

    with pytest.raises(Mismatch):
        remotely(Curious, use)
    assert seen == [""]


# ---- the judge's objects ----


class Live:
    """A contract's object: `_answer` is its secret."""

    def __init__(self) -> None:
        self.name, self._answer, self.log = "live", 42, ["one"]

    def read(self) -> int:
        self.log.append("read")
        return 7

    def __getitem__(self, key: int) -> int:
        return key * 2


@dataclasses.dataclass
class LiveRecord:
    log: list[str]

    def read(self) -> None:
        self.log.append("read")


def test_an_object_of_the_contract_shows_its_public_side_alone() -> None:
    seen: list[Any] = []
    tries: list[str] = []

    def implementation(live: Any, function: Callable[[], Any]) -> None:
        seen.extend([live.name, live.read(), live[4], live.log, function(), type(live).__name__])
        live.log.clear()  # a copy
        end = live._ragcourse[0]
        names = ["_answer", "__class__", "__globals__", "__self__", "__closure__", "__code__", "__dict__"]
        asked: list[tuple[Any, ...]] = [("get", name, ()) for name in names] + [
            ("method", name, ((), {})) for name in names
        ]
        for number in (live._ragcourse[1], function._ragcourse[1]):  # type: ignore[attr-defined]
            for what, name, arguments in asked:
                with contextlib.suppress(AttributeError):
                    tries.append(f"{name}: {end._ask(what, number, name, *arguments)!r}")
        for name in ("_answer", "__globals__", "__closure__"):
            if hasattr(live, name) or hasattr(function, name):
                tries.append(name)

    live = Live()
    remotely(implementation, lambda call: call(live, lambda: 5))
    assert seen == ["live", 7, 8, ["one", "read"], 5, "Live"] and tries == []
    assert live.log == ["one", "read"]


def test_what_an_object_of_the_contract_holds_cannot_be_changed_through_the_arguments() -> None:
    record = LiveRecord([])
    files = {"a": record}

    def implementation(files: dict[str, Any]) -> None:
        files["a"].read()
        files["a"] = LiveRecord([])  # a dataclass of the same name, without the entry

    remotely(implementation, lambda call: call(files))
    assert record.log == ["read"]


def test_a_call_of_what_was_not_handed_out_ends_the_hand_in() -> None:
    def implementation(function: Any) -> None:
        function._ragcourse[0]._ask("call", 10**6, (), {})

    ended: list[str] = []

    def use(call: Any) -> None:
        try:
            call(lambda: 1)
        except Ended as error:
            ended.append(str(error))

    with pytest.raises(RuntimeError, match="the judge ended before it was done"):
        remotely(implementation, use)
    assert "not handed out" in ended[0]


# ---- threads ----


def test_calls_nest_in_both_directions() -> None:
    def implementation(n: int, other: Callable[[int, Any], int]) -> int:
        return 1 if n == 0 else n * other(n - 1, other)

    def use(call: Any) -> int:
        def other(n: int, other: Any) -> int:
            return int(call(n, other))

        return int(call(6, other))

    assert remotely(implementation, use) == 720


def test_threads_on_both_sides_run_at_once() -> None:
    meeting = threading.Barrier(2)

    def implementation(tell: Callable[[int], int]) -> list[int]:
        meeting.wait(10)  # both calls must be here
        told: list[int] = []
        threads = [threading.Thread(target=lambda n=n: told.append(tell(n))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(told)

    def use(call: Any) -> list[Any]:
        together, results = threading.Barrier(4), []

        def tell(n: int) -> int:
            together.wait(10)  # four callbacks must be here
            return n

        threads = [threading.Thread(target=lambda: results.append(call(tell))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    assert remotely(implementation, use) == [[0, 1, 2, 3]] * 2


# ---- bytes that no encoder writes ----


def decoder() -> Decoder:
    own: dict[int, Any] = {}
    return Decoder(lambda *parts: None, lambda number: None, own.__getitem__)


def test_random_bytes_are_refused_or_a_value() -> None:
    rng = random.Random(1)
    good = Encoder(lambda value: 1, lambda value: None).encode(VALUES)
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = data[: rng.randrange(1, len(data) + 1)] if rng.random() < 0.3 else data
        try:
            decoder().decode(bytes(cut))
        except WireError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"", b"?", b"NN", b"l\xff\xff\xff\xff", b"l\0\0\0\1" * (MAX_DEPTH + 4) + b"N", b"s\0\0\0\1\xff",
        b"d\0\0\0\1l\0\0\0\0N", b"e\0\0\0\1d\0\0\0\0", b"j" + bytes(8), b"a\0\0\0\2|O\0\0\0\0\0\0\0\0",
        b"a\0\0\0\3<f8\0\0\0\1" + b"\x7f" + bytes(7) + bytes(4),
        b"a\0\0\0\3<U1\0\0\0\1" + bytes(7) + b"\1\0\0\0\4" + b"\xff" * 4,
        b"h" + bytes(8) + b"\0\0\0\0",
        b"r" + bytes(8) + b"\0\0\0\1A\0\0\0\0\0\0\0\1\0\0\0\5__x__N", b"i\0\0\0\xff",
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decoder().decode(data)


def test_a_class_name_may_be_anything_that_can_be_printed() -> None:
    strange = type("a b'; import os", (), {})
    assert repr(remotely(strange, lambda made: plain(made()))) == "<a b'; import os object>"


# ---- origin ----


def test_the_origin_names_the_courses_own_code() -> None:
    from ragcourse.timing import measure

    assert read_origin(origin_of(measure))["course"] == ["measure"]
    child = type("Mine", (JudgeLink,), {"__module__": "__main__"})
    assert "JudgeLink.serve" in read_origin(origin_of(child))["course"]
    assert read_origin(origin_of(Store))["course"] == []
    forged = {
        "module": 3,
        "code": [None, {"name": "x" * 10_000, "module": [], "file": "/a/solutions/x.ipynb"}],
    }
    assert read_origin(forged)["course"] == ["x" * 300]
    assert read_origin(None)["code"] == []
