"""Exercise 0.4, ``needed_factor``: the solution, and plausible wrong answers with what the check must say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Budget = Mapping[str, float]


def _left(seconds: Budget, stage: str, target: float) -> float:
    """What the target leaves for the stage."""
    if stage not in seconds:
        raise ValueError(f"there is no stage {stage!r}")
    total = sum(seconds.values())
    return total / target - (total - seconds[stage])


def right(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    left = _left(seconds, stage, target)
    if left < 0:
        return None
    return seconds[stage] / left if left else math.inf


def stub(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    raise NotImplementedError("Exercise 0.4: the factor that a stage needs")


def _no_limit(seconds: Budget, stage: str, target: float = 2.0) -> float:
    """Divides by what is left, even if that is less than nothing."""
    left = _left(seconds, stage, target)
    return seconds[stage] / left if left else math.inf


def _infinite_when_impossible(seconds: Budget, stage: str, target: float = 2.0) -> float:
    left = _left(seconds, stage, target)
    return seconds[stage] / left if left > 0 else math.inf


def _none_at_the_limit(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    left = _left(seconds, stage, target)
    return seconds[stage] / left if left > 0 else None


def _divides_by_zero(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    left = _left(seconds, stage, target)
    return None if left < 0 else seconds[stage] / left


def _the_target_itself(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    return None if right(seconds, stage, target) is None else target


def _always_half(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    return right(seconds, stage, 2.0)


def _target_in_seconds(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    return right(seconds, stage, sum(seconds.values()) / target)


def _share_of_what_is_left(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    needed = right(seconds, stage, target)
    return needed if needed is None or needed == math.inf else 1 / needed


def _misspelt_is_impossible(seconds: Budget, stage: str, target: float = 2.0) -> float | None:
    return right(seconds, stage, target) if stage in seconds else None


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "a negative factor": (_no_limit, "no factor helps"),
    "infinity when impossible": (_infinite_when_impossible, "a target out of reach gives None"),
    "None at the limit": (_none_at_the_limit, "math.inf, not None"),
    "an error at the limit": (_divides_by_zero, "a target only reached by removing the stage"),
    "the target itself": (_the_target_itself, "the factor that reaches the target"),
    "always half": (_always_half, "the whole as it is needs a factor of 1"),
    "the target in seconds": (_target_in_seconds, "the whole as it is needs a factor of 1"),
    "upside down": (_share_of_what_is_left, "what the others leave of it is this stage's new time"),
    "a misspelt stage is impossible": (_misspelt_is_impossible, "a stage that does not exist is refused"),
}
