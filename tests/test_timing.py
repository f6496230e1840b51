"""Measuring and tracing, on a clock that the tests advance themselves."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse import timing
from ragcourse.timing import (
    Comparison,
    Timing,
    Trace,
    format_seconds,
    html_table,
    measure,
    percentile,
    span,
    text_table,
    tracing,
)


class Clock:
    """Time passes only when a function under test says so."""

    def __init__(self) -> None:
        self.now = 5.0
        self.calls: list[str] = []

    def perf_counter(self) -> float:
        return self.now

    def perf_counter_ns(self) -> int:
        return round(self.now * 1e9)

    def taking(self, name: str, seconds: Callable[[], float]) -> Callable[[], None]:
        """A function that takes so long and remembers that it was called."""

        def function() -> None:
            self.calls.append(name)
            self.now += seconds()

        return function


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


# ---- percentiles and units ----

FLOATS = st.floats(-1e6, 1e6)


@given(st.lists(FLOATS, min_size=1, max_size=30), st.floats(0, 100))
def test_percentiles_are_those_of_numpy(samples: list[float], q: float) -> None:
    assert percentile(samples, q) == pytest.approx(np.percentile(samples, q), rel=1e-9, abs=1e-6)


def test_percentiles_of_a_few_samples() -> None:
    samples = [4.0, 1.0, 3.0, 2.0]
    assert [percentile(samples, q) for q in (0, 50, 75, 100)] == [1.0, 2.5, 3.25, 4.0]
    assert samples == [4.0, 1.0, 3.0, 2.0]
    assert percentile([7.0], 99) == 7.0


@pytest.mark.parametrize(
    ("samples", "q", "complaint"),
    [([], 50, "no samples"), ([1.0], -1, "percentile -1"), ([1.0], 101, "percentile 101")],
)
def test_impossible_percentiles(samples: list[float], q: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        percentile(samples, q)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"),
        (1.5e-9, "1.5 ns"),
        (123.4e-9, "123 ns"),
        (999.9e-9, "1000 ns"),
        (1e-6, "1 µs"),
        (3.21e-3, "3.21 ms"),
        (0.9999, "1000 ms"),
        (1.0, "1 s"),
        (12.34, "12.3 s"),
        (1234.5, "1234 s"),
        (-0.002, "-2 ms"),
    ],
)
def test_seconds_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


# ---- measure ----


def test_candidates_are_warmed_up_and_take_turns(clock: Clock) -> None:
    candidates = {name: clock.taking(name, lambda: 0.01) for name in "abc"}
    measure(candidates, repeats=4, warmup=2)
    warm, tuned, rounds = clock.calls[:6], clock.calls[6:9], clock.calls[9:]
    assert warm == list("aabbcc")
    assert tuned == list("abc")  # how many calls make a sample
    assert ["".join(rounds[i : i + 3]) for i in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    assert len(rounds) == 12


def test_samples_are_seconds_a_call(clock: Clock) -> None:
    slow, fast = iter([0.3, 0.1, 0.2, 0.4, 0.5, 0.9]), iter([0.01] * 9)
    found = measure(
        {"slow": clock.taking("slow", lambda: next(slow)), "fast": clock.taking("fast", lambda: next(fast))},
        repeats=4,
        warmup=1,
    )
    assert found["slow"].samples == pytest.approx([0.2, 0.4, 0.5, 0.9])
    assert found["slow"].median == pytest.approx(0.45)
    assert found["slow"].p90 == pytest.approx(np.percentile([0.2, 0.4, 0.5, 0.9], 90))
    assert found["fast"].p10 == found["fast"].p99 == pytest.approx(0.01)
    assert [row.name for row in found.rows] == ["slow", "fast"]
    assert found.ratio("slow", "fast") == pytest.approx(45)
    assert found.ratio("fast", "slow") == pytest.approx(1 / 45)


def test_a_fast_function_is_called_often_in_one_sample(clock: Clock) -> None:
    """Until the clock's resolution no longer shows; the samples are of one call nevertheless."""
    found = measure({"fast": clock.taking("fast", lambda: 1e-7)}, repeats=5, warmup=0)
    row = found["fast"]
    assert row.calls_per_sample >= 500  # 50 µs
    assert row.samples == pytest.approx([1e-7] * 5)
    assert len(clock.calls) >= 5 * row.calls_per_sample


