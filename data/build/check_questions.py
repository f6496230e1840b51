"""Hold data/questions.jsonl to its rules, against the text that the course's own readers extract.

    python data/build/check_questions.py           # exit 1 and one line a problem, if there is any

- A line has the keys id, kind, question, document, quote, answer; ids are q001, q002, …
- The quote of an answerable question occurs once in its document and in no other (white space aside), so
  that it marks the passage however the handbook is cut into chunks.
- A *paraphrase* shares at most a quarter of its content words, by stem, with its quote.
- An *unanswerable* question has neither document nor quote nor answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragcourse.readers import read, scan

DATA = Path(__file__).resolve().parents[1]
KEYS = ["id", "kind", "question", "document", "quote", "answer"]
ANSWERABLE, UNANSWERABLE = 200, 20  # at least, exactly
LONGEST_QUOTE, LONGEST_ANSWER = 45, 12  # words
SHARED = 0.25  # of the content words of a paraphrase, at most

FUNCTION_WORDS = """
a about again all also although am an and any anything are as at be because been being both but by can
cannot could did do does doing done each either else enough even ever every few for from get gets getting
had has have having he her here hers him his how however i if in into is it its itself just like made make
makes making many may me mean means might more most much must my need needs neither never no nobody none
nor not nothing now of often on one only onto or other our per shall she should since so some somebody
someone something still such take takes than that the their them then there these they thing things this
those though to too up upon us use used user using very was way we well were what when where whether which
while who whom whose why will with within without would yet you your
"""
STOP_WORDS = frozenset(FUNCTION_WORDS.split())
SUFFIXES = (
    *(
        "izations",
        "isations",
        "ization",
        "isation",
        "ations",
        "ation",
        "ments",
        "ment",
        "ness",
        "ings",
        "ing",
    ),
    *("ions", "ion", "ally", "ly", "ies", "ied", "ers", "er", "ed", "es", "al", "s", "e", "y"),
)


def stem(word: str) -> str:
    """The word without its longest known ending, at least three letters long."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def content_stems(text: str) -> list[str]:
    """Stems of the words and numbers that are not stop words."""
    words = re.findall(r"[^\W_]+(?:[.,'’][^\W_]+)*", text.lower())
    return [stem(word) for word in words if word not in STOP_WORDS]


def overlap(question: str, quote: str) -> float:
    """Share of the question's distinct content stems that the quote has too."""
    asked, quoted = set(content_stems(question)), set(content_stems(quote))
    return len(asked & quoted) / len(asked) if asked else 1.0


def squeeze(text: str) -> str:
    """The text with single spaces."""
    return " ".join(text.split())


def handbook_texts(folder: Path = DATA / "handbook") -> dict[str, str]:
    """Document id → its text as the readers give it, white space squeezed."""
    return {entry.id: squeeze(read(entry.path, folder).text) for entry in scan(folder)}


def problems(questions: list[dict[str, Any]], texts: Mapping[str, str]) -> list[str]:
    """What is wrong with the question set, one sentence each; empty when all is well."""
    found: list[str] = []
    for number, question in enumerate(questions, start=1):
        if list(question) != KEYS:
            found.append(f"line {number}: keys are {list(question)}, expected {KEYS}")
            continue
        if question["id"] != f"q{number:03}":
            found.append(f"line {number}: id is {question['id']}, expected q{number:03}")
        found += [f"{question['id']}: {problem}" for problem in _question_problems(question, texts)]
    kinds = Counter(question.get("kind") for question in questions)
    answerable = kinds["direct"] + kinds["paraphrase"]
    if answerable < ANSWERABLE or kinds["unanswerable"] != UNANSWERABLE:
        found.append(f"{answerable} answerable and {kinds['unanswerable']} unanswerable questions")
    if 3 * kinds["paraphrase"] < answerable:
        found.append(f"only {kinds['paraphrase']} of {answerable} answerable questions are paraphrases")
    twice = [text for text, n in Counter(question.get("question") for question in questions).items() if n > 1]
    found += [f"asked twice: {text}" for text in twice]
    return found


def _question_problems(question: dict[str, Any], texts: Mapping[str, str]) -> list[str]:
    kind, document, quote, answer = (question[key] for key in ("kind", "document", "quote", "answer"))
    if kind == "unanswerable":
        return [] if (document, quote, answer) == (None, None, None) else ["unanswerable, but has an answer"]
    if kind not in ("direct", "paraphrase"):
        return [f"unknown kind {kind!r}"]
    if document not in texts:
        return [f"no document {document} in the handbook"]
    found = []
    places = {name: text.count(squeeze(quote)) for name, text in texts.items() if squeeze(quote) in text}
    if places != {document: 1}:
        found.append(f"the quote should occur once in {document}, but occurs in {places or 'no document'}")
    if not 1 <= len(quote.split()) <= LONGEST_QUOTE:
        found.append(f"the quote has {len(quote.split())} words")
    if not 1 <= len(answer.split()) <= LONGEST_ANSWER:
        found.append(f"the answer has {len(answer.split())} words")
    if kind == "paraphrase" and overlap(question["question"], quote) > SHARED:
        shared = sorted(set(content_stems(question["question"])) & set(content_stems(quote)))
        found.append(
            f"a paraphrase that shares {overlap(question['question'], quote):.0%}: {', '.join(shared)}"
        )
    return found


def main() -> int:
    """Print the problems; returns the exit status."""
    lines = (DATA / "questions.jsonl").read_text("utf-8").splitlines()
    found = problems([json.loads(line) for line in lines], handbook_texts())
    print(*found, f"{len(lines)} questions, {len(found)} problems", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
