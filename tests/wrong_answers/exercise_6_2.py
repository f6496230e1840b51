"""Exercise 6.2, ``select_neighbors_heuristic``: the solution, and plausible wrong answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Candidates = Sequence[tuple[float, int]]
Distance = Callable[[int, int], float]


def right(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[int]:
    if M < 1:
        raise ValueError(f"M is {M}: keep at least one neighbour")
    kept: list[int] = []
    pruned: list[int] = []
    for apart, node in sorted(candidates):
        if len(kept) == M:
            break
        if all(apart < distance(node, other) for other in kept):
            kept.append(node)
        else:
            pruned.append(node)
    return kept + (pruned[: M - len(kept)] if keep_pruned else [])


def stub(*arguments: Any) -> list[int]:
    raise NotImplementedError("Exercise 6.2: choose neighbours that lie in different directions")


Rule = Callable[[float, int, list[int], list[int], Distance], bool]


def _by(rule: Rule, *, ordered: bool = True, stops: bool = True) -> Callable[..., list[int]]:
    """The right loop with another rule: apart, node, kept, pruned, distance → keep it?"""

    def select(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[int]:
        if M < 1:
            raise ValueError("M must be at least 1")
        kept: list[int] = []
        pruned: list[int] = []
        for apart, node in sorted(candidates) if ordered else candidates:
            if stops and len(kept) == M:
                break
            (kept if rule(apart, node, kept, pruned, distance) else pruned).append(node)
        return (kept + pruned if keep_pruned else kept)[:M]

    return select


def _keeps(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return all(apart < distance(node, other) for other in kept)


def _any(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return not kept or any(apart < distance(node, other) for other in kept)


def _last(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return not kept or apart < distance(node, kept[-1])


def _nearer_ones(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return all(apart < distance(node, other) for other in kept + pruned)


def _reversed(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return all(apart > distance(node, other) for other in kept)


def _loose(apart: float, node: int, kept: list[int], pruned: list[int], distance: Distance) -> bool:
    return all(apart <= distance(node, other) for other in kept)


def _simple(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[int]:
    return [node for _, node in sorted(candidates)[:M]]


def _stops_at_the_first(
    candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    kept: list[int] = []
    for apart, node in sorted(candidates)[:M]:
        if not all(apart < distance(node, other) for other in kept):
            break
        kept.append(node)
    return kept


def _takes_all_when_few(
    candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    if len(candidates) <= M:
        return [node for _, node in sorted(candidates)]
    return right(candidates, distance, M, keep_pruned)


def _never_fills(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[int]:
    return right(candidates, distance, M, keep_pruned=False)


def _always_fills(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[int]:
    return right(candidates, distance, M, keep_pruned=True)


def _fills_with_the_farthest(
    candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    kept = right(candidates, distance, M, keep_pruned=False)
    others = [node for _, node in sorted(candidates, reverse=True) if node not in kept]
    return (kept + others)[:M] if keep_pruned else kept


def _fills_without_end(
    candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    kept = right(candidates, distance, M, keep_pruned=False)
    others = [node for _, node in sorted(candidates) if node not in kept]
    return kept + others if keep_pruned else kept


def _sorts_in_place(
    candidates: list[tuple[float, int]], distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    candidates.sort()
    return right(candidates, distance, M, keep_pruned)


def _refuses_nothing(
    candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True
) -> list[int]:
    return right(candidates, distance, M, keep_pruned) if M > 0 else []


def _returns_pairs(candidates: Candidates, distance: Distance, M: int, keep_pruned: bool = True) -> list[Any]:
    by_node = {node: apart for apart, node in candidates}
    return [(by_node[node], node) for node in right(candidates, distance, M, keep_pruned)]


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "the nearest M (Algorithm 3)": (_simple, "nearer to one that was kept than to the base"),
    "pairs": (_returns_pairs, "the nearest candidate is always kept"),
    "the comparison reversed": (_by(_reversed), "nearer to one that was kept than to the base"),
    "any instead of all": (_by(_any), "to all of them"),
    "compared with the last one only": (_by(_last), "to all of them"),
    "compared with the dropped ones too": (_by(_nearer_ones), "not with all the nearer ones"),
    "a tie keeps": (_by(_loose), "< and not <="),
    "in the order given": (_by(_keeps, ordered=False), "the order in which the candidates come"),
    "goes on after M": (_by(_keeps, stops=False), "stop as soon as M are kept"),
    "ends at the first that is dropped": (_stops_at_the_first, "nearer to one that was kept"),
    "takes all when they are few": (_takes_all_when_few, "nearer to one that was kept"),
    "never fills up": (_never_fills, "M in all"),
    "always fills up": (_always_fills, "nearer to one that was kept"),
    "fills up with the farthest": (_fills_with_the_farthest, "the dropped ones from the nearest on"),
    "fills up without end": (_fills_without_end, "M in all"),
    "sorts in place": (_sorts_in_place, "your code changed its argument"),
    "any M will do": (_refuses_nothing, "text names M"),
}
