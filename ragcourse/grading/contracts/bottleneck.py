"""Exercise 0.2: read a trace and name the stage that costs most, by its own time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.contracts._given import given
from ragcourse.grading.expect import expect_equal, expect_error
from ragcourse.timing import Span

contract = Contract("0.2", task="name the stage with the most time of its own, and its share of the whole")

_TICK = 1 / 1024  # seconds; sums of it are exact


@dataclass
class Stage:
    """A stage with ``own`` ticks to itself: the tree comes first, the spans are made from it."""

    name: str
    own: int
    inside: list[Stage] = field(default_factory=list)

    @property
    def ticks(self) -> int:
        """Of the stage and all in it."""
        return self.own + sum(stage.ticks for stage in self.inside)

    def own_times(self) -> Counter[str]:
        """Ticks by name, the oracle of this contract."""
        times = Counter({self.name: self.own})
        for stage in self.inside:
            times += stage.own_times()
        return times


def spans_of(roots: list[Stage]) -> list[Span]:
    """The spans that a trace of these stages, one after the other, would hold."""
    spans: list[Span] = []

    def visit(stage: Stage, start: int, depth: int, parent: int | None) -> None:
        at, begin = len(spans), start
        spans.append(Span(stage.name, start * _TICK, stage.ticks * _TICK, depth, parent))
        for inner in stage.inside:
            visit(inner, begin, depth + 1, at)
            begin += inner.ticks

    start = 0
    for root in roots:
        visit(root, start, 0, None)
        start += root.ticks
    return spans


def _expected(roots: list[Stage]) -> tuple[str, float]:
    times = sum((root.own_times() for root in roots), Counter[str]())
    name, ticks = times.most_common(1)[0]
    return name, ticks / times.total()


def _random(rng: np.random.Generator, size: int) -> list[Stage]:
    """``size`` stages in a random forest, with one clear bottleneck."""
    names = ["request", "recall", "embed query", "search", "parents", "generate"]
    while True:
        stages = [Stage(str(rng.choice(names)), int(rng.integers(1, 60))) for _ in range(size)]
        roots = [stages[0]]
        for number, stage in enumerate(stages[1:], start=1):
            parent = int(rng.integers(-1, number))
            (roots if parent < 0 else stages[parent].inside).append(stage)
        top = sum((root.own_times() for root in roots), Counter[str]()).most_common(2)
        if len(top) == 1 or top[0][1] > 1.05 * top[1][1]:
            return roots


def _check(implementation: Any, roots: list[Stage], cause: str) -> None:
    expected = _expected(roots)

    def test(spans: list[Span]) -> None:
        lines = [f"{'  ' * s.depth}{s.name}  {s.seconds / _TICK:.0f}" for s in spans]
        with given("\n".join(["spans, indented by depth, in 1/1024 s:", *lines])):
            expect_equal(implementation(spans), expected, cause=cause)

    for_each([spans_of(roots)], test)


@contract.check("a single span is the whole request", points=1)
def _single(implementation: Any, rng: np.random.Generator) -> None:
    _check(
        implementation,
        [Stage("request", int(rng.integers(1, 99)))],
        "return the name and the share, here 1.0",
    )


@contract.check("time in a child belongs to the child", points=1)
def _child(implementation: Any, rng: np.random.Generator) -> None:
    own, inner = int(rng.integers(1, 9)), int(rng.integers(20, 90))
    roots = [Stage("request", own, [Stage("search", inner), Stage("generate", own)])]
    cause = (
        "own time = seconds of the span − seconds of the spans whose parent it is; "
        "position 0 is a parent too, so test `is not None`"
    )
    _check(implementation, roots, cause)


@contract.check("a parent can be the bottleneck", points=1)
def _parent(implementation: Any, rng: np.random.Generator) -> None:
    own = int(rng.integers(40, 90))
    roots = [
        Stage(
            "request", 2, [Stage("recall", own, [Stage("search", own // 2), Stage("embed query", own // 3)])]
        )
    ]
    _check(
        implementation,
        roots,
        "work that no inner span covers is the parent's own: leaves are not all there is",
    )


@contract.check("only the direct children are subtracted", points=1)
def _direct(implementation: Any, rng: np.random.Generator) -> None:
    own, deep = int(rng.integers(30, 40)), int(rng.integers(20, 29))
    roots = [Stage("request", own, [Stage("recall", 3, [Stage("search", 2, [Stage("read", deep)])])])]
    _check(implementation, roots, "a grandchild's time is already inside the child's")


@contract.check("spans of one name are added up", points=2)
def _repeated(implementation: Any, rng: np.random.Generator) -> None:
    each = int(rng.integers(10, 20))
    batches = [stage for _ in range(4) for stage in (Stage("read", each), Stage("write", 3))]
    roots = [Stage("start", 1, [*batches, Stage("open", 2 * each)])]
    _check(implementation, roots, "a stage that runs in batches has many spans: add their own times by name")


@contract.check("random traces with several roots", points=2)
def _random_traces(implementation: Any, rng: np.random.Generator) -> None:
    for size in (2, 3, 3, 4, 5, 8, 13, 30):
        _check(
            implementation,
            _random(rng, size),
            "the share is of all own times together, which is the time of the roots",
        )


@contract.check("an empty trace is refused", points=1)
def _empty(implementation: Any, rng: np.random.Generator) -> None:
    with given("no spans"):
        expect_error(
            ValueError, lambda: implementation([]), cause="nothing was traced: say so with a ValueError"
        )