def test_a_function_that_takes_no_time_at_all_on_a_coarse_clock_ends(clock: Clock) -> None:
    ticks = iter(range(10**9))
    found = measure({"none": clock.taking("none", lambda: 1e-3 if next(ticks) % 9999 == 0 else 0)}, repeats=3)
    assert found["none"].calls_per_sample > 1


def test_the_rounds_stop_when_the_time_is_spent_but_not_before_the_third(clock: Clock) -> None:
    def samples(seconds: float) -> int:
        return len(
            measure({"f": clock.taking("f", lambda: seconds)}, repeats=30, max_seconds=10)["f"].samples
        )

    assert samples(0.1) == 30
    assert samples(1.0) == 11
    assert samples(60.0) == 3


def test_measuring_leaves_the_garbage_collector_as_it_was() -> None:
    seen: list[bool] = []
    measure({"f": lambda: seen.append(gc.isenabled())}, repeats=1, warmup=0)
    assert not seen[-1]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure({"f": lambda: 1 // (len(seen) // (len(seen) + 1))}, repeats=1)
    assert gc.isenabled()
    gc.disable()
    try:
        measure({"f": lambda: None}, repeats=1)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("candidates", "settings", "complaint"),
    [
        ({}, {}, "give at least one function"),
        ({"f": int}, {"repeats": 0}, "repeats is 0"),
        ({"f": int}, {"warmup": -1}, "warmup -1"),
    ],
)
def test_impossible_measurements(
    candidates: dict[str, Callable[[], object]], settings: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        measure(candidates, **settings)


def test_a_comparison_prints_as_a_table() -> None:
    found = Comparison([Timing("a <b>", (2e-3, 2e-3), 1), Timing("fast", (1e-6,), 100)])
    lines = repr(found).splitlines()
    assert len({len(line) for line in lines}) == 1  # aligned
    assert lines[1].split() == [
        "a",
        "<b>",
        "2",
        "ms",
        "2",
        "ms",
        "2",
        "ms",
        "2",
        "ms",
        "2000.00×",
        "2",
        "×",
        "1",
    ]
    assert "1.00×" in lines[2]
    html = found._repr_html_()
    assert "a &lt;b&gt;" in html
    assert html.count("<tr>") == 3
    with pytest.raises(KeyError, match=r"'slow' was not measured; there are a <b>, fast"):
        found["slow"]


def test_tables_align_and_escape() -> None:
    assert text_table(("name", "n"), [("a", "1"), ("long name", "22")]) == (
        "name        n\na           1\nlong name  22"
    )
    assert ">&lt;i&gt;</td>" in html_table(("h",), [("<i>",)])


# ---- traces ----


def shape(trace: Trace) -> list[tuple[str, int, int | None]]:
    return [(span.name, span.depth, span.parent) for span in trace.spans]


def test_spans_nest_as_the_calls_did(clock: Clock) -> None:
    with tracing() as trace:
        clock.now += 1
        with span("request"):
            with span("recall"):
                clock.now += 2
                with span("search"):
                    clock.now += 3
            clock.now += 4
            with span("generate"):
                clock.now += 5
    assert shape(trace) == [("request", 0, None), ("recall", 1, 0), ("search", 2, 1), ("generate", 1, 0)]
    assert [(span.start_s, span.seconds) for span in trace.spans] == [(1, 14), (1, 5), (3, 3), (10, 5)]
    assert trace.seconds == 14
    assert trace.total("search") == 3
    assert trace.total("nothing") == 0


def test_spans_of_one_name_add_up(clock: Clock) -> None:
    with tracing() as trace:
        for seconds in (1, 2, 3):
            with span("embed"):
                clock.now += seconds
    assert trace.total("embed") == 6
    assert shape(trace) == [("embed", 0, None)] * 3


def test_an_error_ends_its_spans(clock: Clock) -> None:
    with tracing() as trace:
        with pytest.raises(KeyError), span("outer"), span("inner"):
            clock.now += 2
            raise KeyError
        with span("after"):
            clock.now += 1
    assert shape(trace) == [("outer", 0, None), ("inner", 1, 0), ("after", 0, None)]
    assert [span.seconds for span in trace.spans] == [2, 2, 1]


def test_a_trace_can_be_looked_at_before_it_ends(clock: Clock) -> None:
    with tracing() as trace:
        assert trace.seconds == 0
        assert repr(trace).split() == ["stage", "start", "time", "share"]
        with span("open"):
            with span("done"):
                clock.now += 2
            assert math.isnan(trace.spans[0].seconds)
            assert trace.seconds == 2
            assert trace.total("open") == 0
            assert repr(trace).splitlines()[1].split() == ["open", "0", "ns", "open"]


def test_a_trace_prints_as_a_table(clock: Clock) -> None:
    with tracing() as trace, span("a & b"):
        clock.now += 1
        with span("half"):
            clock.now += 1
    assert trace.table() == [("a & b", "0 ns", "2 s", "100%"), ("  half", "1 s", "1 s", "50%")]
    assert [line.split()[-1] for line in repr(trace).splitlines()] == ["share", "100%", "50%"]
    assert ">a &amp; b</td>" in trace._repr_html_()
    assert ">\u2003half</td>" in trace._repr_html_()


def test_notes_can_be_left_on_a_span() -> None:
    with tracing() as trace, span("search") as search:
        if search is not None:
            search.notes["hits"] = 5
    assert trace.spans[0].notes == {"hits": 5}


def test_without_a_trace_a_span_is_nothing() -> None:
    with span("a") as nothing:
        assert nothing is None
    assert span("a") is span("b")
    with tracing() as trace:
        pass
    with span("after"):
        pass
    assert trace.spans == []
    assert trace.seconds == 0


def test_a_span_without_a_trace_costs_next_to_nothing() -> None:
    """Against one that is recorded; the margin is wide, for the ratio is about ten."""

    def stage() -> None:
        with span("stage"):
            pass

    off = measure({"off": stage}, repeats=15, max_seconds=1)["off"].median
    with tracing():
        on = measure({"on": stage}, repeats=15, max_seconds=1)["on"].median
    assert 3 * off < on


def test_a_trace_inside_another_one_becomes_a_part_of_it(clock: Clock) -> None:
    """So that a trace around several requests has their stages too."""
    with tracing() as outer:
        clock.now += 1
        with span("two requests"):
            inner = []
            for _ in range(2):
                with tracing() as trace, span("request"), span("recall"):
                    clock.now += 2
                inner.append(trace)
        with span("after"):
            pass
    assert [shape(trace) for trace in inner] == [[("request", 0, None), ("recall", 1, 0)]] * 2
    assert shape(outer) == [
        ("two requests", 0, None),
        ("request", 1, 0),
        ("recall", 2, 1),
        ("request", 1, 0),
        ("recall", 2, 3),
        ("after", 0, None),
    ]
    assert [span.start_s for span in outer.spans] == [1, 1, 1, 3, 3, 5]
    assert inner[1].spans[0].start_s == 0


def test_threads_in_a_copied_context_share_the_trace() -> None:
    """Each span is below the one that was open where its thread was started."""

    def route(name: str) -> None:
        with span(name), span(f"{name} inner"):
            pass

    with tracing() as trace, span("routes"), ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(copy_context().run, route, f"route {i}") for i in range(200)]:
            future.result()
    spans = trace.spans
    assert len(spans) == 401
    for found in spans[1:]:
        above = spans[found.parent or 0]
        assert above.name == (found.name.removesuffix(" inner") if "inner" in found.name else "routes")
        assert found.depth == above.depth + 1


def test_a_thread_of_its_own_context_is_not_traced() -> None:
    def stage() -> None:
        with span("elsewhere"):
            pass

    with tracing() as trace, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).result()
        pool.submit(Context().run, stage).result()
    assert trace.spans == []


def test_tasks_that_take_turns_nest_each_in_its_own_way() -> None:
    async def route(name: str) -> None:
        with span(name):
            await asyncio.sleep(0)
            with span(f"{name} inner"):
                await asyncio.sleep(0)

    async def both() -> None:
        with span("routes"):
            await asyncio.gather(route("a"), route("b"))

    with tracing() as trace:
        asyncio.run(both())
    names = [span.name for span in trace.spans]
    parents = {span.name: None if span.parent is None else names[span.parent] for span in trace.spans}
    assert parents == {"routes": None, "a": "routes", "b": "routes", "a inner": "a", "b inner": "b"}


def test_a_trace_can_be_copied_and_pickled(clock: Clock) -> None:
    """An answer in a cache has its trace with it."""
    with tracing() as trace, span("a"):
        clock.now += 1
    assert copy.deepcopy(trace).spans == trace.spans
    assert pickle.loads(pickle.dumps(trace)).spans == trace.spans
