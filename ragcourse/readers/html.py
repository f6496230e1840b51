"""HTML: the text a reader sees, block by block, without navigation, scripts and styles."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ragcourse.documents import Scalar
from ragcourse.readers.encoding import decode

_UNSEEN = "script, style, noscript, template, nav, header, footer, aside, form, svg, head"
_BLOCKS = frozenset(
    "address article blockquote body caption dd details div dl dt fieldset figcaption figure "
    "h1 h2 h3 h4 h5 h6 hr li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def read_html(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """The visible text; blocks are separated by an empty line, table cells by `` | ``."""
    text, encoding = _decode(data)
    tree = LexborHTMLParser(text)
    title = tree.css_first("h1") or tree.css_first("title")
    metadata: dict[str, Scalar] = {"encoding": encoding}
    if title and title.text().strip():
        metadata["title"] = _SPACE.sub(" ", title.text()).strip()
    for node in tree.css(_UNSEEN):
        node.decompose()
    return "\n\n".join(_blocks(tree)), metadata


def _decode(data: bytes) -> tuple[str, str]:
    """A page may name its own encoding; believe it where the bytes agree."""
    declared = _CHARSET.search(data[:4096])
    if declared:
        name = declared.group(1).decode("ascii").lower()
        try:
            return data.decode(name), name
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)


def _blocks(tree: LexborHTMLParser) -> list[str]:
    blocks: list[str] = []
    parts: list[str] = []
    current: LexborNode | None = None
    row: LexborNode | None = None

    def close() -> None:
        text = "".join(parts)
        if not (current and current.tag == "pre"):
            text = _SPACE.sub(" ", text)
        if text.strip():
            blocks.append(text.strip("\n") if current and current.tag == "pre" else text.strip())
        parts.clear()

    root = tree.body
    if root is None:
        return blocks
    for node in root.traverse(include_text=True):
        if node.tag == "br":
            parts.append(" ")
        if node.tag != "-text":
            continue
        block = _enclosing(node, _BLOCKS)
        if block != current:
            new_row = _enclosing(node, frozenset({"tr"}))
            if row is not None and new_row == row:
                parts.append(" | ")
            else:
                close()
            current, row = block, new_row
        parts.append(node.text(deep=False) or "")
    close()
    return blocks


def _enclosing(node: LexborNode, tags: frozenset[str]) -> LexborNode | None:
    parent = node.parent
    while parent is not None and parent.tag not in tags:
        parent = parent.parent
    return parent
