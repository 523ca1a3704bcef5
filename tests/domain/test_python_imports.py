"""Which Python a `.forge` file may import, and that what is refused is never run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.domain.python import PythonImports, PythonRefused, parameters_of
from dataforge.domain.resolve import load_program
from dataforge.lang.diagnostics import Report
from dataforge.project import load_project


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "pkg_df").mkdir(parents=True)
    (folder / "dataforge.toml").write_text("")
    (folder / "pkg_df" / "deep.py").write_text("VALUE = 1\ndef f(): ...\n")
    (folder / "mod_df.py").write_text("def f(): ...\nX = 3\n")
    return folder


def refused(imports: PythonImports, target: str) -> PythonRefused:
    with pytest.raises(PythonRefused) as error:
        imports.attribute(target)
    assert error.value.help
    return error.value


def test_modules_of_the_project_and_the_shipped_ones(root: Path) -> None:
    imports = PythonImports(root)
    assert callable(imports.attribute("mod_df:f"))
    assert imports.attribute("pkg_df.deep:VALUE") == 1
    assert imports.attribute("schemas.text:Passage")
    assert str(root) not in sys.path


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("colorsys:rgb_to_yiq", "F015"),
        ("os:system", "F015"),
        ("sys:exit", "F015"),
        ("subprocess:run", "F015"),
        ("pydantic:BaseModel", "F015"),
        ("dataforge.errors:Reject", "F015"),
        ("builtins:eval", "F015"),
        ("no_such_module_df:f", "F012"),
        ("pkg_df.nothing:f", "F012"),
        ("mod_df:g", "F012"),
        ("mod_df", "F023"),
        ("mod_df:", "F023"),
        ("mod_df:f.g", "F023"),
        ("mod_df:f()", "F023"),
        ("..mod_df:f", "F023"),
        ("../mod_df:f", "F023"),
        ("mod-df:f", "F023"),
        (":f", "F023"),
        ("", "F023"),
    ],
)
def test_refused(root: Path, target: str, code: str) -> None:
    assert refused(PythonImports(root), target).code == code


def test_allowed_packages(root: Path) -> None:
    assert PythonImports(root, ("colorsys",)).attribute("colorsys:rgb_to_yiq")
    only_part = PythonImports(root, ("email.utils",))
    assert only_part.attribute("email.utils:formatdate")
    assert refused(only_part, "email.message:Message").code == "F015"
    assert refused(PythonImports(root, ("color",)), "colorsys:rgb_to_yiq").code == "F015"


def test_switched_off(root: Path) -> None:
    (root / "mark_df.py").write_text("raise SystemError('it ran')")
    imports = PythonImports(root, ("colorsys",), enabled=False)
    for target in ("mod_df:f", "mark_df:f", "colorsys:rgb_to_yiq", "no_such_module_df:f"):
        assert refused(imports, target).code == "F015"
    assert imports.attribute("schemas.text:Passage")
    (root / "schemas").mkdir()
    (root / "schemas" / "__init__.py").write_text("")
    assert refused(imports, "schemas.text:Passage").code == "F015", (
        "a project's own `schemas` is not the shipped one"
    )


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError('no')",
        "1/0",
        "import nothing_of_that_name_df",
        "syntax error",
        "import sys; sys.exit(0)",
        "raise RecursionError",
        "x = '\\ud800'.encode()",
    ],
)
def test_module_that_fails_when_it_is_imported(root: Path, code: str) -> None:
    (root / "bad_df.py").write_text(code)
    assert refused(PythonImports(root), "bad_df:f").code == "F012"


def test_names_of_the_standard_library_are_not_taken_over(root: Path) -> None:
    (root / "json.py").write_text("def f(): ...")
    error = refused(PythonImports(root), "json:f")
    assert error.code == "F012"
    assert "rename" in error.help
    (root / "pytest.py").write_text("def f(): ...")
    assert refused(PythonImports(root), "pytest:f").code == "F012"


def test_two_projects_may_each_have_a_module_of_one_name(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mod_df.py").write_text("X = 4")
    assert PythonImports(root).attribute("mod_df:X") == 3
    assert PythonImports(other).attribute("mod_df:X") == 4
    assert PythonImports(root).attribute("mod_df:X") == 3


def test_symbolic_links_do_not_lead_out(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "evil_df.py").write_text("raise SystemError('it ran')")
    (outside / "__init__.py").write_text("raise SystemError('it ran')")
    (root / "evil_df.py").symlink_to(outside / "evil_df.py")
    (root / "evil_pkg_df").symlink_to(outside)
    (root / "pkg_df" / "evil_df.py").symlink_to(outside / "evil_df.py")
    for target in ("evil_df:f", "evil_pkg_df:f", "evil_pkg_df.evil_df:f", "pkg_df.evil_df:f"):
        error = refused(PythonImports(root), target)
        assert error.code == "F015", target
        assert "symbolic link" in str(error)


def load(root: Path, text: str, *, python: bool = True) -> set[str]:
    (root / "main.forge").write_text(text)
    report = Report()
    load_program(root / "main.forge", load_project(root), report, python=python)
    return {d.code for d in report.diagnostics if d.severity == "error"}


def test_forge_files_and_texts_stay_in_the_project_too(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out.forge").write_text("generator w")
    (tmp_path / "out.j2").write_text("hello")
    (root / "link.forge").symlink_to(tmp_path / "out.forge")
    (root / "link.j2").symlink_to(tmp_path / "out.j2")
    assert "F013" in load(root, 'from "../out.forge" import w')
    assert "F013" in load(root, f'from "{tmp_path}/out.forge" import w')
    assert "F013" in load(root, 'from "link.forge" import w')
    assert "F013" in load(root, 'list l from "../out.j2"')
    node = 'struct A {{ x: str }}\ngenerator w\nnode n {{ gives A  ask w {{ prompt file "{}"  into A.x }} }}'
    for name in ("../out.j2", "link.j2", "/etc/passwd"):
        assert "F013" in load(root, node.format(name))
    assert "F017" in load(root, 'from "pkg_df" import w'), "a folder is no file"


def test_a_relative_python_import_is_no_syntax(root: Path) -> None:
    assert "F001" in load(root, "from ..outside import A")
    assert "F002" in load(root, "from . import A")


def test_no_python_through_the_whole_program(root: Path) -> None:
    (root / "mark_df.py").write_text("raise SystemError('it ran')")
    assert "F015" in load(root, 'predicate p(A) = "mark_df:f"', python=False)
    assert "F015" in load(root, "from mark_df import A", python=False)


def test_parameters_of_a_call_function() -> None:
    def plain(doc, question_paper): ...
    def exact(Doc, QuestionPaper): ...  # noqa: N803
    def spread(**structs): ...
    def extra(doc, question_paper, limit=3): ...
    def short(doc): ...
    def other(doc, question_paper, thing): ...

    names = ["Doc", "QuestionPaper"]
    assert parameters_of(plain, names) == {"doc": "Doc", "question_paper": "QuestionPaper"}
    assert parameters_of(exact, names) == {"Doc": "Doc", "QuestionPaper": "QuestionPaper"}
    assert parameters_of(spread, names) == {"doc": "Doc", "question_paper": "QuestionPaper"}
    assert parameters_of(extra, names) == {"doc": "Doc", "question_paper": "QuestionPaper"}
    for wrong in (short, other, int, dict.update):
        with pytest.raises(PythonRefused) as error:
            parameters_of(wrong, names)
        assert error.value.code == "F023"
