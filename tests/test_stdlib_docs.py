"""The docstrings of the standard library as a corpus."""

from __future__ import annotations

import inspect
import json
import sys

from ragcourse.stdlib_docs import stdlib_docstrings


def test_docstrings_are_the_real_ones_each_once() -> None:
    loaded = set(sys.modules)
    documents = {document.id: document for document in stdlib_docstrings()}
    assert "turtle" not in set(sys.modules) - loaded, "a module was imported, not parsed"
    assert len(documents) > 4000
    assert len({document.text for document in documents.values()}) == len(documents)
    decode = documents["json.decoder.JSONDecoder.decode"]
    assert decode.text == inspect.getdoc(json.decoder.JSONDecoder.decode)
    assert decode.metadata == {"title": decode.id, "module": "json.decoder", "kind": "function"}


def test_short_ones_can_be_left_out() -> None:
    assert all(len(document.text) >= 200 for document in stdlib_docstrings(min_chars=200))
