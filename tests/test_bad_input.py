"""What people really put into a folder, and ask: a clear error or a counted skip, and nothing is lost.

End to end, through ``KnowledgeBase``: the file is named with a reason that a person understands, and
the good document beside it is ingested and found.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from ragcourse import readers
from ragcourse.embedders import StaticEmbedder
from ragcourse.embedders.base import Vectors
from ragcourse.knowledge_base import KnowledgeBase
from ragcourse.paths import DATA, HANDBOOK
from ragcourse.rag import RAG
from ragcourse.readers import MAX_CHARACTERS
from ragcourse.readers.docx import MAX_UNPACKED
from ragcourse.recall import Retriever

GOOD = "good.md"
FACT = "A write-ahead log makes a commit durable."


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good document."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / GOOD).write_text(f"# Logs\n\n{FACT} It is read again after a crash of the machine.")
    return folder


@pytest.fixture
def kb(folder: Path, embedder: StaticEmbedder) -> Iterator[KnowledgeBase]:
    with KnowledgeBase(folder, embedder=embedder) as kb:
        yield kb


def text_of(kb: KnowledgeBase, document: str) -> str:
    """All that the library holds of a document."""
    nodes = [node for batch, _ in kb.store().items() for node in batch if node.document == document]
    return "\n".join(node.text for node in sorted(nodes, key=lambda node: node.start))


def check_skipped(kb: KnowledgeBase, name: str, reason: str) -> None:
    """The one file is named and counted, with the reason; the good one is there."""
    report = kb.start()
    assert [skipped for skipped, _ in report.skipped] == [name]
    assert reason in report.skipped[0][1]
    assert f"\n  skipped {name}: " in str(report)
    assert report.added == kb.documents() == [GOOD]
    assert Retriever(kb)("What makes a commit durable?")[0].node.document == GOOD


# ---- files without text in them ----


def encrypted_pdf() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption("password"))
    canvas.drawString(99, 99, "secret")
    canvas.save()
    return buffer.getvalue()


def pdf_of_the_handbook() -> bytes:
    return sorted(HANDBOOK.rglob("*.pdf"))[0].read_bytes()


def docx_of_the_handbook() -> bytes:
    return sorted(HANDBOOK.rglob("*.docx"))[0].read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.txt", b"", "the file is empty"),
        ("blank.md", b" \n\t\n", "there is no text in it"),
        ("mark.txt", b"\xef\xbb\xbf", "there is no text in it"),
        ("script.html", b"<script>x()</script>", "there is no text in it"),
        ("noise.pdf", b"%PDF-1.7\n" + random.Random(0).randbytes(3000), "damaged or encrypted PDF"),
        ("text.pdf", b"I am no PDF at all.", "damaged or encrypted PDF"),
        ("locked.pdf", encrypted_pdf(), "encrypted PDF"),
        ("half.docx", docx_of_the_handbook()[:3000], "damaged, or not a .docx file"),
        (
            "old.docx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
            "protected by a password, or an old .doc",
        ),
        ("text.docx", b"I am no zip file.", "damaged, or not a .docx file"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + random.Random(0).randbytes(3000), "binary content"),
        ("program.txt", Path(sys.executable).read_bytes()[:50_000], "binary content"),
        ("numbers.md", struct.pack("<900i", *range(900)), "binary content"),
        ("photo.jpg", b"\xff\xd8\xff\xe0 JFIF", "no reader for .jpg (have .txt, .md,"),
        ("Makefile", b"all:\n", "no reader for a name without ending"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value and " " not in value else "",
)
def test_a_file_that_holds_no_text_is_skipped_by_name(
    kb: KnowledgeBase, folder: Path, name: str, data: bytes, reason: str
) -> None:
    (folder / name).write_bytes(data)
    check_skipped(kb, name, reason)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("ending", [".pdf", ".docx"])
def test_a_file_that_was_cut_off_is_skipped_or_read_as_far_as_it_goes(
    kb: KnowledgeBase, folder: Path, ending: str, share: float
) -> None:
    data = {".pdf": pdf_of_the_handbook, ".docx": docx_of_the_handbook}[ending]()
    (folder / f"cut{ending}").write_bytes(data[: int(share * len(data))])
    report = kb.start()
    assert len(report.added) + len(report.skipped) == 2
    assert GOOD in report.added
    for name, reason in report.skipped:
        assert name == f"cut{ending}"
        assert "damaged" in reason


def bomb(unpacked: int) -> bytes:
    """A .docx whose text is so many zeros, in a few kilobytes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(unpacked // 2**20):
            part.write(bytes(2**20))
    return buffer.getvalue()


def test_a_zip_bomb_is_not_unpacked(kb: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bomb.docx").write_bytes(bomb(MAX_UNPACKED + 2**20))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *arguments, **more: pytest.fail("it was unpacked"))
    check_skipped(kb, "bomb.docx", "a zip bomb: ")


def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked_further(kb: KnowledgeBase, folder: Path) -> None:
    data = bytearray(bomb(2 * 2**20))
    real_size, claimed = struct.pack("<I", 2 * 2**20), struct.pack("<I", 1000)
    assert data.count(real_size) >= 1
    (folder / "liar.docx").write_bytes(data.replace(real_size, claimed))
    check_skipped(kb, "liar.docx", "damaged")


def test_an_entity_bomb_is_refused(kb: KnowledgeBase, folder: Path) -> None:
    """Nine entities, each ten times the one before: a billion laughs."""
    entities = '<!ENTITY e0 "ha">' + "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    xml = (
        f'<!DOCTYPE d [{entities}]><w:d xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        "<w:p><w:r><w:t>&e9;</w:t></w:r></w:p></w:d>"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", xml)
    (folder / "laughs.docx").write_bytes(buffer.getvalue())
    check_skipped(kb, "laughs.docx", "damaged .docx")


# ---- encodings ----

CHINESE = "预写日志让提交变得持久。机器崩溃以后，系统会重新读取日志。一条记录只有完整时才算数。\n"
ENGLISH = "A page that is full is split in two halves. Both stay in order.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, name) for text in (CHINESE, ENGLISH) for name in ("utf-16", "utf-16-le", "utf-16-be")),
        (CHINESE, "gbk"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-8-sig"),
        ("Größe und Maß: die Prüfung der Straße kostet 5 €.\n", "cp1252"),
    ],
)
@pytest.mark.parametrize("times", [1, 3000])
@pytest.mark.parametrize("ending", [".txt", ".md", ".html"])
def test_text_in_another_encoding_is_read_rightly(
    kb: KnowledgeBase, folder: Path, text: str, encoding: str, times: int, ending: str
) -> None:
    name = f"foreign{ending}"
    data = (text * times).encode(encoding)
    (folder / name).write_bytes(data)
    document = readers.read(folder / name)
    assert document.text.split() == (text * times).split()  # no mark at its beginning, nothing replaced
    if times == 1:
        assert not kb.start().skipped
        assert text_of(kb, name).replace("\n", "") == text.strip()


# ---- size ----


def test_a_file_of_50_mb_is_skipped_without_being_read(
    kb: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(50 * 10**6)  # takes no room on the disk
    read_bytes = Path.read_bytes

    def counting(path: Path) -> bytes:
        assert path.name != "huge.txt"
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    check_skipped(kb, "huge.txt", "47.7 MiB is above the limit of 32 MiB a file")


def test_more_text_than_memory_is_meant_for_is_skipped(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "shelf.txt").write_text("book " * (MAX_CHARACTERS // 5 + 1))
    check_skipped(kb, "shelf.txt", "8,388,610 characters of text; the limit is 8,388,608: split it")


def test_a_large_text_within_the_limit_is_read_whole(kb: KnowledgeBase, folder: Path) -> None:
    lines = [f"Entry {i} of the log says that page {i * 7} was split.\n" for i in range(2000)]
    (folder / "large.txt").write_text("".join(lines))
    assert not kb.start().skipped
    assert text_of(kb, "large.txt").split() == "".join(lines).split()


def test_one_word_of_a_megabyte_becomes_nodes_of_bounded_size(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "blob.txt").write_text("QUFB" * 250_000)
    assert not kb.start().skipped
    texts = [node.text for batch, _ in kb.store().items() for node in batch if node.document == "blob.txt"]
    assert sum(map(len, texts)) >= 10**6
    assert max(map(len, texts)) <= 256 * 64


# ---- the folder ----


def test_a_folder_that_is_not_there(tmp_path: Path, embedder: StaticEmbedder) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist: nothing to ingest"):
        KnowledgeBase(tmp_path / "nowhere", embedder=embedder).start()
    (tmp_path / "file.md").write_text(FACT)
    with pytest.raises(NotADirectoryError, match=r"file.md is a file; give the folder"):
        KnowledgeBase(tmp_path / "file.md", embedder=embedder).start()


def test_an_empty_folder_gives_an_empty_library_that_can_be_asked(
    tmp_path: Path, embedder: StaticEmbedder
) -> None:
    with KnowledgeBase(tmp_path, embedder=embedder) as kb:
        report = kb.start()
        assert (report.added, report.skipped, report.nodes) == ([], [], {})
        assert "0 added" in str(report) and "no nodes" in str(report)
        assert Retriever(kb)("anything") == []
        assert RAG(Retriever(kb)).answer("anything?").source is None


def test_a_folder_that_was_there_before_is_not_forgotten_when_it_is_gone(
    folder: Path, tmp_path: Path, embedder: StaticEmbedder
) -> None:
    conf = {"type": "file", "kwargs": {"dir": tmp_path / "library"}}
    with KnowledgeBase(folder, conf, embedder) as kb:
        nodes = kb.start().nodes
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        KnowledgeBase(folder, conf, embedder).start()
    (tmp_path / "away").rename(folder)
    with KnowledgeBase(folder, conf, embedder) as kb:
        report = kb.start()
        assert report.warm and report.nodes == nodes


needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")


@needs_links
@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("out.md", "../secret.md", "a symbolic link that leaves the folder"),
        ("passwd.txt", "/etc/passwd", "a symbolic link that leaves the folder"),
        ("up", "..", "a symbolic link that leaves the folder"),
        ("self", ".", "a symbolic link to a folder; links to folders are not followed"),
        ("loop.md", "loop.md", "symbolic link"),
        ("nothing.md", "gone.md", "a symbolic link to a file that is not there"),
    ],
)
def test_links_do_not_lead_out_or_around(
    kb: KnowledgeBase, folder: Path, name: str, target: str, reason: str
) -> None:
    (folder.parent / "secret.md").write_text("The password is swordfish.")
    (folder / name).symlink_to(target)
    check_skipped(kb, name, reason)
    assert "swordfish" not in text_of(kb, name)


@needs_links
def test_a_document_that_becomes_a_link_out_of_the_folder_is_removed(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "page.md").write_text("A page of its own with something to say.")
    assert sorted(kb.start().added) == [GOOD, "page.md"]
    (folder.parent / "secret.md").write_text("The password is swordfish.")
    (folder / "page.md").unlink()
    (folder / "page.md").symlink_to("../secret.md")
    report = kb.start()
    assert (report.removed, report.unchanged) == (["page.md"], [GOOD])
    assert [name for name, _ in report.skipped] == ["page.md"]
    assert text_of(kb, "page.md") == ""


@needs_links
def test_a_link_to_a_file_inside_is_a_document(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "also.md").symlink_to(GOOD)
    assert sorted(kb.start().added) == ["also.md", GOOD]
    assert text_of(kb, "also.md") == text_of(kb, GOOD)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(20)
def test_a_pipe_does_not_hang_the_ingest(kb: KnowledgeBase, folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    check_skipped(kb, "pipe.txt", "not a regular file")


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode here")
def test_a_name_that_is_no_unicode_can_be_reported(kb: KnowledgeBase, folder: Path) -> None:
    below = folder / os.fsdecode(b"caf\xe9")
    below.mkdir()
    (below / os.fsdecode(b"m\xfcll.txt")).write_text("Text.")
    check_skipped(kb, "caf\\udce9/m\\udcfcll.txt", "its name is not valid UTF-8; rename it")


def test_unusual_names_are_names(kb: KnowledgeBase, folder: Path) -> None:
    names = [
        "ünï 漢字 🙂.md",
        "a'b\"c.md" if os.name != "nt" else "a'b.md",
        "100%.txt",
        "-rf.md",
        "CAPS.MD",
        "a b/c d.md",
    ]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"The text of {len(name)} is here.")
    assert sorted(kb.start().added) == sorted([GOOD, *names])
    for name in names:
        hits = kb.search(kb.embedder.embed(["text"])[0], 5, where={"document": name})
        assert [hit.node.document for hit in hits] == [name]


# ---- equal files ----


def test_two_files_with_one_name_and_one_content_are_two_documents(kb: KnowledgeBase, folder: Path) -> None:
    for place in ("a", "b"):
        (folder / place).mkdir()
        shutil.copy2(folder / GOOD, folder / place / GOOD)
    report = kb.start()
    assert sorted(report.added) == ["a/good.md", "b/good.md", GOOD]
    one = kb.count() // 3
    assert one >= 1
    assert {hit.node.document for hit in kb.search(kb.embedder.embed([FACT])[0], 3)} == set(report.added)
    (folder / "a" / GOOD).unlink()
    report = kb.start()
    assert (report.removed, kb.count()) == (["a/good.md"], 2 * one)
    assert FACT in text_of(kb, "b/good.md")
    assert FACT in text_of(kb, GOOD)


def test_a_paragraph_that_is_repeated_is_kept_each_time(kb: KnowledgeBase, folder: Path) -> None:
    line = "The same warning is printed on every page of it.\n\n"
    (folder / "again.md").write_text(line * 9)
    kb.start()
    assert text_of(kb, "again.md").count("warning") == 9


# ---- rights ----

AS_NOBODY = """
import json, os, sys
from pathlib import Path
from ragcourse.embedders import StaticEmbedder
from ragcourse.knowledge_base import KnowledgeBase

place, embedder = Path(sys.argv[1]), StaticEmbedder()

def start(folder):
    conf = {"type": "file", "kwargs": {"dir": folder.with_name(folder.name + "-library")}}
    with KnowledgeBase(folder, conf, embedder) as kb:
        report = kb.start()
        return {"documents": kb.documents(), "nodes": report.nodes, "removed": report.removed,
                "changed": report.changed, "skipped": dict(report.skipped)}

start(place / "first")  # loads all that is needed, while it can be read
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
docs = place / "docs"
found = [start(docs)]
(docs / "new.md").write_text("Never seen before.")
closed = [docs / "new.md", docs / "known.md", docs / "sub"]
for path in closed:
    path.chmod(0)
found.append(start(docs))
docs.chmod(0)
found.append(start(docs))
docs.chmod(0o755)
for path in closed:
    path.chmod(0o755)
found.append(start(docs))
print(json.dumps(found))
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter on Windows")
def test_what_may_not_be_read_is_named_and_what_was_known_of_it_is_kept() -> None:
    """In a process of its own, as a user whom permissions bind: they do not bind root."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for folder in ("first", "docs", "docs/sub"):
            (place / folder).mkdir()
        for document in ("first/a.md", "docs/good.md", "docs/known.md", "docs/sub/below.md"):
            (place / document).write_text(f"{FACT} This is {document}.")
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)
            if os.getuid() == 0:
                os.chown(path, 65534, 65534)
        output = subprocess.check_output([sys.executable, "-c", AS_NOBODY, str(place)], cwd=DATA.parent)
    first, closed, shut, open_again = json.loads(output)
    everything = ["good.md", "known.md", "sub/below.md"]
    assert (first["documents"], first["skipped"]) == (everything, {})
    assert closed["documents"] == everything
    assert closed["skipped"] == {
        "known.md": "cannot open the file: Permission denied",
        "new.md": "cannot open the file: Permission denied",
        "sub": "cannot list the folder: Permission denied",
    }
    assert shut["documents"] == everything
    assert shut["skipped"] == {".": "cannot list the folder: Permission denied"}
    assert closed["nodes"] == shut["nodes"] == first["nodes"]
    assert [run["removed"] for run in (closed, shut, open_again)] == [[], [], []]
    assert open_again["documents"] == sorted([*everything, "new.md"])
    assert open_again["changed"] == []  # it was only out of reach


# ---- questions ----


def test_an_empty_query_is_refused(kb: KnowledgeBase) -> None:
    kb.start()
    for query in ("", "   ", "\n\t"):
        with pytest.raises(ValueError, match="the query is empty; ask something"):
            Retriever(kb)(query)
        with pytest.raises(ValueError, match="the query is empty; ask something"):
            RAG(Retriever(kb)).answer(query)


@pytest.mark.parametrize("query", ["?", "🙂", "…", "\u200b", "'; DROP TABLE nodes; --", "検索", "a\ud800b"])
def test_odd_queries_are_answered(kb: KnowledgeBase, query: str) -> None:
    kb.start()
    assert len(Retriever(kb)(query)) == 1


def test_a_query_of_10_000_words_is_answered(kb: KnowledgeBase) -> None:
    kb.start()
    query = " ".join(f"{FACT} {i}" for i in range(1250))
    assert len(query.split()) == 10_000
    assert Retriever(kb)(query)[0].node.document == GOOD
    assert RAG(Retriever(kb)).answer(query).text == FACT


def test_k_below_one_is_refused_and_above_the_library_gives_all(kb: KnowledgeBase) -> None:
    kb.start()
    vector = kb.embedder.embed(["log"])[0]
    for k in (0, -1):
        with pytest.raises(ValueError, match=f"k is {k}; ask for at least one hit"):
            Retriever(kb, k=k)
        with pytest.raises(ValueError, match=f"k is {k}; ask for at least one hit"):
            Retriever(kb)("log", k)
        with pytest.raises(ValueError, match=f"k is {k}; ask for at least one hit"):
            kb.search(vector, k)
    assert len(Retriever(kb, k=10**6)("log")) == kb.count("MediumChunk")
    assert len(Retriever(kb, "sentence", 10**6)("log")) == len(kb.search(vector, 10**9)) == kb.count()


def test_unknown_names_are_refused_and_the_known_ones_listed(kb: KnowledgeBase) -> None:
    kb.start()
    vector = kb.embedder.embed(["log"])[0]
    with pytest.raises(ValueError, match=r"no document has a field 'author' to filter by; have document, "):
        Retriever(kb, where={"author": "x"})("log")
    with pytest.raises(ValueError, match=r"there is no group 'paragraph'; have CoarseChunk, "):
        Retriever(kb, "paragraph")
    with pytest.raises(
        ValueError, match=r"group 'FineChunk' is not searched in this library; it has sentence"
    ):
        kb.search(vector, 1, "FineChunk")
    with pytest.raises(ValueError, match=r"there is no index 'bm25'; have default"):
        Retriever(kb, index="bm25")("log")
    with pytest.raises(
        ValueError, match=r"store_conf\[\"type\"\] is 'faiss'; it is one of map, file, chroma"
    ):
        KnowledgeBase(kb.folder, {"type": "faiss"})


class Broken:
    """An embedder whose vectors hold what no number should be."""

    name, dim = "broken", 4

    def __init__(self, value: float, dim: int = 4) -> None:
        self.value, self.given = value, dim
        self.fingerprint = f"broken-{value}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.full((len(texts), self.given), self.value, np.float32)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_no_numbers_are_refused(kb: KnowledgeBase, folder: Path, value: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"), np.errstate(all="ignore"):
        KnowledgeBase(folder, embedder=Broken(value)).start()
    kb.start()
    vector = kb.embedder.embed(["log"])[0]
    vector[3] = value
    with pytest.raises(ValueError, match="the query vector holds NaN or infinity"):
        kb.search(vector, 1)
    with pytest.raises(ValueError, match=r"a query of shape \(256,\), got \(3,\)"):
        kb.search(vector[:3], 1)


