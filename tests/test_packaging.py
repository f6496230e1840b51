"""One set of versions: pyproject.toml, constraints.txt and environment.yml agree, on every system."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import ragcourse

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8").splitlines()

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = [  # sys_platform, platform_system, os_name, platform_machine
    ("linux", "Linux", "posix", "x86_64"),
    ("linux", "Linux", "posix", "aarch64"),
    ("darwin", "Darwin", "posix", "arm64"),
    ("win32", "Windows", "nt", "AMD64"),
]

# Imported by a name that is not the package's own, or as a part of another package that is declared.
PACKAGE_OF = {
    "IPython": "ipywidgets",
    "PIL": "matplotlib",
    "docx": "python-docx",
    "faiss": "faiss-cpu",
    "grpc": "pymilvus",
    "jupyter_client": "jupyterlab",
    "llvmlite": "numba",
    "traitlets": "ipywidgets",
    "yaml": "pyyaml",
}


def declared() -> list[Requirement]:
    return [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]


def environments() -> list[dict[str, str]]:
    """What markers see on each promised Python and system."""
    fields = ("sys_platform", "platform_system", "os_name", "platform_machine")
    return [
        {
            "python_version": version,
            "python_full_version": f"{version}.5",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            **dict(zip(fields, system, strict=True)),
        }
        for version in PYTHONS
        for system in SYSTEMS
    ]


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins_in(environment: dict[str, str]) -> dict[str, Version]:
    """Package → version for one Python on one system."""
    pins: dict[str, Version] = {}
    for line in CONSTRAINTS:
        requirement = Requirement(line)
        if applies(requirement, environment):
            name = canonicalize_name(requirement.name)
            assert name not in pins, f"constraints.txt pins {name} twice for {environment}"
            pins[name] = Version(str(requirement.specifier).removeprefix("=="))
    return pins


def test_constraints_are_names_and_versions_alone() -> None:
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][A-Za-z0-9.]*( ; [A-Za-z0-9_ .'=<>!()-]+)?")
    assert [line for line in CONSTRAINTS if not pin.fullmatch(line)] == []


def test_nothing_brings_torch() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in CONSTRAINTS}
    assert not {name for name in names if name.startswith(("torch", "nvidia", "triton"))}


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_a_dependency_is_a_range_that_holds_its_pin_everywhere(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == {">=", "<"}, f"{requirement}: give it a lower and an upper bound"
    needed_somewhere = False
    for environment in environments():
        if not applies(requirement, environment):
            continue
        needed_somewhere = True
        pin = pins_in(environment).get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement} has no pin for {environment}: run `make constraints`"
        assert pin in requirement.specifier, f"{requirement} does not hold its pin {pin}"
    assert needed_somewhere


def test_conda_gets_the_same_python_and_the_same_pins() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-c constraints.txt", "-e .[lab]"]
    python, *others = [Requirement(entry) for entry in conda["dependencies"] if isinstance(entry, str)]
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])
    assert [str(other) for other in others] == ["pip"], "all else comes by pip, with its pins"


def test_the_promised_pythons_are_one_list() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.0" in allowed]
    assert minors == list(PYTHONS)
    prefix = "Programming Language :: Python :: "
    assert [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)] == minors
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "(3, 11) <= sys.version_info[:2] <= (3, 14)" in makefile
    assert f">={minors[0]},<3.15" in makefile


def test_each_dependency_has_its_reason_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"^\| `([^`]+)` \| [^|]{10,} \|", text, re.MULTILINE)
    assert sorted(set(named)) == sorted({requirement.name for requirement in declared()})


def test_every_third_party_import_is_declared() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    elsewhere = {"sentence_transformers"}  # wanted by one embedder alone, which says so when it is used
    undeclared = {
        (path.relative_to(ROOT).as_posix(), module)
        for path in (ROOT / "ragcourse").rglob("*.py")
        if "peers" not in path.parts  # they run in environments of their own
        for module in imported_modules(path) - sys.stdlib_module_names - {"ragcourse"} - elsewhere
        if canonicalize_name(PACKAGE_OF.get(module, module)) not in names
    }
    assert undeclared == set()


def imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.add(node.module.partition(".")[0])
    return modules


def test_importing_the_library_loads_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import ragcourse; print(*set(sys.modules) - before)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in answer.stdout.split()}
    assert "ragcourse" in loaded
    assert loaded <= {"ragcourse"} | sys.stdlib_module_names


@pytest.mark.parametrize("name", ragcourse.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ragcourse, name) is not None
    assert name in dir(ragcourse)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Retrever'"):
        _ = ragcourse.Retrever


def test_one_version() -> None:
    assert metadata.version("ragcourse") == ragcourse.__version__
    assert f"## {ragcourse.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
