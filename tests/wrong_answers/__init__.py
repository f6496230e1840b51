"""Right answers, stubs and plausible wrong answers to the exercises; one module an exercise.

``right`` and every one of ``ALSO_RIGHT`` must pass, ``stub`` must be told its task, and each of ``WRONG``
(name → implementation, what its first failed check must say) must be rejected. ``forget`` clears what an
answer remembers beyond its own life.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

EXERCISES: dict[str, ModuleType] = {
    file.stem.removeprefix("exercise_").replace("_", "."): import_module(f"{__name__}.{file.stem}")
    for file in sorted(Path(__file__).parent.glob("exercise_*.py"))
}
"""The id of an exercise, such as "3.1" → its module."""
