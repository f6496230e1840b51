"""The report of a class: what it says, that nobody's text does harm in it, and its behaviour in a browser."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ragcourse.grading.marks import ExerciseMark, Finding, SubmissionMark
from ragcourse.grading.report import slugs, summary, to_csv, to_json, write_report
from ragcourse.grading.report_numbers import LessonNumbers, by_lesson, in_order
from ragcourse.grading.result import Outcome, State
from tests.browser import CHROMIUM, FLAGS

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m'
CHECKS = ("what was committed is there after a restart", "cut at any byte", "damage is refused")


def outcome(number: int, state: State, got: str) -> Outcome:
    plain = Outcome(CHECKS[number], state, (1, 3, 2)[number])
    said = ("a whole commit is lost", "the file cut after 17 bytes")
    return replace(plain, message=said[0], given=said[1], got=got) if state == "failed" else plain


def exercise(*states: State, name: str = "1.2", got: str = "None") -> ExerciseMark:
    outcomes = tuple(outcome(n, state, got) for n, state in enumerate(states))
    points = sum(o.points for o in outcomes if o.state == "passed")
    return ExerciseMark(name, "a store in one file", points, 6, "" if points == 6 else "cut", outcomes)


FULL = exercise("passed", "passed", "passed")
PART = exercise("passed", "failed", "passed")
STUB = exercise("not written", "not written", "not written")
TEXT = ExerciseMark("1.3", "why is it faster?", 0, 2, "", answer="Because of the cache.", by_hand=True)


def mark(learner: str, *exercises: ExerciseMark, **more: Any) -> SubmissionMark:
    return SubmissionMark(f"{learner}/01_storage.ipynb", learner, "01", exercises or (FULL, TEXT), **more)


def odd_class() -> list[SubmissionMark]:
    forged = Finding("suspicious", "cell 12 (id a1)", f"it hands in the reference {ATTACK}")
    restored = Finding("restored", "", "Your cell 12 had replaced a check; the original was used.")
    return [
        mark("ann lee", error=f"cell 3 never ended {ATTACK}"),
        mark("Zoë Ångström"),
        mark(ATTACK, exercise("failed", "failed", "passed", got=ATTACK), TEXT, findings=(forged,)),
        mark("=1+1", PART, replace(TEXT, answer=ATTACK), findings=(restored,)),
        mark("李小龍", STUB, TEXT),
        mark("Ann Lee", PART, TEXT),
        mark("../../etc/passwd", PART, TEXT),
        mark("lone \ud800 surrogate", FULL, TEXT),
        mark("", FULL, replace(TEXT, answer="")),
    ]


def write(folder: Path, marks: list[SubmissionMark], **changed: Any) -> list[Path]:
    about: dict[str, Any] = {
        "title": "Storage <1>",
        "seed": 99,
        "command": "ragcourse grade handed-in/",
        "protections": ("network", "memory"),
        "started": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    }
    return write_report(marks, folder, **(about | changed))


class Elements(HTMLParser):
    """Collects every element with its attributes, and the text outside of styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Elements:
    return Elements(path.read_text("utf-8"))


