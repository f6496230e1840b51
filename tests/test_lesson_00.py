"""Lesson 00: errors are shown with their input; the library does what an exercise asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ragcourse.grading import run
from ragcourse.grading.contracts import contract_of
from ragcourse.timing import measure


@pytest.mark.parametrize("exercise", ["0.1", "0.2", "0.3", "0.4"])
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
