"""Lesson 01 as a learner meets it: `ragcourse lab`, Run All, the widget, an exercise from red to green.

The server is started by the command itself, in a copy of the package and the lessons, with nothing but
JupyterLab's and the course's own settings. A test that fails leaves a picture of the page in the folder
that RAGCOURSE_SCREENSHOTS names, or in pytest's temporary one; the report says where.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Locator

from ragcourse.grading.contracts import contract_of
from tests.browser import CHROMIUM, REPOSITORY, Lab, NotebookPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),  # Run All alone takes a minute or more on a busy machine
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]

LESSON = "01_storage_that_survives_a_restart.ipynb"
POINTS = f"{contract_of('1.1').points:g}"
WIDGET, ANSWER, CHECK = "explore", "ex-1-1", "ex-1-1-check"  # ids of cells
WRONG = 'return {"add": sorted(files), "change": [], "remove": [], "keep": []}'
PIXELS = "(canvas) => canvas.toDataURL()"
BARS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;  // of the colour of "embed", #e69f00: no text and no other mark has it
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] === 230 && data[i + 1] === 159 && data[i + 2] === 0) count += 1;
  }
  return count;
}"""


class LearnersLab(Lab):
    """`ragcourse lab` in a copy of the package and the lessons, with no settings but the course's own."""

    settings: ClassVar[dict[str, dict[str, Any]]] = {}

    def __enter__(self) -> LearnersLab:
        for name in ("ragcourse", "lessons"):
            unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(REPOSITORY / name, self.files / name, ignore=unwanted)
        config = self.folder / "config" / "jupyter_lab_config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}), "utf-8")
        super().__enter__()
        return self

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "ragcourse", "lab", "--no-browser"]

    def _environment(self) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(self.files),  # else the kernel imports the package that is installed
            "RAGCOURSE_DATA": str(REPOSITORY / "data"),
            "JUPYTER_TOKEN": self.token,
        }
        return {k: v for k, v in super()._environment().items() if k != "JUPYTER_NO_CONFIG"} | own

    def _stop_server(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._server.send_signal(signal.SIGINT)  # Ctrl-C
            self._server.wait(30)
        super()._stop_server()

    @property
    def address(self) -> str:
        """The path and the token that the command printed."""
        line = next(line for line in self.output if line.startswith("JupyterLab is at "))
        return "/" + line.split()[-1].split("/", 3)[3]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("RAGCOURSE_SCREENSHOTS")
    folder = Path(named).resolve() if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def picture_of_failure(page: NotebookPage, path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with suppress(Exception):
            page.page.screenshot(path=path)
            error.add_note(f"the page at that moment: {path}")
        error.add_note("the browser's console: " + ("; ".join(page.console_errors) or "no error"))
        raise


def in_browser(test: Callable[[NotebookPage], None]) -> Callable[[NotebookPage, Path], None]:
    def run(lesson: NotebookPage, pictures: Path) -> None:
        with picture_of_failure(lesson, pictures / f"{test.__name__}.png"):
            test(lesson)

    return run


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[NotebookPage]:
    """Lesson 01, opened from the file browser beside lesson 00, after Run All."""
    folder, older = tmp_path_factory.mktemp("lab"), descendants(os.getpid())
    with ExitStack() as processes:
        with LearnersLab(folder) as lab, lab.visit(lab.address, height=1000, seconds=240) as page:
            with picture_of_failure(page, pictures / "lesson.png"):
                page.page.locator(f".jp-DirListing-item:has-text('{LESSON}')").dblclick()
                page.page.wait_for_function(
                    "(name) => jupyterapp.shell.currentWidget?.context?.path.endsWith(name)", arg=LESSON
                )
                page.wait_until_ready()
                page.run_all()
            yield page
            ends = [ended for pid in descendants(os.getpid()) - older for ended in watch(pid, processes)]
        assert len(ends) > 4, "the server, two kernels, playwright, Chromium"
        for ended in ends:
            assert select.select([ended], [], [], 30)[0], "a process has outlived JupyterLab and the browser"


def descendants(pid: int) -> set[int]:
    """The processes below this one."""
    parent = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found, new = set[int](), {pid}
    while new := {child for child, its in parent.items() if its in new}:
        found |= new
    return found


def watch(pid: int, stack: ExitStack) -> list[int]:
    """A descriptor that can be read once the process has ended; none if it has ended already."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        stack.callback(os.close, descriptor)
        return [descriptor]
    return []


def widget(lesson: NotebookPage) -> Locator:
    return lesson.outputs(lesson.number(WIDGET)).locator(".lm-widget")


def wait_for_picture(lesson: NotebookPage, documents: str) -> None:
    """Wait until the result for this number of documents has come and is drawn."""
    lesson.page.wait_for_function(
        "([root, start]) => root.querySelector('.lm-summary').textContent.startsWith(start)",
        arg=[widget(lesson).element_handle(), f"{documents} documents"],
    )
    lesson.settle()


def hue(text: Locator) -> str:
    colour = text.evaluate("(node) => getComputedStyle(node).color")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return "red" if red > 1.5 * max(green, blue) else "green" if green > 1.2 * max(red, blue) else colour


@in_browser
def test_run_all_goes_to_the_end(lesson: NotebookPage) -> None:
    assert lesson.errors() == []
    never_run = lesson.page.evaluate(
        """() => jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model)
             .filter((model) => model.type === 'code' && !model.executionCount).map((model) => model.id)"""
    )
    assert never_run == []


@in_browser
def test_nothing_is_asked_and_the_console_is_clean(lesson: NotebookPage) -> None:
    assert lesson.page.locator(".jp-Dialog, .Toastify__toast").count() == 0
    assert lesson.console_errors == []


@in_browser
def test_the_slider_moves_the_plot_by_mouse_and_by_keys(lesson: NotebookPage) -> None:
    root = widget(lesson)
    canvas, slider = root.locator("canvas"), root.locator("input[type=range]").first
    full, orange = canvas.screenshot(), canvas.evaluate(BARS)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box and slider.input_value() == "75"
    middle = box["y"] + box["height"] / 2
    lesson.page.mouse.move(box["x"] + box["width"] - 8, middle)  # on the thumb
    lesson.page.mouse.down()
    lesson.page.mouse.move(box["x"] + box["width"] * 0.4, middle, steps=8)
    lesson.page.mouse.up()
    dragged = slider.input_value()
    assert 30 < int(dragged) < 50
    wait_for_picture(lesson, dragged)
    assert canvas.screenshot() != full
    assert orange > 500
    assert canvas.evaluate(BARS) != orange, "the bars themselves must have changed, not a text beside them"

    before = canvas.evaluate(PIXELS)
    for _ in range(4):
        slider.press("ArrowLeft")
    assert int(slider.input_value()) == int(dragged) - 4
    wait_for_picture(lesson, slider.input_value())
    assert canvas.evaluate(PIXELS) != before


@in_browser
def test_an_exercise_goes_from_unwritten_over_red_to_green(lesson: NotebookPage) -> None:
    answer, check = lesson.number(ANSWER), lesson.number(CHECK)
    editor, table = lesson.cell(answer).locator(".cm-content"), lesson.outputs(check)
    assert f"not written yet, 0 of {POINTS} points" in table.inner_text()
    assert "replace the line that begins with “raise” by your code" in table.inner_text()

    editor.click()
    keys = lesson.page.keyboard
    keys.press("Control+End")
    keys.press("Shift+Home")
    keys.type(WRONG)
    assert lesson.source(answer).endswith(f"    {WRONG}")
    lesson.run_by_key()  # the answer; then the check cell is the active one
    lesson.run_by_key()
    verdict = table.get_by_text(re.compile(rf"not passed yet, [\d.]+ of {POINTS} points"))
    assert hue(verdict) == "red"
    assert hue(table.get_by_text("✗").first) == "red"
    for part in ("given", "expected", "got", "likely cause"):
        assert table.get_by_text(part, exact=True).first.is_visible()

    editor.click()
    keys.press("Control+A")
    keys.insert_text(solution())
    lesson.run_by_key()
    lesson.run_by_key()
    assert hue(table.get_by_text(f"passed, {POINTS} of {POINTS} points", exact=True)) == "green"
    assert hue(table.get_by_text("✓").first) == "green"
    assert table.get_by_text("✗").count() == 0
    assert lesson.errors() == []


def solution() -> str:
    cells = json.loads((REPOSITORY / "solutions" / LESSON).read_text("utf-8"))["cells"]
    return next("".join(cell["source"]) for cell in cells if cell["id"] == ANSWER)


@in_browser
def test_a_check_cell_can_be_neither_edited_nor_deleted(lesson: NotebookPage) -> None:
    check = lesson.number(CHECK)
    before = lesson.source(check)
    lesson.cell(check).locator(".cm-content").click()
    lesson.page.keyboard.type("pass  # ")
    lesson.page.keyboard.press("Backspace")
    assert lesson.source(check) == before == 'check("1.1", plan_start)'
    lesson.page.keyboard.press("Escape")
    lesson.page.keyboard.press("d")
    lesson.page.keyboard.press("d")
    assert lesson.number(CHECK) == check
