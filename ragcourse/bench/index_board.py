"""The report of ``ragcourse bench indexes``: rows with the recall of both sides, and the bars they clear.

A bar was set before the code was written: what a structure *must* reach against its rival, and what it *aims*
at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ragcourse.bench.host import usable_cores
from ragcourse.bench.index_data import VectorSet
from ragcourse.bench.process import Progress
from ragcourse.bench.report import Better, Report, Row
from ragcourse.timing import measure

MOST = 4
_ENOUGH = 1.0  # seconds: as long as all samples of all candidates take less, there may be more


class Bar(NamedTuple):
    """What is asked of a structure: ratios above 1 mean that ours is better."""

    structure: str
    must: float
    aim: float | None = None


class Side(NamedTuple):
    """Samples of one side, in the row's unit, and its recall where that matters."""

    name: str
    samples: Sequence[float]
    recall: float | None = None


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    sets: tuple[tuple[int, int], ...] = ((100_000, 128), (50_000, 384))  # vectors × dimensions
    handbook: bool = True
    queries: int = 500
    build: int = 10_000  # vectors in a build that is repeated
    efforts: tuple[int, ...] = (10, 20, 40, 80, 120, 180, 256)  # ef
    growth: tuple[int, ...] = (10_000, 30_000, 100_000)
    keys: int = 200_000
    words: int = 1_000_000  # English words, or all there are
    rounds: int = 5


QUICK = Sizes(
    sets=((10_000, 32),), handbook=False, queries=100, build=1_000, efforts=(10, 40, 160),
    growth=(1_000, 2_000), keys=5_000, words=3_000, rounds=1,
)  # fmt: skip


@dataclass
class Board:
    """A report that is being filled."""

    report: Report
    sizes: Sizes
    rounds: int
    progress: Progress
    file: VectorSet | None = None

    def __post_init__(self) -> None:
        self.report.details.update(bars=[], curves={}, growth={})

    @cached_property
    def sets(self) -> list[VectorSet]:
        """What vector indexes are measured on; the largest synthetic set first."""
        from ragcourse.bench.index_data import clustered, handbook

        if self.file:
            return [self.file]
        self.progress("vectors to search, and their true neighbours")
        made = [clustered(n, dim, self.sizes.queries) for n, dim in self.sizes.sets]
        return [*made, handbook()] if self.sizes.handbook else made

    @cached_property
    def thread_counts(self) -> list[int]:
        """One, and all there are."""
        return sorted({1, usable_cores()})

    def race(
        self, candidates: Mapping[str, Callable[[], object]], per: float = 1.0
    ) -> dict[str, list[float]]:
        """Seconds of each call, times ``per``; the candidates take turns, each once unmeasured before.

        ``rounds`` samples of each, and up to `MOST` times as many of what takes no time.
        """
        timings = measure(candidates, repeats=self.rounds, warmup=0, max_seconds=math.inf)
        samples = {name: list(timings[name].samples) for name in candidates}
        one_round = sum(timings[name].median * timings[name].calls_per_sample for name in candidates)
        more = min((MOST - 1) * self.rounds, int(_ENOUGH / one_round) - self.rounds)
        if more > 0:
            timings = measure(candidates, repeats=more, warmup=0, max_seconds=math.inf)
            for name, taken in samples.items():
                taken += timings[name].samples
        return {name: [seconds * per for seconds in taken] for name, taken in samples.items()}

    def row(
        self, what: str, ours: Side, theirs: Side, unit: str, bar: Bar | None = None, better: Better = "lower"
    ) -> Row:
        """Add a row, and where there is a bar, whether it is cleared."""
        against = theirs.name if theirs.recall is None else f"{theirs.name}, recall {theirs.recall:.3f}"
        what = f"{ours.name}: {what}" if ours.name else what
        row = self.report.add(
            what, against, unit, ours.samples, theirs.samples, better=better, recall=ours.recall
        )
        if bar is not None:
            self.report.details["bars"].append(
                {
                    "structure": bar.structure, "what": what, "against": theirs.name, "ratio": row.ratio,
                    "must": bar.must, "aim": bar.aim, "recall": ours.recall, "their_recall": theirs.recall,
                }
            )  # fmt: skip
        return row


def least_effort(recall: Callable[[int], float], target: float, low: int, high: int) -> int | None:
    """The smallest effort from ``low`` to ``high`` with that recall; None if even the last has less.

    Recall grows with effort, but for noise of a thousandth. Effort is doubled until enough, then bisected.
    """
    enough = low
    while recall(enough) < target:
        if enough == high:
            return None
        low, enough = enough + 1, min(2 * enough, high)
    while low < enough:
        middle = (low + enough) // 2
        if recall(middle) >= target:
            enough = middle
        else:
            low = middle + 1
    return enough


def bars_table(details: Mapping[str, Any]) -> str:
    """The bars as a Markdown table."""
    lines = [
        "| structure | measured | against | recall ours / theirs | ratio | must | aim | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for bar in details["bars"]:
        recalls = " / ".join(
            "–" if value is None else f"{value:.3f}" for value in (bar["recall"], bar["their_recall"])
        )
        aim = "–" if bar["aim"] is None else f"{bar['aim']:g}×"
        lines.append(
            f"| {bar['structure']} | {bar['what']} | {bar['against']} | {recalls if bar['recall'] else '–'} "
            f"| {bar['ratio']:.2f}× | {bar['must']:g}× | {aim} | {_verdict(bar)} |"
        )
    return "\n".join(lines) + "\n"


def _verdict(bar: Mapping[str, Any]) -> str:
    if bar["ratio"] < bar["must"]:
        return "missed"
    return "must" if bar["aim"] is None or bar["ratio"] < bar["aim"] else "aim"
