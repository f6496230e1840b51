"""Exercise 0.1, ``measure``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Candidates = Mapping[str, Callable[[], object]]
Clock = Callable[[], int]


def right(
    candidates: Candidates, repeats: int = 30, warmup: int = 3, clock: Clock = time.perf_counter_ns
) -> dict[str, float]:
    if not candidates or repeats < 1:
        raise ValueError(f"measure at least one function, at least once: repeats is {repeats}")
    for function in candidates.values():
        for _ in range(warmup):
            function()
    samples: dict[str, list[int]] = {name: [] for name in candidates}
    order = list(candidates)
    for _ in range(repeats):
        for name in order:
            start = clock()
            candidates[name]()
            samples[name].append(clock() - start)
        order = order[1:] + order[:1]
    return {name: statistics.median(taken) for name, taken in samples.items()}


def stub(
    candidates: Candidates, repeats: int = 30, warmup: int = 3, clock: Clock = time.perf_counter_ns
) -> Any:
    raise NotImplementedError("Exercise 0.1: time functions fairly")


def _variant(
    *,
    warm: bool = True,
    timed_warmup: bool = False,
    order: str = "rotate",
    summary: Callable[[list[int]], float] = statistics.median,
    checks: bool = True,
    unit: float = 1,
    own_clock: bool = False,
) -> Callable[..., dict[str, float]]:
    """The solution with one thing done another way."""

    def measure(
        candidates: Candidates, repeats: int = 30, warmup: int = 3, clock: Clock = time.perf_counter_ns
    ) -> dict[str, float]:
        if checks and (not candidates or repeats < 1):
            raise ValueError(f"repeats is {repeats}")
        now = time.perf_counter_ns if own_clock else clock
        samples: dict[str, list[int]] = {name: [] for name in candidates}

        def sample(name: str) -> None:
            start = now()
            candidates[name]()
            samples[name].append(now() - start)

        for name in candidates:
            for _ in range(warmup if warm else 0):
                if timed_warmup:
                    sample(name)
                else:
                    candidates[name]()
        names = list(candidates)
        if order == "blocks":
            schedule = [name for name in names for _ in range(repeats)]
        elif order == "fixed":
            schedule = names * repeats
        elif order == "shuffle":
            schedule = [name for _ in range(repeats) for name in random.Random(0).sample(names, len(names))]
        elif order == "random":
            schedule = random.Random(0).sample(names * repeats, len(names) * repeats)
        else:
            schedule = [names[(i + r) % len(names)] for r in range(repeats) for i in range(len(names))]
        for name in schedule:
            sample(name)
        return {name: summary(taken) / unit for name, taken in samples.items() if taken or not checks}

    return measure


def _one_reading_a_round(
    candidates: Candidates, repeats: int = 30, warmup: int = 3, clock: Clock = time.perf_counter_ns
) -> dict[str, float]:
    """Starts the clock once a round, so that each candidate is charged for those before it."""
    if not candidates or repeats < 1:
        raise ValueError(f"repeats is {repeats}")
    for function in candidates.values():
        for _ in range(warmup):
            function()
    samples: dict[str, list[int]] = {name: [] for name in candidates}
    order = list(candidates)
    for _ in range(repeats):
        start = clock()
        for name in order:
            candidates[name]()
            samples[name].append(clock() - start)
        order = order[1:] + order[:1]
    return {name: statistics.median(taken) for name, taken in samples.items()}


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "the mean": (_variant(summary=statistics.mean), "the result is the median of the samples"),
    "the minimum": (_variant(summary=min), "the result is the median of the samples"),
    "the upper of two middles": (
        _variant(summary=statistics.median_high),
        "half-way between the two in the middle",
    ),
    "the middle without sorting": (
        _variant(summary=lambda samples: samples[len(samples) // 2]),
        "the result is the median of the samples",
    ),
    "no warm-up": (_variant(warm=False), "each candidate is called warmup + repeats times"),
    "the warm-up timed as well": (_variant(timed_warmup=True), "warm-up calls are not timed"),
    "all of one, then all of the next": (_variant(order="blocks"), "is the loop over rounds the outer one?"),
    "always the same first": (_variant(order="fixed"), "shift the order by one place a round"),
    "the same shuffle each round": (_variant(order="shuffle"), "each round starts with another candidate"),
    "all calls in random order": (_variant(order="random"), "the candidates take turns"),
    "seconds": (_variant(unit=1e9), "the nanoseconds of one call come back"),
    "a clock of its own": (_variant(own_clock=True), "read clock(), call the function, read clock() again"),
    "one start for the round": (_one_reading_a_round, "the nanoseconds of one call come back"),
    "nothing refused": (
        _variant(checks=False, summary=lambda samples: statistics.median(samples or [0])),
        "an empty result would hide the mistake",
    ),
    "None": (lambda *args, **kwargs: None, "a value of type dict was expected"),
}
