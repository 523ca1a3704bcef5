"""Nothing that a program names is read from outside its project: not by `..`, not by an absolute path, not by a link."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataforge.domain import files
from dataforge.domain.files import Files, UnreadableFile
from dataforge.domain.python import PythonImports, PythonRefused
from dataforge.errors import SeedError
from dataforge.lang.diagnostics import CompileError
from dataforge.plan.artifact import compile_program
from dataforge.run.options import RunOptions
from dataforge.run.sources import sources_of

PLANTED = "planted-9f3c"
GRAPH = """
struct Doc {{ text: str }}
struct Note {{ text: str }}
generator writer
{declared}
node jot {{ takes Doc  gives Note  {drawn}  ask writer {{ {system} prompt {prompt}  into Note.text }} }}
graph main {{ from Doc  to Note  nodes *  {seeds}  emit {{ user "{{{{ Doc.text }}}}"  assistant "{{{{ Note.text }}}}" }} }}
"""


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "planted" in name:
            del sys.modules[name]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the project with one file of each kind that a program can name."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "prompt.j2").write_text(f"{PLANTED} {{{{ Doc.text }}}}")
    (folder / "words.txt").write_text(PLANTED)
    (folder / "words.jsonl").write_text(f'"{PLANTED}"\n')
    (folder / "seeds.jsonl").write_text(f'{{"text": "{PLANTED}"}}\n')
    (folder / "rubrics.forge").write_text('rubric good { clear "Is it clear?" in 1..5 }')
    (folder / "planted_module.py").write_text(f"raise SystemError('{PLANTED} ran')\n")
    return folder


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    (folder / "dataforge.toml").write_text("")
    for file in outside.iterdir():
        (folder / "inner" / f"link-{file.name}").symlink_to(file)
    (folder / "linked").symlink_to(outside)
    (folder / "inner" / "twice").symlink_to(folder / "linked")
    (folder / "inner" / "relative").symlink_to("../../outside")
    (folder / "circle").symlink_to("circle")
    return folder


def ways_out(name: str, outside: Path) -> list[str]:
    return [
        f"../outside/{name}",
        f"inner/../../outside/{name}",
        f"./inner/./../../outside/{name}",
        str(outside / name),
        f"/{outside / name}",
        f"inner/link-{name}",
        f"linked/{name}",
        f"inner/twice/{name}",
        f"inner/relative/{name}",
        f"linked/../outside/{name}",
    ]


def codes(root: Path, **parts: str) -> set[str]:
    """What the compiler says of a program that names these files; it must not have read a byte of them."""
    told = {"declared": "", "drawn": "", "system": "", "prompt": '"{{ Doc.text }}"', "seeds": ""}
    (root / "main.forge").write_text(GRAPH.format(**told | parts))
    try:
        plan = compile_program(root / "main.forge")
    except CompileError as error:
        said = "\n".join(d.render() + d.help for d in error.diagnostics)
        assert PLANTED not in said
        return {d.code for d in error.diagnostics}
    assert PLANTED not in str(plan.document)
    return set()


def test_programs_read_files_inside(root: Path) -> None:
    (root / "inner" / "prompt.j2").write_text("{{ Doc.text }}")
    (root / "inner" / "again.j2").symlink_to("prompt.j2")
    (root / "here").symlink_to("inner")
    for name in ("inner/prompt.j2", "inner/again.j2", "here/prompt.j2", "../project/inner/prompt.j2"):
        assert codes(root, prompt=f'file "{name}"') == set()


def test_prompts(root: Path, outside: Path) -> None:
    for way in ways_out("prompt.j2", outside):
        assert codes(root, prompt=f'file "{way}"') == {"F013"}, way
        assert codes(root, system=f'system file "{way}"') == {"F013"}, way


@pytest.mark.parametrize("name", ["words.txt", "words.jsonl"])
def test_lists(root: Path, outside: Path, name: str) -> None:
    for way in ways_out(name, outside):
        found = codes(root, declared=f'list words from "{way}"', drawn="draw word from words")
        assert found == {"F013"}, way


def test_forge_imports_with_their_rubrics(root: Path, outside: Path) -> None:
    for way in ways_out("rubrics.forge", outside):
        assert "F013" in codes(root, declared=f'from "{way}" import good'), way


def test_an_imported_file_is_held_to_the_same_project(root: Path, outside: Path) -> None:
    (root / "inner" / "more.forge").write_text(f'list words from "{outside}/words.txt"')
    assert "F013" in codes(
        root, declared='from "inner/more.forge" import words', drawn="draw word from words"
    )
    (root / "inner" / "more.forge").write_text('list words from "../linked/words.txt"')
    assert "F013" in codes(
        root, declared='from "inner/more.forge" import words', drawn="draw word from words"
    )


def test_examples_read_answers_inside(root: Path, outside: Path) -> None:
    for way in ways_out("words.txt", outside):
        example = (
            f'example jot {{ given Doc {{ text = "a" }}  model writer says file "{way}"  expect has Note }}'
        )
        assert codes(root, declared=example) == {"F013"}, way


def test_the_main_file_may_be_a_link_and_its_project_is_where_it_leads(root: Path, tmp_path: Path) -> None:
    assert codes(root) == set()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main.forge").symlink_to(root / "main.forge")
    assert compile_program(tmp_path / "elsewhere" / "main.forge").project.root == root


def test_seeds_that_the_graph_names(root: Path, outside: Path) -> None:
    ways = [
        *ways_out("seeds.jsonl", outside),
        "../outside",
        "linked",
        "../outside/*.jsonl",
        f"{outside}/*.jsonl",
        "inner/*.jsonl",
        "linked/**/*.jsonl",
        "**/*.jsonl",
        "inner",
    ]
    for way in ways:
        assert codes(root, seeds=f'seeds "{way}"') == set(), way
        plan = compile_program(root / "main.forge")
        with pytest.raises(SeedError, match="outside the project") as error:
            sources_of(plan, RunOptions(out=root / "out"))
        assert error.value.code == "R010"
        assert "--seeds" in str(error.value.help)


def test_seeds_inside_and_seeds_of_the_user_s_own_choice(root: Path, outside: Path) -> None:
    (root / "own").mkdir()
    (root / "own" / "seeds.jsonl").write_text('{"text": "a"}\n')
    assert codes(root, seeds='seeds "own/*.jsonl"') == set()
    plan = compile_program(root / "main.forge")
    assert sources_of(plan, RunOptions(out=root / "out")).files == (root / "own" / "seeds.jsonl",)
    given = RunOptions(out=root / "out", seeds=(str(outside / "seeds.jsonl"),))
    assert sources_of(plan, given).files == (outside / "seeds.jsonl",)


@pytest.mark.parametrize(
    "place",
    ["planted_module.py", "planted_module", "planted_module/__init__.py", "package/planted_module.py"],
)
@pytest.mark.parametrize("kind", ["call", "predicate", "import"])
def test_python_is_imported_from_inside(root: Path, outside: Path, place: str, kind: str) -> None:
    link = root / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / "planted_module.py" if place.endswith(".py") else outside)
    module = "package.planted_module" if place.startswith("package") else "planted_module"
    text = {
        "call": f'struct A {{ x: str }} node n {{ takes A gives A pre A.x == "a" post A.x == "b" call "{module}:f" }}',
        "predicate": f'predicate p(Doc) = "{module}:f"',
        "import": f"from {module} import Thing",
    }[kind]
    found = codes(root, declared=text)
    assert "F015" in found


def test_compiled_modules_are_confined_too(root: Path, outside: Path) -> None:
    (outside / "planted.so").write_bytes(b"no library at all")
    (root / "package").mkdir()
    (root / "package" / "__init__.py").write_text("")
    suffix = next(s for s in sorted(__import__("importlib.machinery").machinery.EXTENSION_SUFFIXES))
    (root / "package" / f"planted{suffix}").symlink_to(outside / "planted.so")
    with pytest.raises(PythonRefused) as refused:
        PythonImports(root).attribute("package.planted:f")
    assert refused.value.code == "F015"


@pytest.mark.parametrize(
    "target", ["os:system", "subprocess:run", "planted_module:f", "dataforge.errors:Reject"]
)
def test_python_outside_the_project_wants_leave(root: Path, outside: Path, target: str) -> None:
    assert codes(root, declared=f'predicate p(Doc) = "{target}"') <= {"F012", "F015"}
    assert codes(root, declared=f'predicate p(Doc) = "{target}"')


# ---- what is no file, and what changes while it is looked at


@pytest.mark.parametrize(
    "name", ["circle", "circle/x.j2", "inner", "nothing.j2", "x" * 5_000, "inner/link-prompt.j2/x"]
)
def test_what_is_no_file_is_said_to_be_none(root: Path, name: str) -> None:
    assert codes(root, prompt=f'file "{name}"') <= {"F013", "F017"}
    assert codes(root, prompt=f'file "{name}"')


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.j2")
    assert codes(root, prompt='file "pipe.j2"') == {"F017"}


def test_a_file_name_with_a_null_character(root: Path) -> None:
    with pytest.raises(UnreadableFile):
        Files(root).text(root / "a\0b")


@pytest.mark.parametrize("part", ["file", "folder"])
def test_a_link_put_in_place_after_the_check_is_not_followed(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Between the look at a path and its opening, somebody swaps what it names for a link that leads out."""
    folder = root / "swapped"
    folder.mkdir()
    file = folder / "prompt.j2"
    file.write_text("honest")
    real: Callable[[Path, str], bytes] = files._read_below

    def swap(at: Path, name: str) -> bytes:
        if part == "file":
            file.unlink()
            file.symlink_to(outside / "prompt.j2")
        else:
            folder.rename(root / "moved")
            folder.symlink_to(outside)
        return real(at, name)

    monkeypatch.setattr(files, "_read_below", swap)
    with pytest.raises(UnreadableFile) as error:
        Files(root).text(file)
    assert error.value.code == "F017"
