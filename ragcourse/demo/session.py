"""A kernel that runs the cells of a demo, and what a page has to know to show where it stands.

A page is told *events*: dictionaries of JSON values with the key "kind". Bytes in a widget's state travel as
``{"base64": …}``. A page that comes later, or is loaded again, gets `Session.snapshot` and sees the same.

==========  ==============================================================================================
progress    "text" in plain words, "done" from 0 to 1
widget      "model" (its id) and "state", which has the widget's JavaScript under "_esm"
state       "model" and "state": the values that have changed; "by" names the page that changed them, or ""
picture     "mime", one of `PICTURES`, and "data"
failed      "text" in plain words, "advice", and "details": the end of a traceback, or ""
==========  ==============================================================================================
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from ragcourse.lab import KERNEL_OF_THIS_ENVIRONMENT

Event = dict[str, Any]

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/svg+xml", "image/png")
SHARP_PICTURES = "%matplotlib inline\n%config InlineBackend.figure_formats = ['svg']"
KERNEL_START_S = 60.0
_LIFE_SIGN_S = 1.0
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s?%")
_COUNT = re.compile(r"\b(\d+) of (\d+)\b")
_BAR = re.compile(r"[\u2500-\u259f]+")


class CellFailed(RuntimeError):
    """A cell raised or cannot be shown. ``details``: the traceback, if there is one."""

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.details = details


class Session:
    """Runs ``cells`` in a kernel that works in ``folder``, and reports to ``tell``."""

    def __init__(self, cells: Sequence[str], folder: Path, tell: Callable[[Event], None]) -> None:
        self._cells, self._folder, self._tell = cells, folder, tell
        self._manager = AsyncKernelManager(kernel_name="python3")
        self._client: AsyncKernelClient | None = None
        self._models: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}  # by a page, and not yet sent to the kernel
        self._busy_with = ""  # the change that the kernel works on
        self._stage: Event = {"kind": "progress", "text": "Starting Python …", "done": 0.0}
        self._shown: Event | None = None

    def snapshot(self) -> Event:
        """The event that brings a new page to where the others are."""
        if self._shown and self._shown["kind"] == "widget":
            return {**self._shown, "state": self._models[self._shown["model"]]}
        return self._shown or self._stage

    async def run(self, *, scratch: Path) -> None:
        """Run the cells, then serve the widget until the kernel ends; what fails is told, not raised.

        ``scratch``: where the kernel's temporary files go.
        """
        try:
            await self._start(scratch)
            await self._run_cell(SHARP_PICTURES, 0.0)
            for number, cell in enumerate(self._cells):
                done = number / len(self._cells)
                self._progress(f"Preparing, step {number + 1} of {len(self._cells)} …", done)
                last = await self._run_cell(cell, done)
            self._show(last)
            while True:
                await self._next_message()
        except CellFailed as error:
            advice = "The command “ragcourse doctor” tries each part of the course and says how to mend it."
            self._show({"kind": "failed", "text": str(error), "advice": advice, "details": error.details})

    async def stop(self) -> None:
        """End the kernel and every process that it has started."""
        if self._client is not None:
            self._client.stop_channels()
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)

    def change(self, model: str, state: Mapping[str, Any], page: str) -> None:
        """A page has set values of a widget. While the kernel works, only the newest of each are kept."""
        if model not in self._models or self._client is None:
            return
        self._models[model] |= state
        self._changed.setdefault(model, {}).update(state)
        self._tell({"kind": "state", "model": model, "state": dict(state), "by": page})
        self._send_change()

    def _send_change(self) -> None:
        if self._busy_with or not self._changed or self._client is None:
            return
        model, state = self._changed.popitem()
        data = {"method": "update", "state": state, "buffer_paths": []}
        message = self._client.session.msg("comm_msg", {"comm_id": model, "data": data})
        self._busy_with = message["header"]["msg_id"]
        self._client.shell_channel.send(message)

    async def _start(self, scratch: Path) -> None:
        environment = {**os.environ, **KERNEL_OF_THIS_ENVIRONMENT, "TMPDIR": str(scratch)}
        nowhere = asyncio.subprocess.DEVNULL
        try:
            await self._manager.start_kernel(
                cwd=str(self._folder), env=environment, stdout=nowhere, stderr=nowhere
            )
            self._client = self._manager.client()
            self._client.start_channels()
            await self._client.wait_for_ready(timeout=KERNEL_START_S)
        except (OSError, RuntimeError) as error:
            raise CellFailed(f"Python could not be started for the demo: {error}") from error

    async def _run_cell(self, cell: str, done: float) -> Event | None:
        """Run one cell; return the last widget or picture that it displayed."""
        assert self._client is not None
        shown: Event | None = None
        request = self._client.execute(cell, allow_stdin=False)
        while True:
            kind, content, parent = await self._next_message()
            if parent != request:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                return shown
            if kind == "error":
                trace = _ANSI.sub("", "\n".join(content["traceback"]))
                raise CellFailed(
                    f"The demo stopped at an error. {content['ename']}: {content['evalue']}", trace
                )
            if kind in ("display_data", "execute_result", "update_display_data"):
                shown = self._picture(content["data"]) or shown
                self._report(content["data"], done)
            elif kind == "stream" and content["name"] == "stdout":
                self._report({"text/plain": content["text"]}, done)

    async def _next_message(self) -> tuple[str, dict[str, Any], str]:
        """Type, content and cause of the kernel's next message; what widgets say is dealt with."""
        assert self._client is not None
        while True:
            try:
                message = await self._client.get_iopub_msg(timeout=_LIFE_SIGN_S)
                break
            except Empty:
                if not await self._manager.is_alive():
                    text = "Python, which ran the demo, has ended by itself; perhaps the memory was full."
                    raise CellFailed(text) from None
        kind, content = message["msg_type"], message["content"]
        cause = message["parent_header"].get("msg_id", "")
        if kind in ("comm_open", "comm_msg"):
            self._widget_says(content, message["buffers"])
        elif kind == "status" and content["execution_state"] == "idle" and cause == self._busy_with:
            self._busy_with = ""
            self._send_change()
        return kind, content, cause

    def _widget_says(self, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        model, data = content["comm_id"], content["data"]
        if data.get("method", "update") != "update":  # an echo says what the pages have said
            return
        state = data.get("state", {})
        for path, buffer in zip(data.get("buffer_paths", []), buffers, strict=True):
            holder = state
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = {"base64": base64.b64encode(buffer).decode("ascii")}
        self._models.setdefault(model, {}).update(state)
        if self._shown and self._shown.get("model") == model:
            self._tell({"kind": "state", "model": model, "state": state, "by": ""})

    def _picture(self, data: Mapping[str, Any]) -> Event | None:
        model = data.get(WIDGET, {}).get("model_id", "")
        if "_esm" in self._models.get(model, {}):
            return {"kind": "widget", "model": model}
        mime = next((mime for mime in PICTURES if mime in data), None)
        return {"kind": "picture", "mime": mime, "data": data[mime]} if mime else None

    def _report(self, data: Mapping[str, Any], done: float) -> None:
        """Take what a running cell says of itself as progress: its last line, and the share named in it."""
        said = str(data.get("text/markdown") or data.get("text/plain") or "")
        lines = _ANSI.sub("", said).strip().splitlines()
        if not lines or WIDGET in data or data.keys() & set(PICTURES):
            return
        line = " ".join(_BAR.sub(" ", lines[-1]).split())
        part = 0.0
        if share := _SHARE.search(line):
            part, line = float(share[1]) / 100, line[: share.start()].strip()
        elif count := _COUNT.search(line):
            part = (int(count[1]) - 1) / max(1, int(count[2]))
        self._progress(line, done + part / len(self._cells))

    def _progress(self, text: str, done: float) -> None:
        done = max(self._stage["done"], min(1.0, done))
        self._stage = {"kind": "progress", "text": text, "done": done}
        self._tell(self._stage)

    def _show(self, shown: Event | None) -> None:
        if shown is None:
            raise CellFailed(
                "The demo's cell has run, and shows neither a widget of the course nor a picture."
            )
        self._shown = shown
        self._tell(self.snapshot())
