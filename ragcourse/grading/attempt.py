"""Call code that may loop for ever, print, or raise anything at all, and come back in time.

A Python thread cannot be killed. `attempt` runs the call in a daemon thread and stops waiting at the
deadline; a call that never returns goes on using a core until the kernel is restarted, and the message says
so. It is a help for a learner in their own kernel, not a jail: a score that counts needs a separate process.
"""

from __future__ import annotations

import contextvars
import io
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

MAX_PRINTED = 2_000  # characters kept of what the call printed


@dataclass(frozen=True)
class Attempt:
    """What came of one call: `error` is None when it returned; `finished` is False when time ran out."""

    finished: bool
    error: BaseException | None
    printed: str
    seconds: float


class _Router(io.TextIOBase):
    """Stands in for `sys.stdout`: keeps a bounded part of one thread's text, passes other text on."""

    def __init__(self, through: TextIO, thread: threading.Thread) -> None:
        self._through, self._thread, self._kept = through, thread, ""

    def write(self, text: str) -> int:
        if threading.current_thread() is not self._thread:
            return self._through.write(text)
        self._kept = (self._kept + text)[: MAX_PRINTED + 1]
        return len(text)

    def flush(self) -> None:
        if threading.current_thread() is not self._thread:
            self._through.flush()

    @property
    def kept(self) -> str:
        return self._kept if len(self._kept) <= MAX_PRINTED else self._kept[:MAX_PRINTED] + "\n… and more"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._through, name)


def attempt(call: Callable[[], object], seconds: float) -> Attempt:
    """Run `call()` in a daemon thread for at most `seconds`, catching every exception and what it prints.

    Context variables are passed on. KeyboardInterrupt (the stop button) in the caller's own thread is not
    caught.
    """
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def target() -> None:
        try:
            context.run(call)
        except BaseException as error:  # noqa: BLE001  SystemExit too: exit() must not pass for success
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True, name="ragcourse check")
    out, err = sys.stdout, sys.stderr
    routers = _Router(out, thread), _Router(err, thread)
    sys.stdout, sys.stderr = routers
    start = time.perf_counter()
    try:
        thread.start()
        thread.join(seconds)
        finished = not thread.is_alive()
    finally:
        # While a call is stuck its router stays, or what it prints would flood the notebook.
        if not thread.is_alive():
            sys.stdout, sys.stderr = out, err
    elapsed = time.perf_counter() - start
    return Attempt(
        finished, errors[0] if finished and errors else None, "".join(r.kept for r in routers), elapsed
    )
