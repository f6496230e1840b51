"""HTML: the text a reader sees, block by block, without navigation, scripts and styles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ragcourse.documents import Scalar
from ragcourse.readers.encoding import decode

_UNSEEN = (
    "script, style, noscript, template, nav, svg, head, iframe, object, [hidden], "
    "button, select, textarea, datalist"
)
_FRAME = "header, footer, aside"  # of the page: those of an article belong to its text
_BLOCK_TAGS = """address article aside blockquote body caption center dd details div dl dt fieldset figcaption
figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu ol p pre section summary tbody tfoot
thead ul"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def read_html(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """The visible text; blocks are separated by an empty line, table cells by `` | ``."""
    declared = _CHARSET.search(data[:4096])
    text, encoding = decode(data, declared.group(1).decode("ascii").lower() if declared else None)
    tree = LexborHTMLParser(text)
    metadata: dict[str, Scalar] = {"encoding": encoding}
    heading = tree.css_first("h1") or tree.css_first("title")
    if heading and (title := " ".join(_blocks(heading))):
        metadata["title"] = title
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css(_FRAME):
        if not _inside(node, ("article", "main")):
            node.decompose()
    return "\n\n".join(_blocks(tree.body)) if tree.body else "", metadata


def _inside(node: LexborNode, tags: tuple[str, ...]) -> bool:
    parent = node.parent
    while parent is not None and parent.tag not in tags:
        parent = parent.parent
    return parent is not None


def _blocks(root: LexborNode) -> list[str]:
    blocks: list[str] = []
    parts: list[str] = []  # of the block that is being read
    rows: list[int] = []  # of each open table: the cells of its open row so far, -1 between rows
    preformatted = 0  # how many <pre> are open

    def close() -> None:
        text = "".join(parts).replace("\xad", "")  # a soft hyphen marks where a word may be broken
        text = text.strip("\n").rstrip() if preformatted else _SPACE.sub(" ", text).strip()
        if text.strip(" |\n"):
            blocks.append(text)
        parts.clear()

    for node, begins in _walk(root):
        tag = node.tag
        in_row = bool(rows) and rows[-1] >= 0
        if tag == "-text":
            parts.append((begins and node.text(deep=False)) or "")
        elif tag == "br":
            parts.append("\n")
        elif tag in ("td", "th") and in_row and begins:
            parts.append(" | " if rows[-1] else "")
            rows[-1] += 1
        elif tag == "tr" and rows:
            close()
            rows[-1] = 0 if begins else -1
        elif tag == "table":
            close()
            if begins:
                rows.append(-1)
            else:
                rows.pop()
                rows[-1:] = [min(rows[-1], 0)] if rows else []  # a row that held a table is no row of cells
        elif tag in _BLOCKS and in_row:
            parts.append(" ")
        elif tag in _BLOCKS:
            close()
            preformatted += (tag == "pre") * (1 if begins else -1)
    close()
    return blocks


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each node below ``root`` where it begins (True) and where it ends (False)."""
    node = root.child
    while node is not None:
        yield node, True
        if node.child is not None:
            node = node.child
            continue
        yield node, False
        while node.next is None:
            parent = node.parent
            if parent is None or parent.mem_id == root.mem_id:  # == would compare their HTML
                return
            node = parent
            yield node, False
        node = node.next
