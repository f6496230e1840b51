"""The judge: a process of its own that gives the same verdicts as a run in one process, whatever it meets."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from ragcourse.grading import check, run
from ragcourse.grading.contract import JUDGE, Contract
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.contracts._files import read_bytes
from ragcourse.grading.expect import Mismatch, expect_equal, expect_true
from ragcourse.grading.judge import seeds_of
from ragcourse.grading.link import CALL, LIMIT, REPLY
from ragcourse.grading.wire import Encoder
from tests import test_contract as toy
from tests.wrong_answers import EXERCISES

ROOT = Path(__file__).parents[1]
SEED = 3
PATIENCE = 20  # seconds until a test gives up


def toys() -> dict[str, Contract]:
    """Contracts for the attacks."""
    found = {"9.1": toy.sort_contract()}
    found["9.2"] = Contract("9.2", "the same, in little time", toy.sort_contract(seconds=0.3).checks)

    secret = found["9.3"] = Contract("9.3", "guess")

    @secret.check("the secret is guessed")
    def guessed(implementation: Any, rng: np.random.Generator) -> None:
        expected = f"secret-{rng.integers(10**9)}"
        expect_equal(implementation(lambda: len(expected)), expected)

    first = found["9.4"] = Contract("9.4", "add one")

    @first.check("one is added")
    def added(implementation: Any, rng: np.random.Generator) -> None:
        number = int(rng.integers(10**9))
        expect_equal(implementation(number), number + 1)

    file = found["9.5"] = Contract("9.5", "write a file")

    @file.check("the file holds ok", seconds=2)
    def written(implementation: Any, rng: np.random.Generator) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            implementation(path)
            expect_true(path.exists() and read_bytes(path) == b"ok", "the file holds something else")

    return found


class Judge:
    """A judge's process."""

    def __init__(self, folder: Path, *options: str, code: str = "") -> None:
        self.socket = str(folder / "judge")
        program = ["-c", code] if code else ["-m", "ragcourse.grading.judge"]
        argv = [sys.executable, *program, self.socket, "--seed", str(SEED), "--shared", str(folder), *options]
        self.process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, bufsize=0)
        assert self.said() == {"ready": self.socket}

    def says_something(self, seconds: float = PATIENCE) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def said(self) -> Any:
        """Its next line."""
        assert self.says_something(), "the judge says nothing"
        return json.loads(self._stdout.readline())

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.socket)
        return sock


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    judge = Judge(tmp_path_factory.mktemp("course"), "--more-seeds", "0", "--hand-ins", "1000")
    yield judge
    judge.stop()


TOYS = "from ragcourse.grading.judge import main; from tests.test_judge import toys; main(known=toys())"


@pytest.fixture(scope="module")
def judge_of_toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    judge = Judge(tmp_path_factory.mktemp("toys"), "--hand-ins", "1000", code=TOYS)
    yield judge
    judge.stop()


@pytest.fixture
def judge(judge_of_toys: Judge) -> Judge:
    """The toys' judge, with the verdicts of earlier tests read."""
    while judge_of_toys.says_something(0):
        judge_of_toys.said()
    return judge_of_toys


@pytest.fixture
def hand_in(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], Any]:
    """Hand in to the toys' judge and return its verdict."""
    monkeypatch.setenv(JUDGE, judge.socket)

    def hand_in(exercise: str, implementation: object) -> Any:
        shown = check(exercise, implementation)
        assert repr(shown).startswith(f"Exercise {exercise}: handed in for grading")
        verdict = judge.said()
        assert verdict["exercise"] == exercise
        return verdict["result"]

    return hand_in


def still_judges(hand_in: Callable[[str, object], Any]) -> bool:
    passed: bool = hand_in("9.1", toy.right)["passed"]
    return passed


# ---- the same verdict as in one process ----