def test_all_files_are_written_inside_the_folder(tmp_path: Path) -> None:
    files = write(tmp_path / "out", odd_class())
    assert sorted(files) == sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files[0].name == "index.html"
    assert {path.parent.name for path in files} == {"out", "learners"}
    assert sum(path.parent.name == "learners" for path in files) == len(odd_class())
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_nothing_that_a_learner_wrote_becomes_an_element(tmp_path: Path) -> None:
    for path in write(tmp_path, odd_class()):
        if path.suffix != ".html":
            continue
        page = read(path)
        scripts = [tag for tag, _ in page.elements if tag == "script"]
        assert len(scripts) == (path.name == "index.html")
        for tag, attributes in page.elements:
            assert tag not in ("img", "iframe", "object", "link", "form", "base")
            assert not [name for name in attributes if name.startswith("on")]
            address = attributes.get("href") or attributes.get("src")
            assert not address or (path.parent / address).resolve() in set(tmp_path.rglob("*"))
        (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv")]
        assert policy and policy.startswith("default-src 'none';")
        assert "script-src 'unsafe" not in policy


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Ann", "ann", "ANN"], ["ann-01", "ann-01-2", "ann-01-3"]),
        (["Ann", "ann", "ann 01-2"], ["ann-01", "ann-01-2", "ann-01-2-01"]),
        (["../../x", "a/b\\c", "C:\\con"], ["x-01", "a-b-c-01", "c-con-01"]),
        (["", "李", "\ud800"], ["learner-01", "learner-01-2", "learner-01-3"]),
        (["Zoë Ångström"], ["zoe-angstrom-01"]),
        (["Søren Łukasz Groß"], ["soren-lukasz-gross-01"]),
        (["n" * 500] * 2, ["n" * 60 + "-01", "n" * 60 + "-01-2"]),
    ],
)
def test_slugs_are_safe_and_unique(names: list[str], expected: list[str]) -> None:
    assert slugs([mark(name) for name in names]) == expected


def test_slug_is_no_device_of_windows() -> None:
    assert slugs([replace(mark("con"), lesson="")]) == ["learner-con"]


def test_learner_page_explains_the_first_failing_case(tmp_path: Path) -> None:
    write(tmp_path, odd_class())
    text = read(tmp_path / "learners" / "ann-lee-01-2.html").text
    for part in ("3 of 6 points", "cut at any byte", "the file cut after 17 bytes", "Because of the cache."):
        assert part in text
    assert "marked by hand" in text and "Up to 2 more" in text
    assert "Your cell 12 had replaced" in read(tmp_path / "learners" / "learner-1-1-01.html").text
    assert "the stub is still in its place" in read(tmp_path / "learners" / "learner-01.html").text
    failed = read(tmp_path / "learners" / "ann-lee-01.html").text
    assert "could not be graded" in failed and "6 of 6" not in failed


def test_learner_page_shows_the_one_line_where_there_are_no_checks(tmp_path: Path) -> None:
    bare = ExerciseMark("1.2", "a store", 0, 6, "the cell raised a NameError")
    write(tmp_path, [mark("Ann", bare)])
    assert "the cell raised a NameError" in read(tmp_path / "learners" / "ann-01.html").text


def test_long_output_is_cut_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, [mark("Ann", exercise("failed", "passed", "passed", got="x" * 1_000_000))])
    path = tmp_path / "learners" / "ann-01.html"
    assert path.stat().st_size < 50_000
    assert "997,000 characters more" in read(path).text


def test_class_page_puts_errors_and_suspicions_first(tmp_path: Path) -> None:
    write(tmp_path, odd_class())
    text = read(tmp_path / "index.html").text
    look = text.index("Look at these")
    assert look < text.index("cell 3 never ended") < text.index("it hands in the reference")
    assert text.index("it hands in the reference") < text.index("How many have how many points")
    assert "seed 99" in text and "network, memory" in text and "ragcourse grade handed-in/" in text
    write(tmp_path, [mark("Ann")], protections=())
    text = read(tmp_path / "index.html").text
    assert "Look at these" not in text and "Protections that were on: none" in text


def test_class_without_submissions_is_a_page_too(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert "0 submissions" in read(tmp_path / "index.html").text


def test_second_report_replaces_the_first_and_leaves_other_files(tmp_path: Path) -> None:
    write(tmp_path, odd_class())
    own = tmp_path / "learners" / "my-notes.html"
    own.write_text("<p>mine", "utf-8")
    files = write(tmp_path, [mark("Ann Lee", FULL)])
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*files, own}
    assert "6 of 6" in read(tmp_path / "learners" / "ann-lee-01.html").text
    assert not (tmp_path / "answers.html").exists()


