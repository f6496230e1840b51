"""The widget of lesson 05, its pictures, and its example in the library."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ragcourse.grading.contracts.pq_encode import CODEBOOKS, FOUR
from ragcourse.grading.contracts.pq_search import FOUR_CODES, QUERY
from ragcourse.indexes.vectors.pq import PQ, ProductQuantizer
from ragcourse.widgets import pq_codebooks as widget
from ragcourse.widgets import pq_pictures as pictures
from ragcourse.widgets.pq_codebooks import BOOKS, DATA, ITERATIONS, MAX_BITS, POINTS, CodebookPlane

DEFAULTS = {"data": DATA[0], "books": BOOKS[0], "bits": 6, "rerank": 0, "x": 0.28, "y": 0.12}


def test_the_library_misses_x4_too_and_finds_it_among_three() -> None:
    quantizer = ProductQuantizer.from_codebooks(CODEBOOKS)
    assert (quantizer.encode(FOUR) == FOUR_CODES).all()
    index = PQ(4, quantizer=quantizer, rerank=3)
    index.add(FOUR)
    by_codes = index.search(QUERY, 4, rerank=0)
    assert by_codes.ids[3] == 1 and set(by_codes.ids[:2]) == {0, 2} and by_codes.ids[2] == 3
    assert np.allclose(by_codes.scores, [-0.03, -0.03, -0.04, -0.07], atol=1e-5)
    found = index.search(QUERY, 1, rerank=3)
    assert found.ids[0] == 3 and np.isclose(found.scores[0], -0.02, atol=1e-5)


# ---- the widget ----


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("books", BOOKS)
def test_the_plane_agrees_with_a_search_over_decoded_points(data: str, books: str) -> None:
    for bits in (1, 5, MAX_BITS):
        params = DEFAULTS | {"data": data, "books": books, "bits": bits}
        result = CodebookPlane.run(params)
        points, _ = widget.plane(data)
        trained = widget.train(data, books == BOOKS[0], bits)
        last = [book[-1] for book in trained.books]
        decoded = np.concatenate([book[trained.codes[-1, :, j]] for j, book in enumerate(last)], axis=1)
        query = np.array([params["x"], params["y"]])
        estimates = ((decoded - query) ** 2).sum(axis=1)
        flags = result["flags"][-1]
        returned, true = flags & widget.RETURNED > 0, flags & widget.TRUE > 0
        assert returned.sum() == true.sum() == widget.K
        assert estimates[returned].max() <= estimates[~returned].min() + 1e-5
        exact = ((points - query) ** 2).sum(axis=1)
        assert exact[true].max() <= exact[~true].min()
        assert np.isclose(((points - decoded) ** 2).sum(axis=1).mean(), result["errors"][-1], rtol=1e-3)


def test_every_point_has_the_code_of_its_nearest_codeword() -> None:
    for grid in (True, False):
        trained = widget.train(DATA[1], grid, 6)
        points, _ = widget.plane(DATA[1])
        for j, book in enumerate(trained.books):
            piece = points[:, j : j + 1] if grid else points
            for step in (0, 3, ITERATIONS):
                squared = ((piece[:, None] - book[step]) ** 2).sum(axis=2)
                chosen = np.take_along_axis(squared, trained.codes[step, :, j].astype(int)[:, None], axis=1)
                assert (chosen[:, 0] <= squared.min(axis=1) + 1e-5).all()


def test_training_never_makes_the_error_larger_and_bits_make_it_smaller() -> None:
    for grid in (True, False):
        errors = [widget.train(DATA[0], grid, bits).errors for bits in range(1, MAX_BITS + 1)]
        for run_ in errors:
            assert all(later <= earlier + 1e-6 for earlier, later in pairwise(run_))
        ends = [run_[-1] for run_ in errors]
        assert ends == sorted(ends, reverse=True)


def test_more_bits_and_a_longer_short_list_find_more() -> None:
    for data in DATA:
        for grid in (True, False):
            curve = [widget.recall_at(data, grid, bits, 0) for bits in range(1, MAX_BITS + 1)]
            assert curve[-1] > 0.5 > 0.1 > curve[0]
            assert widget.recall_at(data, grid, 6, 60) > widget.recall_at(data, grid, 6, 0) + 0.2
    plain, product = (widget.recall_at(DATA[1], grid, 8, 0) for grid in (False, True))
    assert plain > product + 0.1  # on a diagonal band most cells of the grid are empty


def test_reranking_returns_the_nearest_of_the_short_list() -> None:
    params = DEFAULTS | {"rerank": 30}
    flags = CodebookPlane.run(params)["flags"][-1]
    points, _ = widget.plane(DATA[0])
    exact = ((points - np.array([params["x"], params["y"]])) ** 2).sum(axis=1)
    short, returned = flags & widget.SHORTLIST > 0, flags & widget.RETURNED > 0
    assert short.sum() == 30 and returned.sum() == widget.K and (short | ~returned).all()
    assert exact[returned].max() <= exact[short & ~returned].min()


def test_the_widget_answers_a_drag_and_draws() -> None:
    plane = CodebookPlane()
    assert plane.png().startswith(b"\x89PNG")
    before = plane.result["flags"][-1].copy()
    plane.x = -0.6
    assert np.isclose(plane.result["query"][0], -0.6) and (plane.result["flags"][-1] != before).any()
    plane.books = BOOKS[1]
    assert f"{2**plane.bits} codewords in one codebook" in plane.result["summary"]
    assert plane.result["flags"].shape == (ITERATIONS + 1, POINTS)
    assert plane.png().startswith(b"\x89PNG")


def test_memory_counts_codes_and_codebooks() -> None:
    facts = dict(CodebookPlane.run(DEFAULTS | {"books": BOOKS[1], "bits": 8})["facts"])
    assert facts["bytes: codes + codebooks"] == f"{POINTS + 256 * 8:,} of {POINTS * 8:,}"
    facts = dict(CodebookPlane.run(DEFAULTS | {"bits": 8})["facts"])
    assert facts["bytes: codes + codebooks"] == f"{POINTS + 2 * 16 * 4:,} of {POINTS * 8:,}"


# ---- the pictures ----


def test_each_picture_shows_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plt, "show", lambda: None)
    pictures.draw_halves(FOUR, QUERY, CODEBOOKS, FOUR_CODES)
    assert [axes.get_title() for axes in plt.gcf().axes] == ["sub-space 0", "sub-space 1"]
    texts = {text.get_text() for text in plt.gcf().axes[1].texts}
    assert texts == {"X1", "X2", "X3", "X4", "word 0", "word 1"}
    shares = np.full(8, 1 / 8)
    pictures.draw_shares(shares, shares)
    assert len(plt.gca().patches) == 8
    pictures.draw_shortlists({8: np.arange(20), 16: np.arange(20), 32: np.zeros(20)})
    assert plt.gca().lines[-1].get_ydata()[0] == 1.0
    pictures.draw_race({"Flat": 400.0, "PQ": 100.0}, {"Flat": 1.0, "PQ": 0.7}, [])
    assert {text.get_text() for text in plt.gca().texts} == {"Flat", "PQ"}
    pictures.draw_sizes({4: (0.2, 0.7), 16: (0.5, 0.9), 1024: (1.0, 1.0)}, plain=1024)
    assert [label.get_text() for label in plt.gca().get_xticklabels()] == ["4\n1/256", "16\n1/64", "1,024\n1"]
    plt.close("all")
