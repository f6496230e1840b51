"""The word list: long, sorted, the same for everyone, and a clear word where it is missing."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from ragcourse.words import english_words


def test_a_quarter_of_a_million_different_words_in_order() -> None:
    words = english_words()
    assert len(words) >= 250_000
    assert all(left < right for left, right in pairwise(words)), "sorted, and each word once"
    assert {letter for word in words for letter in word} == set("abcdefghijklmnopqrstuvwxyz")
    assert {"tree", "index", "zymurgy", "handbook"} <= set(words)


def test_the_list_is_made_once() -> None:
    assert english_words() is english_words()


@pytest.fixture
def without_the_package(monkeypatch: pytest.MonkeyPatch):
    english_words.cache_clear()
    monkeypatch.setitem(sys.modules, "english_words", None)
    yield
    english_words.cache_clear()


def test_a_missing_package_says_how_to_get_it(without_the_package: None) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"not installed.*(make install|pip install).*lab"):
        english_words()
