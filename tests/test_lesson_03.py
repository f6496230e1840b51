"""The contracts of lesson 03: the solution passes, each plausible wrong answer is told what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragcourse.grading import run
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.result import Result
from tests.wrong_answers import exercise_3_1, exercise_3_2, exercise_3_3

EXERCISES = {"3.1": exercise_3_1, "3.2": exercise_3_2, "3.3": exercise_3_3}
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


def test_the_lower_of_two_middle_keys_may_go_up_as_well() -> None:
    for seed in range(5):
        result = run(contract_of("3.2"), exercise_3_2.LowerMiddle, seed)
        assert result.passed, result


@pytest.mark.parametrize(("exercise", "implementation", "message"), WRONG)
def test_a_wrong_answer_is_told_why(exercise: str, implementation: Callable[..., Any], message: str) -> None:
    for seed in range(3):
        result = run(contract_of(exercise), implementation, seed)
        assert not result.passed
        assert message in first_failure(result)
        assert {outcome.state for outcome in result.outcomes} <= {"passed", "failed"}  # none in a circle


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_stub_is_told_its_task(exercise: str) -> None:
    result = run(contract_of(exercise), EXERCISES[exercise].stub)
    assert not result.written
    assert f"Exercise {exercise}: " in repr(result)
