"""Every contract: right answers pass, each plausible wrong one is told what is wrong, a stub its task."""

from __future__ import annotations

from typing import Any

import pytest

from ragcourse.grading import run
from ragcourse.grading.contracts import contract_of
from ragcourse.grading.result import Result
from tests.wrong_answers import EXERCISES

RIGHT = [
    pytest.param(exercise, answer, id=f"{exercise} {getattr(answer, '__name__', 'right')}")
    for exercise, module in EXERCISES.items()
    for answer in (module.right, *getattr(module, "ALSO_RIGHT", ()))
]
WRONG = [
    pytest.param(exercise, answer, message, id=f"{exercise} {name}")
    for exercise, module in EXERCISES.items()
    for name, (answer, message) in module.WRONG.items()
]


def first_failure(result: Result) -> str:
    """What the table says of the first check that failed: its name and the lines below it."""
    outcome = next(outcome for outcome in result.outcomes if outcome.state != "passed")
    return "\n".join([outcome.name, *(text for _, text in outcome.details)])


def test_every_exercise_has_at_least_five_wrong_answers() -> None:
    assert all(len(module.WRONG) >= 5 for module in EXERCISES.values())


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_a_right_answer_passes_with_every_seed(exercise: str, answer: Any) -> None:
    for seed in range(25):
        result = run(contract_of(exercise), answer, seed)
        assert result.passed, result


@pytest.mark.parametrize(("exercise", "answer", "message"), WRONG)
def test_a_wrong_answer_is_told_why(exercise: str, answer: Any, message: str) -> None:
    for seed in range(5):
        getattr(EXERCISES[exercise], "forget", lambda: None)()
        result = run(contract_of(exercise), answer, seed)
        assert not result.passed
        assert message in first_failure(result)
        assert {outcome.state for outcome in result.outcomes} <= {"passed", "failed"}  # none hangs


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_stub_is_told_its_task(exercise: str) -> None:
    result = run(contract_of(exercise), EXERCISES[exercise].stub)
    assert not result.written
    assert f"Exercise {exercise}: " in repr(result)
