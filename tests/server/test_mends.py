"""Mends: what a help line says, as an edit; and that no text at all brings a feature down."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.server import completion, definitions, hints, hover, symbols
from dataforge.server.actions import Complaint, Mend, mends
from dataforge.server.publishing import by_file
from dataforge.server.requests import smallest_change
from dataforge.server.workspace import Workspace
from tests.server.test_analysis import files, sessions
from tests.server.test_editor import MAIN

__all__ = ["files"]


def workspace_with(path: Path, text: str) -> Workspace:
    workspace = Workspace()
    workspace.open(path, text, 1)
    workspace.analyses[path] = workspace.analyser(path).analyse(workspace.overlay)
    return workspace


def mends_of(workspace: Workspace, path: Path) -> list[tuple[str, Mend]]:
    """Every mend of what is wrong, with the code that it is for."""
    found = []
    for d in workspace.analyses[path].diagnostics:
        place = (workspace.analyses[path].root / d.source.path).resolve()
        complaint = Complaint(place, d.span.start, d.span.end, d.message, d.help)
        found += [(d.code, mend) for mend in mends(workspace, complaint)]
    return found


def applied(workspace: Workspace, mend: Mend) -> dict[Path, str]:
    found: dict[Path, str] = {}
    for edit in sorted(mend.edits, key=lambda e: -e.start):
        known = workspace.text(edit.path)
        text = found.get(edit.path) or (known.text if known is not None else "")
        found[edit.path] = text[: edit.start] + edit.new + text[edit.end :]
    return found


@pytest.mark.parametrize(
    ("right", "wrong", "title"),
    [
        ("takes Note\n", "takes Noet\n", "Write `Note`"),
        ("Note.score >= 3", "Note.scor >= 3", "Write `score`"),
        ('Doc.kind == "draft", words(Doc.text) >= 10\n  post', 'Doc.kind == "draf", words(Doc.text) >= 10\n  post', "Write `draft`"),
        ("ask pen { prompt file", "ask pn { prompt file", "Write `pen`"),
        ("rubric sound  score", "rubric soud  score", "Write `sound`"),
        ("from moods", "from mods", "Write `moods`"),
        ("{{ mood.name }}", "{{ mod.name }}", "Write `mood`"),
        ("Doc.text | upper", "Doc.txt | upper", "Write `text`"),
        ("clear >= 3", "cleer >= 3", "Write `clear`"),
        ("import Doc,", "import Dok,", None),
        ('  takes Doc\n  gives Note\n  pre   Doc.kind == "draft", words(Doc.text) >= 10\n', "  gives Note\n", "Add `takes Doc`"),
        ("  gives Note\n  pre   Doc", "  pre   Doc", "Add `gives Note`"),
        ("  nodes *\n", "", "Add `nodes *`"),
        ("words(Note.text) in 1..20", "words(Note.text) in 20..1", "Write `1..20`"),
        ("into Note.text }\n  set", "into Note.text \n  set", "Insert `}`"),
        ("words(Doc.text) >= 10\n  post", "words(Doc.text) >= 10 }\n  post", "Remove `}`"),
        ("judge critic { temperature 0 }", "judge critic { temprature 0 }", "Write `temperature`"),
        ("  post  words", "  psot  words", "Write `post`"),
        ('kind == "draft", words(Doc.text) >= 10\n  to', 'kind == "draft" words(Doc.text) >= 10\n  to', "Insert `,`"),
        ('"🦊🦊 {{ mood.name }}: {{ Doc.text | upper }}"', '"🦊🦊 {{ mood.name }}: {{ Doc.text | upper }}', None),
    ],
)  # fmt: skip
def test_a_mend_mends(files: Path, right: str, wrong: str, title: str | None) -> None:
    path = files / "main.forge"
    assert right in MAIN
    workspace = workspace_with(path, MAIN.replace(right, wrong, 1))
    assert any(d.severity == "error" for d in workspace.analyses[path].diagnostics)
    found = mends_of(workspace, path)
    good = []
    for _, mend in found:
        text = applied(workspace, mend).get(path, MAIN)
        again = workspace_with(path, text)
        if not any(d.severity == "error" for d in again.analyses[path].diagnostics):
            good.append(mend.title)
    if title is not None:
        assert title in good, (good, [(c, m.title) for c, m in found], workspace.analyses[path].diagnostics)


@pytest.mark.parametrize(
    ("extra", "title"),
    [
        ("\nstruct Spare { text: str }\n", "Remove `Spare`"),
        ('\nlist spare = ["a", "b"]\n', "Remove `spare`"),
        ("\n# why\ngenerator spare { temperature 1 }  # not yet\n", "Remove `spare`"),
        ("\nfrom schemas.text import Passage\n", "Remove `Passage`"),
        ("\nfrom schemas.text import Passage, Answer as A\n", "Remove the import of `Answer`"),
    ],
)
def test_what_is_not_used_can_be_removed(files: Path, extra: str, title: str) -> None:
    path = files / "main.forge"
    workspace = workspace_with(path, MAIN + extra)
    found = {m.title: m for code, m in mends_of(workspace, path) if code == "F080"}
    assert title in found
    mend = found[title]
    again = workspace_with(path, applied(workspace, mend)[path])
    before = [d.message for d in workspace.analyses[path].diagnostics]
    after = [d.message for d in again.analyses[path].diagnostics]
    assert len(after) == len(before) - 1


def test_a_node_that_no_walk_uses_can_be_left_out(files: Path) -> None:
    path = files / "main.forge"
    stray = "\nnode stray { takes Note  gives Note  pre words(Note.text) >= 500  keeps Note.text }\n"
    workspace = workspace_with(path, MAIN + stray)
    (mend,) = [m for code, m in mends_of(workspace, path) if code == "F081"]
    assert mend.title == "Leave out `stray`"
    text = applied(workspace, mend)[path]
    assert "nodes * except stray" in text
    assert "F081" not in {d.code for d in workspace_with(path, text).analyses[path].diagnostics}


def test_a_field_that_may_be_null_can_be_guarded(files: Path) -> None:
    path = files / "main.forge"
    text = MAIN.replace('prompt file "prompts/improve.j2"', 'prompt "{{ Note.text }} {{ Note.score }}"')
    workspace = workspace_with(path, text)
    titles = {m.title: m for code, m in mends_of(workspace, path) if code == "F051"}
    assert set(titles) == {"Add `pre has Note.score`", "Show it only where there is a `Note.score`"}
    for mend in titles.values():
        mended = applied(workspace, mend)[path]
        assert "F051" not in {d.code for d in workspace_with(path, mended).analyses[path].diagnostics}


@settings(max_examples=60)
@given(session=sessions(3), data=st.data())
def test_no_text_brings_a_feature_down(
    files: Path, session: tuple[str, list[str]], data: st.DataObject
) -> None:
    """Whatever is typed, each request is answered: offsets in the text, ranges in order."""
    name, texts = session
    path = files / name
    workspace = Workspace()
    for text in texts:
        workspace.open(path, text, 1)
        if data.draw(st.booleans()):
            workspace.analyses[path] = workspace.analyser(path).analyse(workspace.overlay)
        size = len(workspace.documents[path].text.text)
        for offset in data.draw(st.lists(st.integers(0, size), min_size=3, max_size=6)):
            shown = hover.hover(workspace, path, offset)
            assert shown is None or 0 <= shown.start <= offset <= shown.end <= size
            assert all(c.label for c in completion.complete(workspace, path, offset))
            definitions.definition(workspace, path, offset)
            for use in definitions.references(workspace, path, offset):
                assert use.start <= use.end
            try:
                definitions.rename(workspace, path, offset, "fresh_name")
            except definitions.Refused as refused:
                assert str(refused)
        outline = workspace.outline(path)
        assert outline is not None
        assert all(0 <= h.offset <= size for h in hints.hints(workspace, path, 0, size))
        ends = [0]
        for start, end, _ in symbols.semantic_tokens(outline, 0, size):
            assert ends[-1] <= start < end <= size
            ends.append(end)
        list(symbols.folds(outline))
        symbols.symbols(workspace, path)
        for said in by_file(workspace).values():
            assert all(d["range"]["start"]["line"] <= d["range"]["end"]["line"] for d in said)
        if path in workspace.analyses:
            for _, mend in mends_of(workspace, path):
                assert mend.edits


@given(
    st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d"])),
    st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d"])),
)
def test_the_smallest_change_makes_the_new_text(old: list[str], new: list[str]) -> None:
    before, after = "".join(old), "".join(new)
    start, end, put = smallest_change(before, after)
    assert before[:start] + put + before[end:] == after
