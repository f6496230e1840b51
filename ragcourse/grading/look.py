"""A look at the learner's code without running it: what a person should see before the points are final.

It is a hint, not a defence: whoever wants to hide something from it can. Points are safe for other reasons.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbformat import NotebookNode

from ragcourse.grading.changes import MAX_SOURCE, parsed
from ragcourse.grading.marks import Finding
from ragcourse.grading.matching import defined_names, exercise_of, is_answer
from ragcourse.grading.workcopy import WorkingCopy

MOST = 20  # findings of one notebook
MAX_CODE = 1_000_000  # characters of one notebook that are looked at
SHORT = 40  # tokens; shorter answers are often equal by chance
CHECK = "ragcourse.grading.check"
_COPIED = "is the course's own code handed in?"
_TEXTS = {
    re.compile(
        r"(?:^|[\s'\"./\\])solutions[/\\]|(?:^|[/\\])solutions$|wrong_answers"
    ): "names the folder of the solutions",
    re.compile(r"RAGCOURSE_(?:JUDGE|STRICT)"): "names a variable of the grader",
    re.compile(r"ragcourse[./\\]grading[./\\]\w"): "names the inside of ragcourse.grading",
}
_CALLS = {
    "inspect.getsource": "reads source code",
    "inspect.getsourcelines": "reads source code",
    "inspect.currentframe": "looks into its callers",
    "inspect.stack": "looks into its callers",
    "sys._getframe": "looks into its callers",
    "sys._current_frames": "looks into its callers",
    "gc.get_objects": "looks for objects of others in memory",
    "gc.get_referrers": "looks for objects of others in memory",
    "gc.get_referents": "looks for objects of others in memory",
    "sys.settrace": "watches the interpreter",
    "sys.setprofile": "watches the interpreter",
    "sys.modules": "reaches into loaded modules",
    "os._exit": "ends the process",
    "os.abort": "ends the process",
    "ctypes": "reaches into memory",
}
_ATTRIBUTES = {
    "f_back", "f_locals", "f_globals", "tb_frame", "gi_frame", "cr_frame", "__globals__", "__subclasses__",
}  # fmt: skip


def look(copy: WorkingCopy, lesson: NotebookNode, solved: NotebookNode | None = None) -> list[Finding]:
    """Return what a person should see in the learner's code, with cell and line; nothing is run.

    `lesson` tells which parts of ragcourse are given; answers that equal those of `solved`, the master, are
    noted. The same is said once a cell, with its first line.
    """
    look = _Look(_Given.of(lesson))
    findings: list[Finding] = []
    answers = {at for cells in copy.answers.values() for at, _ in cells}
    looked_at = 0
    for at, where in copy.own.items():
        source = copy.notebook.cells[at].source
        looked_at += len(source)
        if len(source) > MAX_SOURCE or looked_at > MAX_CODE:
            findings.append(Finding("suspicious", where, "so much code that it was not looked at"))
            continue
        said: set[str] = set()
        for line, text in sorted(look.cell(source, at in answers)):
            if text not in said:
                said.add(text)
                findings.append(Finding("suspicious", f"{where}, line {line}", text))
    if len(findings) > MOST:
        more = Finding("suspicious", "", f"and {len(findings) - MOST} more of the kind")
        findings = [*findings[:MOST], more]
    return [*findings, *(_word_for_word(copy, solved) if solved else [])]


@dataclass
class _Given:
    """What the lesson itself imports of ragcourse, and what its answers define and may use."""

    names: dict[str, str] = field(default_factory=dict)  # name → what it stands for, "ragcourse.stores.file"
    imported: set[str] = field(default_factory=set)
    for_answers: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, lesson: NotebookNode) -> _Given:
        given = cls()
        for cell in lesson.cells:
            tree = parsed(cell.source) if cell.cell_type == "code" else None
            for name, target in _imports(tree) if tree else ():
                given.imported.add(target)
                given.names[name] = target if name != target.split(".")[0] else name
            if tree and is_answer(cell):
                given.for_answers |= {target for _, target in _imports(tree)}
                given.answers |= defined_names(cell.source)
        return given


Seen = tuple[int, str]  # line, what is there


class _Look:
    """Looks at the cells in their order, since one may use the imports of those before it."""

    def __init__(self, given: _Given) -> None:
        self._given, self._names, self._is_answer = given, dict(given.names), False
        self._told: set[str] = set()  # imports that were found already; their uses need not be told

    def cell(self, source: str, is_answer: bool) -> Iterator[Seen]:
        self._is_answer = is_answer
        tree = parsed(source)
        for line, text in enumerate(source.splitlines(), start=1):
            if tree is None or text.lstrip().startswith(("%", "!")):
                yield from _texts(line, text)
        if tree is not None:
            yield from self._tree(tree)

    def _tree(self, tree: ast.Module, line: int = 0) -> Iterator[Seen]:
        """Look at a tree; with `line` it is code in a string on that line, which is not followed further."""
        before = dict(self._names)
        for node in ast.walk(tree):
            at = line or getattr(node, "lineno", 0)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from self._import(node, at)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _texts(at, node.value)
            elif isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
                yield at, f"uses {node.attr}: looks into other code"
            elif isinstance(node, (ast.Assign, ast.ClassDef, ast.FunctionDef)):
                yield from self._handed_in(node, before, at)
        for node, chain in _chains(tree, self._names):
            yield from self._use(node, chain, line or node.lineno)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield from self._call(node, line)

    def _import(self, node: ast.Import | ast.ImportFrom, at: int) -> Iterator[Seen]:
        for name, target in _imports(node):
            root = target.split(".")[0]
            self._names[name] = target if name != root else name
            if root == "ctypes":
                yield at, "imports ctypes: reaches into memory"
            elif target.startswith("ragcourse.grading") and target not in self._given.imported:
                yield at, f"imports {target}, the inside of the checker"
            elif root == "ragcourse" and target not in self._given.imported:
                self._told.add(target)
                yield at, f"imports {target}, which the lesson does not: {_COPIED}"

    def _handed_in(
        self, node: ast.Assign | ast.ClassDef | ast.FunctionDef, before: dict[str, str], at: int
    ) -> Iterator[Seen]:
        """A name that an answer is to define, made from something of the course; a new `check`."""
        if isinstance(node, ast.Assign):
            targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
            origins = [node.value]
        else:
            targets = {node.name}
            origins = node.bases if isinstance(node, ast.ClassDef) else []
        if any(before.get(target) == CHECK for target in targets):
            yield at, "replaces check, which gives the points"
        for origin in origins:
            chain = _dotted(origin, self._names)
            if targets & self._given.answers and chain.startswith("ragcourse."):
                yield from self._use_of(chain, at)

    def _use(self, node: ast.Attribute | ast.Name, chain: str, at: int) -> Iterator[Seen]:
        for watched, why in _CALLS.items():
            if chain == watched or (watched != "ctypes" and chain.startswith(f"{watched}.")):
                yield at, f"uses {watched}: {why}"
        if not chain.startswith("ragcourse.") or chain == CHECK:
            return
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield at, f"changes {chain}, a part of the course"
        elif self._is_answer and isinstance(node.ctx, ast.Load):
            yield from self._use_of(chain, at)

    def _use_of(self, chain: str, at: int) -> Iterator[Seen]:
        """A part of the course in an answer."""
        if not _within(chain, self._given.for_answers | self._told):
            yield at, f"uses {chain} in an answer: {_COPIED}"

    def _call(self, node: ast.Call, line: int) -> Iterator[Seen]:
        called = _dotted(node.func, self._names)
        at = line or node.lineno
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        if called in ("__import__", "importlib.import_module", "builtins.__import__"):
            if text is None or text.split(".")[0] in ("ragcourse", "ctypes"):
                yield at, f"imports {text or 'a computed name'} by {called}"
        elif called in ("exec", "eval", "compile", "builtins.exec", "builtins.eval"):
            tree = parsed(text) if text is not None else None
            if tree is not None and not line:
                yield from self._tree(tree, at)
            elif text is None:
                yield at, f"runs code by {called} that cannot be read here"
        elif (
            called in ("setattr", "delattr") and first and _dotted(first, self._names).startswith("ragcourse")
        ):
            yield at, "changes a part of the course"


def _within(chain: str, others: set[str]) -> bool:
    return any(chain == other or chain.startswith(f"{other}.") for other in others)


def _texts(line: int, text: str) -> Iterator[Seen]:
    for pattern, why in _TEXTS.items():
        if pattern.search(text):
            yield line, why


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (name, what it stands for) of each import; `import a.b` gives the name a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Return "a.b.c" for names and attributes, by what the first name stands for; else ""."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def _chains(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[ast.Attribute | ast.Name, str]]:
    """Yield the longest dotted names; those that the code binds itself stand for nothing else."""
    nodes = list(ast.walk(tree))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    known = {name: target for name, target in names.items() if name not in bound}
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
            chain = _dotted(node, known)
            if chain:
                yield node, chain


def _word_for_word(copy: WorkingCopy, solved: NotebookNode) -> Iterator[Finding]:
    for exercise, cells in copy.answers.items():
        masters = [cell for cell in solved.cells if exercise_of(cell) == exercise and is_answer(cell)]
        wanted = _words("\n".join(cell.source for cell in masters))
        given = _words("\n".join(source for _, source in cells))
        if cells and wanted and wanted == given and len(wanted) > SHORT:
            text = (
                f"the answer of exercise {exercise} is the published solution, "
                "apart from white space, comments and names"
            )
            yield Finding("note", copy.own.get(cells[-1][0], ""), text)


def _words(source: str) -> list[str]:
    """Return the tokens without comments and white space, names numbered by their first use; [] if none."""
    if len(source) > MAX_SOURCE:
        return []
    numbers: dict[str, str] = {}
    words = []
    layout = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    left_out = (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in left_out:
                continue
            name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            if name and not hasattr(builtins, token.string):
                words.append(numbers.setdefault(token.string, f"name {len(numbers)}"))
            else:
                words.append(tokenize.tok_name[token.type] if token.type in layout else token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        return []
    return words
