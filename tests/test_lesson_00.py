"""The contracts of lesson 00: the solution passes, each plausible wrong answer is told what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragcourse.grading import run
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.result import Result
from ragcourse.timing import measure
from tests.wrong_answers import exercise_0_1, exercise_0_2, exercise_0_3, exercise_0_4

EXERCISES = {"0.1": exercise_0_1, "0.2": exercise_0_2, "0.3": exercise_0_3, "0.4": exercise_0_4}
WRONG = [
    pytest.param(exercise, implementation, message, id=f"{exercise} {name}")
    for exercise, module in EXERCISES.items()
    for name, (implementation, message) in module.WRONG.items()
]


def first_failure(result: Result) -> str:
    """What the table says of the first check that failed: its name and the lines below it."""
    outcome = next(outcome for outcome in result.outcomes if outcome.state != "passed")
    return "\n".join([outcome.name, *(text for _, text in outcome.details)])


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_passes_with_every_seed(exercise: str) -> None:
    for seed in range(25):
        result = run(contract_of(exercise), EXERCISES[exercise].right, seed)
        assert result.passed, result


@pytest.mark.parametrize(("exercise", "implementation", "message"), WRONG)
def test_a_wrong_answer_is_told_why(exercise: str, implementation: Callable[..., Any], message: str) -> None:
    for seed in range(5):
        result = run(contract_of(exercise), implementation, seed)
        assert not result.passed
        assert message in first_failure(result)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_stub_is_told_its_task(exercise: str) -> None:
    result = run(contract_of(exercise), EXERCISES[exercise].stub)
    assert not result.written
    assert f"Exercise {exercise}: " in repr(result)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_code_that_raises_is_shown_its_input(exercise: str) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("parent")

    result = run(contract_of(exercise), broken)
    assert all(outcome.given for outcome in result.outcomes), result


def test_the_library_keeps_the_order_that_the_exercise_asks_for() -> None:
    calls: list[str] = []

    def candidate(name: str) -> Callable[[], None]:
        def call() -> None:
            calls.append(name)
            sum(range(20_000))  # long enough for one call a sample

        return call

    measure({name: candidate(name) for name in "abc"}, repeats=6, warmup=2)
    rounds = [calls[-18:][start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(names) == list("abc") for names in rounds)
    assert [names[0] for names in rounds] == list("abcabc")
