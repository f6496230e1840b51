"""What ships in data/: complete, rebuilt without a difference, and as its own rules say."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ragcourse.paths import DATA, HANDBOOK, MODELS, QUESTIONS
from ragcourse.readers import read, scan

Question = dict[str, Any]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DATA / "build" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA / "build"))
        yield importlib.import_module("build_handbook")


@pytest.fixture(scope="module")
def rules() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA / "build"))
        yield importlib.import_module("check_questions")


@pytest.fixture(scope="module")
def texts(rules: ModuleType) -> dict[str, str]:
    return dict(rules.handbook_texts())


@pytest.fixture
def questions() -> list[Question]:
    return [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]


# ---------------------------------------------------------------- handbook


def test_handbook_is_a_book_in_four_formats(texts: dict[str, str]) -> None:
    formats = Counter(name.rsplit(".", 1)[1] for name in texts)
    assert set(formats) == {"md", "html", "docx", "pdf"}
    assert min(formats.values()) >= 10
    assert len(texts) >= 60
    assert sum(len(text.split()) for text in texts.values()) >= 35_000


def test_each_article_has_a_title_and_sources() -> None:
    titles = []
    for entry in scan(HANDBOOK):
        document = read(entry.path, HANDBOOK)
        titles.append(document.metadata["title"])
        assert "Sources" in document.text[-1500:], entry.id
        assert 450 <= len(document.text.split()) <= 1200, entry.id
    assert len(set(titles)) == len(titles)


def test_word_and_pdf_files_are_what_their_sources_say() -> None:
    result = run("build_handbook.py", "--check")
    assert result.returncode == 0, result.stdout + result.stderr


MARKDOWN = """# The title

First *paragraph* with `code` & <signs> → α.

## A section

- one
- two

1. first
2. second

| a | b |
|---|---|
| 1 | **2** |

```python
x = 1
y = [x]
```

The end.
"""
PLAIN = (
    "The title First paragraph with code & <signs> → α. A section one two first second a b 1 2 "
    "x = 1 y = [x] The end."
)


@pytest.mark.parametrize("ending", ["docx", "pdf"])
def test_build_makes_shows_and_checks_an_article(builder: ModuleType, tmp_path: Path, ending: str) -> None:
    sources, handbook = tmp_path / "sources", tmp_path / "handbook"
    (sources / "part").mkdir(parents=True)
    source, built = sources / "part" / f"a.{ending}.md", handbook / "part" / f"a.{ending}"
    source.write_text(MARKDOWN.replace("<signs>", "&lt;signs&gt;"), "utf-8")

    assert builder.update(sources, handbook, check=True) == [f"part/a.{ending}: is not built"]
    assert builder.update(sources, handbook) == []
    document = read(built)
    assert document.metadata["title"] == "The title"
    assert PLAIN in " ".join(re.sub(r"[•|]|\d\. ", " ", document.text).split())

    before = built.read_bytes()
    built.unlink()
    builder.update(sources, handbook)
    assert built.read_bytes() == before  # dates and ids are fixed

    source.write_text("# The title\n\nAnother text.", "utf-8")
    assert builder.update(sources, handbook, check=True) == [f"part/a.{ending}: differs from its source"]
    assert built.read_bytes() == before
    assert builder.update(sources, handbook) == []
    assert "Another text." in read(built).text

    source.unlink()
    assert builder.update(sources, handbook) == [f"part/a.{ending}: has no source in sources/"]


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("No title.", "an article starts with its title"),
        ("# T\n\n![](a.png)", "line 3: image is not supported"),
        ("# T\n\na [link](b)", "line 3: link_open is not supported"),
        ("# T\n\n- a\n  - b", "line 4: a list inside a list"),
        ("# T\n\n> quoted", "line 3: blockquote_open is not supported"),
        ("# T\n\n<b>html</b>", "line 3: html_inline is not supported"),
    ],
)
def test_build_refuses_markdown_it_would_lose(
    builder: ModuleType, tmp_path: Path, markdown: str, message: str
) -> None:
    (tmp_path / "a.pdf.md").write_text(markdown, "utf-8")
    with pytest.raises(ValueError, match=rf"a\.pdf\.md: {message}"):
        builder.update(tmp_path, tmp_path / "handbook")


# ---------------------------------------------------------------- questions


def test_questions_keep_their_rules(
    rules: ModuleType, questions: list[Question], texts: dict[str, str]
) -> None:
    assert rules.problems(questions, texts) == []
    assert run("check_questions.py").returncode == 0
    asked = Counter(question["document"] for question in questions)
    assert min(asked[name] for name in texts) >= 2


def change(number: int, **values: Any) -> Callable[[list[Question]], Any]:
    return lambda questions: questions[number].update(values)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda questions: questions.pop(3), "line 4: id is q005, expected q004"),
        (lambda questions: questions[0].pop("answer"), "line 1: keys are"),
        (change(0, kind="other"), "q001: unknown kind 'other'"),
        (change(0, document="no/such.md"), "q001: no document no/such.md"),
        (change(0, quote="the"), "q001: the quote should occur once in"),
        (change(0, quote="words that nobody wrote"), "occurs in no document"),
        (change(0, answer="word " * 40), "q001: the answer has 40 words"),
        (lambda questions: questions[1].update(question=questions[0]["question"]), "asked twice"),
        (
            lambda questions: questions[1].update(question=questions[1]["quote"]),
            "a paraphrase that shares 100%",
        ),
        (
            lambda questions: [questions.pop(0) for _ in range(30)],
            " answerable and 20 unanswerable questions",
        ),
    ],
)
def test_rules_notice_a_bad_question(
    rules: ModuleType,
    questions: list[Question],
    texts: dict[str, str],
    spoil: Callable[[list[Question]], Any],
    problem: str,
) -> None:
    spoil(questions)
    found = rules.problems(questions, texts)
    assert any(problem in line for line in found), found


# ---------------------------------------------------------------- model


def test_model_is_small_and_says_what_it_is() -> None:
    folder = MODELS / "static-minilm"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert {"name", "dim", "teacher", "licence", "versions", "sha256"} <= set(config)
    for name, digest in config["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_500_000


def test_readme_tells_where_everything_comes_from() -> None:
    readme = (DATA / "README.md").read_text("utf-8")
    for path in DATA.iterdir():
        if path.name not in ("README.md", "results"):
            assert f"`{path.name}" in readme, path.name
