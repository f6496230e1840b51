"""Plain text and Markdown."""

from __future__ import annotations

import re

from ragcourse.documents import Scalar
from ragcourse.readers.encoding import decode

_HEADING = re.compile(r"^#[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)^---[ \t]*$", re.MULTILINE | re.DOTALL)
_TITLE_FIELD = re.compile(r"""^title:[ \t]*(["']?)(.+?)\1[ \t]*$""", re.MULTILINE)


def read_text(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Plain text; its encoding goes into the metadata."""
    text, encoding = decode(data)
    return text, {"encoding": encoding}


def read_markdown(data: bytes) -> tuple[str, dict[str, Scalar]]:
    """Markdown as it is written; the title from the front matter or the first heading."""
    text, encoding = decode(data)
    front = _FRONT_MATTER.match(text)
    field = _TITLE_FIELD.search(front.group(1)) if front else None
    heading = _HEADING.search(text, front.end() if front else 0)
    title = field.group(2) if field else heading.group(1) if heading else ""
    return text, {"encoding": encoding, **({"title": title} if title else {})}
