"""``ragcourse demo NAME``: one page on this machine, and behind it one kernel, until Ctrl-C.

Voilà 0.5.13 was tried first. It shows what a cell displays when the cell has ended, so that half a minute of
measuring looks like a page that hangs, and it asks a server on the internet for a stylesheet.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import webbrowser
from contextlib import suppress
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ragcourse.demo.catalogue import Demo, DemoError, sources
from ragcourse.demo.session import Event, Session
from ragcourse.lab import check_port

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1"
FIRST_PORT, PORTS = 8890, 50


def serve(demo: Demo, port: int | None, browser: bool) -> None:
    """Show a demo until Ctrl-C; its address is printed. Raises `DemoError` and `LabError`."""
    if port is not None:
        check_port(port)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(demo, port, browser))


async def _serve(demo: Demo, port: int | None, browser: bool) -> None:
    token = secrets.token_urlsafe(18)  # in the address: other users of this machine do not know it
    pages: set[_Talk] = set()

    def tell(event: Event) -> None:
        for page in list(pages):
            page.say(event)

    with TemporaryDirectory(prefix="ragcourse-demo-", ignore_cleanup_errors=True) as scratch:
        session = Session(sources(demo), demo.notebook.parent, tell)
        routes: list[Any] = [
            (f"/{token}/", _Page, {"demo": demo}),
            (f"/{token}/talk", _Talk, {"session": session, "pages": pages}),
        ]
        server = HTTPServer(Application(routes, websocket_ping_interval=20))
        port = _listen(server, port)
        address = f"http://{ADDRESS}:{port}/{token}/"
        print(f"{demo.about}\nThe demo is at {address}\nCtrl-C stops it.", flush=True)
        running = asyncio.create_task(session.run(scratch=Path(scratch)))
        try:
            if browser:
                webbrowser.open(address)
            await _until_stopped(running)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await session.stop()
            for page in list(pages):
                page.close(1001, "stopped")
            server.stop()
            await server.close_all_connections()


def _listen(server: HTTPServer, port: int | None) -> int:
    """Open the port, or the first free one; return it."""
    for candidate in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS):
        with suppress(OSError):
            server.add_sockets(bind_sockets(candidate, ADDRESS))
            return candidate
    raise DemoError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free; name one with --port")


async def _until_stopped(running: asyncio.Task[None]) -> None:
    """Wait for Ctrl-C or SIGTERM. A demo that failed stays, for its page says why."""
    stopped = asyncio.Event()
    if sys.platform != "win32":  # there Ctrl-C arrives as KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()  # an error of ours is not to be hidden
    await waiting


class _Page(RequestHandler):
    """The page: one file, with style and script in it."""

    def initialize(self, demo: Demo) -> None:
        self._demo = demo

    def get(self) -> None:
        parts = {name: (HERE / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
        page = parts["html"]
        for mark, text in {
            "ABOUT": escape(self._demo.about),
            "NAME": escape(self._demo.name),
            "LESSON": self._demo.lesson,
            "STYLE": parts["css"],
            "SCRIPT": parts["js"],
        }.items():
            page = page.replace(f"@{mark}@", text)
        self.set_header("Cache-Control", "no-store")
        self.finish(page)


class _Talk(WebSocketHandler):
    """Events to a page; from it, values of the widget that it has changed."""

    def initialize(self, session: Session, pages: set[_Talk]) -> None:
        self._session, self._pages = session, pages

    def open(self, *args: str, **kwargs: str) -> None:
        self.say(self._session.snapshot())
        self._pages.add(self)

    def on_message(self, message: str | bytes) -> None:
        change = json.loads(message)
        self._session.change(change["model"], change["state"], change["page"])

    def on_close(self) -> None:
        self._pages.discard(self)

    def say(self, event: Event) -> None:
        with suppress(WebSocketClosedError):
            self.write_message(json.dumps(event))