def test_file_that_cannot_be_replaced_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [mark("Ann", PART)])
    before = (tmp_path / "grades.csv").read_bytes()

    def refuse(self: Path, target: Path) -> Path:  # as Windows does while a spreadsheet has it open
        if target.name == "grades.csv":
            raise PermissionError(13, "Access is denied")
        return original(self, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError, match=r"grades\.csv cannot be replaced.*close it"):
        write(tmp_path, [mark("Ann", FULL)])
    assert (tmp_path / "grades.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_json_holds_every_submission(tmp_path: Path) -> None:
    marks = odd_class()
    write(tmp_path, marks)
    data = json.loads((tmp_path / "grades.json").read_text("utf-8"))
    assert data["submissions"] == [one.to_dict() for one in marks]
    assert (data["title"], data["seed"], data["protections"]) == ("Storage <1>", 99, ["network", "memory"])
    assert json.loads(to_json(marks)) == {"submissions": data["submissions"]}
    assert data["submissions"][0]["error"].startswith("cell 3") and data["submissions"][1]["error"] is None
    # What a person marks is not in the sum.
    assert (data["submissions"][1]["points"], data["submissions"][1]["max_points"]) == (6, 6)
    assert data["submissions"][1]["exercises"]["1.3"]["by_hand"] is True


def test_csv_is_read_by_spreadsheets_and_runs_nothing(tmp_path: Path) -> None:
    write(tmp_path, odd_class())
    assert (tmp_path / "grades.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        *("learner", "file", "lesson", "points", "max"),
        *("exercise 1.2", "exercise 1.3 by hand", "error"),
    ]
    assert rows[1] == ["Zoë Ångström", "Zoë Ångström/01_storage.ipynb", "01", "6", "6", "6", "", ""]
    assert rows[3][0] == "'=1+1"
    assert len(rows) == len(odd_class())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "＝"])
