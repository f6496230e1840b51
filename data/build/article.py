"""An article as a list of blocks, parsed from the Markdown that both renderers can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from markdown_it import MarkdownIt
from markdown_it.token import Token

BUILT = datetime(2025, 1, 1)  # the date that every built file carries
AUTHOR, BOOK = "ragcourse", "The ragcourse handbook"

Run = tuple[str, str]  # text and its style: "", "strong", "em" or "code"
Cell = list[Run]


@dataclass
class Block:
    """A heading, paragraph, list item, table or piece of code."""

    kind: str  # "h1" … "h4", "p", "bullet", "number", "table", "code"
    runs: list[Run] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)  # of a table; the first row is its head
    number: int = 0  # of a numbered item

    @property
    def text(self) -> str:
        """The runs without their styles."""
        return "".join(text for text, _ in self.runs)


def parse(source: str) -> list[Block]:
    """The blocks of a source, in order. ValueError for Markdown that is not supported."""
    blocks: list[Block] = []
    lists: list[str] = []  # kinds of the lists we are inside
    number = 0
    heading = ""
    for token in MarkdownIt("commonmark").enable("table").parse(source):
        match token.type:
            case "heading_open":
                heading = token.tag
            case "heading_close":
                heading = ""
            case "bullet_list_open" | "ordered_list_open":
                if lists:
                    raise ValueError(f"{_where(token)}: a list inside a list")
                lists.append("bullet" if token.type.startswith("bullet") else "number")
                number = 0
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
            case "list_item_open":
                number += 1
            case "table_open":
                blocks.append(Block("table"))
            case "tr_open":
                blocks[-1].rows.append([])
            case "inline" if blocks and blocks[-1].kind == "table" and token.level >= 3 and not lists:
                blocks[-1].rows[-1].append(list(_runs(token)))
            case "inline":
                kind = heading or (lists[-1] if lists else "p")
                blocks.append(Block(kind, list(_runs(token)), number=number))
            case "fence":
                blocks.append(Block("code", [(token.content.rstrip("\n"), "code")]))
            case name if name.startswith(("paragraph_", "list_item_", "table_", "thead_", "tbody_")):
                pass
            case name if name.startswith(("tr_", "th_", "td_")):
                pass
            case name:
                raise ValueError(f"{_where(token)}: {name} is not supported")
    if not blocks or blocks[0].kind != "h1":
        raise ValueError("an article starts with its title: # Title")
    return blocks


def _runs(inline: Token) -> Iterator[Run]:
    style = ""
    for token in inline.children or []:
        match token.type:
            case "text":
                yield token.content, style
            case "code_inline":
                yield token.content, "code"
            case "softbreak":
                yield " ", style
            case "strong_open" | "em_open":
                style = token.tag
            case "strong_close" | "em_close":
                style = ""
            case name:
                raise ValueError(f"{_where(inline)}: {name} is not supported")


def _where(token: Token) -> str:
    return f"line {token.map[0] + 1}" if token.map else "somewhere"
