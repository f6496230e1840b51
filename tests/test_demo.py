"""`ragcourse demo`: cells of the masters, alone on a page, in a real Chromium and with a real kernel.

What a page looked like when a test failed is kept in the folder that RAGCOURSE_SCREENSHOTS names, or in
pytest's temporary one; the report says where.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ragcourse.demo
from ragcourse.cli import app
from ragcourse.demo.catalogue import DemoError, find_demo, find_demos, sources
from ragcourse.needed_cells import needed_cells

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import CHROMIUM, FLAGS

SECONDS = 120
SIZES = [(1920, 1080), (1280, 720)]
PIXELS = "(canvas) => canvas.toDataURL()"


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    for there, reason in (
        (CHROMIUM.exists(), f"{CHROMIUM} is missing: apt-get install chromium"),
        (os.name == "posix", "stops the server by SIGINT"),
    ):
        test = pytest.mark.skipif(not there, reason=reason)(test)
    marked: Callable[..., None] = pytest.mark.browser(test)
    return marked


# ---- which cells a cell needs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "needed"),
    [
        (["a = 1", "b = 2", "a"], [0, 2]),
        (["a = 1", "a = 2", "a"], [1, 2]),
        (["a = 1", "a += 1", "a"], [0, 1, 2]),
        (["a = []", "b = a", "a.append(1)", "a"], [0, 2, 3]),
        (["a = {}", "a['k'] = 1", "a"], [0, 1, 2]),
        (["a = 1", "for a in range(3): pass", "a"], [0, 1, 2]),
        (["a = 1", "if True:\n    a = 2", "a"], [0, 1, 2]),
        (["a = 1", "try:\n    a = 2\nexcept OSError:\n    pass", "a"], [0, 1, 2]),
        (["import os.path", "from a import b as c", "c(os)"], [0, 1, 2]),
        (["import a", "a.show()", "a"], [0, 2]),
        (["a = 1", "def f(b, a=a):\n    return a", "f"], [0, 1, 2]),
        (["a = 1", "def f(a):\n    b = a\n    return b", "f"], [1, 2]),
        (["def f():\n    return a", "a = 1", "f()"], [0, 1, 2]),
        (["a = 1", "def f():\n    return a", "f()"], [0, 1, 2]),
        (["a = 1", "f = lambda: a", "f()"], [0, 1, 2]),
        (["a = 1", "f = lambda a: a", "f(2)"], [1, 2]),
        (["a = 1", "[a for a in range(3)]"], [1]),
        (["a = 1", "[b for b in range(3) if a]"], [0, 1]),
        (["a = 1", "class A:\n    b = a", "A"], [0, 1, 2]),
        (["a, *b = range(3)", "with open('x') as c: pass", "b, c"], [0, 1, 2]),
        (["if (a := 1): pass", "a"], [0, 1]),
        (["a = 1", "def f():\n    global a\n    a = 2", "f()\na"], [0, 1, 2]),
        (["a = 1", "a = 3\nprint(a)"], [1]),
        (["%matplotlib inline\na = 1", "!ls\na"], [0, 1]),
    ],
)
def test_the_cells_that_a_cell_needs(cells: list[str], needed: list[int]) -> None:
    assert needed_cells(cells, len(cells) - 1) == needed


# ---- the list ----------------------------------------------------------------------------------------------


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["demo", *arguments], env={"COLUMNS": "100", "NO_COLOR": "1"})


def test_the_demos_are_listed() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert re.search(r"^request-waterfall +lesson 00  \w", result.stdout, re.MULTILINE)
    assert re.search(r"^startup-race +lesson 01  \w", result.stdout, re.MULTILINE)
    assert re.search(r"^Open one with: ragcourse demo [a-z-]+$", result.stdout, re.MULTILINE)


def test_an_unknown_demo_names_those_that_are_there() -> None:
    result = invoke("start-up", "--no-browser")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("ragcourse: there is no demo 'start-up'; there are: request-waterfall, ")
    assert "startup-race" in result.stderr


def test_what_is_missing_is_named_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ragcourse.demo, "find_spec", lambda name: None if name == "anywidget" else find_spec(name)
    )
    result = invoke("startup-race", "--no-browser")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(
        r"anywidget, which is not installed here: (make install|python -m pip install)", result.stderr
    )


def test_a_taken_port_is_refused_by_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = invoke("startup-race", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "cannot be used" in result.stderr


def test_a_demo_of_the_masters_brings_its_own_cells_alone() -> None:
    for demo in find_demos():
        cells = sources(demo)
        assert 1 <= len(cells) <= 6
        assert not any("check(" in cell for cell in cells), "a demo needs no exercise"
    assert "StartupRace(" in sources(find_demo("startup-race"))[-1]


def master(folder: Path, *cells: str, name: str = "toy", tags: list[str] | None = None) -> Path:
    """Write a master whose last cell is a demo."""
    folder.mkdir(exist_ok=True)
    tags = ["demo", f"demo-name:{name}", "demo-about:A toy"] if tags is None else tags
    written = [
        {"cell_type": "code", "id": f"cell-{i}", "source": c, "metadata": {}} for i, c in enumerate(cells)
    ]
    written[-1]["metadata"] = {"tags": tags}
    path = folder / f"{len(list(folder.iterdir())):02}_toy.ipynb"
    path.write_text(
        json.dumps({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8"
    )
    return folder


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (["demo", "demo-about:x"], "one tag demo-name:…, not 0"),
        (["demo", "demo-name:a", "demo-name:b", "demo-about:x"], "one tag demo-name:…, not 2"),
        (["demo", "demo-name:a", "demo-about: "], "one tag demo-about:…"),
        (["demo", "demo-name:A b", "demo-about:x"], "'A b' is not of the form startup-race"),
        (["demo", "demo-name:taken", "demo-about:x"], "00_toy.ipynb has a demo called taken already"),
    ],
)
def test_a_tag_that_is_wrong_is_named_with_its_cell(tmp_path: Path, tags: list[str], says: str) -> None:
    master(tmp_path, "1", name="taken")
    master(tmp_path, "1", tags=tags)
    with pytest.raises(DemoError, match="01_toy.ipynb, cell cell-0: .*" + re.escape(says)):
        find_demos(tmp_path)


def test_a_cell_that_is_no_python_is_named(tmp_path: Path) -> None:
    says = re.escape("""00_toy.ipynb: "a = 'no end", in or above the demo toy, is no Python""")
    with pytest.raises(DemoError, match=says):
        sources(find_demo("toy", master(tmp_path / "m", "a = 'no end", "a")))


def test_where_there_are_no_masters_the_repository_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="from a copy of the repository"):
        find_demos(tmp_path)
    (tmp_path / "00_toy.ipynb").write_text("{", "utf-8")
    with pytest.raises(DemoError, match=r"00_toy.ipynb is not a notebook"):
        find_demos(tmp_path)


# ---- a page ------------------------------------------------------------------------------------------------

SERVE = (
    "import sys; from pathlib import Path; from ragcourse.demo.catalogue import find_demo;"
    "from ragcourse.demo.server import serve; serve(find_demo(sys.argv[1], Path(sys.argv[2])), None, False)"
)


class Running:
    """A demo's server: its address, and what it has started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        assert re.fullmatch(r"The demo is at http://127\.0\.0\.1:\d+/[\w-]{24}/\n", lines[1]), lines
        self.address = lines[1].split()[-1]
        self.port = int(self.address.split("/")[2].partition(":")[2])

    @contextmanager
    def all_end(self, at_least: int) -> Iterator[None]:
        """Look at the server's process and all below it now, and see at the end that none of them lives."""
        if not hasattr(os, "pidfd_open"):  # Linux alone has it
            yield
            return
        parents = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        family = {self.process.pid}
        while more := {child for child, parent in parents.items() if parent in family} - family:
            family |= more
        assert len(family) >= at_least
        handles = [os.pidfd_open(pid) for pid in family]
        try:
            yield
            ended = [select.select([handle], [], [], SECONDS)[0] for handle in handles]
            assert ended == [[handle] for handle in handles]
        finally:
            for handle in handles:
                os.close(handle)


