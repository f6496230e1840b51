"""What a start of a knowledge base did."""

from __future__ import annotations

from dataclasses import dataclass, field

from ragcourse.timing import format_seconds

_SHOWN = 10  # skipped files that a report prints by name


@dataclass(slots=True)
class StartReport:
    """What a start did. Lists hold document ids; ``skipped`` pairs of file and reason."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    recovered: int = 0  # nodes of an interrupted change that were cleared away
    nodes: dict[str, int] = field(default_factory=dict)  # group → nodes after the start
    seconds: float = 0.0

    @property
    def warm(self) -> bool:
        """True if nothing had to be read, cut or embedded."""
        return not (self.added or self.changed or self.removed)

    def __str__(self) -> str:
        nodes = ", ".join(f"{count:,} {group}" for group, count in self.nodes.items())
        text = (
            f"{'warm' if self.warm else 'cold'} start in {format_seconds(self.seconds)}: "
            f"{len(self.added)} added, "
            f"{len(self.changed)} changed, {len(self.removed)} removed, {len(self.unchanged)} unchanged; "
            f"{nodes or 'no'} nodes"
        )
        shown = [f"{name}: {reason}" for name, reason in self.skipped[:_SHOWN]]
        more = (
            [f"{len(self.skipped) - _SHOWN} more: see report.skipped"] if len(self.skipped) > _SHOWN else []
        )
        return "\n  skipped ".join([text, *shown, *more])
