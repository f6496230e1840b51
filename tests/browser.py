"""See a notebook as a reader does: run it in a real JupyterLab in Chromium, and take pictures of it.

For authors, from the repository's root::

    .venv/bin/python -m tests.browser solutions/01_storage.ipynb /tmp/shots            # run all, then page by
    page .venv/bin/python -m tests.browser solutions/01_storage.ipynb /tmp/shots --dark     # JupyterLab's
    dark theme .venv/bin/python -m tests.browser solutions/01_storage.ipynb /tmp/shots --cells    # one
    picture a cell as well .venv/bin/python -m tests.browser lessons/01_storage.ipynb /tmp/shots --no-run
    # as it opens, nothing run .venv/bin/python -m tests.browser NOTEBOOK OUTDIR --width 1200 --height 1500
    --scale 2 --timeout 300

It writes `page-01.png`, `page-02.png` … (`cell-001.png` …) and `index.txt`, which says which cells are on
which page, and prints each cell that raised and each error in the browser's console; then it exits with 1.
Pages break between cells where they can. The notebook is run as a copy: the file itself is never changed.

For tests::

    with Lab(tmp_path) as lab, lab.open(notebook) as page:      # a playwright page, plus what stands below
        page.run_all()                                          # waits until every cell has run
        page.cell(3).locator("input[type=range]").press("ArrowRight")

It needs Debian's chromium (`apt-get install chromium`) and the Python package playwright; no browser is
downloaded. Nothing sleeps: it waits for the server's own line, the kernel's state, the page's fonts and
pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from playwright.sync_api import Browser, Error, Locator, Page, TimeoutError, sync_playwright

REPOSITORY = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {
        "windowingMode": "none"
    },  # every cell is in the page, also when out of sight
}
_CELL = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell"  # of the notebook in front
_READY = re.compile(r"https?://(?:127\.0\.0\.1|localhost):(\d+)/")
_STILL = """async () => {
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


class Lab:
    """A JupyterLab server of its own (free port, token, settings in `folder`) and a headless Chromium."""

    settings: ClassVar[dict[str, dict[str, Any]]] = SETTINGS

    def __init__(self, folder: Path, *, dark: bool = False, seconds: float = 90) -> None:
        self.folder, self._seconds = folder, seconds
        self.files = folder / "files"
        self.token = os.urandom(16).hex()
        theme = {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}
        for name, values in (self.settings | {"apputils-extension/themes": theme}).items():
            path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values), "utf-8")

    def __enter__(self) -> Lab:
        if not CHROMIUM.exists():
            raise RuntimeError(f"{CHROMIUM} is missing: apt-get update && apt-get install -y chromium")
        self.files.mkdir(parents=True, exist_ok=True)
        self._server = subprocess.Popen(
            self._command(), env=self._environment(), cwd=self.files, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            self.port = self._wait_for_port()
            self._playwright = sync_playwright().start()
            self.browser: Browser = self._playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=FLAGS
            )
        except BaseException:
            self._stop_server()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.browser.close()
            self._playwright.stop()
        finally:
            self._stop_server()

    def _command(self) -> list[str]:
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0", f"--ServerApp.root_dir={self.files}",
            f"--IdentityProvider.token={self.token}", "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        folders = {name: str(self.folder / value) for name, value in own.items()}
        return os.environ | folders | {"JUPYTER_NO_CONFIG": "1", "PYTHONPATH": os.pathsep.join(paths)}

    def _wait_for_port(self) -> int:
        """Read the server's output until it says where it listens, then keep reading it into a list."""
        assert self._server.stdout is not None
        self.output: list[str] = []
        port: list[int] = []
        ready = threading.Event()

        def read() -> None:
            for line in self._server.stdout or ():
                self.output.append(line)
                found = _READY.search(line)
                if found and not port and int(found[1]):
                    port.append(int(found[1]))
                    ready.set()
            ready.set()

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        if not ready.wait(self._seconds) or not port:
            raise RuntimeError("JupyterLab did not start:\n" + "".join(self.output[-30:]))
        return port[0]

    def _stop_server(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._reader.join(20)
        if self._server.stdout:
            self._server.stdout.close()

    @contextmanager
    def open(
        self, notebook: Path, *, width: int = 1200, height: int = 1500, scale: float = 1, seconds: float = 300
    ) -> Iterator[NotebookPage]:
        """Open a copy of the notebook in single-document mode and wait until its kernel is ready."""
        path = f"/doc/tree/{self._copy(notebook.resolve()).as_posix()}?token={self.token}&reset"
        with self.visit(path, width=width, height=height, scale=scale, seconds=seconds) as page:
            yield page

    @contextmanager
    def visit(
        self, path: str, *, width: int = 1200, height: int = 1500, scale: float = 1, seconds: float = 300
    ) -> Iterator[NotebookPage]:
        """Open a page of the server that shows a notebook, and wait until its kernel is ready."""
        page = self.browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
        page.set_default_timeout(seconds * 1000)
        try:
            opened = NotebookPage(page)
            page.goto(f"http://127.0.0.1:{self.port}{path}")
            opened.wait_until_ready()
            yield opened
        finally:
            page.close()

    def _copy(self, notebook: Path) -> Path:
        """Copy the notebook below the server's root; one of the repository sees its neighbours by links."""
        if not notebook.is_relative_to(REPOSITORY):
            shutil.copy(notebook, self.files / notebook.name)
            return Path(notebook.name)
        inside = notebook.relative_to(REPOSITORY)
        for folder in inside.parents:
            (self.files / folder).mkdir(exist_ok=True, parents=True)
            for neighbour in (REPOSITORY / folder).iterdir():
                link = self.files / folder / neighbour.name
                if (
                    not neighbour.name.startswith(".")
                    and neighbour not in notebook.parents
                    and not link.exists()
                ):
                    link.symlink_to(neighbour) if neighbour != notebook else None
        shutil.copy(notebook, self.files / inside)
        return inside


class NotebookPage:
    """A notebook that is open in JupyterLab; `page` is playwright's page for all that is not here."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console_errors: list[str] = []
        page.on("console", self._keep)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    def _keep(self, message: Any) -> None:
        # Not errors of a notebook: what the server does not offer (404), and JupyterLab's own warnings.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.console_errors.append(message.text)

    def wait_until_ready(self) -> None:
        """Wait until the notebook is shown and its kernel idle."""
        self.page.wait_for_selector(_CELL)
        self.page.evaluate("() => jupyterapp.restored")
        self._wait_for_kernel()
        self.page.add_style_tag(content=".jp-cell-toolbar { display: none !important }")  # lies over the text
        self.settle()

    def _wait_for_kernel(self) -> None:
        self.page.wait_for_function(
            """() => document.querySelector('.jp-Dialog')
              || jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"""
        )
        dialog = self.page.locator(".jp-Dialog")
        if dialog.count():
            raise RuntimeError(f"JupyterLab asks: {' '.join(dialog.first.inner_text().split())}")

    def run_all(self) -> None:
        """Run all cells and wait until they are through, the kernel is idle and the page stands still."""
        self.page.evaluate(
            """() => {
              window.ranAll = false;
              jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ranAll = true; });
            }"""
        )
        self._wait_until_ran()

    def run_by_key(self) -> None:
        """Press Shift+Enter: JupyterLab runs the active cell and goes to the next one; wait as `run_all`."""
        self.page.evaluate(
            """() => {
              window.ranAll = false;
              const { commandExecuted } = jupyterapp.commands;
              const follow = (_, command) => {
                if (!command.id.startsWith('notebook:run')) return;
                commandExecuted.disconnect(follow);
                command.result.finally(() => { window.ranAll = true; });
              };
              commandExecuted.connect(follow);
            }"""
        )
        self.page.keyboard.press("Shift+Enter")
        self._wait_until_ran()

    def _wait_until_ran(self) -> None:
        try:
            self.page.wait_for_function("() => window.ranAll")
        except TimeoutError as error:
            prompts = self.page.locator(_CELL).evaluate_all(
                "(cells) => cells.map((cell) => cell.querySelector('.jp-InputPrompt')?.textContent ?? '')"
            )
            running = [number for number, prompt in enumerate(prompts, start=1) if "*" in prompt]
            raise RuntimeError(f"out of time: cell {running[0] if running else '?'} still runs") from error
        self._wait_for_kernel()
        self.settle()

    def settle(self) -> None:
        """Wait for text, fonts, formulas, pictures and widgets to be drawn."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-OutputArea-output')].some("
            "(output) => output.textContent.trim().startsWith('Loading widget'))"
        )
        self.page.evaluate(_STILL)

    def errors(self) -> list[str]:
        """Return "cell 3: NameError: …" for each cell that raised, unless it is tagged raises-exception."""
        found: list[str] = self.page.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets.flatMap((cell, i) => {
                 const saved = cell.model.toJSON();
                 if ((saved.metadata.tags || []).includes('raises-exception')) return [];
                 return (saved.outputs || []).filter((output) => output.output_type === 'error')
                   .map((output) => `cell ${i + 1}: ${output.ename}: ${output.evalue}`);
               })"""
        )
        return found

    def number(self, cell_id: str) -> int:
        """Return the number, from 1, of the cell with this id."""
        ids: list[str] = self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.id)"
        )
        return ids.index(cell_id) + 1

    def source(self, number: int) -> str:
        """Return the text of a cell as it is now in the editor."""
        script = "(i) => jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.getSource()"
        text: str = self.page.evaluate(script, number - 1)
        return text

    def cell(self, number: int) -> Locator:
        """Return the cell with this number, from 1."""
        return self.page.locator(_CELL).nth(number - 1)

    def outputs(self, number: int) -> Locator:
        """Return the output area of a code cell."""
        return self.cell(number).locator(".jp-Cell-outputArea")

    def shoot_cells(self, folder: Path) -> list[Path]:
        """Save one picture a cell as cell-001.png …"""
        paths = []
        for number in range(1, self.page.locator(_CELL).count() + 1):
            paths.append(folder / f"cell-{number:03}.png")
            self.cell(number).scroll_into_view_if_needed()
            self.cell(number).screenshot(path=paths[-1], animations="disabled")
        return paths

    def shoot_pages(self, folder: Path) -> list[tuple[Path, str]]:
        """Save the notebook page by page as page-01.png …; return each path with the cells that are on it."""
        box = self.page.evaluate(
            """() => {
              const outer = jupyterapp.shell.currentWidget.content.outerNode
                ?? document.querySelector('.jp-WindowedPanel-outer');
              const frame = outer.getBoundingClientRect(), top = frame.top - outer.scrollTop;
              const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map((cell) => {
                const box = cell.getBoundingClientRect();
                return [box.top - top, box.bottom - top];
              });
              return {x: frame.x, y: frame.y, width: frame.width, height: outer.clientHeight, cells};
            }"""
        )
        pages = []
        for number, (start, end, cells) in enumerate(page_breaks(box["cells"], box["height"]), start=1):
            at = self.page.evaluate(
                """(top) => {
                  const outer = jupyterapp.shell.currentWidget.content.outerNode
                    ?? document.querySelector('.jp-WindowedPanel-outer');
                  outer.scrollTop = top;
                  return outer.scrollTop;
                }""",
                start,
            )
            self.page.evaluate(_STILL)
            clip = {"x": box["x"], "y": box["y"] + start - at, "width": box["width"], "height": end - start}
            path = folder / f"page-{number:02}.png"
            self.page.screenshot(path=path, clip=clip, animations="disabled")  # type: ignore[arg-type]
            pages.append((path, cells))
        return pages


def page_breaks(cells: list[list[float]], height: float) -> list[tuple[float, float, str]]:
    """Return (top, bottom, "cells 3 to 7") of pages at most `height` high, broken between cells."""
    pages: list[tuple[float, float, str]] = []
    first = 0
    while first < len(cells):
        last = first
        top = cells[first][0]
        while last + 1 < len(cells) and cells[last + 1][1] - top <= height:
            last += 1
        bottom = cells[last][1]
        name = f"cell {first + 1}" if first == last else f"cells {first + 1} to {last + 1}"
        while bottom - top > height:  # one cell that is higher than a page
            pages.append((top, top + height, name))
            top += height
        if bottom - top >= 1:
            pages.append((top, bottom, name))
        first = last + 1
    return pages


def main(arguments: list[str] | None = None) -> int:
    """Run the command line that the top of this file describes."""
    parser = argparse.ArgumentParser(
        "python -m tests.browser", description="Run a notebook and take pictures of it."
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path, metavar="OUTDIR")
    parser.add_argument("--dark", action="store_true", help="JupyterLab's dark theme")
    parser.add_argument("--cells", action="store_true", help="also one picture a cell")
    parser.add_argument("--no-run", action="store_true", help="show the notebook as it opens")
    parser.add_argument("--width", type=int, default=1200, help="pixels (default 1200)")
    parser.add_argument("--height", type=int, default=1500, help="pixels of a page at most (default 1500)")
    parser.add_argument("--scale", type=float, default=1, help="2 for a screen of high density")
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds for the whole notebook (default 300)"
    )
    options = parser.parse_args(arguments)
    if not options.notebook.is_file():
        parser.error(f"there is no notebook {options.notebook}")
    options.folder.mkdir(parents=True, exist_ok=True)
    for old in (*options.folder.glob("page-*.png"), *options.folder.glob("cell-*.png")):
        old.unlink()
    size = {
        "width": options.width,
        "height": options.height,
        "scale": options.scale,
        "seconds": options.timeout,
    }
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ragcourse-lab-") as temporary,
            Lab(Path(temporary), dark=options.dark) as lab,
            lab.open(options.notebook, **size) as page,
        ):
            if not options.no_run:
                try:
                    page.run_all()
                except (Error, RuntimeError):
                    page.page.screenshot(path=options.folder / "failure.png")
                    raise
            pages = page.shoot_pages(options.folder)
            if options.cells:
                page.shoot_cells(options.folder)
            problems = page.errors() + [f"console: {text}" for text in page.console_errors]
    except (Error, RuntimeError) as error:
        print(f"the notebook could not be shown: {error}", file=sys.stderr)
        return 1
    index = "".join(f"{path.name}  {cells}\n" for path, cells in pages)
    (options.folder / "index.txt").write_text(index, "utf-8")
    print(index, end="")
    print("\n".join(problems) or "no cell raised, nothing in the console")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
