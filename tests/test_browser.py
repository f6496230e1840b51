"""The base of the widgets and the table of a check, in a real JupyterLab."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Locator

from tests.browser import CHROMIUM, Lab, NotebookPage, page_breaks


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    reason = f"{CHROMIUM} is missing: apt-get install chromium"
    return pytest.mark.browser(pytest.mark.skipif(not CHROMIUM.exists(), reason=reason)(test))


PIXELS = "(canvas) => canvas.toDataURL()"
BARS, DISC, TABLE = 2, 3, 4  # numbers of the cells


def notebook() -> nbformat.NotebookNode:
    return new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            new_markdown_cell("# Toy widgets\n\nA formula $x^2$."),
            new_code_cell("from tests.toy_widgets import Disc, Waiting\n\nwaiting = Waiting()\nwaiting"),
            new_code_cell("disc = Disc(radius=20)\ndisc"),
            new_code_cell(
                "from ragcourse.grading import run\nfrom tests.test_contract import *\n\n"
                "for answer in (right, drops_repeats, stub):\n    display(run(sort_contract(), answer))"
            ),
            new_code_cell("1 / 0"),
        ],
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookPage]:
    folder = tmp_path_factory.mktemp("lab")
    path = folder / "toy.ipynb"
    nbformat.write(notebook(), path)
    with Lab(folder) as lab, lab.open(path, scale=2, seconds=90) as page:
        page.run_all()
        yield page


def widget(page: NotebookPage, number: int) -> Locator:
    return page.outputs(number).locator(".lm-widget")


@contextmanager
def redrawn(page: NotebookPage, number: int) -> Iterator[None]:
    """Do something inside, then wait for a newer result on the canvas and see that its pixels changed."""
    root = widget(page, number)
    canvas = root.locator("canvas")
    before, pixels = int(root.get_attribute("data-drawn") or 0), canvas.evaluate(PIXELS)
    yield
    page.page.wait_for_function(
        "([root, before]) => Number(root.dataset.drawn) > before", arg=[root.element_handle(), before]
    )
    assert canvas.evaluate(PIXELS) != pixels


@needs_browser
def test_a_slider_moved_by_key_changes_the_canvas_and_not_the_notebook(page: NotebookPage) -> None:
    slider = widget(page, DISC).locator("input[type=range]")
    slider.focus()
    active = page.page.evaluate("() => jupyterapp.shell.currentWidget.content.activeCellIndex")
    with redrawn(page, DISC):
        slider.press("ArrowDown")
    assert slider.input_value() == "19"
    assert page.page.evaluate("() => jupyterapp.shell.currentWidget.content.activeCellIndex") == active
    assert widget(page, DISC).locator(".lm-summary").inner_text() == "a disc of radius 19 px"


@needs_browser
def test_check_box_and_list_change_the_bars(page: NotebookPage) -> None:
    with redrawn(page, BARS):
        widget(page, BARS).locator("input[type=checkbox]").press("Space")
    assert widget(page, BARS).locator(".lm-summary").inner_text() == "32.0 ms before, 12.7 ms now"
    with redrawn(page, BARS):
        widget(page, BARS).locator("select").first.select_option("sparse")


@needs_browser
def test_every_control_can_be_reached_and_keeps_its_keys(page: NotebookPage) -> None:
    controls = widget(page, BARS).locator("input, select, button")
    assert controls.count() == 8
    for control in controls.all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"
        name = control.evaluate(
            "(node) => node.ariaLabel || node.textContent || node.closest('label')?.textContent"
        )
        assert name


@needs_browser
def test_the_player_steps_and_plays_to_its_end(page: NotebookPage) -> None:
    root = widget(page, BARS)
    canvas, time = root.locator("canvas"), root.locator(".lm-player input")
    end = canvas.evaluate(PIXELS)
    root.get_by_role("button", name="Restart").click()
    assert time.input_value() == "0"
    root.get_by_role("button", name="Step").click()
    assert time.input_value() == "0.05"
    page.settle()
    assert canvas.evaluate(PIXELS) != end
    root.get_by_role("button", name="Play").click()
    page.page.wait_for_function("(node) => node.value === '1'", arg=time.element_handle())
    page.settle()
    assert canvas.evaluate(PIXELS) == end


@needs_browser
def test_the_canvas_is_sharp_and_follows_the_theme(page: NotebookPage) -> None:
    canvas = widget(page, DISC).locator("canvas")
    assert canvas.evaluate("(node) => node.width / node.clientWidth") == 2
    light = canvas.evaluate(PIXELS)
    change = "async (theme) => { await jupyterapp.commands.execute('apputils:change-theme', { theme }); }"
    page.page.evaluate(change, "JupyterLab Dark")
    page.page.wait_for_function(
        f"([node, light]) => ({PIXELS})(node) !== light", arg=[canvas.element_handle(), light]
    )
    page.page.evaluate(change, "JupyterLab Light")
    page.page.wait_for_function(
        f"([node, light]) => ({PIXELS})(node) === light", arg=[canvas.element_handle(), light]
    )


@needs_browser
def test_an_error_in_run_is_shown_in_the_widget(page: NotebookPage) -> None:
    slider = widget(page, DISC).locator("input[type=range]")
    slider.fill("13")
    page.page.wait_for_selector(".lm-error")
    assert widget(page, DISC).locator(".lm-error").inner_text() == "ValueError: 13 is not drawn here"
    with redrawn(page, DISC):
        slider.fill("30")
    assert widget(page, DISC).locator(".lm-error").count() == 0


@needs_browser
def test_what_is_saved_has_a_picture_and_errors_are_found(page: NotebookPage) -> None:
    saved = page.page.evaluate(
        f"() => jupyterapp.shell.currentWidget.content.widgets[{BARS - 1}].model.toJSON()"
    )
    data = saved["outputs"][0]["data"]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "Waiting(cached=False, hits=5, route='dense')"
    assert page.errors() == ["cell 5: ZeroDivisionError: division by zero"]
    assert "passed, 3 of 3 points" in page.outputs(TABLE).inner_text()


@needs_browser
def test_pictures_of_pages_and_cells_are_written(page: NotebookPage, tmp_path: Path) -> None:
    pages, cells = page.shoot_pages(tmp_path), page.shoot_cells(tmp_path)
    assert [path.name for path in cells] == [f"cell-{n:03}.png" for n in range(1, 6)]
    assert "cell 1" in pages[0][1].replace("cells", "cell") and pages[-1][1].endswith("5")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in [path for path, _ in pages] + cells)


def test_pages_break_between_cells_and_cut_only_what_is_higher_than_a_page() -> None:
    cells = [[10, 100], [110, 500], [510, 600], [610, 2000]]
    assert page_breaks(cells, 500) == [
        (10, 500, "cells 1 to 2"),
        (510, 600, "cell 3"),
        (610, 1110, "cell 4"),
        (1110, 1610, "cell 4"),
        (1610, 2000, "cell 4"),
    ]
    assert page_breaks([], 500) == []
