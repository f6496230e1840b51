"""Render the handbook's Word and PDF articles from their Markdown sources.

    data/handbook_sources/<path>.docx.md  →  data/handbook/<path>.docx
    data/handbook_sources/<path>.pdf.md   →  data/handbook/<path>.pdf

    python data/build/build_handbook.py            # write the files whose content changed
    python data/build/build_handbook.py --check    # exit 1 if a built file is missing, stale or left over

Dates and ids are fixed, so that a rebuild with the versions in constraints.txt changes no byte.
Markdown that the two formats would lose (images, links, nested lists) is an error, not a surprise.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from article import Block, parse
from article_docx import render_docx
from article_pdf import render_pdf

DATA = Path(__file__).resolve().parents[1]
SOURCES, HANDBOOK = DATA / "handbook_sources", DATA / "handbook"
RENDERERS: dict[str, Callable[[list[Block]], bytes]] = {".docx": render_docx, ".pdf": render_pdf}


def build(sources: Path = SOURCES) -> Iterator[tuple[str, bytes]]:
    """(path inside the handbook, content) of every article that has a source."""
    for source in sorted(sources.rglob("*.md")):
        target = source.relative_to(sources).with_suffix("")  # drops .md
        if target.suffix not in RENDERERS:
            raise ValueError(f"{source}: a source is named NAME.docx.md or NAME.pdf.md")
        try:
            content = RENDERERS[target.suffix](parse(source.read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        yield target.as_posix(), content


def same(built: bytes, kept: bytes) -> bool:
    """Equal content; the members of two .docx are compared unpacked, whatever zlib packed them."""
    if not (zipfile.is_zipfile(io.BytesIO(built)) and zipfile.is_zipfile(io.BytesIO(kept))):
        return built == kept
    with zipfile.ZipFile(io.BytesIO(built)) as a, zipfile.ZipFile(io.BytesIO(kept)) as b:
        return a.namelist() == b.namelist() and all(a.read(name) == b.read(name) for name in a.namelist())


def update(sources: Path = SOURCES, handbook: Path = HANDBOOK, *, check: bool = False) -> list[str]:
    """Write what changed, or with ``check`` only say so; returns the problems that are left."""
    problems = []
    targets = set()
    for name, content in build(sources):
        targets.add(name)
        path = handbook / name
        if path.exists() and same(content, path.read_bytes()):
            continue
        if check:
            problems.append(f"{name}: {'differs from its source' if path.exists() else 'is not built'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in sorted(handbook.rglob("*")):
        name = path.relative_to(handbook).as_posix()
        if path.suffix in RENDERERS and name not in targets:
            problems.append(f"{name}: has no source in {sources.name}/")
    return problems


def main() -> int:
    """Build, or check what is built; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a built file differs")
    problems = update(check=parser.parse_args().check)
    print(*problems, f"{len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
