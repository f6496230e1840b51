"""How a trie grows: the letters that are there already, then those that are new."""

from __future__ import annotations

from collections.abc import Sequence

from ragcourse.widgets.moving_picture import Box, Frame, Line

STEP, LEVEL, DISC = 1.12, 1.3, 0.86  # between leaves, between levels, of a node; in cells


def trie_frames(words: Sequence[str]) -> list[Frame]:
    """Two moments a word: its known beginning, then the word; the nodes are drawn below their parents."""
    final = _layout({word[:end] for word in words for end in range(len(word) + 1)})
    known, ends = {""}, set[str]()
    frames: list[Frame] = []
    for word in words:
        path = [word[:end] for end in range(len(word) + 1)]
        there = [prefix for prefix in path if prefix in known]
        new = path[len(there) :]
        if ends:
            frames.append(
                _frame(_shared(word, there, new, word in ends), word, known, ends, set(there), set(), final)
            )
        if not (new or word not in ends):
            continue
        known |= set(path)
        ends.add(word)
        made = f"{len(new)} new {'node' if len(new) == 1 else 'nodes'}" if new else "no new node"
        caption = f"{word}: {made}; the last letter is marked as the end of a word."
        frames.append(_frame(caption, word, known, ends, set(there), set(new), final))
    return frames


def _shared(word: str, there: Sequence[str], new: Sequence[str], is_word: bool) -> str:
    if is_word:
        return f"{word} is in the trie already: {len(word)} steps, one a letter, and nothing changes."
    shared = len(there) - 1
    if not shared:
        return f"Insert {word}: no word begins with {word[0]} yet."
    if not new:
        return f"Insert {word}: all its {shared} letters are there, as the beginning of another word."
    letters = "letter" if shared == 1 else f"{shared} letters"
    return f"Insert {word}: the first {letters}, {there[-1]}, {'is' if shared == 1 else 'are'} there already."


def _frame(
    caption: str,
    word: str,
    known: set[str],
    ends: set[str],
    path: set[str],
    new: set[str],
    places: dict[str, tuple[float, float]],
) -> Frame:
    frame = Frame(caption, word)
    for prefix in sorted(known, key=lambda prefix: (len(prefix), prefix)):
        x, y = places[prefix]
        parent = prefix[:-1]
        since = f"node {_nearest(parent, new)}" if prefix in new else ""
        if prefix:
            above_x, above_y = places[parent]
            look = "path" if prefix in path else "plain"
            frame.lines.append(Line(f"edge {prefix}", above_x, above_y, x, y, look))
        look = "new" if prefix in new else "word" if prefix in ends else "plain"
        if prefix in path and prefix not in ends:
            look = "path"
        text = prefix[-1:] or "•"
        frame.boxes.append(
            Box(f"node {prefix}", x, y, text, DISC, DISC, look, prefix in ends, round_=True, since=since)
        )
    return frame


def _nearest(prefix: str, new: set[str]) -> str:
    """The longest beginning that was there before."""
    while prefix in new:
        prefix = prefix[:-1]
    return prefix


def _layout(prefixes: set[str]) -> dict[str, tuple[float, float]]:
    """Middle of each node: leaves side by side in alphabetical order, a parent over its children."""
    places: dict[str, tuple[float, float]] = {}
    column = 0
    for prefix in sorted(prefixes, key=lambda prefix: [*map(ord, prefix)]):
        if not any(other != prefix and other.startswith(prefix) for other in prefixes):
            places[prefix] = (DISC / 2 + column * STEP, DISC / 2 + len(prefix) * LEVEL)
            column += 1
    for prefix in sorted(prefixes, key=len, reverse=True):
        below = [places[child][0] for child in prefixes if child[:-1] == prefix and child]
        if prefix not in places:
            places[prefix] = ((min(below) + max(below)) / 2, DISC / 2 + len(prefix) * LEVEL)
    return places
