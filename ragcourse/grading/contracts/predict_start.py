"""Exercise 1.3: what a start will cost when a part of the documents has changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import expect_equal, expect_error

contract = Contract("1.3", task="predict a start from the trace of a cold one")

_ALWAYS = ("open", "compare")
_EACH = ("read", "split", "embed", "write", "ocr")


def _trace(rng: np.random.Generator, each: int = 4) -> dict[str, float]:
    names = [*_ALWAYS, "load model", *_EACH[:each]]
    return {name: float(rng.integers(1, 900)) / 1000 for name in names}


def _expect(implementation: Any, case: tuple[dict[str, float], float], cause: str) -> None:
    cold, share = case
    always = math.fsum(cold[name] for name in _ALWAYS)
    each = math.fsum(seconds for name, seconds in cold.items() if name in _EACH)
    expected = always + each * share + (cold["load model"] if share > 0 else 0.0)
    expect_equal(implementation(cold, share), expected, cause=cause)


@contract.check("nothing changed: open and compare are left", points=1)
def nothing(implementation: Any, rng: np.random.Generator) -> None:
    cause = "with no text to embed, the model need not be loaded either"
    for_each([(_trace(rng), 0.0) for _ in range(3)], lambda case: _expect(implementation, case, cause))


@contract.check("everything changed: a cold start", points=1)
def everything(implementation: Any, rng: np.random.Generator) -> None:
    cause = "add all stages"
    for_each([(_trace(rng), 1.0) for _ in range(3)], lambda case: _expect(implementation, case, cause))


@contract.check("a part changed: its share of the work on documents, and all of the rest", points=2)
def part(implementation: Any, rng: np.random.Generator) -> None:
    cause = "opening, comparing and loading the model do not shrink with the number of changed documents"
    cases = [(_trace(rng, each), float(rng.integers(1, 99)) / 100) for each in (4, 4, 5, 3)]
    for_each(cases, lambda case: _expect(implementation, case, cause))


@contract.check("a share outside of 0 to 1 is refused", points=1)
def outside(implementation: Any, rng: np.random.Generator) -> None:
    cold = _trace(rng)
    for share in (-0.01, 1.01, float(rng.integers(2, 75))):
        cause = "75 changed documents are a count, not a share: say what was expected"
        expect_error(ValueError, lambda share=share: implementation(cold, share), given=share, cause=cause)  # type: ignore[misc]
