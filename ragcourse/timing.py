"""Timing without fooling yourself: ``measure`` compares functions, ``Trace`` takes one request apart.

``measure`` warms up, then calls the candidates in turn, so that whatever slows the machine down for
a while slows all of them; it repeats a fast function inside one sample until the clock's resolution
no longer shows, keeps every sample, and reports medians and percentiles, never a mean alone.
"""

from __future__ import annotations

import gc
import html
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NamedTuple

_ADDING = threading.Lock()  # of spans, to any trace
_MIN_SAMPLE = 50e-6  # seconds; a thousand times the cost of reading the clock


def percentile(samples: Sequence[float], q: float) -> float:
    """The ``q``-th percentile (0–100), linear between neighbours (Hyndman and Fan's type 7)."""
    if not samples:
        raise ValueError("no samples: measure something first")
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q} is not between 0 and 100")
    ordered = sorted(samples)
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def format_seconds(seconds: float) -> str:
    """Three digits and the unit that fits: ``3.21 ms``."""
    for limit, factor, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if abs(seconds) < limit:
            return (
                f"{seconds * factor:.3g} {unit}"
                if seconds * factor < 999.5
                else f"{seconds * factor:.0f} {unit}"
            )
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Timing:
    """The samples of one function, in seconds a call."""

    name: str
    samples: tuple[float, ...]
    calls_per_sample: int

    @property
    def median(self) -> float:
        """Seconds a call; half of the samples took longer."""
        return percentile(self.samples, 50)

    @property
    def p10(self) -> float:
        """Seconds a call; one sample in ten took less."""
        return percentile(self.samples, 10)

    @property
    def p90(self) -> float:
        """Seconds a call; one sample in ten took longer."""
        return percentile(self.samples, 90)

    @property
    def p99(self) -> float:
        """Seconds a call; one sample in a hundred took longer."""
        return percentile(self.samples, 99)


class Comparison:
    """Timings side by side. Index by name; ``ratio`` says how many times slower; prints as a table."""

    def __init__(self, rows: Sequence[Timing]) -> None:
        self.rows = tuple(rows)

    def __getitem__(self, name: str) -> Timing:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name!r} was not measured; there are {', '.join(row.name for row in self.rows)}")

    def ratio(self, slow: str, fast: str) -> float:
        """Median of ``slow`` over median of ``fast``: 2.0 means that ``fast`` takes half the time."""
        return self[slow].median / self[fast].median

    def _cells(self) -> list[tuple[str, ...]]:
        fastest = min(row.median for row in self.rows)
        return [
            (
                row.name,
                *(format_seconds(value) for value in (row.median, row.p10, row.p90, row.p99)),
                f"{row.median / fastest:.2f}×",
                f"{len(row.samples)} × {row.calls_per_sample}",
            )
            for row in self.rows
        ]

    def __repr__(self) -> str:
        return text_table(_HEADINGS, self._cells())

    def _repr_html_(self) -> str:
        return html_table(_HEADINGS, self._cells())


