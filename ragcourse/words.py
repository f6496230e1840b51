"""A quarter of a million English words: what the lessons and benchmarks of the key indexes look up.

They come from the package ``english-words`` (262,740 from version 2.0.2), which joins two dictionaries:
web2 (Webster's Second International, 1934, as FreeBSD ships it) and the headwords of GCIDE (the GNU
Collaborative International Dictionary of English). Here they are in lower case and without hyphens,
apostrophes and spaces; headwords with a digit ("h2o") are left out.
"""

from __future__ import annotations

from functools import cache

SOURCES = ("gcide", "web2")


@cache
def english_words() -> list[str]:
    """The words, different and sorted, each of the letters a to z. The list is shared: copy it to change it.

    The first call reads two files, 4 MB in all. Raises ``ModuleNotFoundError`` with the command that installs
    the list where it is missing.
    """
    try:
        from english_words import get_english_words_set
    except ModuleNotFoundError as error:
        if error.name != "english_words":
            raise
        from ragcourse.remedies import install_command

        raise ModuleNotFoundError(
            f"the list of English words is not installed: {install_command('lab')}", name="english_words"
        ) from error
    words: set[str] = get_english_words_set(SOURCES, alpha=True, lower=True)
    return sorted(word for word in words if word.isascii() and word.isalpha())
