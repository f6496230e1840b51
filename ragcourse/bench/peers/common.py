"""What every contestant gets alike: the texts, the sentences, the name of the collection."""

from __future__ import annotations

import re
from pathlib import Path

COLLECTION = "bench"
_BOUNDARY = re.compile(r"(?<=[.!?])\s+|\n+")


def sentences(text: str) -> list[str]:
    """Cut after a full stop, question or exclamation mark, and at line ends."""
    return [part.strip() for part in _BOUNDARY.split(text) if part.strip()]


def texts(folder: str) -> list[tuple[str, str]]:
    """``(path relative to the folder, text)`` of all ``.txt`` files, in a fixed order."""
    root = Path(folder)
    return [(p.relative_to(root).as_posix(), p.read_text("utf-8")) for p in sorted(root.rglob("*.txt"))]
