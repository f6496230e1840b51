"""A failing input described in words, where the value itself would not tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ragcourse.grading.expect import Mismatch


@contextmanager
def given(text: str) -> Iterator[None]:
    """``with given("three functions …"):`` a failed check inside shows ``text`` as what was given."""
    try:
        yield
    except Mismatch as failure:
        failure.given = text
        raise
