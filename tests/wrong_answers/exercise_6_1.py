"""Exercise 6.1, ``search_layer``: the solution, and plausible wrong answers with their messages."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

Distance = Callable[[int], float]
Links = Mapping[int, list[int]]
Found = list[tuple[float, int]]


def right(
    distance: Distance,
    links: Links,
    entry_points: Sequence[int],
    ef: int,
    allowed: Collection[int] | None = None,
) -> Found:
    if ef < 1:
        raise ValueError(f"ef is {ef}: keep at least one candidate")
    seen = set(entry_points)
    candidates = [(distance(node), node) for node in seen]
    heapq.heapify(candidates)
    found = [(-d, node) for d, node in candidates if allowed is None or node in allowed]
    heapq.heapify(found)
    while len(found) > ef:
        heapq.heappop(found)
    while candidates:
        nearest, node = heapq.heappop(candidates)
        if len(found) == ef and nearest > -found[0][0]:
            break
        for other in links[node]:
            if other in seen:
                continue
            seen.add(other)
            d = distance(other)
            if len(found) < ef or d < -found[0][0]:
                heapq.heappush(candidates, (d, other))
                if allowed is None or other in allowed:
                    heapq.heappush(found, (-d, other))
                    if len(found) > ef:
                        heapq.heappop(found)
    return sorted((-d, node) for d, node in found)


def with_one_pool(
    distance: Distance,
    links: Links,
    entry_points: Sequence[int],
    ef: int,
    allowed: Collection[int] | None = None,
) -> Found:
    """Another right answer: sorted lists instead of heaps, the filter at the end of an open-ended walk."""
    if ef < 1:
        raise ValueError("ef must be at least 1")
    known = {node: distance(node) for node in entry_points}
    waiting = set(known)
    while waiting:
        nearest = min(waiting, key=known.__getitem__)
        good = sorted(d for node, d in known.items() if allowed is None or node in allowed)
        if len(good) >= ef and known[nearest] > good[ef - 1]:
            break
        waiting.remove(nearest)
        for other in links[nearest]:
            if other not in known:
                known[other] = distance(other)
                waiting.add(other)
    pairs = sorted((d, node) for node, d in known.items() if allowed is None or node in allowed)
    return pairs[:ef]


def stub(*arguments: Any) -> Found:
    raise NotImplementedError("Exercise 6.1: search one layer with a pool of ef candidates")


def _general(
    distance: Distance,
    links: Links,
    entry_points: Sequence[int],
    ef: int,
    allowed: Collection[int] | None = None,
    *,
    mark: str = "when known",
    stop: str = "full and farther",
    walk: str = "all",
    rest: bool = True,
) -> Found:
    """The right search with one decision taken otherwise."""
    if ef < 1:
        raise ValueError("ef must be at least 1")
    seen: set[int] = set(entry_points) if mark == "when known" else set()
    candidates = sorted((distance(node), node) for node in dict.fromkeys(entry_points))
    if walk == "allowed" and allowed is not None:
        candidates = [pair for pair in candidates if pair[1] in allowed]
    found = [pair for pair in candidates if allowed is None or pair[1] in allowed][: ef if rest else None]
    while candidates:
        nearest, node = candidates.pop(0)
        full = len(found) >= ef
        worst = found[-1][0] if found else float("-inf")
        if {
            "full and farther": full and nearest > worst,
            "farther": nearest > worst,
            "full": full,
            "best": bool(found) and nearest > found[0][0],
            "never": False,
        }[stop]:
            break
        if mark == "when expanded":
            if node in seen:
                continue
            seen.add(node)
        for other in links[node]:
            if other in seen or (walk == "allowed" and allowed is not None and other not in allowed):
                continue
            if mark == "when known":
                seen.add(other)
            d = distance(other)
            if len(found) < ef or d < found[-1][0] or stop == "never":
                candidates = sorted({*candidates, (d, other)})
                if allowed is None or other in allowed:
                    found = sorted({*found, (d, other)})[:ef]
    return found


def _with(**changed: Any) -> Callable[..., Found]:
    return lambda *arguments: _general(*arguments, **changed)


def _after(change: Callable[[Found], Any]) -> Callable[..., Any]:
    return lambda *arguments: change(right(*arguments))


def _nodes_only(found: Found) -> list[int]:
    return [node for _, node in found]


def _filter_at_the_end(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    found = right(distance, links, entry_points, ef)
    return [pair for pair in found if allowed is None or pair[1] in allowed]


def _empty_set_is_none(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    return right(distance, links, entry_points, ef, allowed or None)


def _first_entry_only(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    return right(distance, links, entry_points[:1], ef, allowed)


def _without_entries(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    found = right(distance, links, entry_points, ef, allowed)
    return [pair for pair in found if pair[1] not in entry_points]


def _refuses_nothing(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    return right(distance, links, entry_points, max(ef, 1), allowed)


def _scans_everything(
    distance: Distance, links: Links, entry_points: Sequence[int], ef: int, allowed: Any = None
) -> Found:
    if ef < 1:
        raise ValueError("ef must be at least 1")
    pairs = sorted((distance(node), node) for node in links)
    return [pair for pair in pairs if allowed is None or pair[1] in allowed][:ef]


def _eats_the_entries(
    distance: Distance, links: Links, entry_points: list[int], ef: int, allowed: Any = None
) -> Found:
    found = right(distance, links, entry_points, ef, allowed)
    entry_points.clear()
    return found


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "nodes without distances": (_after(_nodes_only), "pairs (distance, node)"),
    "the farthest first": (_after(lambda found: found[::-1]), "nearest first"),
    "entry points left out": (_without_entries, "the entry points themselves belong to the result"),
    "the first entry point only": (_first_entry_only, "all of them are candidates at the start"),
    "more entry points than ef": (_with(rest=False), "at most ef stay"),
    "stops when the pool is full": (_with(stop="full"), "look at its neighbours"),
    "compares with the best": (_with(stop="best"), "nearer than its farthest, and no longer"),
    "the paper's line 7, taken literally": (_with(stop="farther"), "is a candidate as any other"),
    "never stops early": (_with(stop="never"), "nearer than its farthest, and no longer"),
    "a scan": (_scans_everything, "a pool of several gets out of a dead end"),
    "marks what it has expanded": (_with(mark="when expanded"), "every node whose distance is known"),
    "walks allowed nodes only": (_with(walk="allowed"), "is a candidate as any other"),
    "filters at the end": (_filter_at_the_end, "never enters the result"),
    "an empty filter is none": (_empty_set_is_none, "None allows all"),
    "any ef will do": (_refuses_nothing, "text names ef"),
    "eats its argument": (_eats_the_entries, "your code changed its argument"),
}

ALSO_RIGHT = (with_one_pool,)
