"""Exercises 0.3 and 0.4: what a faster stage does for the whole, and how fast a stage would have to be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._given import given
from ragcourse.grading.expect import expect_equal, expect_error

contract = Contract("0.3", task="the speed-up of a whole request when some stages become faster")
inverse = Contract("0.4", task="how much faster one stage must be for the whole to reach a target")

_STAGES = ("embed", "search", "rerank", "generate")


def _budget(rng: np.random.Generator, size: int) -> dict[str, float]:
    return {name: float(rng.integers(1, 90)) for name in _STAGES[:size]}


# ---- 0.3: amdahl(seconds, factors) → speed-up ----


@contract.check("nothing improved: the speed-up is 1", points=1)
def _unchanged(implementation: Any, rng: np.random.Generator) -> None:
    for_each(
        [_budget(rng, size) for size in (1, 2, 4)],
        lambda seconds: expect_equal(implementation(seconds, {}), 1.0, cause="time before / time after"),
    )


@contract.check("one stage improved", points=1)
def _one_stage(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[dict[str, float], str, float]) -> None:
        seconds, stage, factor = case
        before = sum(seconds.values())
        after = before - seconds[stage] * (1 - 1 / factor)
        expect_equal(
            implementation(seconds, {stage: factor}),
            before / after,
            cause="add up the seconds after the change: only this stage is divided by its factor",
        )

    cases = [
        (_budget(rng, size), _STAGES[int(rng.integers(0, size))], float(rng.integers(2, 50)))
        for size in (1, 2, 3, 4)
    ]
    for_each(cases, test)


@contract.check("several stages improved at once", points=2)
def _several(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[dict[str, float], dict[str, float]]) -> None:
        seconds, factors = case
        after = math.fsum(seconds[stage] / factors.get(stage, 1.0) for stage in seconds)
        expect_equal(
            implementation(seconds, factors),
            math.fsum(seconds.values()) / after,
            cause="single speed-ups cannot be multiplied, added or averaged: divide, then add the seconds",
        )

    cases = [
        (_budget(rng, size), {name: float(rng.integers(2, 50)) for name in _STAGES[: size - 1]})
        for size in (3, 3, 4, 4)
    ]
    for_each(cases, test)


@contract.check("a factor below 1 makes the whole slower", points=1)
def _slower(implementation: Any, rng: np.random.Generator) -> None:
    seconds = _budget(rng, 2)
    expected = sum(seconds.values()) / (seconds["embed"] / 0.5 + seconds["search"])
    factors = {"embed": 0.5}
    with given(f"{seconds=}, {factors=}"):
        expect_equal(implementation(seconds, factors), expected)


@contract.check(
    "an infinite factor removes a stage",
    points=1,
    cause="if nothing is left, the speed-up is math.inf, not an error",
)
def _removed(implementation: Any, rng: np.random.Generator) -> None:
    seconds = _budget(rng, 3)
    rest = seconds["embed"] + seconds["rerank"]
    factors = {"search": math.inf}
    with given(f"{seconds=}, {factors=}"):
        expect_equal(implementation(seconds, factors), sum(seconds.values()) / rest)
    factors = dict.fromkeys(seconds, math.inf)
    with given(f"{seconds=}, {factors=}"):
        cause = "nothing is left: the speed-up is math.inf, not an error"
        expect_equal(implementation(seconds, factors), math.inf, cause=cause)


@contract.check("a stage that does not exist, or a factor of 0 or less, is refused", points=1)
def _bad_input(implementation: Any, rng: np.random.Generator) -> None:
    seconds = _budget(rng, 2)
    expect_error(
        ValueError,
        lambda: implementation(seconds, {"serach": 2.0}),
        mentions="serach",
        given=(seconds, {"serach": 2.0}),
        cause="a misspelt stage would otherwise count as no improvement: name it in the message",
    )
    for factor in (0.0, -float(rng.integers(1, 9))):
        expect_error(
            ValueError,
            lambda factor=factor: implementation(seconds, {"search": factor}),  # type: ignore[misc]
            given=(seconds, {"search": factor}),
            cause="no stage becomes zero or minus two times faster",
        )


# ---- 0.4: needed_factor(seconds, stage, target) → factor, inf or None ----


@inverse.check("the whole as it is needs a factor of 1", points=1)
def _as_it_is(implementation: Any, rng: np.random.Generator) -> None:
    seconds = _budget(rng, 3)
    with given(f"{seconds=}, stage='search', target=1.0"):
        expect_equal(implementation(seconds, "search", 1.0), 1.0, rel=1e-6)


@inverse.check("the factor that reaches the target", points=2)
def _reaches(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[dict[str, float], str, float]) -> None:
        seconds, stage, factor = case
        total = sum(seconds.values())
        target = total / (total - seconds[stage] + seconds[stage] / factor)
        cause = "the target fixes the new total; what the others leave of it is this stage's new time"
        with given(f"{seconds=}, {stage=}, {target=}"):
            expect_equal(implementation(seconds, stage, target), factor, cause=cause, rel=1e-6)

    cases = [
        (_budget(rng, size), _STAGES[int(rng.integers(0, size))], float(rng.integers(2, 20)))
        for size in (1, 2, 3, 4)
    ]
    for_each(cases, test)


@inverse.check(
    "a target only reached by removing the stage needs an infinite factor",
    points=1,
    cause="the other stages alone take exactly the time allowed: is there a division by zero?",
)
def _boundary(implementation: Any, rng: np.random.Generator) -> None:
    rest, times = float(rng.integers(1, 30)), int(rng.choice([2, 4, 8]))
    seconds = {"embed": rest, "search": rest * (times - 1)}
    cause = "the other stages alone take exactly the time allowed: math.inf, not None and not an error"
    with given(f"{seconds=}, stage='search', target={float(times)}"):
        expect_equal(implementation(seconds, "search", float(times)), math.inf, cause=cause)


@inverse.check("a target out of reach gives None", points=2)
def _impossible(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[dict[str, float], str, float]) -> None:
        expect_equal(
            implementation(*case),
            None,
            given=case,
            cause="the other stages alone take longer than the target allows: no factor helps",
        )

    cases = []
    for size in (2, 3, 4):
        seconds, stage = _budget(rng, size), _STAGES[int(rng.integers(0, size))]
        ceiling = sum(seconds.values()) / (sum(seconds.values()) - seconds[stage])
        cases.append((seconds, stage, ceiling * float(rng.uniform(1.1, 5))))
    for_each(cases, test)


@inverse.check("a stage that does not exist is refused", points=1)
def _no_such_stage(implementation: Any, rng: np.random.Generator) -> None:
    seconds = _budget(rng, 2)
    expect_error(
        ValueError,
        lambda: implementation(seconds, "serach", 2.0),
        mentions="serach",
        given=(seconds, "serach", 2.0),
        cause="name the stage in the message",
    )
