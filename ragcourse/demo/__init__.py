"""``ragcourse demo``: a widget or a picture of a lesson alone on a page, large, for a class.

A demo is a cell of a master notebook in `solutions/` with the tag ``demo``: see `catalogue`. It runs in a
kernel, after the cells that it needs; there is no second copy of their code.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from ragcourse.demo.catalogue import DemoError, find_demo, find_demos

__all__ = ["demo_table", "open_demo"]

NO_DEMOS = "no cell of a master notebook in solutions/ is tagged `demo` yet"
NEEDED = ("tornado", "jupyter_client", "ipykernel", "anywidget", "matplotlib")


def demo_table() -> str:
    """One line for each demo: name, lesson, and what is to be seen. Raises `DemoError`."""
    demos = find_demos()
    width = max((len(demo.name) for demo in demos), default=0)
    lines = [f"{demo.name:{width}}  lesson {demo.lesson}  {demo.about}" for demo in demos]
    return "\n".join([*lines, "", f"Open one with: ragcourse demo {demos[-1].name}"]) if demos else NO_DEMOS


def open_demo(name: str, port: int | None = None, browser: bool | None = None) -> None:
    """Show a demo on this machine until Ctrl-C; its address is printed.

    ``port``: this one or none at all; by default the first free one from 8890. ``browser``: whether to open
    the page in one; by default where there is one to open. Raises `DemoError`, and `LabError` for the port.
    """
    from ragcourse.lab import has_browser

    demo = find_demo(name)
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        from ragcourse.remedies import install_command

        raise DemoError(f"a demo needs {missing[0]}, which is not installed here: {install_command('lab')}")
    from ragcourse.demo.server import serve

    serve(demo, port, has_browser(os.environ) if browser is None else browser)
