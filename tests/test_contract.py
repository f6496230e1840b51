"""The mechanism of contracts, on toy contracts and on implementations that misbehave in every way we know."""

from __future__ import annotations

import collections
import inspect
import math
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ragcourse.grading import check, contracts, run
from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import STRICT, Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error, expect_true
from ragcourse.grading.plain import difference, plain, show

SEED = 7


def sort_contract(seconds: float = 10.0) -> Contract:
    contract = Contract("9.1", task="return the numbers in rising order, as a new list")

    @contract.check(
        "numbers come out in order", points=2, cause="is the last item compared?", seconds=seconds
    )
    def ordered(implementation: Any, rng: np.random.Generator) -> None:
        def test(numbers: list[int]) -> None:
            expected = sorted(numbers)
            expect_equal(implementation(numbers), expected)

        cases = [rng.integers(0, 50, size=n).tolist() for n in (12, 3, 6)]
        for_each(cases, test, valid=lambda numbers: len(numbers) > 0)

    @contract.check("text is refused", points=1, seconds=seconds)
    def refused(implementation: Any, rng: np.random.Generator) -> None:
        expect_error(TypeError, lambda: implementation(["b", "a"]), mentions="numbers")

    return contract


def right(numbers: list[int]) -> list[int]:
    if any(isinstance(number, str) for number in numbers):
        raise TypeError("only numbers can be sorted")
    return sorted(numbers)


def stub(numbers: list[int]) -> list[int]:
    raise NotImplementedError("Exercise 9.1: return a sorted list\nmore words")