def test_formula_is_escaped_in_every_text_cell(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    one = SubmissionMark(text, text, text, (FULL,), error=text)
    (row,) = list(csv.reader(io.StringIO(to_csv([one]), newline="")))[1:]
    assert [row[0], row[1], row[2], row[-1]] == [f"'{text}"] * 4
    assert row[3] == "6"


def test_numbers_of_a_class_count_what_was_graded() -> None:
    (numbers,) = by_lesson([mark("a"), mark("b", PART), mark("c", STUB), mark("d", error="no")])
    assert (numbers.mean, numbers.median, numbers.max_points) == (3, 3, 6)
    (one,) = numbers.exercises()
    assert (one.full, one.part, one.none, one.unwritten) == (1, 1, 0, 1)
    assert numbers.worst_checks() == [("1.2", "cut at any byte", 1)]
    assert [(bar.label, bar.count) for bar in numbers.bars()] == [
        (str(points), int(points in (0, 3, 6))) for points in range(7)
    ]


@pytest.mark.parametrize(
    ("points", "top", "labels"),
    [
        ([0, 14, 29, 30], 30, ["0–4", "5–9", "10–14", "15–19", "20–24", "25–29", "30"]),
        ([31, 32], 32, ["0–4", "5–9", "10–14", "15–19", "20–24", "25–29", "30–32"]),
        ([0.5, 1, 2], 2, ["0–<1", "1–<2", "2"]),
        ([], 1, ["0", "1"]),
        ([0], 0, ["0"]),
    ],
)
def test_each_submission_is_in_one_bar(points: list[float], top: float, labels: list[str]) -> None:
    marks = tuple(mark("x", ExerciseMark("1.1", "", p, top, "")) for p in points)
    bars = LessonNumbers("01", (*marks, mark("y", ExerciseMark("1.1", "", 0, top, ""), error="no"))).bars()
    assert [bar.label for bar in bars] == labels
    assert sum(bar.count for bar in bars) == len(points)


def test_lessons_and_exercises_come_in_order() -> None:
    assert in_order(["1.10", "1.2", "odd", "0.4"]) == ["odd", "0.4", "1.2", "1.10"]
    marks = [replace(mark("a"), lesson=lesson) for lesson in ("02", "", "01")]
    assert [numbers.lesson for numbers in by_lesson(marks)] == ["01", "02", ""]


def test_summary_shows_each_learner_and_no_code_for_the_terminal() -> None:
    console = Console(width=130, record=True, file=io.StringIO())
    marks = [*odd_class()[:5], mark("[red]Bob[/red]")]
    console.print(summary(marks))
    text = console.export_text()
    assert "\x1b" not in text
    for part in ("Zoë Ångström", "[red]Bob[/red]", "6 of 6", "by hand", "cell 3 never ended"):
        assert part in text
    assert "5 of 6 submissions graded; 1 with something suspicious" in text


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Opens a file of the report of the odd class; whatever the console says is an error at the end."""
    write(tmp_path, odd_class())
    said: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text))  # a violation of the policy comes here
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))

    def open_file(name: str) -> Any:
        page.goto((tmp_path / name).as_uri())
        return page

    yield open_file
    page.close()
    assert said == []


def column(page: Any, number: int) -> list[str]:
    """The visible keys of a column, from top to bottom."""
    keys: list[str] = page.locator(f"table.class tbody tr:visible td:nth-child({number})").evaluate_all(
        "(cells) => cells.map((cell) => cell.dataset.key)"
    )
    return keys


@pytest.mark.browser
def test_table_is_sorted_by_click_and_by_key(opened: Callable[[str], Any]) -> None:
    page = opened("index.html")
    points = page.get_by_role("button", name="Points")
    heading = page.locator("th", has=points)
    points.click()
    falling = [key for key in column(page, 2) if key]
    assert falling == sorted(falling, key=float, reverse=True) and len(set(falling)) > 2
    assert column(page, 2)[-1] == ""  # could not be graded: stays below in both directions
    assert heading.get_attribute("aria-sort") == "descending"
    points.press("Enter")
    assert [key for key in column(page, 2) if key] == falling[::-1] and column(page, 2)[-1] == ""
    assert heading.get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="Learner").press("Space")
    names = column(page, 1)
    assert names.index("Ann Lee") < names.index("lone \\ud800 surrogate")
    assert names.index("lone \\ud800 surrogate") < names.index("Zoë Ångström")
    assert heading.get_attribute("aria-sort") == "none"


@pytest.mark.browser
def test_filter_shows_what_fits(opened: Callable[[str], Any]) -> None:
    page = opened("index.html")
    box = page.get_by_label("Filter")
    box.fill("LEE ann")
    assert column(page, 1) == ["ann lee", "Ann Lee"]
    assert page.locator("#state").inner_text() == f"2 of {len(odd_class())}"
    box.fill("")
    assert len(column(page, 1)) == len(odd_class())


@pytest.mark.browser
def test_rows_lead_to_the_learners_and_back(opened: Callable[[str], Any]) -> None:
    page = opened("index.html")
    page.locator("table.class a", has_text="Zoë").click()
    assert page.locator("h1").inner_text() == "Zoë Ångström"
    page.get_by_role("link", name="the class").click()
    page.get_by_role("link", name="All text answers").click()
    assert page.locator(".box").count() == len(odd_class()) - 1  # not of the one that could not be graded


@pytest.mark.browser
def test_no_page_runs_what_a_learner_wrote(opened: Callable[[str], Any], tmp_path: Path) -> None:
    for path in sorted(tmp_path.rglob("*.html")):
        page = opened(path.relative_to(tmp_path).as_posix())
        assert page.locator("body img, form").count() == 0
        assert page.locator("script").count() == (path.name == "index.html")


@pytest.mark.browser
def test_policy_stops_a_script_that_got_in(
    opened: Callable[[str], Any], tmp_path: Path, browser: Any
) -> None:
    path = tmp_path / "learners" / "ann-lee-01.html"
    path.write_text(path.read_text("utf-8").replace("<h1>", "<script>window.ran = 1</script><h1>"), "utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("window.ran") is None
    assert re.search("Content Security Policy", "".join(said))
    page.close()
