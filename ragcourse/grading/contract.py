"""A contract says what a correct answer to one exercise must do, as a list of named checks with points.

The same contract serves three users: the tests run it on the reference, the lesson's check cell on the
learner's class, the grader on the learner's class with fresh seeds. How to write one:
`ragcourse/grading/contracts/__init__.py`.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ragcourse.grading.attempt import attempt
from ragcourse.grading.expect import Mismatch, error_text
from ragcourse.grading.result import Outcome, Result

EXERCISE = re.compile(r"\d+\.\d+")
SECONDS = 10.0  # default time limit of one check
STRICT = "RAGCOURSE_STRICT"  # set to 1: a failed check raises
JUDGE = "RAGCOURSE_JUDGE"  # set to the path of a judge's socket: checks hand in there

LIKELY: tuple[tuple[type[Exception], str], ...] = (  # causes that hold in any exercise
    (
        UnboundLocalError,
        "a name that a function gives a value anywhere is its own variable in all of it: does yours have the"
        " name of the function that it calls, or is it used before it has a value?",
    ),
    (NameError, "is the name spelt as where it is defined, and has the cell that defines it been run?"),
)

CheckFunction = Callable[[Any, np.random.Generator], object]


@dataclass(frozen=True)
class Check:
    """One named check: `function(implementation, rng)` raises when the implementation is wrong."""

    name: str
    points: float
    seconds: float
    cause: str
    function: CheckFunction


@dataclass
class Contract:
    """The checks of one exercise: its id such as "1.2", and its task in one line, as the learner reads it."""

    exercise: str
    task: str
    checks: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not EXERCISE.fullmatch(self.exercise):
            raise ValueError(f"an exercise id is lesson.number, such as 1.2, not {self.exercise!r}")

    @property
    def points(self) -> float:
        """The sum of the points of all checks."""
        return sum(check.points for check in self.checks)

    def check(
        self, name: str, *, points: float = 1, cause: str = "", seconds: float = SECONDS
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Add the decorated function as a check; `cause` is shown when it fails and names none."""
        if any(check.name == name for check in self.checks):
            raise ValueError(f"exercise {self.exercise} already has a check named {name!r}")
        if points <= 0 or seconds <= 0:
            raise ValueError(
                f"check {name!r} of exercise {self.exercise}: points and seconds must be above 0"
            )

        def add(function: CheckFunction) -> CheckFunction:
            self.checks.append(Check(name, points, seconds, cause, function))
            return function

        return add


def run(contract: Contract, implementation: object, seed: int = 0) -> Result:
    """Run every check on the implementation and return what came of it; no exception of the implementation
    escapes.

    Each check gets its own generator, seeded by `seed` and its name, so that its cases do not depend on the
    other checks. After a check that ran out of time the others are not run: the stuck call still holds the
    interpreter.
    """
    if not contract.checks:
        raise ValueError(f"the contract of exercise {contract.exercise} has no checks")
    outcomes: list[Outcome] = []
    stuck = False
    for check in contract.checks:
        if stuck:
            outcomes.append(
                Outcome(check.name, "not run", check.points, message="an earlier check ran out of time")
            )
            continue
        outcomes.append(_run_check(contract, check, implementation, seed))
        stuck = outcomes[-1].state == "too slow"
    return Result(contract.exercise, contract.task, seed, tuple(outcomes))


def check(exercise: str, implementation: object, seed: int = 0) -> Result:
    """Run the contract of `exercise` on the learner's class, function or value; the result shows itself as a
    table.

    In a lesson a failed check is shown and nothing is raised, so that Run All goes on; `.passed` tells. Where
    the environment variable RAGCOURSE_STRICT is 1 (solutions under nbval) a failed check raises
    AssertionError. An unknown exercise is a ValueError that lists the known ones.

    Where RAGCOURSE_JUDGE names the socket of a judge (the grader), the contract runs there, and all that
    comes back is that the implementation was handed in; RuntimeError if it was not.
    """
    if JUDGE in os.environ:
        from ragcourse.grading.hand_in import hand_in  # it imports this module

        return hand_in(exercise, implementation, os.environ[JUDGE])
    from ragcourse.grading.contracts import contract_of  # the contracts import this module

    result = run(contract_of(exercise), implementation, seed)
    if os.environ.get(STRICT) == "1" and not result.passed:
        raise AssertionError(repr(result))
    return result


def _run_check(contract: Contract, check: Check, implementation: object, seed: int) -> Outcome:
    rng = np.random.default_rng([seed, zlib.crc32(check.name.encode())])
    tried = attempt(lambda: check.function(implementation, rng), check.seconds)
    error = tried.error
    if not tried.finished:
        return Outcome(
            check.name,
            "too slow",
            check.points,
            tried.seconds,
            printed=tried.printed,
            message=f"no answer within {check.seconds:g} s",
            cause=check.cause or "an endless loop; it still runs, so restart the kernel before you go on",
        )
    if error is None:
        return Outcome(check.name, "passed", check.points, tried.seconds)
    if isinstance(error, NotImplementedError):
        task = error_text(error).strip() or f"Exercise {contract.exercise}: {contract.task}"
        return Outcome(check.name, "not written", check.points, tried.seconds, message=task.splitlines()[0])
    if isinstance(error, Mismatch):
        return Outcome(
            check.name,
            "failed",
            check.points,
            tried.seconds,
            message=error.message,
            given=error.given,
            expected=error.expected,
            got=error.got,
            cause=error.cause or check.cause,
            printed=tried.printed,
        )
    text = f"{type(error).__name__}: {error_text(error)}".rstrip(": ")
    return Outcome(
        check.name,
        "failed",
        check.points,
        tried.seconds,
        message="your code raised an error",
        given=error.__dict__.pop("failing_input", ""),  # the next check may raise the same object again
        got=f"{text}{place_of(error)}",
        cause=_likely(error) or check.cause,
        printed=tried.printed,
    )


def _likely(error: BaseException) -> str:
    """The cause that the contract gave this error, see `expect.when_raised`, or that its kind always has."""
    own = error.__dict__.pop("likely_cause", None)
    return str(own) if own else next((cause for kind, cause in LIKELY if isinstance(error, kind)), "")


def place_of(error: BaseException) -> str:
    """Return the place in the learner's own code where the error arose, or "" (as for a wrong signature).

    An error from another process brings its place along, as `place` among its attributes.
    """
    if "place" in error.__dict__:
        return str(error.__dict__["place"])
    library = [str(Path(__file__).parents[1]), *(sysconfig.get_paths()[key] for key in ("stdlib", "purelib"))]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*library, "<frozen"))
    ]
    if not frames:
        return ""
    line = f": {frames[-1].line}" if frames[-1].line else ""
    return f"\nin {frames[-1].name}, line {frames[-1].lineno}{line}"
