"""The base of the widgets without a screen: parameters, results, the saved picture, the module."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from traitlets import TraitError

from ragcourse.widgets import bars
from ragcourse.widgets.bars import Bar, bars_result, format_tick, format_value
from ragcourse.widgets.base import HERE, CourseWidget, pack
from ragcourse.widgets.controls import slider
from tests.toy_widgets import Disc, Waiting

PNG = b"\x89PNG"


def test_run_needs_no_widget() -> None:
    result = Waiting.run({"cached": True, "hits": 5, "route": "dense", "embed_s": 0.012})
    assert result["summary"] == "32.0 ms before, 12.7 ms now"
    assert [bar["label"] for bar in result["bars"]][-2:] == ["embed", "search"]


def test_a_parameter_set_in_python_or_by_the_page_gives_a_new_result() -> None:
    waiting = Waiting(hits=3)
    first = waiting._result["number"]
    waiting.hits = 4
    assert waiting.result["summary"].startswith("28.0 ms before")
    waiting.set_state({"cached": True})  # what a click sends
    assert waiting.result["summary"].endswith("12.7 ms now")
    assert waiting._result["number"] == first + 2


def test_only_controls_are_sent_in_their_order_and_data_stays_in_python() -> None:
    state = Waiting(embed_s=0.5).get_state()
    assert [control["name"] for control in state["_controls"]] == ["cached", "hits", "route"]
    assert "embed_s" not in state
    assert state["_player"]["speeds"] == (0.1, 1.0)
    assert Disc().get_state()["_player"] is None
    json.dumps({key: value for key, value in state.items() if key != "layout"})


def test_bad_parameters_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="no parameter 'hit'; it has: cached, hits, route, embed_s"):
        Waiting(hit=3)
    with pytest.raises(TraitError, match="hits"):
        Waiting(hits=21)
    with pytest.raises(TraitError, match="route"):
        Waiting(route="both")
    with pytest.raises(ValueError, match="slider 'Hits'"):
        slider("Hits", 1, 5, 7)


def test_an_error_in_run_reaches_the_page_and_the_caller() -> None:
    disc = Disc()
    with pytest.raises(ValueError, match="13 is not drawn"):
        disc.radius = 13
    assert disc._error == "ValueError: 13 is not drawn here"
    disc.radius = 14
    assert disc._error == ""


@pytest.mark.parametrize("kind", [Waiting, Disc])
def test_what_is_saved_shows_a_picture_and_a_stable_text(kind: type[CourseWidget]) -> None:
    data, _ = kind()._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert data["text/plain"] == kind()._repr_mimebundle_()[0]["text/plain"]
    assert kind().png() == kind().png()


def test_the_picture_shows_the_present_result() -> None:
    assert Waiting(hits=2).png() != Waiting(hits=9).png()


def test_the_module_is_the_base_the_script_and_one_line() -> None:
    module = Disc()._esm
    assert module.startswith((HERE / "base.js").read_text("utf-8"))
    assert module.endswith("export default { render: (context) => lm.mount(context, { draw, height }) };\n")
    assert Waiting()._esm.endswith("lm.mount(context, {  }) };\n")


def test_a_script_without_draw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.js"
    path.write_text("function setup() {}")
    with pytest.raises(ValueError, match=r"must define function draw\(g, result, view\)"):
        type("Broken", (CourseWidget,), {"script": path})


def test_a_widget_without_run_says_so() -> None:
    with pytest.raises(TypeError, match=r"defines run\(params\)"):
        type("Empty", (CourseWidget,), {})()


def test_results_are_packed_for_the_page() -> None:
    packed = pack({"a": np.array([[1, 2]], np.int32), "b": (np.float64(1.5), math.nan, None, True, "x")})
    assert packed["a"] == {"dtype": "int32", "shape": [1, 2], "bytes": b"\x01\0\0\0\x02\0\0\0"}
    assert packed["b"] == [1.5, None, None, True, "x"]
    assert pack(np.array([1.0], ">f4"))["bytes"] == np.array([1.0], "<f4").tobytes()
    with pytest.raises(TypeError, match="not int64"):
        pack(np.array([1], np.int64))
    with pytest.raises(TypeError, match="not set"):
        pack({"a": set()})


def test_bars_need_a_length_and_take_an_axis() -> None:
    result = bars_result([Bar("a", 1, 2), Bar("b", 0, 1)], "two")
    assert (result["end"], result["duration"]) == (3, 3)
    assert bars_result([Bar("a", 1, 2)], "one", end=10, duration=4)["duration"] == 4
    with pytest.raises(ValueError, match="length above 0"):
        bars_result([Bar("a")], "none")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (4.2e-7, "0.42 µs"),
        (0.0345, "34.5 ms"),
        (0.5, "500 ms"),
        (17.74, "17.7 s"),
        (130, "130 s"),
    ],
)
def test_seconds_are_written_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert format_value(seconds) == text


def test_marks_of_an_axis_share_a_unit() -> None:
    assert [format_tick(value, 0.03) for value in (0, 0.01, 0.02)] == ["0 ms", "10 ms", "20 ms"]
    assert format_tick(2.5, 10, "MB") == "2.5 MB"


def test_python_and_javascript_use_the_same_colours() -> None:
    source = (HERE / "base.js").read_text("utf-8")
    assert json.dumps(list(bars.COLOURS)) in source


def test_the_base_class_is_usable_as_its_text_says() -> None:
    class Tiny(CourseWidget):
        hits = slider("Hits", 1, 3, 2)

        @staticmethod
        def run(params: Mapping[str, Any]) -> dict[str, Any]:
            return bars_result([Bar("search", 0, params["hits"])], f"{params['hits']} hits", unit="hits")

    assert repr(Tiny()) == "Tiny(hits=2)" and Tiny().png().startswith(PNG)