class AlwaysEqual(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        raise RuntimeError("no repr either")

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        return iter(())


class EqualObject:
    def __eq__(self, other: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


def raises(error: BaseException) -> Callable[[Any], Any]:
    def implementation(numbers: Any) -> Any:
        raise error

    return implementation


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("ha")


def sorts_in_place(numbers: list[int]) -> list[int]:
    if numbers and isinstance(numbers[0], str):
        raise TypeError("only numbers")
    numbers.sort()
    return numbers


def drops_repeats(numbers: list[int]) -> list[int]:
    return sorted(set(numbers))


WRONG = {
    "always equal": lambda numbers: AlwaysEqual([9, 9]),
    "an object equal to all": lambda numbers: EqualObject(),
    "SystemExit": raises(SystemExit(0)),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
    "GeneratorExit": raises(GeneratorExit()),
    "an error without text": raises(BadText()),
    "in place": sorts_in_place,
    "None": lambda numbers: None,
    "text of the answer": lambda numbers: str(sorted(numbers)),
    "wrong signature": lambda: [1],
    "not callable": 3,
    "endless generator": lambda numbers: iter(int, 1),
}


def test_a_right_answer_passes_with_every_seed() -> None:
    for seed in range(5):
        result = run(sort_contract(), right, seed)
        assert result.passed, result
        assert (result.points, result.max_points) == (3, 3)


@pytest.mark.parametrize("name", WRONG)
def test_a_hostile_answer_fails_and_nothing_escapes(name: str) -> None:
    result = run(sort_contract(), WRONG[name], SEED)
    assert not result.passed
    assert result.outcomes[0].state == "failed"
    assert result.outcomes[0].name in repr(result) and result.outcomes[0].name in result._repr_html_()


def test_an_error_that_is_raised_again_does_not_keep_its_first_input() -> None:
    implementation = raises(ValueError("one object"))
    inputs = [run(sort_contract(), implementation, seed).outcomes[0].given for seed in (3, 7)]
    assert inputs == ["[29]", "[27]"]


def test_the_smallest_failing_input_is_shown() -> None:
    outcome = run(sort_contract(), list, SEED).outcomes[0]
    numbers = list(map(int, outcome.given.strip("[]").split(", ")))
    assert len(numbers) == 2 and numbers[0] > numbers[1]
    assert outcome.expected == repr(sorted(numbers)) and outcome.got == repr(numbers)
    assert outcome.cause == "is the last item compared?"


def test_an_error_is_shown_with_its_input_and_the_learners_line() -> None:
    def implementation(numbers: list[int]) -> list[int]:
        return [numbers[100]]

    outcome = run(sort_contract(), implementation, SEED).outcomes[0]
    assert outcome.got.startswith("IndexError: list index out of range\nin implementation, line ")
    assert "numbers[100]" in outcome.got
    assert len(outcome.given.strip("[]").split(",")) == 1


def test_changing_an_argument_is_a_failure() -> None:
    outcome = run(sort_contract(), sorts_in_place, SEED).outcomes[0]
    assert outcome.message == "your code changed its argument"


def test_an_endless_loop_ends_at_the_deadline_and_later_checks_are_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    release = threading.Event()

    def implementation(numbers: list[int]) -> list[int]:
        if not release.is_set():
            print("still here")
        release.wait()
        return sorted(numbers)

    before = sys.stdout
    result = run(sort_contract(seconds=0.05), implementation, SEED)
    try:
        assert [outcome.state for outcome in result.outcomes] == ["too slow", "not run"]
        assert not result.passed and result.points == 0
        assert "0.05 s" in repr(result) and "still here" in result.outcomes[0].printed
        print("from the notebook")
        assert capsys.readouterr().out == "from the notebook\n"
    finally:
        sys.stdout = before
        release.set()


def test_printing_is_kept_out_of_the_notebook_and_shown_when_a_check_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def implementation(numbers: list[int]) -> list[int]:
        print("debug", numbers)
        print("x" * 100_000)
        return []

    result = run(sort_contract(), implementation, SEED)
    assert capsys.readouterr().out == ""
    assert result.outcomes[0].printed.startswith("debug [")
    assert len(result.outcomes[0].printed) < 3_000


def test_a_stub_is_not_written_yet_and_does_not_raise() -> None:
    result = run(sort_contract(), stub, SEED)
    assert not result.passed and not result.written
    assert "not written yet" in repr(result) and "Exercise 9.1: return a sorted list" in repr(result)
    assert "more words" not in repr(result)
    assert "replace the line that begins with “raise”" in repr(result)
    assert "--jp-error-color0" not in result._repr_html_()  # to do is not failed
    bare = run(sort_contract(), raises(NotImplementedError()), SEED)
    assert "Exercise 9.1: return the numbers in rising order" in bare.outcomes[0].message
    assert repr(bare).count("return the numbers in rising order") == 1


def test_a_half_written_answer_keeps_its_points() -> None:
    def implementation(numbers: list[int]) -> list[int]:
        if isinstance(numbers[0], str):
            raise NotImplementedError("Exercise 9.1: refuse text")
        return sorted(numbers)

    result = run(sort_contract(), implementation, SEED)
    assert [outcome.state for outcome in result.outcomes] == ["passed", "not written"]
    assert result.points == 2 and result.written


def test_the_html_escapes_what_the_learner_returned() -> None:
    html = run(sort_contract(), lambda numbers: ["<script>alert(1)</script>"], SEED)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_checks_do_not_depend_on_each_other_and_repeat_with_the_seed() -> None:
    drawn: list[float] = []
    contract = Contract("9.2", task="draw")
    contract.check("one")(lambda implementation, rng: drawn.append(rng.random()))
    contract.check("two")(lambda implementation, rng: drawn.append(rng.random()))
    for seed in (1, 1, 2):
        run(contract, None, seed)
    assert drawn[:2] == drawn[2:4] and len(set(drawn)) == 4


def test_check_finds_the_contract_and_raises_only_when_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "contracts", lambda: {"9.1": sort_contract()})
    monkeypatch.delenv(STRICT, raising=False)
    assert check("9.1", right).passed
    assert not check("9.1", stub).passed
    monkeypatch.setenv(STRICT, "1")
    assert check("9.1", right).passed
    with pytest.raises(AssertionError, match="not written yet"):
        check("9.1", stub)
    with pytest.raises(ValueError, match=r"no exercise '1\.99'.*9\.1"):
        check("1.99", right)


def test_a_contract_refuses_mistakes_of_its_author() -> None:
    with pytest.raises(ValueError, match=r"lesson\.number"):
        Contract("one", task="")
    contract = Contract("9.3", task="")
    with pytest.raises(ValueError, match="no checks"):
        run(contract, None)
    contract.check("a")(lambda implementation, rng: None)
    with pytest.raises(ValueError, match="already has a check"):
        contract.check("a")
    with pytest.raises(ValueError, match="above 0"):
        contract.check("b", points=0)


def test_the_example_in_the_authoring_guide_works() -> None:
    source = textwrap.dedent(inspect.getdoc(contracts).split("::\n", 1)[1].rsplit("\n\nThe check cell", 1)[0])
    space: dict[str, Any] = {}
    exec(source, space)

    class Tally:
        def __init__(self) -> None:
            self.words: collections.Counter[str] = collections.Counter()

        def add(self, word: str) -> None:
            if not word:
                raise ValueError("an empty word cannot be counted")
            self.words[word] += 1

        def count(self, word: str) -> int:
            return self.words[word]

    class Forgets(Tally):
        def add(self, word: str) -> None:
            self.words[word] = 1

    assert run(space["contract"], Tally, SEED).passed
    wrong = run(space["contract"], Forgets, SEED)
    assert wrong.outcomes[1].given in ("['to', 'to']", "['be', 'be']", "['or', 'or']")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (True, 1), (0, False), (None, 0), ("1", 1), ([1, 2], [1, 3]), ([1], [1, 1]), ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}), (np.array([1.0, 2.0]), [1.0, 2.1]), (np.array([[1]]), [1]), ({1, 2}, {1}),
        (math.nan, 1.0), (b"a", "a"), (np.array(["a"]), ["b"]), (2**60, 2**60 + 1), ([1, [2]], [1, [3]]),
    ],
)  # fmt: skip
def test_different_values_differ(got: object, expected: object) -> None:
    with pytest.raises(Mismatch):
        expect_equal(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.float32(0.5), 0.5), ((1, 2), [1, 2]), ({1: "a"}.values(), ["a"]), (0.1 + 0.2, 0.3),
        (math.nan, math.nan), (collections.OrderedDict(a=1), {"a": 1}),
        (np.int64(3), 3), (np.array([1, 2]), [1, 2]), (np.bool_(True), True), (range(3), [0, 1, 2]),
        ((x for x in "ab"), ["a", "b"]), ({"a": [1.0]}, {"a": (1,)}),
    ],
)  # fmt: skip
def test_equal_values_are_equal(got: object, expected: object) -> None:
    expect_equal(got, expected)


