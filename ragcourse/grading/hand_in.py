"""Hand in an implementation to a judge, from a notebook.

What the learner's code prints is sent along; when the judge gives up, the learner's code is interrupted, so
that a loop without end does not stop the notebook.
"""

from __future__ import annotations

import contextlib
import io
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from types import FrameType
from typing import Any, TextIO

from ragcourse.grading.attempt import MAX_PRINTED
from ragcourse.grading.link import PRINT, Ended, Message
from ragcourse.grading.notebook_link import NotebookLink
from ragcourse.grading.result import Result


@dataclass(frozen=True, repr=False)
class HandedIn(Result):
    """What a check cell shows while it is graded: that the answer was received, and nothing about it."""

    note: str = ""

    @property
    def passed(self) -> bool:
        """False: nobody has told."""
        return False

    def __repr__(self) -> str:
        return f"Exercise {self.exercise}: handed in for grading{self.note and '; '}{self.note}"

    def _repr_html_(self) -> str:
        return f"<div>{escape(repr(self))}</div>"


def hand_in(exercise: str, implementation: object, path: str) -> HandedIn:
    """Hand in to the judge that listens on the unix socket `path`, and serve it until it is done.

    Raises RuntimeError when there is no judge, when it refuses (an unknown exercise, too many hand-ins) and
    when it ends in between.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise RuntimeError(
            f"exercise {exercise} cannot be handed in: no judge answers at {path} ({error})"
        ) from None
    return hand_in_over(sock, exercise, implementation)


def hand_in_over(sock: socket.socket, exercise: str, implementation: object) -> HandedIn:
    """Hand in to the judge at the other end of the socket, as `hand_in` does."""
    end = NotebookLink(sock)
    threading.Thread(target=end.read, daemon=True, name="ragcourse hand-in").start()
    with _interrupts(end), _printed_to(end):
        try:
            answer = end.hand_in(exercise, implementation)
        except (Ended, KeyboardInterrupt) as error:
            if end.stopped:
                raise KeyboardInterrupt from None
            why = str(error) or end.over  # an interrupt may come just behind the learner's code
            raise RuntimeError(f"exercise {exercise}: the judge ended before it was done ({why})") from None
        finally:
            end.close("the hand-in is over")
    if answer.startswith("refused: "):
        raise RuntimeError(f"exercise {exercise}: {answer.removeprefix('refused: ')}")
    return HandedIn(exercise, "", 0, (), answer)


@contextlib.contextmanager
def _interrupts(end: NotebookLink) -> Iterator[None]:
    """Interrupts end the learner's code, whatever handler it has set; a late one does no harm."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if not end.over:  # by the stop button; this thread may be holding a lock of the connection
            end.stopped = True
            threading.Thread(target=end.close, args=("the notebook was interrupted",)).start()
        elif not end.busy:
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        end.forget_thread()
        signal.signal(signal.SIGINT, before)


class _Printed(io.TextIOBase):
    """Stands in for `sys.stdout`: sends a bounded part of what the learner's code prints to the judge."""

    def __init__(self, through: TextIO, end: NotebookLink) -> None:
        self._through, self._end, self._call, self._left = through, end, 0, 0

    def write(self, text: str) -> int:
        end = self._end
        if not end.busy or threading.current_thread() is not end.thread:
            return self._through.write(text)
        if self._call != end.handled:
            self._call, self._left, self._messages = end.handled, MAX_PRINTED + 1, 200
        if self._left > 0 and self._messages and text:
            part = text[: self._left]
            self._left, self._messages = self._left - len(part), self._messages - 1
            end.send(Message(PRINT, 0, end.handled, 0, part.encode("utf-8", "replace")))
        return len(text)

    def flush(self) -> None:
        self._through.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._through, name)


@contextlib.contextmanager
def _printed_to(end: NotebookLink) -> Iterator[None]:
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Printed(out, end), _Printed(err, end)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
