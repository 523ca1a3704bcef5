"""`dataforge explain`, from outside and (to be quick) from inside; and the answers that docs/explain.md shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dataforge.cli import main
from tests.cli.commands import GRAPHS, REPOSITORY, Done, dataforge

PAGE = (REPOSITORY / "docs" / "explain.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (file|run): ([^>]*?) -->\n```\w+\n(.*?)```", re.DOTALL)
LETTERS = next(text for kind, _, text in BLOCK.findall(PAGE) if kind == "file")


Explain = Callable[..., Done]


@pytest.fixture
def letters(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's file, in the folder at hand."""
    monkeypatch.chdir(project)
    (project / "letters.forge").write_text(LETTERS, encoding="utf-8")
    return project / "letters.forge"


@pytest.fixture
def explain(letters: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Asks the command about the page's file, without a process of its own."""

    def explain(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as exit:
            main(["explain", letters.name, *arguments])
        out, err = capsys.readouterr()
        code = exit.value.code
        assert isinstance(code, int)
        return Done(code, out, err)

    return explain


@pytest.mark.parametrize(
    ("arguments", "shown"), [(name, text) for kind, name, text in BLOCK.findall(PAGE) if kind == "run"]
)
def test_the_page_shows_what_the_command_says(explain: Explain, arguments: str, shown: str) -> None:
    done = explain(*arguments.split()[1:])
    assert (done.code, done.out, done.err) == (0, shown, "")


def test_shipped_graphs_are_explained(tmp_path: Path) -> None:
    done = dataforge("explain", GRAPHS / "quickstart.forge", "summarise", "ask_standalone", cwd=tmp_path)
    assert done.code == 0
    assert "`summarise` → `ask_standalone` is an edge of quickstart" in done.out
    done = dataforge("explain", GRAPHS / "grounded_qa.forge", "--target", cwd=tmp_path)
    assert done.code == 0
    assert "is reached" in done.out


def test_json_has_one_key_for_the_kind_of_answer(explain: Explain) -> None:
    edge = explain("tidy", "sign", "--json").json()
    assert list(edge) == ["edge"]
    assert [x["atom"] for x in edge["edge"]["gap"]["missing"]] == [
        'Letter.lang == "de"',
        "words(Letter.text) >= 60",
    ]
    assert list(explain("reply", "--json").json()) == ["node"]
    assert explain("--target", "--json").json()["target"]["reached"] is False


def test_a_wrong_name_is_exit_code_2_with_the_nearest(explain: Explain) -> None:
    done = explain("tydy", "sign")
    assert (done.code, done.out) == (2, "")
    assert "error[R034]: `post_office` has no node named `tydy`" in done.err
    assert "help: did you mean `tidy`?" in done.err
    assert explain("tydy", "--json").json()["error"]["code"] == "R034"


@pytest.mark.parametrize("arguments", [(), ("tidy", "sign", "--target"), ("source",), ("sign", "source")])
def test_questions_without_sense_are_exit_code_2(explain: Explain, arguments: tuple[str, ...]) -> None:
    done = explain(*arguments)
    assert done.code == 2
    assert "error[R034]" in done.err
    assert "help:" in done.err


def test_other_errors_are_told_as_compile_tells_them(letters: Path, explain: Explain) -> None:
    letters.write_text(LETTERS.replace("takes Letter", "takes Leter"), encoding="utf-8")
    done = explain("--target")
    assert (done.code, done.out) == (2, "")
    assert "error[F010]" in done.err
    assert list(explain("--target", "--json").json()) == ["diagnostics"]


def test_errors_of_linking_stand_beside_the_answer(letters: Path, explain: Explain) -> None:
    back = 'node back { takes Letter  gives Letter  pre Letter.kind == "signed"  keeps Letter.text, Letter.lang  set Letter.kind = "clean" }'
    kept = LETTERS.replace(
        "  post  words(Letter.text) >= 40", "  post  words(Letter.text) >= 60\n  keeps Letter.lang"
    )
    letters.write_text(f"{kept}\n{back}\n", encoding="utf-8")
    done = explain("back", "sign")
    assert done.code == 0
    assert "error[F062]" in done.err
    assert "`back` → `sign` is an edge" in done.out


def test_a_graph_inside_is_called_by_its_name(letters: Path, explain: Explain) -> None:
    inner = 'graph desk { from Letter where Letter.kind == "draft"  to Letter where Letter.kind == "clean"  nodes tidy }'
    letters.write_text(
        f"{LETTERS.replace('nodes *', 'nodes desk, sign, reply')}\n{inner}\n", encoding="utf-8"
    )
    assert "`tidy` → the target is an edge of desk" in explain("desk/tidy", "desk/target").out
    assert "the target of desk is reached" in explain("desk", "--target").out
    apart = explain("desk/tidy", "sign")
    assert apart.code == 2
    assert "different graphs" in apart.err


def test_a_plan_document_is_explained_too(letters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letters.write_text(LETTERS.replace('"signed"\n  post', '"draft"\n  post'), encoding="utf-8")
    shown = []
    for arguments in (
        ["compile", "letters.forge", "-o", "plan.json"],
        ["explain", "letters.forge", "reply"],
        ["explain", "plan.json", "reply"],
    ):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[1] == shown[2]
    assert "walks, " in shown[1]


def test_help_shows_an_example(explain: Explain) -> None:
    done = explain("--help")
    assert done.code == 0
    assert "dataforge explain graphs/quickstart.forge summarise" in " ".join(done.out.split())
