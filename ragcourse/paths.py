"""Where the course keeps its files. ``RAGCOURSE_DATA`` in the environment moves them all."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("RAGCOURSE_DATA") or Path(__file__).resolve().parent.parent / "data")
HANDBOOK = DATA / "handbook"
QUESTIONS = DATA / "questions.jsonl"
RESULTS = DATA / "results"
MODELS = DATA / "models"
