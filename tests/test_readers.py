"""Files become documents: the real ones of the handbook, and small ones made to be difficult."""

from __future__ import annotations

import io
import os
import random
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from docx import Document as open_word
from docx.document import Document as WordFile
from reportlab.lib.pagesizes import A5
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

from ragcourse.documents import check_metadata
from ragcourse.paths import DATA, HANDBOOK
from ragcourse.readers import READERS, ReadError, read, scan
from ragcourse.readers.docx import read_docx
from ragcourse.readers.encoding import decode
from ragcourse.readers.html import read_html
from ragcourse.readers.pdf import read_pdf
from ragcourse.readers.text import read_markdown, read_text

# ---- encodings ----

ENGLISH = "A cache keeps what was computed.\nThe next request finds it there.\n"
CHINESE = "向量数据库把文本转换成向量，然后按照相似度查找最接近的内容。\n一个缓存可以减少重复计算的时间。\n"
MIXED = "RAG 先检索 (retrieve)，再生成。KV cache 占用多少显存？\n"
RUSSIAN = "Векторная база данных ищет похожие тексты. Она хранит их в памяти.\n"
GERMAN = "Größe und Übermaß der Tür sind für die Prüfung wichtig. Die Straße ist naß.\n"
FRENCH = "La mémoire cache garde les réponses déjà calculées ; cela dépend de la durée de vie des entrées.\n"
QUOTED = "He said “yes” – it’s fine… the café costs €5.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *product((ENGLISH, CHINESE, MIXED, RUSSIAN, "ab", ""), ("utf-8", "utf-8-sig")),
        *product((ENGLISH, CHINESE, RUSSIAN), ("utf-16", "utf-32")),
        *product((ENGLISH, CHINESE, MIXED, RUSSIAN, GERMAN), ("utf-16-le", "utf-16-be")),
        *product((CHINESE, MIXED, "你好，世界", "中文测试", "这是一个测试文件。"), ("gbk",)),
        (RUSSIAN, "cp1251"),
        *product((GERMAN, FRENCH, QUOTED, "El Niño", "café au lait", "25 °C ± 2 µm"), ("cp1252",)),
    ],
)
def test_text_is_decoded_without_being_told_how(text: str, encoding: str) -> None:
    decoded, name = decode(text.encode(encoding))
    assert decoded == text  # also: no byte-order mark at its beginning
    assert decoded.encode(name) in text.encode(encoding)


@pytest.mark.parametrize("shift", range(3))
def test_a_long_text_is_decoded_wherever_the_sample_ends(shift: int) -> None:
    """The guess looks at 64 KiB, whose end may fall into the middle of a character."""
    text = "a" * shift + CHINESE.replace("\n", "") * 1000 + "\n" + CHINESE * 500
    assert decode(text.encode("gbk"))[0] == text
    unbroken = "a" * shift + CHINESE.replace("\n", "") * 2000
    assert decode(unbroken.encode("gbk"))[0] == unbroken


def test_one_damaged_character_does_not_make_it_another_encoding() -> None:
    data = CHINESE.encode()
    cut_off, name = decode(data[:-2])
    assert name == "utf-8"
    assert cut_off == CHINESE[:-2] + "\ufffd"


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_become_newlines(line_end: str) -> None:
    assert decode(f"a{line_end}b{line_end}".encode())[0] == "a\nb\n"
    assert decode(f"a{line_end}b".encode("utf-16"))[0] == "a\nb"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
        random.Random(1).randbytes(5000),
        b"SQLite format 3\x00" + b"\x10\x00\x01\x01" * 50 + b"plain words " * 20,
        bytes(1000),
        b"words" * 30_000 + bytes(range(256)),
        b"\x7fELF\x02\x01\x01" + bytes(9) + b".text .data .bss" * 10,
        "text".encode("utf-16")[:-1],
        b"\x1b\x01\x02\x03" * 99,
    ],
    ids=["png", "random", "sqlite", "zeros", "late", "elf", "half a unit", "controls"],
)
def test_binary_content_is_refused(data: bytes) -> None:
    with pytest.raises(ReadError, match=r"binary|not valid"):
        decode(data)


