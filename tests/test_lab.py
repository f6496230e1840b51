"""`ragcourse lab`: the lessons in JupyterLab, for this machine alone."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from ragcourse.lab import LabError, first_page, has_browser, server_arguments


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "BROWSER": "none"}, "linux", False),
        ({"BROWSER": "w3m"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"BROWSER": "none"}, "win32", False),
    ],
)
def test_a_page_is_opened_where_there_is_a_desktop(environment, platform, expected) -> None:
    assert has_browser(environment, platform) is expected


def test_the_first_page(tmp_path) -> None:
    with pytest.raises(LabError, match="no lessons"):
        first_page(tmp_path)
    (tmp_path / "lessons").mkdir()
    assert first_page(tmp_path) == "/lab/tree/lessons"
    (tmp_path / "lessons" / "00_measure_first.ipynb").touch()
    assert first_page(tmp_path) == "/lab/tree/lessons/00_measure_first.ipynb"


@pytest.mark.skipif(os.name != "posix", reason="user ids")
def test_root_is_allowed_only_for_root(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--allow-root" not in server_arguments(tmp_path, "/lab", None, None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--allow-root" in server_arguments(tmp_path, "/lab", None, None)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.skipif(os.name != "posix", reason="stops the server by SIGINT")
def test_lab_serves_the_page_it_prints_to_this_machine_alone() -> None:
    command = [sys.executable, "-m", "ragcourse", "lab", "--no-browser", "--port", str(free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout
    try:
        line = server.stdout.readline()
        assert line.startswith("JupyterLab is at http://127.0.0.1:"), line
        address, _, path = line.split("//")[1].strip().partition("/")
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        page = answer.read().decode()
        assert answer.status == 200
        assert "jupyter-config-data" in page
        connection.request("GET", "/api/contents")
        assert connection.getresponse().status == 403, "without the token nothing is shown"
        connection.close()
        taken = subprocess.run(command, capture_output=True, text=True)
        assert (taken.returncode, taken.stdout) == (1, "")
        assert re.match(r"ragcourse: port \d+ cannot be used \(.+\); name another", taken.stderr)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        server.stdout.close()
