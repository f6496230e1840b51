"""Larger real text that is on every machine: the docstrings of Python's standard library.

The sources are parsed and never imported, so that no module runs. What the corpus holds depends on
the Python release; a result measured on it should name the release.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

from ragcourse.documents import Document

_LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test", "_vendor"}
)

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def stdlib_docstrings(min_chars: int = 40) -> list[Document]:
    """One document a docstring of at least ``min_chars`` characters; equal texts once.

    Ids are dotted names such as ``json.decoder.JSONDecoder.decode``; metadata: ``title`` (the same
    name), ``module`` and ``kind`` (module, class or function). About 4 s for the whole library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents: dict[str, Document] = {}
    texts: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not _LEFT_OUT.isdisjoint(parts):
            continue
        for document in _of_module(path, parts[:-1] if parts[-1] == "__init__" else parts):
            if (
                len(document.text) >= min_chars
                and document.text not in texts
                and document.id not in documents
            ):
                texts.add(document.text)
                documents[document.id] = document
    return list(documents.values())


def _of_module(path: Path, parts: tuple[str, ...]) -> Iterator[Document]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and the like that only look like modules
        return
    module = ".".join(parts)
    for name, node in _walk(tree, module):
        text = ast.get_docstring(node, clean=False)
        if text and text.strip():
            kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
            yield Document(name, cleandoc(text), {"title": name, "module": module, "kind": kind})


def _walk(node: _Documented, name: str) -> Iterator[tuple[str, _Documented]]:
    yield name, node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, f"{name}.{child.name}")