def texts(outcomes: list[dict[str, Any]], *left_out: str) -> list[dict[str, Any]]:
    return [{key: one[key] for key in one if key not in ("seconds", *left_out)} for one in outcomes]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_answer_gets_the_same_verdict_as_in_one_process(
    exercise: str, course: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = EXERCISES[exercise]
    forget = getattr(module, "forget", lambda: None)
    wrong = {name: implementation for name, (implementation, _) in module.WRONG.items()}
    for name, implementation in {"right": module.right, "stub": module.stub, **wrong}.items():
        forget()
        monkeypatch.delenv(JUDGE, raising=False)
        here = check(exercise, implementation, SEED).to_dict()
        forget()
        monkeypatch.setenv(JUDGE, course.socket)
        check(exercise, implementation)
        there = course.said()
        assert there["result"]["passed"] == (name == "right")
        assert there["origin"]["course"] == []
        if name != "a clock of its own":  # whose times differ from run to run
            assert texts(there["result"]["outcomes"]) == texts(here["outcomes"]), name


@pytest.mark.parametrize("name", toy.WRONG)
def test_a_hostile_answer_fails_as_in_one_process(name: str, hand_in: Callable[[str, object], Any]) -> None:
    here = run(toy.sort_contract(), toy.WRONG[name], SEED).to_dict()
    there = hand_in("9.1", toy.WRONG[name])
    left_out: tuple[str, ...] = ()
    if name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):  # there, an ordinary error
        left_out = ("message", "given", "expected", "got")
    elif name == "wrong signature":  # here, a line of the toy contract is shown, too
        left_out = ("got",)
    assert texts(there["outcomes"], *left_out) == texts(here["outcomes"], *left_out)


