"""Splitters: every token is covered, no chunk is too large, and every node knows its place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse.documents import Document
from ragcourse.paths import HANDBOOK
from ragcourse.readers import read, scan
from ragcourse.splitters import (
    GroupTree,
    NodeGroup,
    RecursiveSplitter,
    Sentences,
    SentenceSplitter,
    TokenSplitter,
    count_tokens,
    cut,
    fingerprint,
)
from ragcourse.splitters.spans import TokenCounter, sentence_spans, token_spans

PIECES = [
    *("word", "Cache", "x", "3.14", "v1.2", "e.g.", "snake_case", "naïve", "don't", "no.", "A.", "z" * 150),
    *(" ", "  ", "\n", "\n\n", "\t", ". ", "! ", "?\n", ", ", "…", "\u3000", "\xa0"),
    *("检索", "。", "ベクトル", "검색", "！", "𠀀", "🙂", "é", "\u200b"),
    *("- ", "1. ", "# ", "```\n", "```py\n", "~~~\n", "| a | b |\n", "**b.** ", "(", '"', ")"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)
SIZES = st.tuples(st.integers(1, 20), st.integers(0, 19)).filter(lambda pair: pair[1] < pair[0])
CHUNKERS = [TokenSplitter, SentenceSplitter, RecursiveSplitter]
Span = tuple[int, int]


def covered(tokens: Iterable[Span], spans: Sequence[Span]) -> bool:
    """Is each token within one of the spans, which are in order?"""
    at = 0
    for start, end in tokens:
        while at < len(spans) and spans[at][1] < end:
            at += 1
        if at == len(spans) or not spans[at][0] <= start:
            return False
    return True


# ---- tokens ----


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's 3.14, snake_case!", ["It", "'", "s", "3", ".", "14", ",", "snake_case", "!"]),
        ("检索 RAG增强", ["检", "索", "RAG", "增", "强"]),
        ("ベクトル 검색 𠀀 豈", [*"ベクトル", *"검색", "𠀀", "豈"]),
        ("größer naïve 10µm", ["größer", "naïve", "10µm"]),
        (" \n\t\u3000\xa0", []),
        ("🙂🙂", ["🙂", "🙂"]),
        ("a" * 100, ["a" * 64, "a" * 36]),  # a key or a blob is not one word
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert [text[start:end] for start, end in token_spans(text)] == tokens
    assert count_tokens(text) == len(tokens)


@given(TEXTS, st.integers(0, 300), st.integers(0, 300))
def test_counting_a_span_counts_the_tokens_that_begin_in_it(text: str, one: int, other: int) -> None:
    span = (min(one, other), max(one, other))
    counter = TokenCounter(text)
    inside = [token for token in token_spans(text) if span[0] <= token[0] < span[1]]
    assert counter.count(span) == len(inside)
    assert counter.within(span) == inside


# ---- sentences ----


@pytest.mark.parametrize(
    "sentences",
    [
        ["See e.g. this one.", "And i.e. That one."],
        ["In Fig. 3 we see it.", "Eq. (2) holds.", "See Sec. 4.1 on p. 7.", "Next."],
        ["Smith et al. (2019) say so.", "Yes."],
        ["Pi is 3.14 and v1.2.3 is out.", "Done."],
        ["U.S. law is odd.", "Indeed."],
        ["Dr. Smith met Mrs. J. R. Jones.", "They left."],
        ["I said no. 5, and the no. of items.", "It is no.", "Really."],
        ["Solve it for x.", "Then for y."],
        ["Version 2.", "It is out."],
        ["Wait... what?", "Yes…", "No!"],
        ["Really?!", 'He said "Go!"', "Then (he left.)", "End."],
        ["**Promise.**", "It is *done.*", "Use `x.`", "Then `a.b`."],
        ["iPhone sells.", "Two of them."],
        ["One line\nand the next.", "Another."],
        ["A paragraph without a stop", "Another: with one.", "last"],
    ],
    ids=lambda sentences: sentences[0],
)
def test_sentences_of_prose(sentences: list[str]) -> None:
    joint = "\n\n" if sentences[-1] == "last" else " "
    text = joint.join(sentences)
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["她说：“你好。”", "他走了。", "真的吗？！", "是的。", "完"],
        ["これはテストです。", "はい！", "「本当？」", "ええ。"],
        ["版本 v1.2 发布了。", "共 3.5 GB！", "用 e.g. 缓存。"],
    ],
)
def test_sentences_of_chinese_and_japanese(sentences: list[str]) -> None:
    text = "".join(sentences)
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("# Title\nText one. Text two", ["# Title", "Text one.", "Text two"]),
        ("Items:\n- one\n- Two. Three\n* x\n1. First\n2. Second", None),
        ("1. First. Second", ["1. First.", "Second"]),
        ("see e.g.\n- this one", ["see e.g.", "- this one"]),
        ("It ends.\n \nlower case goes on", ["It ends.", "lower case goes on"]),
        ("*bold* words\n**more** of them", ["*bold* words\n**more** of them"]),
        (
            "a\n| x. y | Z. W |\n|---|---|\n| 1. | 2 |\nb",
            ["a", "| x. y | Z. W |", "|---|---|", "| 1. | 2 |", "b"],
        ),
        ("Before.\n```python\nx = 1. \n\n# A. B\n```\nAfter. More", None),
        ("````\n```\nA. B\n```\n````\nX y. Z", ["````\n```\nA. B\n```\n````", "X y.", "Z"]),
        ("~~~\nA. B\n```\nC. D\n~~~\nE. F", ["~~~\nA. B\n```\nC. D\n~~~", "E. F"]),
        ("- item\n  ```\n  A. B\n  ```\n- next", ["- item", "```\n  A. B\n  ```", "- next"]),
        ("```\nSay\n``` x. Y```\nThis. That", ["```\nSay\n``` x.", "Y```\nThis.", "That"]),
        ("```x``` is inline. Yes. ```y```", ["```x``` is inline.", "Yes.", "```y```"]),
        ("```\nnever closed. So\n\nit. Goes", ["```\nnever closed.", "So", "it.", "Goes"]),
    ],
)
def test_sentences_of_markdown(text: str, sentences: list[str] | None) -> None:
    if sentences is None:
        sentences = {
            "I": ["Items:", "- one", "- Two.", "Three", "* x", "1. First", "2. Second"],
            "B": ["Before.", "```python\nx = 1. \n\n# A. B\n```", "After.", "More"],
        }[text[0]]
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(TEXTS)
def test_sentences_are_in_order_and_leave_out_white_space_only(text: str) -> None:
    spans = sentence_spans(text)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    assert edges == sorted(edges)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    gaps = [text[end:start] for end, start in zip(edges[::2], edges[1::2], strict=True)]
    assert not "".join(gaps).strip()


@pytest.mark.parametrize(
    "piece",
    ["x. y. ", "```a\n", "~~~ a ~~~\n", '."""" ', "\n", "\n ", "| \t", "# \n", ". ", "。", "e.g. ", "\n1."],
)
@pytest.mark.timeout(30)
def test_no_text_takes_quadratic_time(piece: str) -> None:
    """Ten times the text may take ten times as long; a hundred times would be minutes here."""
    text = piece * (400_000 // len(piece))
    assert covered(token_spans(text), SentenceSplitter(200, 20)(text))


# ---- chunks ----


@pytest.mark.parametrize("chunker", CHUNKERS)
@given(text=TEXTS, sizes=SIZES)
def test_chunks_hold_all_tokens_and_none_too_many(
    chunker: type[TokenSplitter], text: str, sizes: tuple[int, int]
) -> None:
    size, overlap = sizes
    spans = chunker(size, overlap)(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    counter = TokenCounter(text)
    assert all(1 <= counter.count(span) <= size for span in spans)
    assert covered(token_spans(text), spans)
    for before, after in pairwise(spans):
        assert before[0] < after[0]
        assert before[1] < after[1]  # each brings something new
        assert counter.count((after[0], before[1])) <= overlap


@given(text=TEXTS, sizes=SIZES)
def test_token_windows_overlap_by_exactly_so_much(text: str, sizes: tuple[int, int]) -> None:
    size, overlap = sizes
    counter = TokenCounter(text)
    spans = TokenSplitter(size, overlap)(text)
    assert {counter.count(span) for span in spans[:-1]} <= {size}
    assert {counter.count((after[0], before[1])) for before, after in pairwise(spans)} <= {overlap}


def test_sentence_chunks_hold_whole_sentences_and_begin_with_the_last_of_the_chunk_before() -> None:
    text = " ".join(f"Sentence {i} has six tokens." for i in range(9))  # 6 tokens each
    parts = [text[start:end] for start, end in SentenceSplitter(20, 7)(text)]
    assert [re.findall(r"\d", part) for part in parts] == [list("012"), list("234"), list("456"), list("678")]
    without = [text[start:end] for start, end in SentenceSplitter(20, 5)(text)]  # no sentence fits into it
    assert [re.findall(r"\d", part) for part in without] == [list("012"), list("345"), list("678")]


def test_a_sentence_above_the_size_is_cut_between_tokens() -> None:
    text = "Short one. " + " ".join(f"w{i}" for i in range(25)) + " end. Last one."
    parts = [text[start:end] for start, end in SentenceSplitter(10, 0)(text)]
    assert all(count_tokens(part) <= 10 for part in parts)
    assert " ".join(parts) == text


@pytest.mark.parametrize(
    ("text", "size", "parts"),
    [
        ("One two three.\n\nFour five.\n\nSix", 6, ["One two three.", "Four five.\n\nSix"]),
        (
            "One two three.\nFour. Five six seven. Eight",
            4,
            ["One two three.", "Four.", "Five six seven.", "Eight"],
        ),
        ("one two three four five", 2, ["one two", "three four", "five"]),
        (
            "先检索再生成。缓存保存答案。索引加快查找。",
            8,
            ["先检索再生成。", "缓存保存答案。", "索引加快查找。"],
        ),
        ("a,b,c,d", 3, ["a,b", ",c,", "d"]),  # no separator is left: by tokens
    ],
)
def test_recursive_chunks_end_at_the_first_separator_that_will_do(
    text: str, size: int, parts: list[str]
) -> None:
    assert [text[start:end] for start, end in RecursiveSplitter(size, 0)(text)] == parts


def test_separators_can_be_chosen() -> None:
    text = "a,b,c,d e"
    assert [text[i:j] for i, j in RecursiveSplitter(4, 0, separators=(",",))(text)] == ["a,b,", "c,d e"]


@given(text=TEXTS, least=st.integers(0, 12))
def test_sentence_nodes_are_not_too_short(text: str, least: int) -> None:
    spans = Sentences(least)(text)
    counter = TokenCounter(text)
    assert covered(token_spans(text), spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    if len(spans) > 1:
        assert all(counter.count(span) >= least for span in spans)


def test_a_heading_joins_the_sentence_behind_it() -> None:
    text = "# Storage\n\nA log is read again after a crash of the machine. Then it is cut.\n\nEnd."
    assert [text[start:end] for start, end in Sentences(8)(text)] == [
        "# Storage\n\nA log is read again after a crash of the machine. Then it is cut.\n\nEnd."
    ]


@pytest.mark.parametrize("splitter", [*(chunker(8, 2) for chunker in CHUNKERS), Sentences()])
@pytest.mark.parametrize("text", ["", "   \n\t", "word", "\ufeff"])
def test_texts_with_nothing_to_cut(splitter: Callable[[str], list[Span]], text: str) -> None:
    assert [text[start:end] for start, end in splitter(text)] == ([text] if text.strip() else [])


@pytest.mark.parametrize(
    ("size", "overlap", "complaint"),
    [
        (0, 0, "chunk_size is 0; a chunk needs at least 1 token"),
        (10, 10, "chunk_overlap is 10; it must be at least 0 and below chunk_size (10)"),
        (10, -1, "chunk_overlap is -1"),
    ],
)
@pytest.mark.parametrize("chunker", CHUNKERS)
def test_impossible_sizes(chunker: type[TokenSplitter], size: int, overlap: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        chunker(size, overlap)


# ---- groups of nodes ----

PRESETS = ("CoarseChunk", "MediumChunk", "FineChunk", "sentence")


@given(TEXTS)
def test_nodes_of_the_presets_know_their_places_and_parents(text: str) -> None:
    document = Document("a.md", text, {"lang": "en"})
    groups = GroupTree().chain(PRESETS)
    nodes = cut(document, groups)
    by_id = {node.id: node for node in nodes}
    assert len(by_id) == len(nodes)
    for node in nodes:
        assert document.text[node.start : node.end] == node.text
        assert node.text.strip()
        assert (node.document, node.metadata) == ("a.md", {"title": "a", "lang": "en"})
        if node.group == "sentence":
            parent = by_id[node.parent or ""]
            assert parent.group == "MediumChunk"
            assert parent.start <= node.start < node.end <= parent.end
        else:
            assert node.parent is None
    for group in groups:
        spans = sorted((node.start, node.end) for node in nodes if node.group == group.name)
        assert covered(token_spans(text), spans)


def test_the_presets_have_the_usual_sizes() -> None:
    presets = GroupTree().chain(PRESETS)
    sizes = {group.name: getattr(group.transform, "chunk_size", None) for group in presets}
    assert sizes == {"CoarseChunk": 1024, "MediumChunk": 256, "FineChunk": 128, "sentence": None}


def test_cutting_the_handbook_is_the_same_each_time() -> None:
    documents = [read(entry.path, HANDBOOK) for entry in list(scan(HANDBOOK))[:12]]
    groups = GroupTree().chain(PRESETS)
    for document in documents:
        nodes = cut(document, groups)
        assert nodes == cut(document, groups)
        assert all(document.text[node.start : node.end] == node.text for node in nodes)
        assert len({node.id for node in nodes}) == len(nodes)


def test_an_edit_changes_only_the_nodes_behind_it() -> None:
    """Nodes before the edit keep their ids, and with them their vectors and places in the store."""
    text = " ".join(f"Sentence {i} has quite a few more than six tokens." for i in range(90))
    group = [NodeGroup("g", SentenceSplitter(50, 0))]
    before = {node.id for node in cut(Document("a", text), group)}
    after = [node.id for node in cut(Document("a", text.replace("Sentence 80", "Sentence eighty")), group)]
    kept = [node_id in before for node_id in after]
    assert kept[:16] == [True] * 16
    assert not all(kept)


TEXT = "one two, two three"


def custom(transform: Callable[[str], object]) -> list[tuple[str, int, int]]:
    group = NodeGroup("mine", transform)  # type: ignore[arg-type]
    return [(node.text, node.start, node.end) for node in cut(Document("a.md", TEXT), [group])]


@pytest.mark.parametrize(
    ("transform", "nodes"),
    [
        (lambda text: text.split(","), [("one two", 0, 7), ("two three", 9, 18)]),
        (lambda text: ["one two", "two, two"], [("one two", 0, 7), ("two, two", 4, 12)]),  # they overlap
        (lambda text: ["two", "two"], [("two", 4, 7), ("two", 9, 12)]),
        (lambda text: ["A summary.", "three"], [("A summary.", -1, -1), ("three", 13, 18)]),
        (lambda text: ["same", "same"], [("same", -1, -1), ("same", -1, -1)]),
        (lambda text: [(4, 7), (8, 9), (9, 12)], [("two", 4, 7), ("two", 9, 12)]),
        (lambda text: "all of it", [("all of it", -1, -1)]),
        (lambda text: iter(["one", "three"]), [("one", 0, 3), ("three", 13, 18)]),
        (lambda text: [], []),
        (lambda text: ["", "  ", (8, 9)], []),
    ],
)
def test_your_own_function_may_return_strings_or_spans(
    transform: Callable[[str], object], nodes: list[tuple[str, int, int]]
) -> None:
    assert custom(transform) == nodes
    assert all(start == -1 or TEXT[start:end] == text for text, start, end in nodes)


@pytest.mark.parametrize(
    ("transform", "complaint"),
    [
        (lambda text: None, "the splitter of group 'mine' returned a NoneType; return strings, or spans"),
        (lambda text: [1, 2], "the splitter of group 'mine' returned a int"),
        (lambda text: [(0, 99)], "the splitter of group 'mine' returned the span (0, 99) of a text with 18"),
        (lambda text: [(-5, 4)], "returned the span (-5, 4)"),
        (lambda text: [(4, 2)], "returned the span (4, 2)"),
        (lambda text: [b"x"], "the splitter of group 'mine' returned a bytes"),
    ],
)
def test_a_wrong_return_value_is_named(transform: Callable[[str], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        custom(transform)


def test_an_error_in_a_splitter_says_where_it_happened() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        custom(lambda text: [text[: 1 // 0]])
    assert caught.value.__notes__ == ["The splitter of group 'mine' failed on a.md"]


def test_a_group_of_a_group_counts_from_the_beginning_of_the_document() -> None:
    document = Document("a.md", "first part here | second part there")
    halves = NodeGroup("half", lambda text: text.split("|"))
    words = NodeGroup("word", str.split, parent="half")
    summaries = NodeGroup("summary", lambda text: [text.upper()], parent="half")
    below = NodeGroup("below", str.split, parent="summary")
    nodes = cut(document, [halves, words, summaries, below])
    there = next(node for node in nodes if node.text == "there")
    assert document.text[there.start : there.end] == "there"
    assert next(node for node in nodes if node.id == there.parent).text == "second part there"
    assert {node.start for node in nodes if node.group in ("summary", "below")} == {-1}
    assert len({node.id for node in nodes}) == len(nodes)


def test_two_parents_that_share_a_sentence_make_one_node_of_it() -> None:
    text = " ".join(f"Sentence {i} has exactly nine tokens with its stop." for i in range(12))
    groups = [NodeGroup("chunk", SentenceSplitter(40, 20)), NodeGroup("sentence", Sentences(), "chunk")]
    nodes = cut(Document("a", text), groups)
    sentences = [node.text for node in nodes if node.group == "sentence"]
    assert len(sentences) == 12
    assert sum(count_tokens(node.text) for node in nodes if node.group == "chunk") > count_tokens(text)


# ---- fingerprints ----


class Splitter:
    def __init__(self, by: str) -> None:
        self.by = by

    def __call__(self, text: str) -> list[str]:
        return text.split(self.by)

    def method(self, text: str) -> list[str]:
        return text.split(self.by)


def enclosing(value: object) -> Callable[[str], list[str]]:
    return lambda text: [str(value)]


def with_default(value: object) -> Callable[..., list[str]]:
    def split(text: str, by: object = value, *, limit: object = value) -> list[str]:
        return [str(by), str(limit)]

    return split


PAIRS = [
    (SentenceSplitter(256, 25), SentenceSplitter(256, 24)),
    (SentenceSplitter(256, 25), TokenSplitter(256, 25)),
    (RecursiveSplitter(8, 2), RecursiveSplitter(8, 2, separators=("\n",))),
    (Sentences(8), Sentences(9)),
    (Splitter(","), Splitter(";")),
    (Splitter(",").method, Splitter(";").method),
    (Splitter(",").method, Splitter(",")),
    (lambda text: text.split(","), lambda text: text.split(";")),
    (lambda text: text.split(), lambda text: text.splitlines()),
    (lambda text: [c for c in text if c in {"a", "b"}], lambda text: [c for c in text if c in {"a", "c"}]),
    (enclosing(1), enclosing(2)),
    (enclosing(Splitter(",")), enclosing(Splitter(";"))),
    (enclosing(enclosing(1)), enclosing(enclosing(2))),
    (enclosing((Lock(), 1)), enclosing((Lock(), 2))),
    (with_default(1), with_default(2)),
    (partial(re.split, ","), partial(re.split, ";")),
    (re.compile(",").split, re.compile(";").split),
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=range(len(PAIRS)))
def test_a_fingerprint_tells_splitters_apart(
    one: Callable[..., object], other: Callable[..., object]
) -> None:
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


def test_equal_splitters_have_one_fingerprint() -> None:
    assert fingerprint(SentenceSplitter(99, 9)) == fingerprint(SentenceSplitter(99, 9))
    assert fingerprint(Splitter(",")) == fingerprint(Splitter(","))
    assert fingerprint(enclosing(Splitter(","))) == fingerprint(enclosing(Splitter(",")))


def test_fingerprints_are_the_same_in_every_process() -> None:
    """Else each warm start would be a cold one: addresses and the order of sets differ."""
    script = "import tests.test_splitters as t; print([t.fingerprint(f) for pair in t.PAIRS for f in pair])"

    def in_a_process(seed: str) -> bytes:
        root = Path(__file__).parent.parent
        env = os.environ | {"PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", script], env=env, cwd=root)

    assert in_a_process("1") == in_a_process("2")


def test_a_splitter_may_bring_its_own_fingerprint() -> None:
    splitter = Splitter(",")
    splitter.fingerprint = "mine-1"  # type: ignore[attr-defined]
    assert fingerprint(splitter) == "mine-1"


def test_a_function_that_encloses_itself_has_a_fingerprint() -> None:
    def split(text: str) -> list[str]:
        return split(text[1:]) if text else []

    assert fingerprint(split)
