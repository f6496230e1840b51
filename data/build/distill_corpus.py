"""The text that the static embedder is fitted to: definitions and manuals, 90,000 pieces of English.

Four Debian packages, unpacked (not installed) into one folder:

    apt-get download wordnet-base python3.11-doc postgresql-doc-15 sqlite3-doc
    for package in *.deb; do dpkg -x "$package" corpus; done

WordNet brings general words ("loaf, loaf of bread: a shaped mass of baked bread …"), the manuals of
Python, PostgreSQL and SQLite technical prose. No text of the course and no question of ours is among them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

PARAGRAPHS, DEFINITIONS = 40_000, 50_000


def corpus(folder: Path) -> list[str]:
    """A fixed random choice of paragraphs and definitions below the unpacked packages."""
    choose = random.Random(1)
    paragraphs, definitions = list(_paragraphs(folder)), list(_definitions(folder))
    if len(paragraphs) < PARAGRAPHS or len(definitions) < DEFINITIONS:
        raise SystemExit(
            f"{folder}: {len(paragraphs)} paragraphs and {len(definitions)} definitions found, "
            f"{PARAGRAPHS} and {DEFINITIONS} needed: are all four packages unpacked there?"
        )
    return choose.sample(paragraphs, PARAGRAPHS) + choose.sample(definitions, DEFINITIONS)


def _paragraphs(folder: Path) -> Iterator[str]:
    """Paragraphs and list items of 8–150 words that are mostly letters, each once."""
    seen = set()
    for file in sorted((folder / "usr/share/doc").rglob("*.html")):
        if file.is_symlink():
            continue
        for node in LexborHTMLParser(file.read_text("utf-8", "replace")).css("p, dd, li"):
            if node.tag != "p" and node.css_first("p, li, table, pre"):
                continue  # a container: its parts come by themselves
            text = " ".join(node.text().split())
            letters = sum(character.isalpha() or character == " " for character in text)
            if 8 <= len(text.split()) <= 150 and text not in seen and letters >= 0.85 * len(text):
                seen.add(text)
                yield text


def _definitions(folder: Path) -> Iterator[str]:
    """``words: gloss`` of each WordNet synset. A line is: fields of the synset | gloss."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"usr/share/wordnet/data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):  # the licence at the head of the file
                continue
            fields, gloss = line.split(" | ", 1)
            columns = (
                fields.split()
            )  # offset, file, part of speech, count in hex, word, sense, word, sense, …
            words = columns[4 : 4 + 2 * int(columns[3], 16) : 2]
            names = [word.replace("_", " ").split("(")[0] for word in words]
            yield f"{', '.join(names)}: {gloss.strip()}"