def test_what_the_learners_code_prints_is_in_the_verdict_and_not_in_the_notebook(
    hand_in: Callable[[str, object], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def implementation(numbers: list[int]) -> list[int]:
        print("debug", numbers)
        print("x" * 100_000)
        return []

    printed = hand_in("9.1", implementation)["outcomes"][0]["printed"]
    assert printed.startswith("debug [") and len(printed) < 3_000
    assert capsys.readouterr().out == ""


# ---- handing in ----


def test_more_seeds_follow_from_the_first_and_the_exercise() -> None:
    assert seeds_of(1, "1.1", 2) == seeds_of(1, "1.1", 2)
    assert len({seed for one in (1, 2) for name in ("1.1", "1.2") for seed in seeds_of(one, name, 2)}) == 10


def test_an_answer_that_is_right_for_the_first_seed_alone_fails(
    hand_in: Callable[[str, object], Any],
) -> None:
    calls: list[int] = []

    def once(number: int) -> int:
        calls.append(number)
        return number + 1 if len(calls) == 1 else 0

    assert not hand_in("9.4", once)["passed"] and len(calls) == 2
    assert hand_in("9.4", lambda number: number + 1)["passed"]


def test_a_refused_hand_in_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, "--exercise", "0.4", "--hand-ins", "2")
    try:
        monkeypatch.setenv(JUDGE, judge.socket)
        for exercise in ("1.1", "?", "x" * 1_000):
            with pytest.raises(RuntimeError, match="there is no such exercise"):
                check(exercise, EXERCISES["1.1"].right)
        for _ in range(2):
            check("0.4", EXERCISES["0.4"].right)
        with pytest.raises(RuntimeError, match="handed in 2 times already"):
            check("0.4", EXERCISES["0.4"].right)
        assert [judge.said()["result"]["passed"] for _ in range(2)] == [True, True]
        assert contract_of("0.4").points > 0
    finally:
        judge.stop()
    with pytest.raises(RuntimeError, match=r"exercise 0\.4 cannot be handed in: no judge answers at"):
        check("0.4", EXERCISES["0.4"].right)


def test_the_courses_own_code_is_named(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragcourse.documents import content_hash

    monkeypatch.setenv(JUDGE, judge.socket)
    check("9.4", content_hash)
    assert judge.said()["origin"]["course"] == ["content_hash"]


def test_a_wrong_command_line_names_the_mistake(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "ragcourse.grading.judge",
        str(tmp_path / "s"),
        "--seed",
        "1",
        "--exercise",
        "7.7",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "there is no exercise 7.7; there are 0.1, " in done.stderr


# ---- code that does not end ----


def test_a_loop_without_end_is_interrupted_in_a_real_notebook(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(JUDGE, judge.socket)
    loop = """
    from ragcourse.grading import check
    def implementation(numbers):
        while True:
            pass
    check("9.2", implementation)
    """
    cells = [nbformat.v4.new_code_cell(re.sub("(?m)^    ", "", source)) for source in (loop, "print(6 * 7)")]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3").execute()
    shown = notebook.cells[0].outputs[-1].data
    assert (
        shown["text/plain"] == "Exercise 9.2: handed in for grading; a check ran out of time and was stopped"
    )
    assert notebook.cells[1].outputs[0].text == "42\n"
    assert [one["state"] for one in judge.said()["result"]["outcomes"]] == ["too slow", "not run"]


def test_an_endless_generator_and_a_gigabyte_fail(hand_in: Callable[[str, object], Any]) -> None:
    def gigabyte(numbers: Any) -> Any:
        return [b"x" * (LIMIT // 8)] * 128  # one object, many times

    outcome = hand_in("9.1", gigabyte)["outcomes"][0]
    assert outcome["state"] == "failed" and "TooLarge: a value larger than 64 MB" in outcome["got"]
    assert not hand_in("9.1", lambda numbers: (numbers for _ in iter(int, 1)))["passed"]
    assert still_judges(hand_in)


def test_texts_of_any_length_and_kind_are_bounded(hand_in: Callable[[str, object], Any]) -> None:
    def implementation(numbers: Any) -> None:
        raise type("E" * 10_000, (ValueError,), {})("\ud800" + "x" * 10_000_000)

    outcome = hand_in("9.1", implementation)["outcomes"][0]
    assert outcome["state"] == "failed" and all(len(text) <= 20_000 for text in map(str, outcome.values()))
    assert "\ud800" not in outcome["got"]


# ---- attacks ----


def in_a_process(code: str, judge: Judge) -> subprocess.CompletedProcess[str]:
    """Run a learner's code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, JUDGE: judge.socket}, text=True, capture_output=True,
        timeout=PATIENCE, cwd=ROOT,
    )  # fmt: skip


def test_a_process_that_exits_in_a_call_fails_and_the_next_is_judged(
    judge: Judge, hand_in: Callable[[str, object], Any]
) -> None:
    code = "import os; from ragcourse.grading import check; check('9.1', lambda numbers: os._exit(0))"
    in_a_process(code, judge)
    outcomes = judge.said()["result"]["outcomes"]
    assert [one["state"] for one in outcomes] == ["failed", "failed"]
    assert "the process at the other end ended" in outcomes[0]["got"]
    assert still_judges(hand_in)


def secrets() -> set[str]:
    """Every text that looks like the secret, in any frame or object that the collector knows."""
    found: set[str] = set()
    frames = [frame for top in sys._current_frames().values() for frame in _stack(top)]
    things = [value for frame in frames for value in frame.f_locals.values()]
    for thing in [*gc.get_objects(), *things]:
        for value in [thing, *gc.get_referents(thing)]:
            if type(value) is str and re.fullmatch(r"secret-\d+", value):
                found.add(value)
    return found


def _stack(frame: Any) -> Iterator[Any]:
    while frame:
        yield frame
        frame = frame.f_back


def test_the_expected_value_is_nowhere_in_the_learners_process(hand_in: Callable[[str, object], Any]) -> None:
    seen: list[set[str]] = []

    def implementation(ask: Callable[[], int]) -> str:
        ask()
        seen.append(secrets())
        return min(seen[-1], default="")

    assert run(toys()["9.3"], implementation, SEED).passed  # in one process it is found
    seen.clear()
    gc.collect()
    assert not hand_in("9.3", implementation)["passed"]
    assert seen == [set()]


def message(payload: bytes, kind: int = CALL, number: int = 1, outer: int = 0, lane: int = 0) -> bytes:
    return struct.pack(">IBIII", len(payload), kind, number, outer, lane) + payload


def encoded(*parts: Any) -> bytes:
    return Encoder(lambda value: 1, lambda value: None).encode(parts)


GARBAGE: Mapping[str, bytes] = {
    "nothing": b"",
    "a web browser": b"GET / HTTP/1.1\r\nHost: judge\r\n\r\n" * 10,
    "random bytes": np.random.default_rng(1).bytes(100_000),
    "a message of 4 GB": struct.pack(">IBIII", 2**32 - 1, CALL, 1, 0, 0) + b"x" * 1_000,
    "half a message": message(encoded("hand in", 0, "9.1", 3, {}))[:-3],
    "an unknown kind": message(b"", kind=77),
    "a reply to nothing": message(b"N", kind=REPLY),
    "no value": message(b"?"),
    "a call of nothing": message(encoded("call", 5, (), {})),
    "numbers for names": message(encoded(1, 2, 3)),
    "no exercise": message(encoded("hand in", 0)),
    "a number for an exercise": message(encoded("hand in", 0, 9.1, 3, {})),
    "two hand-ins at once": message(encoded("hand in", 0, "9.1", 3, {})) * 2,
    "many calls": message(encoded("get", 1, "x")) * 5_000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_ends_its_connection_and_no_more(
    name: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    with judge.connect() as sock, contextlib.suppress(OSError):
        sock.sendall(GARBAGE[name])
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass
    monkeypatch.setenv(JUDGE, judge.socket)
    check("9.1", toy.right)
    verdicts = [judge.said()]
    if verdicts[0]["result"]["points"] == 0:  # the garbage was a hand-in
        verdicts.append(judge.said())
    assert verdicts[-1]["result"]["passed"]


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"?", b"j" + bytes(8), encoded(), encoded("ok"), encoded("ok", 1, 2), encoded("ok", 1, {1: 2}),
        encoded("error", (1, 2), None), encoded("error", (1, [], {}, None, -1), None),
        encoded("error", ("a\0b", "type", "t", "p", 10**30), None),
    ],
)  # fmt: skip
def test_a_malformed_reply_earns_nothing(
    reply: bytes, judge: Judge, hand_in: Callable[[str, object], Any]
) -> None:
    function = encoded("hand in", 0, "9.1", judge, {})  # an object that stays: a handle
    with judge.connect() as sock:
        sock.sendall(message(function))
        with contextlib.suppress(OSError):
            while head := sock.recv(17, socket.MSG_WAITALL):
                size, kind, number, *_ = struct.unpack(">IBIII", head)
                sock.recv(size, socket.MSG_WAITALL)
                if kind == REPLY:
                    break
                sock.sendall(message(reply, kind=REPLY, number=number))
    assert judge.said()["result"]["points"] == 0
    assert still_judges(hand_in)


def test_connections_that_say_nothing_do_not_keep_others_out(
    judge: Judge, hand_in: Callable[[str, object], Any]
) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(judge.connect()) for _ in range(7)]
        assert still_judges(hand_in)
        assert silent[0].recv(1) == b""  # it is closed by the judge


def test_printing_without_end_is_cut_off(hand_in: Callable[[str, object], Any]) -> None:
    def implementation(numbers: Any) -> Any:
        for _ in range(2_000):
            print("x" * 1_000)
        return toy.right(numbers)

    assert hand_in("9.1", implementation)["passed"]


@pytest.mark.parametrize("put", ["link", "pipe", "folder", "endless", "large"])
def test_what_is_no_plain_file_is_not_read(
    put: str, hand_in: Callable[[str, object], Any], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"ok")

    def implementation(path: Path) -> None:
        if put == "link":
            path.symlink_to(target)
        elif put == "pipe":
            os.mkfifo(path)
        elif put == "folder":
            path.mkdir()
        elif put == "endless":
            path.symlink_to("/dev/zero")
        else:
            with path.open("wb") as file:
                file.truncate(1 << 40)

    assert [one["state"] for one in hand_in("9.5", implementation)["outcomes"]] == ["failed"]
    assert hand_in("9.5", lambda path: path.write_bytes(b"ok") and None)["passed"]


def test_reading_a_file_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="there is no file"):
        read_bytes(tmp_path / "none")


def test_hand_ins_from_several_threads_are_judged_one_after_the_other(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(JUDGE, judge.socket)
    threads = [threading.Thread(target=check, args=("9.1", toy.right)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(judge.said()["result"]["passed"] for _ in threads)