# ---- Markdown ----


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# One two #\n\ntext", "One two"),
        ("intro\n\n# Later\n# Second", "Later"),
        ("#\n\nnot the heading", None),
        ("#hashtag\n## Second level", None),
        ("---\nlayout: page\ntitle: 'It''s here'\n---\n# Heading", "It''s here"),
        ('---\ntitle: "Front matter"\n---\n\ntext', "Front matter"),
        ("---\nlayout: page\n---\n# Heading", "Heading"),
        ("text\n---\ntitle: no front matter\n---\n", None),
    ],
)
def test_markdown_title(text: str, title: str | None) -> None:
    read_text_, metadata = read_markdown(text.encode())
    assert read_text_ == text
    assert metadata.get("title") == title


def test_plain_text_has_no_title() -> None:
    assert read_text(b"# not a heading") == ("# not a heading", {"encoding": "utf-8"})


# ---- HTML ----


def blocks_of(html: str) -> list[str]:
    return read_html(f"<!doctype html><title>T</title><body>{html}".encode())[0].split("\n\n")


@pytest.mark.parametrize(
    ("html", "blocks"),
    [
        ("<p>Hi <b>big</b> <i>wor</i>ld, <a href=x>link</a>ed<br>new</p>", ["Hi big world, linked new"]),
        ("<p>a &amp; b &lt;tag&gt; &eacute;&#8212;&nbsp;x</p>", ["a & b <tag> é— x"]),
        ("<p>one<p>two", ["one", "two"]),
        ("<p>x<!-- hidden -->y</p><!-- <p>no</p> -->", ["xy"]),
        ("before<div>in<div>inner</div>between</div>after", ["before", "in", "inner", "between", "after"]),
        ("<ul><li>one<ul><li>two</li></ul>tail</li><li>three</ul>", ["one", "two", "tail", "three"]),
        ("<dl><dt>term<dd>meaning</dl>", ["term", "meaning"]),
        ("<p>spread\n   over\tlines</p>", ["spread over lines"]),
        ("<p>hy&shy;phen<wbr>ated</p>", ["hyphenated"]),
        ("<h1>Head</h1>text<p>more</p>", ["Head", "text", "more"]),
        ("<blockquote><p>said</p></blockquote><hr>after", ["said", "after"]),
    ],
)
def test_html_blocks(html: str, blocks: list[str]) -> None:
    assert blocks_of(html) == blocks


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ("<tr><th>A<th>B<tr><td>1<td>2", ["A | B", "1 | 2"]),
        ("<tr><td>32<td>32<td>128", ["32 | 32 | 128"]),  # equal cells are not one cell
        ("<tr><td>1<td><td>3", ["1 | | 3"]),  # an empty cell keeps its column
        ("<tr><td><td>x", ["| x"]),
        ("<tr><td> <td>", []),
        ("<caption>Sizes</caption><tbody><tr><td>a <b>b</b><td><p>c</p><p>d</p>", ["Sizes", "a b | c d"]),
        ("<tr><td><ul><li>x<li>y</ul><td>z", ["x y | z"]),
        ("<tr><td>menu<td><table><tr><td>1<td>2</table>text", ["menu |", "1 | 2", "text"]),
    ],
)
def test_html_tables_have_a_line_for_each_row(rows: str, lines: list[str]) -> None:
    assert blocks_of(f"<p>before</p><table>{rows}</table><p>after</p>") == ["before", *lines, "after"]


def test_html_keeps_the_lines_of_pre() -> None:
    code = "def f(x):\n    if x:\n\n        return  1"
    html = f"<p>Code:</p><pre><code class=python>{code}\n</code></pre><p>and  <code>x  y</code></p>"
    assert read_html(html.encode())[0] == f"Code:\n\n{code}\n\nand x y"


