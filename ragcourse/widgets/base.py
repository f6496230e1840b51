"""The base class of the course's widgets: parameters → `run` → a result that is drawn twice.

The result is drawn on a canvas by JavaScript while a kernel is alive, and once by matplotlib as a PNG that is
saved with the notebook, so that GitHub, nbviewer and an untrusted notebook show a picture. A widget is a
class with

- its parameters, made by `checkbox`, `slider`, `choice` and `fixed` (see `controls.py`);
- `run(params)`, a static and pure function from a dictionary of their values to a result, tested without a
  screen: a dictionary of JSON-able values and NumPy arrays, with a sentence under "summary";
- `paint(figure, result)`, which draws the result with matplotlib (default: bars);
- `script`, the path of a JavaScript file with `draw(g, result, view)` (default: bars, see `bars.py`);
- `player`, when the picture moves in time: the canvas is drawn with `view.t` from 0 to `result.duration`.

A complete widget::

    class Waiting(CourseWidget):
        title = "How long a request waits"
        player = Player()
        cached = checkbox("Query cache")
        hits = slider("Hits", 1, 20, 5)

        @staticmethod
        def run(params):
            search = 0.001 if params["cached"] else 0.004 * params["hits"]
            bars = [Bar("embed", 0, 0.010, "10 ms"), Bar("search", 0.010, search, format_value(search),
            colour=1)] return bars_result(bars, f"{format_value(0.010 + search)} in all", end=0.1)

In JavaScript, `g` is a canvas context in CSS pixels, `view` has `width`, `height`, `t`, `theme` (text, dim,
line, font, colours), `params`, `set(name, value)` and `redraw()`, and `lm` has `bars`, `axis`, `text`,
`format`, `ticks`, `button` and `element`. A script may add `height(result, view)` and `setup(view, body)`,
the place for pointer events.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure

from ragcourse.widgets.bars import draw_bars

HERE = Path(__file__).parent
PICTURE_WIDTH = 7.6  # inches
PICTURE_DPI = 110


@dataclass(frozen=True)
class Player:
    """Play, step and restart: `steps` to the end, `speeds` offered, and what shows before the first click."""

    steps: int = 20
    speeds: tuple[float, ...] = (1.0,)
    opens_at: Literal["start", "end"] = "end"


class CourseWidget(anywidget.AnyWidget):
    """Base class; see the module's text. Parameters go by name: `Waiting(hits=3)`, `widget.hits = 4`."""

    title: ClassVar[str] = ""
    script: ClassVar[Path | None] = None
    player: ClassVar[Player | None] = None
    _esm: Any
    _css: Any = (HERE / "base.css").read_text("utf-8")

    _title = traitlets.Unicode().tag(sync=True)
    _controls: Any = traitlets.List().tag(sync=True)
    _player = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    _result = traitlets.Dict().tag(sync=True)
    _error = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_esm" not in vars(
            cls
        ):  # anywidget makes a subclass of its own for each instance, with _esm as a trait
            cls._esm = cls._module()
        super().__init_subclass__(**kwargs)

    @classmethod
    def _module(cls) -> str:
        own = cls.script.read_text("utf-8") if cls.script else ""
        parts = [name for name in ("draw", "height", "setup") if f"function {name}(" in own]
        if own and "draw" not in parts:
            raise ValueError(f"{cls.script} must define function draw(g, result, view)")
        mount = f"export default {{ render: (context) => lm.mount(context, {{ {', '.join(parts)} }}) }};\n"
        return "\n".join([(HERE / "base.js").read_text("utf-8"), own, mount])

    def __init__(self, **params: Any) -> None:
        unknown = sorted(set(params) - set(self._parameters()))
        if unknown:
            known = ", ".join(self._parameters())
            raise TypeError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has: {known}")
        self.result: dict[str, Any] = {}
        controls = [
            {"name": name, **trait.metadata["control"]}
            for name, trait in self._parameters().items()
            if "control" in trait.metadata
        ]
        player = asdict(self.player) if self.player else None
        super().__init__(_title=self.title, _controls=controls, _player=player, **params)
        self._update()
        self.observe(self._update, names=list(self._parameters()))

    @staticmethod
    def run(params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result for these parameters: pure, JSON-able values and NumPy arrays, under 100 ms."""
        raise TypeError("a widget defines run(params)")

    def paint(self, figure: Figure, result: dict[str, Any]) -> None:
        """Draw the result into an empty figure, whose height may be set; by default its bars."""
        figure.set_size_inches(PICTURE_WIDTH, 0.7 + 0.3 * len({bar["label"] for bar in result["bars"]}))
        draw_bars(figure, result)

    def png(self) -> bytes:
        """Return the picture of the present result."""
        figure = Figure(
            figsize=(PICTURE_WIDTH, 3.0), dpi=PICTURE_DPI, layout="constrained", facecolor="white"
        )
        self.paint(figure, self.result)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        """Return the parameter traits by name, in the order in which the classes define them."""
        return {
            name: trait
            for kind in reversed(cls.__mro__)
            for name, trait in vars(kind).items()
            if isinstance(trait, traitlets.TraitType) and trait.metadata.keys() & {"control", "fixed"}
        }

    def _update(self, change: Any = None) -> None:
        try:
            self.result = self.run({name: getattr(self, name) for name in self._parameters()})
            packed = pack(self.result) | {"number": self._result.get("number", 0) + 1}
        except Exception as error:
            self._error = (
                f"{type(error).__name__}: {error}"  # shown in the widget; the traceback goes to the log
            )
            raise
        self._result, self._error = packed, ""

    def __repr__(self) -> str:
        shown = [n for n, trait in self._parameters().items() if "control" in trait.metadata]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = base64.b64encode(self.png()).decode("ascii")
        return {**data, "text/plain": repr(self), "image/png": picture}, metadata


_DTYPES = {"float32", "float64", "int32", "uint8"}


def pack(value: Any) -> Any:
    """Return a result as the front end takes it: arrays as {dtype, shape, bytes}, NaN and inf as None."""
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, np.generic):
        return pack(value.item())
    if isinstance(value, np.ndarray):
        if value.dtype.name not in _DTYPES:
            raise TypeError(f"an array of a result is {', '.join(sorted(_DTYPES))}, not {value.dtype}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"dtype": value.dtype.name, "shape": list(value.shape), "bytes": little.tobytes()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a result holds JSON-able values and arrays, not {type(value).__name__}")
