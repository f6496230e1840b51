"""Questions to ask while measuring."""

from __future__ import annotations

from ragcourse.evaluate import load_questions
from ragcourse.paths import QUESTIONS


def sample_questions(count: int) -> list[str]:
    """``count`` questions, spread evenly over the shipped ones."""
    texts = [question.question for question in load_questions(QUESTIONS)]
    return [texts[i * len(texts) // count] for i in range(min(count, len(texts)))]
