"""A failing input described in words, where the value itself would not tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ragcourse.grading.expect import Mismatch


@contextmanager
def given(text: str) -> Iterator[None]:
    """``with given("three functions …"):`` what fails or raises inside is shown with this input."""
    try:
        yield
    except Mismatch as failure:
        failure.given = text
        raise
    except Exception as error:
        error.__dict__["failing_input"] = text  # read again by contract.run
        raise
