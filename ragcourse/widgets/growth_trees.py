"""How a B-tree and a B+ tree grow, one moment after another: the way down, the key in its leaf, each split.

The trees of ``ragcourse.indexes.keys`` do all of this in one call; here each step becomes a frame.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ragcourse.widgets.moving_picture import Box, Frame, Line

LEVEL, GAP, HEIGHT = 1.8, 0.55, 0.95  # between levels, between siblings, of a node; in cells


@dataclass
class TreeNode:
    """A node by name; ``children`` is empty in a leaf."""

    name: str
    keys: list[int]
    children: list[TreeNode] = field(default_factory=list)


@dataclass
class GrowingTree:
    """A tree that notes how it grows. ``plus``: the keys stay in the leaves, and copies of some go up."""

    order: int
    plus: bool = False
    root: TreeNode = field(default_factory=lambda: TreeNode("1", []))
    nodes: int = 1

    def add(self, key: int) -> Iterator[Frame]:
        """Insert a key; a frame after each step."""
        path = self._way_down(key)
        if key in path[-1].keys or (not self.plus and any(key in node.keys for node in path)):
            yield self._frame(f"{key} is in the tree already: nothing changes.", key, path)
            return
        if self.root.keys:
            yield self._frame(_directions(path, key), key, path)
        leaf = path[-1]
        insort(leaf.keys, key)
        room = f"{_keys(len(leaf.keys))}, and there is room for {self._room(leaf)}."
        if self._too_full(leaf):
            room = f"{_keys(len(leaf.keys))}, one more than {self._room(leaf)}: the leaf must split."
        yield self._frame(f"{key} takes its place in the leaf. It has {room}", key, path[-1:], new=key)
        while path and self._too_full(node := path.pop()):
            parent = path[-1] if path else None
            yield self._split(node, parent, key)

    def _way_down(self, key: int) -> list[TreeNode]:
        path = [self.root]
        while path[-1].children:
            node = path[-1]
            path.append(node.children[bisect_right(node.keys, key)])
        return path

    def _too_full(self, node: TreeNode) -> bool:
        return len(node.keys) > self._room(node)

    def _room(self, node: TreeNode) -> int:
        return self.order if self.plus and not node.children else self.order - 1

    def _split(self, node: TreeNode, parent: TreeNode | None, key: int) -> Frame:
        self.nodes += 1
        right = TreeNode(str(self.nodes), [])
        copied = self.plus and not node.children
        middle = len(node.keys) // 2
        up = node.keys[middle]
        right.keys = node.keys[middle if copied else middle + 1 :]
        right.children = node.children[middle + 1 :]
        node.keys, node.children = node.keys[:middle], node.children[: middle + 1]
        rises = f"a copy of {up} goes up" if copied else f"{up}, the middle one, goes up"
        caption = f"Split: {rises}; {_list(node.keys)} to the left, {_list(right.keys)} to the right."
        if parent is None:
            self.nodes += 1
            parent = self.root = TreeNode(str(self.nodes), [up], [node, right])
            caption += " It becomes a new root: the tree has grown at the top."
        else:
            place = parent.children.index(node)
            parent.keys.insert(place, up)
            parent.children.insert(place + 1, right)
            if self._too_full(parent):
                caption += f" Now the parent has {_keys(len(parent.keys))}, and must split in its turn."
        since = {f"box {right.name}": f"box {node.name}"}
        if copied:
            since[f"up {up}"] = f"key {up}"
        return self._frame(caption, key, [node, right], since=since)

    # ---- the picture of one moment ----

    def _frame(
        self,
        caption: str,
        key: int,
        path: Sequence[TreeNode],
        new: int | None = None,
        since: dict[str, str] | None = None,
    ) -> Frame:
        frame, since = Frame(caption, str(key)), since or {}
        places: dict[str, float] = {}
        _place(self.root, 0.0, places)
        levels = _levels(self.root)
        on_path = {node.name for node in path}
        for depth, level in enumerate(levels):
            y = HEIGHT / 2 + depth * LEVEL
            for node in level:
                x, width = places[node.name], max(1, len(node.keys)) + 0.1
                look = "full" if self._too_full(node) else "path" if node.name in on_path else "plain"
                name = f"box {node.name}"
                frame.boxes.append(
                    Box(name, x, y, width=width, height=HEIGHT, look=look, since=since.get(name, ""))
                )
                for i, child in enumerate(node.children):
                    foot = x - len(node.keys) / 2 + i
                    line = "path" if {node.name, child.name} <= on_path else "plain"
                    ends = (foot, y + HEIGHT / 2, places[child.name], y + LEVEL - HEIGHT / 2)
                    frame.lines.append(Line(f"edge {child.name}", *ends, look=line))
                for i, stored in enumerate(node.keys):
                    name = f"up {stored}" if self.plus and node.children else f"key {stored}"
                    marked = stored == new and not node.children
                    frame.boxes.append(
                        Box(
                            name,
                            x - (len(node.keys) - 1) / 2 + i,
                            y,
                            str(stored),
                            width=0.84,
                            height=0.72,
                            look="new" if marked else "none",
                            bold=marked,
                            since=since.get(name, ""),
                        )
                    )
        if self.plus:
            self._link_leaves(frame, levels, places)
        return frame

    def _link_leaves(self, frame: Frame, levels: list[list[TreeNode]], places: dict[str, float]) -> None:
        y = HEIGHT / 2 + (len(levels) - 1) * LEVEL
        for left, right in zip(levels[-1], levels[-1][1:], strict=False):
            start = places[left.name] + len(left.keys) / 2 + 0.05
            end = places[right.name] - len(right.keys) / 2 - 0.05
            frame.lines.append(Line(f"next {left.name}", start, y, end, y, "link", head=True))


def tree_frames(keys: Sequence[int], order: int, *, plus: bool = False) -> list[Frame]:
    """Every moment of the growth; the leaves stand on one line at the bottom, the tree in the middle."""
    tree = GrowingTree(order, plus)
    return _aligned([frame for key in keys for frame in tree.add(key)])


def _aligned(frames: list[Frame]) -> list[Frame]:
    """Shift each frame so that all are centred and end on the same line."""
    widths = [max(b.x + b.width / 2 for b in frame.boxes) for frame in frames]
    heights = [max(b.y for b in frame.boxes) for frame in frames]
    width, height = max(widths, default=0.0), max(heights, default=0.0)
    return [
        shifted(frame, (width - own_width) / 2, height - own_height)
        for frame, own_width, own_height in zip(frames, widths, heights, strict=True)
    ]


def shifted(frame: Frame, x: float, y: float) -> Frame:
    """The same frame, moved."""
    boxes = [Box(**{**vars(b), "x": b.x + x, "y": b.y + y}) for b in frame.boxes]
    lines = [
        Line(**{**vars(n), "x": n.x + x, "y": n.y + y, "to_x": n.to_x + x, "to_y": n.to_y + y})
        for n in frame.lines
    ]
    return Frame(frame.caption, frame.key, boxes, lines)


def _place(node: TreeNode, left: float, places: dict[str, float]) -> float:
    """Put a node's middle into ``places``: leaves side by side, a parent over its children; the right end."""
    if not node.children:
        width = max(1, len(node.keys)) + 0.1
        places[node.name] = left + width / 2
        return left + width
    right = left
    for i, child in enumerate(node.children):
        right = _place(child, right + (GAP if i else 0.0), places)
    places[node.name] = (places[node.children[0].name] + places[node.children[-1].name]) / 2
    return right


def _levels(root: TreeNode) -> list[list[TreeNode]]:
    levels = [[root]]
    while levels[-1][0].children:
        levels.append([child for node in levels[-1] for child in node.children])
    return levels


def _directions(path: Sequence[TreeNode], key: int) -> str:
    """The way down in words."""
    turns = []
    for node in path[:-1]:
        place = bisect_right(node.keys, key)
        if place == 0:
            turns.append(f"{key} < {node.keys[0]}")
        elif place == len(node.keys):
            turns.append(f"{key} ≥ {node.keys[-1]}" if key == node.keys[-1] else f"{node.keys[-1]} < {key}")
        else:
            turns.append(f"{node.keys[place - 1]} < {key} < {node.keys[place]}")
    way = ", then ".join(turns)
    return f"Insert {key}: {way}; down to its leaf." if turns else f"Insert {key}: the root is the only leaf."


def _keys(count: int) -> str:
    return f"{count} key" if count == 1 else f"{count} keys"


def _list(keys: Sequence[int]) -> str:
    return " ".join(map(str, keys)) if keys else "none"