@contextmanager
def running(name: str, folder: Path | None = None) -> Iterator[Running]:
    """Start a demo by the command, or one of other masters in ``folder``; stop it as Ctrl-C does."""
    command = [sys.executable, "-m", "ragcourse", "demo", name, "--no-browser"]
    if folder:
        command = [sys.executable, "-c", SERVE, name, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield Running(process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            assert process.stdout
            process.stdout.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("RAGCOURSE_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def browse(pictures: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Page]]:
    """Open an address in Chromium; a picture of each page is kept if the test fails."""
    with sync_playwright() as playwright, ExitStack() as stack:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        stack.callback(chromium.close)
        context = chromium.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(1000 * SECONDS)
        expect.set_options(timeout=1000 * SECONDS)

        def open_page(address: str) -> Page:
            page = context.new_page()
            page.goto(address)
            return page

        failed_before = request.session.testsfailed
        yield open_page
        if request.session.testsfailed > failed_before:
            for number, page in enumerate(context.pages):
                path = pictures / f"{request.node.name}-{number}.png"
                page.screenshot(path=path)
                print(f"the page as it was: {path}")


def wait_for_picture(page: Page) -> None:
    expect(page.locator("#stage")).to_be_visible()
    expect(page.locator(".lm-widget")).to_have_attribute("data-drawn", re.compile(r"\d"))


def assert_nothing_is_cut(page: Page) -> None:
    page.wait_for_function(
        "() => { const main = document.querySelector('main');"
        " return main.scrollHeight <= main.clientHeight + 1 && main.scrollWidth <= main.clientWidth + 1; }"
    )


@needs_browser
@pytest.mark.timeout(300)  # eight processes, measured in earnest
def test_the_startup_race_in_class(browse: Callable[[str], Page]) -> None:
    outside: list[str] = []
    with ExitStack() as everybody, running("startup-race") as demo:
        page = browse("about:blank")
        page.on("request", lambda request: outside.append(request.url))
        page.goto(demo.address)
        expect(page.get_by_role("status")).to_contain_text("process 2 of 4")
        share = page.locator("progress").evaluate("(bar) => bar.value")
        assert 0 < share < 1
        wait_for_picture(page)
        canvas = page.locator(".lm-widget canvas")
        cold = canvas.evaluate(PIXELS)
        page.get_by_role("combobox", name="Race").select_option("second start (warm)")
        expect(page.locator(".lm-summary")).to_contain_text("warm:")
        documents = page.get_by_role("slider", name="Documents")
        documents.click(position={"x": 2, "y": 10})
        expect(page.locator(".lm-summary")).to_contain_text("15 documents, warm")
        documents.press("ArrowRight")
        expect(page.locator(".lm-summary")).to_contain_text("16 documents, warm")
        assert canvas.evaluate(PIXELS) != cold
        page.get_by_role("button", name="Restart").click()
        expect(page.locator(".lm-player output").first).to_contain_text("0 s of")
        for scheme in ("light", "dark"):
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)
                assert_nothing_is_cut(page)
                text = page.locator(".lm-summary").evaluate(
                    "(p) => parseFloat(getComputedStyle(p).fontSize) * p.closest('#stage').style.zoom"
                )
                assert text > height / 45, "read from the back of a room"
        everybody.enter_context(demo.all_end(at_least=2))
    assert [url for url in outside if not url.startswith(("blob:", "data:", f"{demo.address}"))] == []


@needs_browser
def test_a_page_that_is_loaded_again_finds_the_widget_as_it_was(
    tmp_path: Path, browse: Callable[[str], Page]
) -> None:
    cells = ("from tests.toy_widgets import Waiting", "a = 1", "Waiting(hits=3)")
    with running("toy", master(tmp_path / "m", *cells)) as demo, running("toy", tmp_path / "m") as second:
        assert second.port > demo.port, "a port that is taken is left alone"
        page, other = browse(demo.address), browse(demo.address)
        for one in (page, other):
            wait_for_picture(one)
        hits = page.get_by_label("Hits")
        before = other.locator("canvas").evaluate(PIXELS)
        hits.focus()
        for _ in range(8):
            hits.press("ArrowRight")
        expect(other.get_by_label("Hits")).to_have_value("11")
        other.wait_for_function(
            "(before) => document.querySelector('canvas').toDataURL() !== before", arg=before
        )
        expect(hits).to_have_value("11")
        page.reload()
        wait_for_picture(page)
        expect(page.get_by_label("Hits")).to_have_value("11")
        assert page.locator("canvas").evaluate(PIXELS) == other.locator("canvas").evaluate(PIXELS)
        answer = page.request.get(f"http://127.0.0.1:{demo.port}/")
        assert answer.status == 404, "who does not know the address sees nothing"
    expect(page.get_by_role("alert")).to_contain_text(
        "The demo has been stopped. To start it again: ragcourse demo toy"
    )


@needs_browser
def test_a_picture_is_shown_sharp(tmp_path: Path, browse: Callable[[str], Page]) -> None:
    draws = "from matplotlib.figure import Figure\nfigure = Figure()\nfigure.add_subplot()\nfigure"
    with running("toy", master(tmp_path / "m", draws)) as demo:
        page = browse(demo.address)
        image = page.locator("#stage img")
        expect(image).to_be_visible()
        image.evaluate("(image) => image.decode()")
        assert_nothing_is_cut(page)
        picture = image.evaluate("async (image) => (await (await fetch(image.src)).text()).slice(0, 5)")
        assert picture == "<?xml", "drawn as lines, not as pixels"


@needs_browser
@pytest.mark.parametrize(
    ("cell", "says", "details"),
    [
        ("1 / 0", "The demo stopped at an error. ZeroDivisionError: division by zero", "1 / 0"),
        ("import os\nos._exit(3)", "Python, which ran the demo, has ended by itself", ""),
        ("2", "shows neither a widget of the course nor a picture", ""),
    ],
    ids=["raises", "dies", "shows nothing"],
)
def test_what_failed_is_said_in_plain_words(
    tmp_path: Path, browse: Callable[[str], Page], cell: str, says: str, details: str
) -> None:
    with running("toy", master(tmp_path / "m", cell)) as demo:
        page = browse(demo.address)
        expect(page.get_by_role("alert")).to_contain_text(says)
        expect(page.get_by_role("alert")).to_contain_text("ragcourse doctor")
        if details:
            page.get_by_text("What Python said").click()
            expect(page.locator("#failed pre")).to_contain_text(details)
        else:
            expect(page.locator("#failed details")).to_be_hidden()


@needs_browser
def test_ctrl_c_while_cells_run_leaves_no_process_and_no_file(
    tmp_path: Path, browse: Callable[[str], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    cell = (
        "import subprocess, sys, tempfile\nkept = tempfile.mkdtemp()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('the child runs', flush=True)\nchild.wait()"
    )
    with ExitStack() as everybody, running("toy", master(tmp_path / "m", cell)) as demo:
        page = browse(demo.address)
        expect(page.get_by_role("status")).to_have_text("the child runs")
        everybody.enter_context(demo.all_end(at_least=3))
    assert [path.name for path in scratch.iterdir() if "ragcourse" in path.name] == []
