"""A progress bar for what takes long, in a terminal (on standard error) or a notebook; or none."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress:
    """``with Progress(shown) as bar: bar.begin("reading", total=70); bar.advance()``"""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: RichProgress | None = None

    def begin(self, what: str, total: int) -> None:
        """Start a new bar of ``total`` steps below the ones before it."""
        if not self._shown:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(console=Console(stderr=True), transient=True)
            self._bar.start()
        self._task = self._bar.add_task(what, total=total)

    def advance(self, steps: int = 1) -> None:
        """Some steps of the last bar are done."""
        if self._bar is not None:
            self._bar.advance(self._task, steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
