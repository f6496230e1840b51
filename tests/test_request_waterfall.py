"""The widget of lesson 00: what it adds up, what it says, and that it measures the real pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ragcourse.timing import Span, Trace
from ragcourse.widgets.request_stages import STAGES, STORES, measure_stages, stage_seconds
from ragcourse.widgets.request_waterfall import AXES, RequestWaterfall, request_stages

COLD = {
    "scan folder": 0.25,
    "open store": 0.5,
    "compare files": 0.125,
    "read": 4.0,
    "split": 1.0,
    "embed passages": 2.0,
}
WARM = {"scan folder": 0.25, "open store": 0.5, "compare files": 0.125}
ASK = {"embed question": 0.001, "search": 0.002, "generate": 0.005}
MEASURED: dict[str, Any] = {
    "stores": {
        store: {"cold": COLD | {"write": write}, "warm": WARM, "ask": ASK}
        for store, write in zip(STORES, (0.25, 1.0, 3.0), strict=True)
    },
    "load model": 0.5,
    "look up answer": 1e-7,
}
OFF = {"store": "file", "axis": AXES[0], "kept": False, "opened": False, "loaded": False, "asked": False}


def run(**switches: Any) -> dict[str, Any]:
    return RequestWaterfall.run({**OFF, **switches, "measured": MEASURED})


def stages(**switches: Any) -> dict[str, float]:
    return request_stages({**OFF, **switches, "measured": MEASURED})


def test_with_every_switch_off_nothing_has_changed() -> None:
    result = run()
    assert result["total"] == result["total_before"]
    assert result["total"] == pytest.approx(sum(COLD.values()) + 1.0 + 0.5 + sum(ASK.values()))
    assert result["worst"] == "read"
    assert "no faster" in result["summary"]


def test_each_switch_takes_its_own_stages_away() -> None:
    everything = set(stages())
    assert everything - set(stages(kept=True)) == {"read", "split", "embed passages", "write"}
    assert everything - set(stages(loaded=True)) == {"load model"}
    assert set(stages(opened=True)) == {"load model", *ASK}
    assert set(stages(opened=True, loaded=True)) == set(ASK)
    assert stages(asked=True) == {"look up answer": 1e-7}


def test_a_store_in_memory_keeps_nothing_and_says_so() -> None:
    assert stages(store="memory", kept=True) == stages(store="memory")
    assert "keeps nothing" in run(store="memory", kept=True)["summary"]
    assert "keeps nothing" not in run(store="memory", kept=True, opened=True)["summary"]


def test_the_store_decides_what_writing_costs() -> None:
    assert [stages(store=store)["write"] for store in STORES] == [0.25, 1.0, 3.0]


def test_stages_follow_each_other_and_fill_the_whole() -> None:
    for switches in ({}, {"kept": True}, {"opened": True, "loaded": True}, {"asked": True}):
        result = run(**switches)
        end = 0.0
        for row in result["rows"][1:]:
            assert row["began"] == pytest.approx(end)
            end += row["after"] or 0.0
        assert end == pytest.approx(result["total"]) and result["rows"][0]["after"] == pytest.approx(end)
        assert [row["stage"] for row in result["rows"]] == ["whole request", *STAGES]
        assert [row["stage"] for row in result["rows"] if row["worst"]] == [result["worst"]]


def test_the_summary_is_amdahl_s_law() -> None:
    seconds = stages(kept=True)
    total, worst = sum(seconds.values()), max(seconds.values())
    summary = run(kept=True)["summary"]
    assert f"gone, {total / (total - worst):.3g} times faster" in summary
    assert (
        f"Twice as fast, it would make the request {total / (total - worst / 2):.3g} times faster" in summary
    )


def test_the_axis_fits_what_it_shows() -> None:
    assert run(kept=True)["end"] == run()["total"]
    zoomed = run(kept=True, axis=AXES[1])
    assert zoomed["end"] == zoomed["total"]
    low, high = run(asked=True, axis=AXES[2])["decades"]
    assert 10.0**low <= 1e-7 and 10.0**high >= run()["total"]


def test_every_axis_has_a_picture_of_its_own_and_what_was_measured_stays_in_python() -> None:
    widget = RequestWaterfall(measured=MEASURED, store="file", kept=True)
    pictures = set()
    for widget.axis in AXES:
        assert widget.png().startswith(b"\x89PNG")
        pictures.add(widget.png())
    assert len(pictures) == len(AXES)
    assert "measured" not in repr(widget)
    assert "measured" not in widget.get_state()


def test_own_times_of_a_trace_add_up_to_it() -> None:
    trace = Trace()
    trace.spans = [
        Span("request", 0.0, 10.0),
        Span("recall", 0.0, 6.0, 1, 0),
        Span("embed query", 0.0, 2.0, 2, 1),
        Span("search", 2.0, 3.0, 2, 1),
        Span("a stage of a later version", 2.5, 0.5, 3, 3),
        Span("generate", 6.0, 3.5, 1, 0),
    ]
    assert stage_seconds(trace) == {"embed question": 2.0, "search": 4.0, "generate": 4.0}


def test_the_real_pipeline_is_measured_stage_by_stage(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "one.md").write_text("# Warm start\n\nA warm start skips parsing. It opens the store.", "utf-8")
    measured = measure_stages(
        folder, "What is skipped?", stores=("memory", "file"), warm=1, asked=3, progress=False
    )
    memory, file = measured["stores"]["memory"], measured["stores"]["file"]
    cold = {"scan folder", "open store", "compare files", "read", "split", "embed passages", "write"}
    assert set(memory["cold"]) == set(file["cold"]) == cold
    assert set(file["warm"]) == {"scan folder", "open store", "compare files"}  # a warm start reads no file
    asked = {"embed question", "search", "fetch passages", "generate"}
    assert set(memory["ask"]) == set(file["ask"]) == asked
    assert memory["cold"]["read"] == file["cold"]["read"] != memory["cold"]["write"]
    times = [
        *memory["cold"].values(),
        *file["warm"].values(),
        measured["load model"],
        measured["look up answer"],
    ]
    assert all(seconds > 0 and math.isfinite(seconds) for seconds in times)
    assert measured["look up answer"] < 1e-3 < measured["load model"]