def test_the_difference_names_the_place() -> None:
    assert difference([1, 2, {"a": 5}], [1, 2, {"a": 6}]) == "at [2]: at ['a']: expected 6, got 5"
    assert (
        difference(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]])) == "at [1, 1]: expected 5, got 4"
    )


def test_expect_true_and_error_are_strict() -> None:
    with pytest.raises(Mismatch):
        expect_true(EqualObject(), "must be exactly True")  # type: ignore[arg-type]
    with pytest.raises(Mismatch, match="no error was raised"):
        expect_error(ValueError, lambda: 3)
    with pytest.raises(Mismatch, match="does not say enough"):
        expect_error(ValueError, lambda: int("x"), mentions="weather")
    with pytest.raises(NotImplementedError):
        expect_error(RuntimeError, lambda: stub([]))
    with pytest.raises(TypeError, match="compare its parts"):
        expect_equal(1, EqualObject())


def test_showing_never_calls_the_value() -> None:
    assert show(AlwaysEqual([1, 2])) == "[1, 2]"
    assert show([EqualObject()]) == "[<EqualObject object>]"
    assert len(show(list(range(10_000)))) < 200 and len(show("a" * 10_000)) < 200
    loop: list[Any] = []
    loop.append(loop)
    assert "nested deeper" in repr(plain(loop))
