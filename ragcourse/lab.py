"""``ragcourse lab``: JupyterLab on the lessons, for this machine only."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

REPOSITORY = Path(__file__).resolve().parent.parent
LESSONS = "lessons"
FIRST_LESSON = "00_measure_first.ipynb"

KERNEL_OF_THIS_ENVIRONMENT = {"JUPYTER_PREFER_ENV_PATH": "1"}
"""Environment variable: a kernel called python3 in the user's home must not take the place of ours."""


class LabError(RuntimeError):
    """JupyterLab cannot start; the message says what to do."""


def open_lab(port: int | None = None, browser: bool | None = None) -> None:
    """Serve the lessons until Ctrl-C; the address is printed when the page is ready.

    ``port``: this one or none at all; by default the first free one from 8888. ``browser``: whether to open
    the page in one; by default where there is one to open. Raises `LabError`.
    """
    if find_spec("jupyterlab") is None:
        raise LabError("JupyterLab is not installed here; `ragcourse doctor` says how to get it")
    page = first_page(REPOSITORY)
    if port is not None:
        check_port(port)
    os.environ.update(KERNEL_OF_THIS_ENVIRONMENT)
    os.environ.setdefault("JUPYTER_TOKEN", secrets.token_hex(24))  # else the server prints an address as well
    from jupyterlab.labapp import LabApp

    server = LabApp.initialize_server(argv=server_arguments(REPOSITORY, page, port, browser))
    token = server.identity_provider.token
    address = server.connection_url.rstrip("/") + page + (f"?token={token}" if token else "")
    # The server has queued the opening of its port; this comes after it.
    server.io_loop.add_callback(print, f"JupyterLab is at {address}\nCtrl-C stops it.", flush=True)
    server.start()


def first_page(repository: Path) -> str:
    """The path in JupyterLab's address that opens the first lesson, or the lessons' folder."""
    lessons = repository / LESSONS
    if not lessons.is_dir():
        raise LabError(f"there are no lessons in {repository}. Run ragcourse from a copy of the repository")
    first = lessons / FIRST_LESSON
    return "/lab/tree/" + quote((first if first.is_file() else lessons).relative_to(repository).as_posix())


def check_port(port: int) -> None:
    """Raise `LabError` if a server cannot listen on ``port``."""
    with socket.socket() as probe:
        if os.name == "posix":  # elsewhere the option lets two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(
                f"port {port} cannot be used ({error.strerror}); name another, or none to get a free one"
            ) from error


def server_arguments(repository: Path, page: str, port: int | None, browser: bool | None) -> list[str]:
    """The command line for Jupyter's server."""
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or 8888}",
        f"--ServerApp.port_retries={50 if port is None else 0}",
        f"--ServerApp.root_dir={repository}",
        f"--LabApp.default_url={page}",
        "--ServerApp.answer_yes=True",  # Ctrl-C stops at once
        "--KernelManager.transport_encryption=auto",  # else each kernel warns that it has none
        "--Application.log_level=ERROR",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    if not (has_browser(os.environ) if browser is None else browser):
        arguments.append("--no-browser")
    return arguments


def has_browser(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a page can be opened here: a desktop is there, or the user named a browser."""
    chosen = environment.get("BROWSER", "")
    if chosen:
        return chosen.lower() != "none"
    desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return platform in ("darwin", "win32") or bool(desktop)
