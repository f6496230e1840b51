"""Where an implementation says it comes from: the files and modules of its class and functions.

The learner's process says so, and could lie; it is one of two looks at whether the course's own code was
handed in, the other being at the source of the notebook.
"""

from __future__ import annotations

import functools
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any

MAX_PARTS, MAX_TEXT = 100, 300


def origin_of(implementation: object) -> dict[str, Any]:
    """Return the module and name of a class or function, and name, module and file of all its functions."""
    while isinstance(implementation, functools.partial):
        implementation = implementation.func
    owner = implementation if isinstance(implementation, (type, FunctionType)) else type(implementation)
    functions: list[FunctionType] = []
    if isinstance(implementation, (FunctionType, MethodType)):
        functions = _functions(implementation)
    elif isinstance(owner, type):
        functions = [
            found for base in owner.__mro__ for member in vars(base).values() for found in _functions(member)
        ]
    parts = [
        {"name": f.__qualname__, "module": str(f.__module__), "file": f.__code__.co_filename}
        for f in functions[:MAX_PARTS]
    ]
    return {"module": str(owner.__module__), "name": owner.__qualname__, "code": parts}


def _functions(member: object) -> list[FunctionType]:
    if isinstance(member, property):
        return [found for part in (member.fget, member.fset) for found in _functions(part)]
    inner = getattr(member, "__func__", None) or getattr(member, "__wrapped__", None)
    own = [member] if isinstance(member, FunctionType) else []
    return own + (_functions(inner) if isinstance(inner, FunctionType) else [])


def read_origin(said: object) -> dict[str, Any]:
    """Return what arrived as an origin with every text bounded, and under "course" what is not the learner's.

    "course" lists the parts whose module is of the ragcourse package or whose file lies in it or in
    solutions/.
    """
    whole = said if isinstance(said, dict) else {}
    parts = whole.get("code")
    code = [
        {key: _text(part.get(key)) for key in ("name", "module", "file")}
        for part in (parts if isinstance(parts, list) else [])[:MAX_PARTS]
        if isinstance(part, dict)
    ]
    origin = {"module": _text(whole.get("module")), "name": _text(whole.get("name"))}
    course = [part["name"] for part in code if _of_the_course(part["module"], part["file"])]
    if _of_the_course(origin["module"], "") and origin["name"] not in course:
        course.insert(0, origin["name"])
    return {**origin, "code": code, "course": course}


def _text(value: object) -> str:
    return value[:MAX_TEXT] if type(value) is str else ""


def _of_the_course(module: str, file: str) -> bool:
    folders = PurePath(file).parts[:-1]
    return module.partition(".")[0] == "ragcourse" or "ragcourse" in folders or "solutions" in folders
