"""Exercise 0.1: a fair stopwatch. Its time is simulated: no check depends on a real clock."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._given import given
from ragcourse.grading.expect import expect_equal, expect_error, expect_true

contract = Contract("0.1", task="time functions against each other: warmed up, in turns, by their medians")

Cost = Callable[[int, int], int]
"""(calls of this function before, calls of all functions before) → nanoseconds."""


class Machine:
    """A machine whose time is a number: a function adds its cost to it, and each call is written down."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[str] = []

    def clock(self) -> int:
        """Simulated nanoseconds since the start."""
        return self.now

    def function(self, name: str, cost: Cost) -> Callable[[], None]:
        """A function that does nothing but take its time."""

        def call() -> None:
            self.now += cost(self.calls.count(name), len(self.calls))
            self.calls.append(name)

        return call


def _run(implementation: Any, costs: dict[str, Cost], repeats: int, warmup: int) -> tuple[Machine, Any]:
    machine = Machine()
    candidates = {name: machine.function(name, cost) for name, cost in costs.items()}
    return machine, implementation(candidates, repeats=repeats, warmup=warmup, clock=machine.clock)


def _names(count: int) -> list[str]:
    return list("abcdefgh"[:count])


def _rounds(implementation: Any, count: int, repeats: int, warmup: int) -> list[list[str]]:
    """The timed calls, cut into rounds of one call a candidate."""
    names = _names(count)
    with given(f"{count} candidates, {repeats=}, {warmup=}"):
        machine, _ = _run(implementation, {name: lambda own, all_: 100 for name in names}, repeats, warmup)
    timed = machine.calls[count * warmup :]
    return [timed[start : start + count] for start in range(0, len(timed), count)]


@contract.check("the nanoseconds of one call come back, by name", points=1)
def _one_call(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[list[int], int]) -> None:
        nanoseconds, repeats = case
        expected = dict(zip(_names(len(nanoseconds)), nanoseconds, strict=True))
        costs: dict[str, Cost] = {name: lambda own, all_, ns=ns: ns for name, ns in expected.items()}  # type: ignore[misc]
        _, got = _run(implementation, costs, repeats, 1)
        expect_equal(
            got, expected, cause="read clock(), call the function, read clock() again: nothing else between"
        )

    cases = [(rng.integers(50, 5000, size=n).tolist(), int(rng.integers(1, 6))) for n in (1, 2, 3, 5)]
    for_each(cases, test)


@contract.check("each candidate is called warmup + repeats times", points=1)
def _call_counts(implementation: Any, rng: np.random.Generator) -> None:
    def test(case: tuple[int, int, int]) -> None:
        count, repeats, warmup = case
        costs: dict[str, Cost] = {name: lambda own, all_: 100 for name in _names(count)}
        with given(f"{count} candidates, {repeats=}, {warmup=}"):
            machine, _ = _run(implementation, costs, repeats, warmup)
            got = {name: machine.calls.count(name) for name in _names(count)}
            expect_equal(got, dict.fromkeys(_names(count), warmup + repeats))

    for_each([(n, int(rng.integers(1, 9)), int(rng.integers(0, 5))) for n in (1, 2, 3, 4)], test)


@contract.check(
    "warm-up calls are not timed",
    points=1,
    cause="call each function `warmup` times before the first reading",
)
def _warmup_untimed(implementation: Any, rng: np.random.Generator) -> None:
    warm, cold = int(rng.integers(50, 500)), int(rng.integers(100_000, 900_000))
    slow_calls = int(rng.integers(3, 7))

    def cost(own: int, all_: int) -> int:
        return cold if own < slow_calls else warm

    calls = f"the first {slow_calls} calls of a and of b take {cold} ns, later ones {warm} ns"
    with given(f"{calls}; warmup={slow_calls}, repeats=3"):
        _, got = _run(implementation, {"a": cost, "b": cost}, 3, slow_calls)
        expect_equal(got, {"a": warm, "b": warm})


@contract.check("the result is the median of the samples", points=1)
def _median(implementation: Any, rng: np.random.Generator) -> None:
    def test(samples: list[int]) -> None:
        expected = statistics.median(samples)
        cause = (
            "sort the samples, take the middle one; of an even number, half-way between the two in the middle"
        )
        with given(f"one candidate whose calls take {samples} ns, in this order"):
            _, got = _run(implementation, {"a": lambda own, all_: samples[own]}, len(samples), 0)
            expect_equal(got, {"a": expected}, cause=cause)

    odd, even = (rng.permutation(rng.integers(100, 200, size=n)).tolist() for n in (5, 6))
    for_each([[*odd[:-1], 1_000_000], [*even[:-1], 1_000_000], rng.integers(1, 50, size=2).tolist()], test)


@contract.check("the candidates take turns", points=2)
def _turns(implementation: Any, rng: np.random.Generator) -> None:
    for count in (2, 3, 4):
        repeats, warmup = int(rng.integers(3, 7)), int(rng.integers(0, 3))
        rounds = _rounds(implementation, count, repeats, warmup)
        order = ", ".join(" ".join(names) for names in rounds)
        for number, names in enumerate(rounds):
            cause = f"round {number} should call each candidate once: is the loop over rounds the outer one?"
            with given(f"{count} candidates; the timed calls came in the order {order}"):
                expect_equal(sorted(names), _names(count), cause=cause)


@contract.check("each round starts with another candidate", points=2)
def _rotation(implementation: Any, rng: np.random.Generator) -> None:
    for count in (2, 3, 4):
        cycles = int(rng.integers(2, 4))
        rounds = _rounds(implementation, count, cycles * count, 1)
        first = [names[0] for names in rounds]
        cause = "shift the order by one place a round, so that no candidate is always the first"
        with given(f"{cycles * count} rounds; they began with {' '.join(first)}"):
            starts = {name: first.count(name) for name in _names(count)}
            expect_equal(starts, dict.fromkeys(_names(count), cycles), cause=cause)


@contract.check(
    "a machine that slows down favours nobody", points=1, cause="is one candidate timed before the others?"
)
def _drift(implementation: Any, rng: np.random.Generator) -> None:
    for count in (2, 3, 4):
        base, slope = int(rng.integers(900, 1100)), int(rng.integers(8, 12))
        costs: dict[str, Cost] = {
            name: lambda own, all_, base=base, slope=slope: base + slope * all_  # type: ignore[misc]
            for name in _names(count)
        }
        with given(
            f"{count} functions that do the same; each call takes {slope} ns longer than the one before"
        ):
            _, got = _run(implementation, costs, 12 * count, 2)
            medians = [got[name] for name in _names(count)]
            fair = bool(max(medians) <= 1.02 * min(medians))
            expect_true(fair, "functions that do the same should get medians within 2 %", got=got)


@contract.check("no candidates, or no repeats, is refused", points=1)
def _refused(implementation: Any, rng: np.random.Generator) -> None:
    machine = Machine()
    call = machine.function("a", lambda own, all_: 100)

    def measured(candidates: dict[str, Any], repeats: int) -> Any:
        return implementation(candidates, repeats=repeats, warmup=1, clock=machine.clock)

    with given("no candidates"):
        expect_error(ValueError, lambda: measured({}, 3), cause="an empty result would hide the mistake")
    for repeats in (0, -int(rng.integers(1, 9))):
        with given(f"{repeats=}"):
            cause = "there is no median of no samples: say that repeats is too small"
            expect_error(ValueError, partial(measured, {"a": call}, repeats), mentions="repeats", cause=cause)
