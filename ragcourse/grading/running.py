"""A sandboxed program while it runs: what it prints, the watch on its limits, and how it ended."""

from __future__ import annotations

import os
import queue
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ragcourse.grading.usage import Limits, Usage, size

TICK = 0.1  # seconds between two looks at what is used
TAIL = 64 << 10  # bytes of output that are kept
PATIENCE = 20.0  # seconds for the launcher to kill what it started
STOPPED = "stopped"


@dataclass(frozen=True)
class Ended:
    """How a program ended. `returncode` is None if it was stopped, and `reason` then says why; a negative one
    is the signal that ended it. `output` is the end of what it printed on stdout and stderr.
    """

    returncode: int | None
    reason: str
    seconds: float
    output: str
    protections: tuple[str, ...]


class Running:
    """A program that `sandbox.start` has started. Leaving a `with` block stops it.

    `pid` is its launcher's: if that dies, so does the program.
    """

    def __init__(
        self,
        launcher: subprocess.Popen[bytes],
        master: socket.socket,
        usage: Usage,
        limits: Limits,
        protections: tuple[str, ...],
        folder: Path | None = None,
    ) -> None:
        self.pid, self.protections = launcher.pid, protections
        self._launcher, self._master, self._usage, self._limits = launcher, master, usage, limits
        self._folder = folder  # a temporary one of its own
        self._begin = time.monotonic()
        self._deadline = self._begin + limits.seconds
        self._reason = ""
        self._printed, self._tail = 0, bytearray()
        self._chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ended: Ended | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._stand_by, daemon=True, name="sandbox watch")
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def lines(self) -> Iterator[str]:
        """The lines of its stdout, without their ends, as they come, until it ends."""
        rest = b""
        while (chunk := self._chunks.get()) is not None:
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")
        self._chunks.put(None)  # for whoever else asks

    def stop(self) -> None:
        """Kill it and all that it started; `wait` returns when that is done."""
        if self._ended is None:
            self._end(STOPPED)

    def wait(self) -> Ended:
        """Wait until nothing of it is left and say how it ended."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        assert self._ended is not None
        return self._ended

    # ---- the watch ----

    def _stand_by(self) -> None:
        try:
            self._ended = self._watch()
        except BaseException as error:  # noqa: BLE001 - the caller of `wait` gets it
            self._failure = error
        finally:
            self._master.close()  # the launcher kills what is left
            try:
                self._launcher.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait()
            for stream in self._streams:
                stream.close()
            self._usage.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._chunks.put(None)

    def _watch(self) -> Ended:
        """Read and look, until the launcher says that it is over."""
        message = b""
        look = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            for stream in self._streams:
                selector.register(stream, selectors.EVENT_READ)
            while self._master in selector.get_map():
                pause = min(look, self._deadline) - time.monotonic()
                for key, _ in selector.select(max(0.0, pause)):
                    data = os.read(key.fd, TAIL)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is self._master:
                        message += data
                    else:
                        self._take(key.fd, data)
                if time.monotonic() > self._deadline:
                    self._out_of_time()
                elif time.monotonic() > look and not self._reason:
                    self._end(self._usage.excess())
                    look = time.monotonic() + TICK
                elif self._reason:
                    look = self._deadline
        seconds = time.monotonic() - self._begin
        self._drain()
        text = message.removeprefix(b"ended").strip()
        code = int(text) if text else None
        reason = "" if self._reason == STOPPED and code is not None else self._reason
        if code is None and not reason:
            reason = "was killed from outside; perhaps the machine ran out of memory"
        output = self._tail[-TAIL:].decode(errors="replace")
        return Ended(None if reason else code, reason, seconds, output, self.protections)

    @property
    def _streams(self) -> list[IO[bytes]]:
        return [stream for stream in (self._launcher.stdout, self._launcher.stderr) if stream is not None]

    def _take(self, stream: int, data: bytes) -> None:
        if self._reason:
            return
        self._printed += len(data)
        self._tail += data
        del self._tail[: -2 * TAIL]
        if stream == self._streams[0].fileno():
            self._chunks.put(data)
        if self._printed > self._limits.output:
            self._end(f"printed more than {size(self._limits.output)}")

    def _drain(self) -> None:
        """Take what still lies in the pipes; a process that has escaped may hold them open."""
        for stream in self._streams:
            os.set_blocking(stream.fileno(), False)
            try:
                while not self._reason and (data := os.read(stream.fileno(), TAIL)):
                    self._take(stream.fileno(), data)
            except BlockingIOError:
                continue

    def _end(self, reason: str) -> None:
        """Have the launcher kill all, if there is a reason and no earlier one."""
        if reason and not self._reason:
            self._reason = reason
            try:
                self._master.shutdown(socket.SHUT_WR)
            except OSError:
                return  # it has just ended

    def _out_of_time(self) -> None:
        if self._reason:
            self._launcher.kill()
        self._deadline = time.monotonic() + PATIENCE
        self._end(f"ran longer than {self._limits.seconds:g} s")