def test_vectors_of_another_length_than_promised_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"shape"):
        KnowledgeBase(folder, embedder=Broken(1.0, dim=3)).start()


# ---- all at once ----


def test_a_folder_full_of_trouble_loses_nothing(
    folder: Path, tmp_path: Path, embedder: StaticEmbedder
) -> None:
    """The handbook with a bad file beside each good one: all of it is there, and stays there."""
    shutil.copytree(HANDBOOK, folder, dirs_exist_ok=True)
    documents = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    bad = {}
    for number, document in enumerate(documents):
        path = (folder / document).with_name(f"bad{number}.{('txt', 'pdf', 'docx', 'html')[number % 4]}")
        path.write_bytes((b"", b"%PDF-1.4", b"PK\x03\x04", b"<p></p>")[number % 4])
        bad[path.relative_to(folder).as_posix()] = number
    conf = {"type": "file", "kwargs": {"dir": tmp_path / "library"}}
    with KnowledgeBase(folder, conf, embedder) as kb:
        report = kb.start()
        assert sorted(report.added) == kb.documents() == documents
        assert {name for name, _ in report.skipped} == bad.keys()
        assert all(reason for _, reason in report.skipped)
        nodes = report.nodes
    with KnowledgeBase(folder, conf, embedder) as kb:
        again = kb.start()
        assert again.warm and again.nodes == nodes
        assert sorted(again.skipped) == sorted(report.skipped)


# ---- places ----


@pytest.mark.parametrize("kind", ["file", "chroma", "milvus"])
def test_a_store_among_the_documents_is_refused(kind: str, tmp_path: Path) -> None:
    def conf(place: Path) -> dict[str, Any]:
        return {
            "type": kind,
            "kwargs": {"uri": str(place / "a.db")} if kind == "milvus" else {"dir": str(place)},
        }

    (tmp_path / "a.txt").write_text("A document.")
    for inside in (tmp_path, tmp_path / "store", tmp_path / "x" / ".." / "store"):
        with pytest.raises(ValueError, match="lies in the folder of documents"):
            KnowledgeBase(tmp_path, conf(inside))
    with KnowledgeBase(tmp_path, conf(tmp_path / ".store")) as kb:
        assert kb.start().added == ["a.txt"]
        assert kb.start().skipped == []
