"""Which cells of a notebook must run before one of them can, found by the names that their code uses.

From the names that a cell reads, back to the last cells above that bind or change them, and from there on.
An effect outside of Python's names (a file written, a setting of another module) is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager


def needed_cells(cells: Sequence[str], *targets: int) -> list[int]:
    """Positions of the cells that the cells at ``targets`` need, ascending, the targets among them.

    ``cells`` are the sources of code cells, in which IPython's magics may stand. Raises `SyntaxError`.
    """
    names = [names_in(cell) for cell in cells[: max(targets) + 1]]
    needed = _from_below(names, targets, set())
    # A function reads its names when it is called: they may be bound below it.
    while (
        more := _from_below(names, targets, {name for i in needed for name in names[i].in_functions})
    ) != needed:
        needed = more
    return needed


def _from_below(names: Sequence[Names], targets: Collection[int], also: set[str]) -> list[int]:
    """Positions of the cells that the targets need if they read the names in ``also`` as well."""
    imported = {
        name for cell in names for name in cell.imported
    }  # plt.show() changes nothing that a cell needs
    needed: list[int] = []
    wanted = set(also)
    for position in range(len(names) - 1, -1, -1):
        cell = names[position]
        if position in targets or wanted & (cell.bound | cell.perhaps | (cell.changed - imported)):
            needed.insert(0, position)
            wanted = (wanted - cell.bound) | cell.used
    return needed


def names_in(cell: str) -> Names:
    """What the source of a cell does with the notebook's names."""
    from IPython.core.inputtransformer2 import TransformerManager

    return Names(ast.parse(TransformerManager().transform_cell(cell)))  # type: ignore[no-untyped-call]


class Names(ast.NodeVisitor):
    """The global names of a piece of code, visited in the order in which it runs.

    ``used``: read before the code has bound them itself; ``in_functions``: read when a function is called.
    ``bound``: bound in any case; ``perhaps``: bound in a branch, a loop or a function; ``imported``: bound by
    an import. ``changed``: an attribute or item is set, or a method called for its effect.
    """

    def __init__(self, code: ast.AST) -> None:
        self.used: set[str] = set()
        self.bound: set[str] = set()
        self.perhaps: set[str] = set()
        self.changed: set[str] = set()
        self.imported: set[str] = set()
        self.in_functions: set[str] = set()
        self._locals: list[set[str]] = []  # of the functions, classes and comprehensions around
        self._uncertain = self._later = False
        self.visit(code)
        self.used |= self.in_functions - self.bound - self.perhaps

    def visit_Name(self, node: ast.Name) -> None:
        """A name is read, bound or deleted."""
        self._bind(node.id) if isinstance(node.ctx, ast.Store) else self._read(node.id)

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        """``name.attribute`` or ``name[item]``: setting it changes what the name stands for."""
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    visit_Subscript = visit_Attribute

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call whose value is dropped is made for its effect."""
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self._change(node.value.func)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import binds the first part of each name, or the one after ``as``."""
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._bind(name)
            self.imported.add(name)

    visit_ImportFrom = visit_Import

    def visit_Assign(self, node: ast.Assign) -> None:
        """The value comes first."""
        self._visit_all(node.value, *node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """``name += 1`` reads the name, too."""
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self._visit_all(node.value, node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """``(name := value)``"""
        self._visit_all(node.value, node.target)

    def visit_For(self, node: ast.For) -> None:
        """A loop may have no turn."""
        self.visit(node.iter)
        with self._may_not_run():
            self._visit_all(node.target, *node.body, *node.orelse)

    def visit_If(self, node: ast.If | ast.While) -> None:
        """A branch may not be taken."""
        self.visit(node.test)
        with self._may_not_run():
            self._visit_all(*node.body, *node.orelse)

    visit_While = visit_If

    def visit_Try(self, node: ast.Try) -> None:
        """Any of its lines may be left out."""
        with self._may_not_run():
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Decorators and defaults are read now, the body's names when the function is called."""
        self._visit_all(*node.decorator_list, *_defaults(node.args))
        self._bind(node.name)
        with self._inside(_parameters(node.args) | _stored(node.body), later=True):
            self._visit_all(*node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A function without a name."""
        self._visit_all(*_defaults(node.args))
        with self._inside(_parameters(node.args), later=True):
            self.visit(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body runs now, in a scope of its own."""
        self._visit_all(*node.decorator_list, *node.bases, *node.keywords)
        with self._inside(_stored(node.body)):
            self._visit_all(*node.body)
        self._bind(node.name)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        """The loops come before the elements, which are written first."""
        with self._inside(_stored([loop.target for loop in node.generators])):
            self._visit_all(*node.generators)
            self.generic_visit(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def _visit_all(self, *nodes: ast.AST) -> None:
        for node in nodes:
            self.visit(node)

    def _is_local(self, name: str) -> bool:
        return any(name in names for names in self._locals)

    def _bind(self, name: str) -> None:
        if not self._is_local(name):
            (self.perhaps if self._uncertain or self._later else self.bound).add(name)

    def _read(self, name: str) -> None:
        if self._later and not self._is_local(name):
            self.in_functions.add(name)
        elif not self._is_local(name) and name not in self.bound | self.perhaps:
            self.used.add(name)

    def _change(self, node: ast.AST) -> None:
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name) and not self._is_local(node.id):
            self.changed.add(node.id)

    @contextmanager
    def _may_not_run(self) -> Iterator[None]:
        before, self._uncertain = self._uncertain, True
        yield
        self._uncertain = before

    @contextmanager
    def _inside(self, names: set[str], later: bool = False) -> Iterator[None]:
        before, self._later = self._later, self._later or later
        self._locals.append(names)
        yield
        self._locals.pop()
        self._later = before


def _parameters(arguments: ast.arguments) -> set[str]:
    return {part.arg for part in ast.walk(arguments) if isinstance(part, ast.arg)}


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default)]


def _stored(body: Sequence[ast.AST]) -> set[str]:
    """Names bound in a body, functions and classes in it counting by their own names alone."""
    names: set[str] = set()
    declared: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Global):
            declared |= set(node.names)
        waiting += ast.iter_child_nodes(node)
    return names - declared
