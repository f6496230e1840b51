"""Lesson 01: what its contracts change while they look is put back."""

from __future__ import annotations

import os

from ragcourse.grading import run
from ragcourse.grading.contracts import contract_of
from tests.wrong_answers import exercise_1_2


def test_the_spy_on_fsync_is_taken_away_again() -> None:
    real = os.fsync
    run(contract_of("1.2"), exercise_1_2.right, 1)
    run(contract_of("1.2"), exercise_1_2._NeverSyncs, 1)
    assert os.fsync is real