_HEADINGS = ("", "median", "p10", "p90", "p99", "vs fastest", "samples × calls")


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (headings, *rows)
    )


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table for a notebook."""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (html.escape(cell) for cell in cells)
        left = f'<{tag} style="text-align: left">{first}</{tag}>'
        return f"<tr>{left}{''.join(f'<{tag}>{cell}</{tag}>' for cell in others)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(headings, 'th')}</thead><tbody>{body}</tbody></table>"


def measure(
    candidates: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 30,
    warmup: int = 3,
    max_seconds: float = 10.0,
) -> Comparison:
    """Time functions of no arguments against each other, interleaved.

    Each of ``repeats`` rounds takes one sample of every candidate, starting with another one each
    time. The rounds stop early once ``max_seconds`` are spent, but not before the third.
    Raises ``ValueError`` for no candidates or ``repeats`` < 1.
    """
    if not candidates:
        raise ValueError("give at least one function: measure({'name': function})")
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats is {repeats} and warmup {warmup}; at least 1 and 0")
    for function in candidates.values():
        for _ in range(warmup):
            function()
    calls = {name: _calls_per_sample(function) for name, function in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates.items())
    deadline = time.perf_counter() + max_seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_ in range(repeats):
            if round_ >= 3 and time.perf_counter() > deadline:
                break
            for name, function in order[round_ % len(order) :] + order[: round_ % len(order)]:
                samples[name].append(_time(function, calls[name]) / calls[name])
    finally:
        if collecting:
            gc.enable()
    return Comparison([Timing(name, tuple(taken), calls[name]) for name, taken in samples.items()])


def _time(function: Callable[[], object], calls: int) -> float:
    repeat = range(calls)
    start = time.perf_counter_ns()
    for _ in repeat:
        function()
    return (time.perf_counter_ns() - start) / 1e9


def _calls_per_sample(function: Callable[[], object]) -> int:
    calls = 1
    while (taken := _time(function, calls)) < _MIN_SAMPLE:
        calls = max(2 * calls, int(calls * _MIN_SAMPLE / max(taken, 1e-9)))
    return calls


@dataclass(slots=True)
class Span:
    """One stage of a request: seconds since the trace began, and its length; ``parent`` is an index."""

    name: str
    start_s: float
    seconds: float = math.nan
    depth: int = 0
    parent: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class Trace:
    """The spans of one request, nested as the calls were; threads and tasks may share it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._zero = time.perf_counter()

    @property
    def seconds(self) -> float:
        """From the beginning of the first span to the end of the last that has ended."""
        ended = [span for span in self.spans if not math.isnan(span.seconds)]
        if not ended:
            return 0.0
        return max(span.start_s + span.seconds for span in ended) - min(span.start_s for span in ended)

    def total(self, name: str) -> float:
        """Seconds in all spans of this name that have ended."""
        return sum(span.seconds for span in self.spans if span.name == name and not math.isnan(span.seconds))

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows (stage, start, time, share of the whole), indented by depth."""
        whole = self.seconds or math.nan
        return [
            (
                "  " * span.depth + span.name,
                format_seconds(span.start_s),
                "open" if math.isnan(span.seconds) else format_seconds(span.seconds),
                "" if math.isnan(span.seconds) else f"{span.seconds / whole:.0%}",
            )
            for span in self.spans
        ]

    def __repr__(self) -> str:
        return text_table(("stage", "start", "time", "share"), self.table())

    def _repr_html_(self) -> str:
        rows = [(row[0].replace("  ", "\u2003"), *row[1:]) for row in self.table()]
        return html_table(("stage", "start", "time", "share"), rows)

    def _add(self, span: Span) -> int:
        with _ADDING:
            self.spans.append(span)
            return len(self.spans) - 1

    def _graft(self, other: Trace, at: _Place) -> None:
        """Take in the spans of a trace that was made inside this one, below ``at``."""
        with _ADDING:
            first, later = len(self.spans), other._zero - self._zero
            self.spans += [
                replace(
                    span,
                    start_s=span.start_s + later,
                    depth=span.depth + at.depth,
                    parent=at.below if span.parent is None else span.parent + first,
                )
                for span in other.spans
            ]


class _Place(NamedTuple):
    """Where a new span goes: ``below`` is the index of its parent."""

    trace: Trace
    below: int | None
    depth: int


class _OpenSpan:
    __slots__ = ("_name", "_place", "_span", "_token")

    def __init__(self, place: _Place, name: str) -> None:
        self._place, self._name = place, name

    def __enter__(self) -> Span:
        trace, parent, depth = self._place
        self._span = Span(self._name, 0.0, depth=depth, parent=parent)
        self._token = _current.set(_Place(trace, trace._add(self._span), depth + 1))
        self._span.start_s = time.perf_counter() - trace._zero
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._span.seconds = time.perf_counter() - self._place.trace._zero - self._span.start_s
        _current.reset(self._token)


class _NoSpan:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        return None


_NO_SPAN = _NoSpan()
_current: ContextVar[_Place | None] = ContextVar("ragcourse_trace", default=None)


def span(name: str) -> _OpenSpan | _NoSpan:
    """``with span("embed"):`` a stage of the current trace; without a trace, next to nothing (~0.1 µs)."""
    place = _current.get()
    return _NO_SPAN if place is None else _OpenSpan(place, name)


@contextmanager
def tracing() -> Iterator[Trace]:
    """``with tracing() as trace:`` collects the spans of what runs inside, in this thread or task.

    A new thread belongs to the trace if it runs in a copy of the context
    (``copy_context().run(function)``; ``asyncio.to_thread`` does that). A trace inside another one
    becomes a part of it.
    """
    trace = Trace()
    outer = _current.get()
    token = _current.set(_Place(trace, None, 0))
    try:
        yield trace
    finally:
        _current.reset(token)
        if outer is not None:
            outer.trace._graft(trace, outer)