def test_html_shows_what_a_reader_sees() -> None:
    unseen = "script style noscript template nav iframe button select textarea svg".split()  # noqa: SIM905
    html = "".join(f"<{tag}>no</{tag}>" for tag in unseen) + "<p hidden>no</p><form><p>form</p></form>"
    assert blocks_of(html) == ["form"]


def test_header_and_footer_of_the_page_go_and_those_of_an_article_stay() -> None:
    page = (
        "<header>site</header><aside>links</aside><article><header><h1>Head</h1></header>"
        "<aside>note</aside><p>text</p><footer>source</footer></article><footer>imprint</footer>"
    )
    text, metadata = read_html(page.encode())
    assert text.split("\n\n") == ["Head", "note", "text", "source"]
    assert metadata["title"] == "Head"


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>Page</title><h1>The <em>head</em><br>ing</h1>", "The head ing"),
        ("<title> The\n page </title><p>text", "The page"),
        ("<p>text", None),
    ],
)
def test_html_title(html: str, title: str | None) -> None:
    assert read_html(html.encode())[1].get("title") == title


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="gb2312">', "gbk"),
        ('<meta http-equiv=Content-Type content="text/html; charset=GBK">', "gbk"),
        ("<meta charset=iso-8859-1>", "cp1252"),  # as browsers read it
        ("<meta charset=iso-8859-1>", "utf-8"),  # a wrong declaration
        ("<meta charset=utf-16>", "utf-8"),  # an impossible one
        ("<meta charset=utf-8>", "utf-8-sig"),
        ("<meta charset=utf-8>", "utf-16"),
        ("<meta charset=no-such-thing>", "utf-8"),
        ("<meta charset=hex>", "cp1252"),
        ("<meta charset=unicode_escape>", "cp1252"),
        ("<meta charset=shift_jis>", "shift_jis"),
        ("<meta charset=windows-1250>", "cp1250"),
    ],
)
def test_html_declares_its_encoding(head: str, encoding: str) -> None:
    words = {"gbk": "检索", "shift_jis": "検索", "cp1250": "řeka"}.get(encoding, "“café”")
    text, _ = read_html(f"{head}<p>{words} \\ud800</p>".encode(encoding))
    assert text == f"{words} \\ud800"


@pytest.mark.timeout(20)
def test_deep_html_takes_no_quadratic_time() -> None:
    """As many open elements as text nodes: a look upwards from each would take minutes."""
    depth = 10_000
    text, _ = read_html(b"<div>" * depth + b"<b>x</b>" * depth)
    assert text == "x" * depth


# ---- PDF ----

LOREM = (
    "A write-ahead log records change {0} before it is applied, so that crash {0} loses nothing of what was "
    "acknowledged. On restart the log is read from the last checkpoint before {0}."
)


def pdf(draw: Callable[[Canvas], object], **settings: object) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A5, **settings)
    draw(canvas)
    canvas.save()
    return buffer.getvalue()


def flowing(paragraphs: list[str], *, space: float = 6, head: str = "The handbook") -> bytes:
    """A PDF of several pages with a running head and page numbers, set by reportlab."""

    def frame(canvas: Canvas, template: SimpleDocTemplate) -> None:
        canvas.drawString(60, A5[1] - 30, head)
        canvas.drawString(60, 20, f"Page {template.page}")

    buffer = io.BytesIO()
    style = getSampleStyleSheet()["BodyText"]
    style.spaceBefore = 0
    flow = [item for text in paragraphs for item in (Paragraph(text, style), Spacer(0, space))]
    SimpleDocTemplate(buffer, pagesize=A5).build(flow, onFirstPage=frame, onLaterPages=frame)
    return buffer.getvalue()


def words(text: str) -> str:
    return re.sub(r"\W+", "", text)


def test_pdf_paragraphs_are_put_together_again() -> None:
    paragraphs = [f"{i}. " + " ".join(LOREM.format(100 * i + j) for j in range(1 + i % 3)) for i in range(12)]
    text, metadata = read_pdf(flowing(paragraphs))
    pages = int(metadata["pages"])
    assert pages > 1
    got = {words(paragraph) for paragraph in text.split("\n\n")}
    missed = [paragraph[:13] for paragraph in paragraphs if words(paragraph) not in got]
    assert len(missed) <= pages - 1, missed  # only where a page ends in the middle of one
    assert words(text) == words("".join(paragraphs))  # nothing lost, though lines differ in numbers alone


