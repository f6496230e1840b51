"""The parameters of a widget: traits that the front end shows as a control, and data that only Python sets.

Each returns a traitlets trait, to be assigned in the class body of a `CourseWidget`; its name is the key in
`params`, its position in the class the order on the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets


def checkbox(label: str, default: bool = False) -> Any:
    """Return a True/False parameter with a check box."""
    return traitlets.Bool(default).tag(sync=True, control={"kind": "checkbox", "label": label})


def slider(label: str, low: float, high: float, default: float, *, step: float = 1, unit: str = "") -> Any:
    """Return a number from `low` to `high` with a slider; an int when all of them are."""
    if not low <= default <= high or step <= 0:
        raise ValueError(f"slider {label!r}: {low} ≤ default {default} ≤ {high} and step > 0 do not hold")
    whole = all(isinstance(value, int) for value in (low, default, step))
    kind: Any = traitlets.Int if whole else traitlets.Float
    control = {"kind": "slider", "label": label, "low": low, "high": high, "step": step, "unit": unit}
    return kind(default, min=low, max=high).tag(sync=True, control=control)


def choice(label: str, options: Sequence[str], default: str | None = None) -> Any:
    """Return one of several texts, the first by default, with a drop-down list."""
    control = {"kind": "choice", "label": label, "options": list(options)}
    return traitlets.Enum(list(options), options[0] if default is None else default).tag(
        sync=True, control=control
    )


def fixed(default: object = None) -> Any:
    """Return a parameter that only Python sets (measured data); it is not sent to the front end."""
    return traitlets.Any(default).tag(fixed=True)
