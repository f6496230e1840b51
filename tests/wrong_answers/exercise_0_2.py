"""Exercise 0.2, ``bottleneck``: the solution, and plausible wrong answers with what their check must say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ragcourse.timing import Span


def right(spans: Sequence[Span]) -> tuple[str, float]:
    if not spans:
        raise ValueError("the trace is empty")
    own = [span.seconds for span in spans]
    for span in spans:
        if span.parent is not None:
            own[span.parent] -= span.seconds
    totals: dict[str, float] = defaultdict(float)
    for span, seconds in zip(spans, own, strict=True):
        totals[span.name] += seconds
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / sum(totals.values())


def stub(spans: Sequence[Span]) -> tuple[str, float]:
    raise NotImplementedError("Exercise 0.2: name the bottleneck of a trace")


def _refuse_empty(spans: Sequence[Span]) -> None:
    if not spans:
        raise ValueError("the trace is empty")


def _whole(spans: Sequence[Span]) -> float:
    return sum(span.seconds for span in spans if span.parent is None)


def longest_span(spans: Sequence[Span]) -> tuple[str, float]:
    _refuse_empty(spans)
    top = max(spans, key=lambda span: span.seconds)
    return top.name, top.seconds / _whole(spans)


def longest_leaf(spans: Sequence[Span]) -> tuple[str, float]:
    _refuse_empty(spans)
    parents = {span.parent for span in spans}
    totals: Counter[str] = Counter()
    for number, span in enumerate(spans):
        if number not in parents:
            totals[span.name] += span.seconds  # type: ignore[assignment]
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / _whole(spans)


def _own(spans: Sequence[Span], *, all_below: bool = False) -> list[float]:
    own = [span.seconds for span in spans]
    for span in spans:
        above = span.parent
        while above is not None:
            own[above] -= span.seconds
            above = spans[above].parent if all_below else None
    return own


def all_descendants(spans: Sequence[Span]) -> tuple[str, float]:
    _refuse_empty(spans)
    totals: Counter[str] = Counter()
    for span, seconds in zip(spans, _own(spans, all_below=True), strict=True):
        totals[span.name] += seconds  # type: ignore[assignment]
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / _whole(spans)


def not_added_up(spans: Sequence[Span]) -> tuple[str, float]:
    _refuse_empty(spans)
    own = _own(spans)
    top = max(range(len(spans)), key=own.__getitem__)
    return spans[top].name, own[top] / _whole(spans)


def last_of_a_name(spans: Sequence[Span]) -> tuple[str, float]:
    _refuse_empty(spans)
    totals = {span.name: own for span, own in zip(spans, _own(spans), strict=True)}
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / _whole(spans)


def first_span_is_no_parent(spans: Sequence[Span]) -> tuple[str, float]:
    """``if span.parent:`` leaves out the children of position 0."""
    _refuse_empty(spans)
    own = [span.seconds for span in spans]
    for span in spans:
        if span.parent:
            own[span.parent] -= span.seconds
    totals: Counter[str] = Counter()
    for span, seconds in zip(spans, own, strict=True):
        totals[span.name] += seconds  # type: ignore[assignment]
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / sum(own)


def children_by_depth(spans: Sequence[Span]) -> tuple[str, float]:
    """Takes every span one level deeper for a child, whoever's it is."""
    _refuse_empty(spans)
    totals: Counter[str] = Counter()
    for span in spans:
        deeper = sum(other.seconds for other in spans if other.depth == span.depth + 1)
        totals[span.name] += span.seconds - deeper  # type: ignore[assignment]
    name = max(totals, key=totals.__getitem__)
    return name, totals[name] / _whole(spans)


def _with(change: Callable[[str, float, Sequence[Span]], Any]) -> Callable[[Sequence[Span]], Any]:
    def bottleneck(spans: Sequence[Span]) -> Any:
        return change(*right(spans), spans)

    return bottleneck


def _in_place(spans: list[Span]) -> tuple[str, float]:
    answer = right(spans)
    for span, own in zip(spans, _own(spans), strict=True):
        span.seconds = own
    return answer


def _whole_of_all_spans(name: str, share: float, spans: Sequence[Span]) -> tuple[str, float]:
    return name, share * _whole(spans) / sum(span.seconds for span in spans)


def _whole_of_the_first_root(name: str, share: float, spans: Sequence[Span]) -> tuple[str, float]:
    return name, share * _whole(spans) / spans[0].seconds


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "the longest span": (longest_span, "time in a child belongs to the child"),
    "the longest leaf": (longest_leaf, "leaves are not all there is"),
    "all descendants subtracted": (all_descendants, "a grandchild's time is already inside the child's"),
    "names not added up": (not_added_up, "add their own times by name"),
    "the last span of a name": (last_of_a_name, "add their own times by name"),
    "position 0 is no parent": (first_span_is_no_parent, "test `is not None`"),
    "children by depth": (children_by_depth, "random traces with several roots"),
    "per cent": (_with(lambda name, share, spans: (name, 100 * share)), "here 1.0"),
    "seconds for the share": (
        _with(lambda name, share, spans: (name, share * _whole(spans))),
        "a single span is the whole request",
    ),
    "the name alone": (_with(lambda name, share, spans: name), "return the name and the share"),
    "share of all spans": (_with(_whole_of_all_spans), "time in a child belongs to the child"),
    "share of the first root": (_with(_whole_of_the_first_root), "which is the time of the roots"),
    "spans changed": (_in_place, "your code changed its argument"),
    "an empty trace has no bottleneck": (
        lambda spans: right(spans) if spans else None,
        "nothing was traced: say so with a ValueError",
    ),
}