def test_a_paragraph_goes_on_behind_the_head_of_the_next_page() -> None:
    def draw(canvas: Canvas) -> None:
        for page, words in enumerate((("one two three four", "five six seven"), ("eight nine ten", "end"))):
            canvas.drawString(60, 560, "The head of the page")
            for row, line in enumerate(words):
                canvas.drawString(60, 500 - 14 * row, line)
            canvas.drawString(60, 20, f"Page {page}")
            canvas.showPage()

    assert read_pdf(pdf(draw))[0].split("\n\n")[0] == "one two three four five six seven eight nine ten end"


def test_pdf_heads_and_page_numbers_go() -> None:
    text, _ = read_pdf(flowing([LOREM.format(i) for i in range(20)], head="The handbook, part 7"))
    assert "handbook" not in text
    assert "Page" not in text


def test_pdf_table_rows_at_the_edge_of_a_page_are_no_running_heads() -> None:
    """Two lines of one shape on one page are not the same line on two pages."""

    def draw(canvas: Canvas) -> None:
        for page in range(3):
            for row in range(4):
                line = f"{row} {10 * row}" if page == 1 else f"text {'abcd'[row]} of page {'xyz'[page]}"
                canvas.drawString(60, 500 - 14 * row, line)
            canvas.showPage()

    text, _ = read_pdf(pdf(draw))
    assert [f"{row} {10 * row}" in text for row in range(4)] == [True] * 4


def test_pdf_hyphens_and_ligatures() -> None:
    """A hyphen at the end of a line goes if the word goes on; a ligature is the letters it stands for."""
    lines = [
        "The sum is written to the log as one transac-",
        "tion. The \ufb01le is up-to-date; state-of-the-",
        "art programs remain, since the years 2019-",
        "2020, in the same encoding, which is UTF-",
        "Eight, and read it line by line.",
    ]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Vera", 10)
        for row, line in enumerate(lines):
            canvas.drawString(60, 500 - 12 * row, line)

    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))  # comes with reportlab
    assert read_pdf(pdf(draw))[0] == (
        "The sum is written to the log as one transaction. The file is up-to-date; state-of-the-art programs "
        "remain, since the years 2019-2020, in the same encoding, which is UTF-Eight, and read it "
        "line by line."
    )


def test_pdf_without_text_says_so() -> None:
    with pytest.raises(ReadError, match=r"2 pages without a text layer \(a scan\?\)"):
        read_pdf(pdf(lambda canvas: (canvas.circle(99, 99, 9), canvas.showPage(), canvas.circle(9, 9, 9))))


def test_pdf_with_a_password_says_so() -> None:
    secret = pdf(lambda canvas: canvas.drawString(9, 9, "text"), encrypt=StandardEncryption("password"))
    with pytest.raises(ReadError, match="encrypted PDF"):
        read_pdf(secret)


@pytest.mark.parametrize("path", sorted(HANDBOOK.rglob("*.pdf")), ids=lambda path: path.stem)
def test_pdfs_of_the_handbook_read_as_they_were_written(path: Path) -> None:
    """Each paragraph of the source is a paragraph, but for those that a page end cuts."""
    written = DATA / "handbook_sources" / path.relative_to(HANDBOOK).with_suffix(".pdf.md")
    source = re.sub(r"```.*?```", "", written.read_text("utf-8"), flags=re.DOTALL)
    parts = [part for part in re.split(r"\n\s*\n|\n(?=[-*] |\d+\. )", source) if not part.startswith("|")]
    wanted = [words(re.sub(r"^(#+|[-*]|\d+\.)\s", "", part)) for part in parts]
    document = read(path, HANDBOOK)
    got = [words(block) for block in document.text.split("\n\n")]

    def found(part: str) -> bool:
        return any(block.endswith(part) and len(block) < len(part) + 3 for block in got)  # 1. text

    missed = [part for part in wanted if not found(part)]
    assert len(missed) <= 2 * (int(document.metadata["pages"]) - 1), missed
    assert "ragcourse handbook" not in document.text
    assert not re.search(r"Page \d", document.text)


