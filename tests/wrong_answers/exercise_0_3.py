"""Exercise 0.3, ``amdahl``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Budget = Mapping[str, float]


def right(seconds: Budget, factors: Budget) -> float:
    for stage, factor in factors.items():
        if stage not in seconds:
            raise ValueError(f"there is no stage {stage!r}")
        if factor <= 0:
            raise ValueError(f"{stage} cannot become {factor} times faster")
    after = sum(taken / factors.get(stage, 1.0) for stage, taken in seconds.items())
    return sum(seconds.values()) / after if after else math.inf


def stub(seconds: Budget, factors: Budget) -> float:
    raise NotImplementedError("Exercise 0.3: the speed-up of the whole")


def _checked(compute: Callable[[Budget, Budget], Any]) -> Callable[[Budget, Budget], Any]:
    """``compute`` after the refusals and the empty case of the solution."""

    def amdahl(seconds: Budget, factors: Budget) -> Any:
        return right(seconds, factors) if math.isinf(right(seconds, factors)) else compute(seconds, factors)

    return amdahl


def _share(seconds: Budget, stage: str) -> float:
    return seconds[stage] / sum(seconds.values())


def _product(seconds: Budget, factors: Budget) -> float:
    return math.prod(right(seconds, {stage: factor}) for stage, factor in factors.items())


def _weighted(seconds: Budget, factors: Budget) -> float:
    return sum(_share(seconds, stage) * factors.get(stage, 1.0) for stage in seconds)


def _sum_of_gains(seconds: Budget, factors: Budget) -> float:
    return 1 + sum(right(seconds, {stage: factor}) - 1 for stage, factor in factors.items())


def _only_one(seconds: Budget, factors: Budget) -> float:
    return max((right(seconds, {stage: factor}) for stage, factor in factors.items()), default=1.0)


def _not_faster_is_ignored(seconds: Budget, factors: Budget) -> float:
    return right(seconds, {stage: max(factor, 1.0) for stage, factor in factors.items()})


def _misspelt_is_ignored(seconds: Budget, factors: Budget) -> float:
    return right(seconds, {stage: factor for stage, factor in factors.items() if stage in seconds})


def _no_refusal_of_zero(seconds: Budget, factors: Budget) -> float:
    after = sum(taken / factors[stage] if factors.get(stage) else taken for stage, taken in seconds.items())
    if unknown := [stage for stage in factors if stage not in seconds]:
        raise ValueError(f"there is no stage {unknown[0]!r}")
    return sum(seconds.values()) / after if after else math.inf


def _divides_by_zero(seconds: Budget, factors: Budget) -> float:
    if not math.isinf(right(seconds, factors)):
        return right(seconds, factors)
    return sum(seconds.values()) / sum(0.0 for _ in seconds)


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "after / before": (
        _checked(lambda seconds, factors: 1 / right(seconds, factors)),
        "only this stage is divided",
    ),
    "seconds saved": (
        _checked(lambda seconds, factors: sum(seconds.values()) * (1 - 1 / right(seconds, factors))),
        "time before / time after",
    ),
    "the mean factor": (_checked(_weighted), "only this stage is divided by its factor"),
    "the product of single speed-ups": (_checked(_product), "cannot be multiplied"),
    "the sum of single gains": (_checked(_sum_of_gains), "cannot be multiplied, added or averaged"),
    "the best stage alone": (_checked(_only_one), "several stages improved at once"),
    "a factor below 1 ignored": (_not_faster_is_ignored, "a factor below 1 makes the whole slower"),
    "nothing left is an error": (_divides_by_zero, "an infinite factor removes a stage"),
    "a misspelt stage ignored": (_misspelt_is_ignored, "name it in the message"),
    "a factor of 0 ignored": (_no_refusal_of_zero, "no stage becomes zero or minus two times faster"),
}
