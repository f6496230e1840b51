"""The widget of lesson 03 used by hand: steps by keys and buttons, keys of one's own, the dark theme."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Locator, expect

from tests.browser import CHROMIUM, Lab, NotebookPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(200),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]
PIXELS = "(canvas) => canvas.toDataURL()"
STEP = re.compile(r"^step \d")
PATIENCE = 30_000  # ms, for some movements on a busy machine


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NotebookPage, Locator]]:
    folder = tmp_path_factory.mktemp("growth")
    source = "from ragcourse.widgets.tree_growth import TreeGrowth\nTreeGrowth()"
    cell = {"cell_type": "code", "id": "growth", "source": source, "metadata": {}, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
    cells = {"cells": [{**cell, "execution_count": None}]}
    (folder / "growth.ipynb").write_text(json.dumps(notebook | cells), "utf-8")
    with Lab(folder / "lab", dark=True) as lab, lab.open(folder / "growth.ipynb") as page:
        page.run_all()
        yield page, page.outputs(1).locator(".lm-widget")
        assert not page.console_errors and not page.errors()


def test_steps_go_back_and_forth(opened: tuple[NotebookPage, Locator]) -> None:
    _, widget = opened
    place, picture = widget.get_by_text(STEP), widget.locator("canvas")
    expect(place).to_have_text("step 47 of 47")
    end = picture.evaluate(PIXELS)
    widget.get_by_role("slider", name="step").press("ArrowLeft")
    expect(place).to_have_text("step 46 of 47")
    expect(widget.locator(".lm-caption")).to_contain_text("Insert 17")
    widget.get_by_role("button", name="Step").click()
    expect(place).to_have_text("step 47 of 47")
    widget.page.wait_for_function(
        "(end) => document.querySelector('.lm-widget canvas').toDataURL() === end", arg=end
    )  # the movement ends where it stood


def test_a_key_of_ones_own_is_played(opened: tuple[NotebookPage, Locator]) -> None:
    _, widget = opened
    line = widget.get_by_role("textbox")
    line.fill("no number")
    line.press("Enter")
    expect(widget.locator(".lm-caption")).to_contain_text("Type a whole number")
    line.fill("42")
    line.press("Enter")
    expect(widget.get_by_text(STEP)).to_have_text("step 50 of 50", timeout=PATIENCE)  # way, leaf, split
    expect(widget.locator(".lm-caption")).to_contain_text("Split: 45")
    widget.get_by_role("button", name="Empty").click()
    expect(widget.locator(".lm-summary")).to_have_text("It is empty.")
    widget.get_by_role("button", name="Example").click()  # played from its beginning
    expect(widget.get_by_text(STEP)).to_contain_text("of 47")


def test_another_structure_takes_its_own_keys(opened: tuple[NotebookPage, Locator]) -> None:
    _, widget = opened
    order = widget.get_by_text("Order")
    expect(order).to_be_visible()
    widget.get_by_label("Structure").select_option("trie")
    expect(order).to_be_hidden()
    widget.get_by_role("textbox").fill("trees")
    widget.get_by_role("button", name="Insert").click()
    expect(widget.locator(".lm-summary")).to_contain_text("11 words")
    expect(widget.locator(".lm-caption")).to_contain_text("trees: 1 new node", timeout=PATIENCE)