# ---- Word ----

NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def word(file: WordFile) -> bytes:
    buffer = io.BytesIO()
    file.save(buffer)
    return buffer.getvalue()


def word_xml(body: str, **parts: str) -> bytes:
    """A .docx of nothing but its text part (and ``parts``, by file name without ending)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml", f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"
        )
        for name, content in parts.items():
            archive.writestr(f"word/{name}.xml", content)
    return buffer.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_word_headings_lists_and_tables_in_the_order_of_the_page() -> None:
    file = open_word()
    file.add_heading("The title", 0)
    file.add_paragraph("Before the table.")
    table = file.add_table(2, 3)
    for cell, text in zip(table._cells, ("a", "b", "c\nd", "32", "32", ""), strict=True):
        cell.text = text
    for item in ("one", "two"):
        file.add_paragraph(item, style="List Bullet")
    bold = file.add_paragraph("A run and a ")
    bold.add_run("bold").bold = True
    bold.add_run(" one,\ta tab\nand a line.")
    text, metadata = read_docx(word(file))
    assert text.split("\n\n") == [
        "The title",
        "Before the table.",
        "a | b | c d",
        "32 | 32 | ",
        "one",
        "two",
        "A run and a bold one,\ta tab\nand a line.",
    ]
    assert metadata == {"title": "The title"}


def test_word_merged_and_nested_cells_are_read_once() -> None:
    file = open_word()
    table = file.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(0, 2).text = "last"
    nested = table.cell(1, 0).add_table(1, 2)
    nested.cell(0, 0).text, nested.cell(0, 1).text = "in", "side"
    assert read_docx(word(file))[0].split("\n\n") == ["wide | last", "in side |  | "]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"<w:sdt><w:sdtContent>{paragraph('in a control')}</w:sdtContent></w:sdt>", "in a control"),
        ("<w:p><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>x</w:delText></w:r></w:del></w:p>",
         "inserted"),
        ("<w:p><w:hyperlink><w:r><w:t>a link</w:t></w:r></w:hyperlink></w:p>", "a link"),
        (paragraph("stops", "<w:tabs><w:tab/><w:tab/></w:tabs>"), "stops"),
        ("<w:p><w:r><w:t>x</w:t><w:noBreakHyphen/><w:t>y</w:t></w:r></w:p>", "x-y"),
        (f"<w:p><w:r><w:t>around</w:t><w:pict>{paragraph('boxed')}</w:pict></w:r></w:p>", "boxed\n\naround"),
        ("<w:p><mc:AlternateContent><mc:Choice><w:r><w:t>new</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>old"
         "</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>", "new"),
        ("<w:p><w:moveFrom><w:r><w:t>from</w:t></w:r></w:moveFrom></w:p>" + paragraph("to"), "to"),
    ],
    ids=["control", "tracked", "link", "tab stops", "hyphen", "text box", "fallback", "moved"],
)  # fmt: skip
def test_word_text_in_unusual_places(body: str, text: str) -> None:
    assert read_docx(word_xml(body))[0] == text


def test_the_strict_form_of_word_documents_is_read() -> None:
    """Its elements have other namespaces."""
    buffer = io.BytesIO(word_xml(paragraph("strict")))
    with zipfile.ZipFile(buffer) as archive:
        xml = archive.read("word/document.xml").replace(
            b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
            b"http://purl.oclc.org/ooxml/wordprocessingml/main",
        )
    strict = io.BytesIO()
    with zipfile.ZipFile(strict, "w") as archive:
        archive.writestr("word/document.xml", xml)
    assert read_docx(strict.getvalue())[0] == "strict"


def test_word_headings_are_known_by_their_style_in_any_language() -> None:
    style = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    styles = f"<w:styles {NAMESPACES}>{style}</w:styles>"
    body = paragraph("Vorwort") + paragraph("Erstes", '<w:pStyle w:val="berschrift1"/>')
    assert read_docx(word_xml(body, styles=styles))[1] == {"title": "Erstes"}
    assert read_docx(word_xml(body, styles="<in disorder"))[1] == {}
    file = open_word()
    file.core_properties.title = "Of the file"
    file.add_heading("Of the page", 1)
    assert read_docx(word(file))[1] == {"title": "Of the file"}


def test_a_word_document_is_read_without_its_pictures() -> None:
    """Files whose relations point to a part that is not there come from real programs."""
    buffer, poorer = io.BytesIO(word(open_word())), io.BytesIO()
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(poorer, "w") as rest:
        for name in ("[Content_Types].xml", "_rels/.rels", "word/_rels/document.xml.rels"):
            rest.writestr(name, whole.read(name))
        rest.writestr("word/document.xml", f"<w:document {NAMESPACES}>{paragraph('all there')}</w:document>")
    assert read_docx(poorer.getvalue())[0] == "all there"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 no more", "damaged, or not a .docx"),
        (b"just text", "damaged, or not a .docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "protected by a password, or an old .doc"),
        (word_xml("<w:p>"), "damaged .docx: mismatched tag"),
        (word_xml("&unknown;"), "damaged .docx: undefined entity"),
    ],
    ids=["cut", "text", "ole", "xml", "entity"],
)
def test_damaged_word_documents_say_so(data: bytes, reason: str) -> None:
    with pytest.raises(ReadError, match=re.escape(reason)):
        read_docx(data)


def test_a_zip_without_a_text_part_is_no_word_document() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    with pytest.raises(ReadError, match=r"damaged .docx.*word/document.xml"):
        read_docx(buffer.getvalue())


# ---- any file ----


def spoiled(path: Path, seed: int) -> Iterator[bytes]:
    """Copies of a file with bytes changed, cut out or cut off; of a .docx also inside of its parts."""
    chance = random.Random(seed)
    for _ in range(12):
        data = bytearray(path.read_bytes())
        if path.suffix == ".docx" and chance.random() < 0.7:
            data = bytearray(_spoil_a_part(bytes(data), chance))
        else:
            _spoil(data, chance)
        yield bytes(data)


def _spoil(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 5, 50))):
        at = chance.randrange(len(data) or 1)
        match chance.randrange(5):
            case 0:
                del data[at : at + chance.randrange(300)]
            case 1 if at > 100:
                del data[at:]
            case _:
                data[at : at + 1] = chance.randbytes(1)


def _spoil_a_part(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    _spoil(parts[chance.choice([name for name in parts if parts[name]])], chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, bytes(part))
    return buffer.getvalue()


@pytest.mark.parametrize("ending", [".pdf", ".docx", ".html", ".md"])
def test_spoiled_files_give_a_document_or_a_reason(ending: str) -> None:
    """Nothing else may come out of a reader: any other error would stop the whole ingest."""
    outcomes = set()
    for seed, path in enumerate(sorted(HANDBOOK.rglob(f"*{ending}"))[:6]):
        for data in spoiled(path, seed):
            try:
                document = read(path, HANDBOOK, data)
                check_metadata(document.metadata, document.id)
                outcomes.add("read")
            except ReadError as error:
                assert str(error)
                outcomes.add("refused")
    assert "read" in outcomes
    assert "refused" in outcomes or ending in (".html", ".md")


def test_every_file_of_the_handbook_is_read() -> None:
    documents = [read(entry.path, HANDBOOK) for entry in scan(HANDBOOK)]
    assert {document.metadata["file_type"] for document in documents} == {"md", "html", "docx", "pdf"}
    for document in documents:
        check_metadata(document.metadata, document.id)
        assert (HANDBOOK / document.id).is_file()
        assert document.metadata["title"]
        assert len(document.text) > 1000
        assert not re.search(r"[\x00-\x08\x0e-\x1f\ufeff\ufffd]", document.text)


def test_a_reader_for_another_ending_can_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.ORG").write_text("* Heading")
    assert next(scan(tmp_path)).problem == f"no reader for .ORG (have {', '.join(READERS)})"
    monkeypatch.setitem(READERS, ".org", lambda data: (data.decode(), {"title": "Heading"}))
    assert next(scan(tmp_path)).problem is None
    document = read(tmp_path / "notes.ORG", tmp_path)
    assert (document.id, document.text) == ("notes.ORG", "* Heading")
    assert document.metadata == {"file_type": "org", "title": "Heading"}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "the file is empty"),
        ("a.md", b" \n\t\n", "there is no text in it"),
        ("a.html", b"<html><body><script>x</script></body></html>", "there is no text in it"),
        ("a.docx", word_xml(""), "there is no text in it"),
        ("a.xlsx", b"x", "no reader for .xlsx"),
        ("README", b"x", "no reader for a name without ending"),
    ],
)
def test_a_file_without_text_says_so(name: str, data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReadError, match=re.escape(reason)):
        read(tmp_path / name)


# ---- the folder ----


def test_scan_lists_files_in_order_and_leaves_out_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/b/c.pdf", ".hidden.md", ".git/x.md", "~$b.docx", "c.PNG", "Z.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    entries = list(scan(tmp_path))
    assert [entry.id for entry in entries] == ["Z.md", "a/b/c.pdf", "a/z.txt", "b.md", "c.PNG"]
    assert [entry.id for entry in entries if entry.problem] == ["c.PNG"]
    assert all(entry.path == tmp_path / entry.id and not entry.unreachable for entry in entries)


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.md"

    def stamp() -> tuple[int, ...]:
        return next(scan(tmp_path)).stamp

    file.write_text("one")
    first = stamp()
    assert stamp() == first
    file.write_text("longer")
    second = stamp()
    assert second != first
    times = file.stat()
    file.write_text("LONGER")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))
    assert stamp() != second


def test_scan_of_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"missing does not exist"):
        list(scan(tmp_path / "missing"))
    with pytest.raises(NotADirectoryError, match=r"file is a file; give the folder"):
        list(scan(tmp_path / "file"))
    assert list(scan(tmp_path / "..")) != []


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_links_are_followed_to_files_inside_the_folder_only(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret.md").write_text("secret")
    (folder / "real.md").write_text("real")
    targets: dict[str, str | Path] = {
        "in.md": "real.md",
        "out.md": outside / "secret.md",
        "out_relative.md": "../outside/secret.md",
        "out_to_nothing.md": outside / "nothing.md",
        "nothing.md": "gone.md",
        "loop1.md": "loop2.md",
        "loop2.md": "loop1.md",
        "up": "..",
        "self": ".",
        "twice.md": "out.md",
    }
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    problems = {entry.id: entry.problem for entry in scan(folder)}
    assert {name for name, problem in problems.items() if problem is None} == {"real.md", "in.md"}
    for name in ("out.md", "out_relative.md", "out_to_nothing.md", "twice.md", "up"):
        assert problems[name] == "a symbolic link that leaves the folder"
    assert problems["nothing.md"] == "a symbolic link to a file that is not there"
    assert problems["self"] == "a symbolic link to a folder; links to folders are not followed"
    assert "symbolic link" in str(problems["loop1.md"])
    assert not any(entry.unreachable for entry in scan(folder))


def test_a_folder_deeper_than_the_stack(tmp_path: Path) -> None:
    folders = [tmp_path]
    for _ in range(sys.getrecursionlimit() + 100):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    file = folders[-1] / "a.txt"
    file.write_text("Down here.")
    assert [entry.id for entry in scan(tmp_path)] == [file.relative_to(tmp_path).as_posix()]
    file.unlink()
    for folder in reversed(folders[1:]):  # rmtree, with which pytest cleans up, is recursive
        folder.rmdir()
