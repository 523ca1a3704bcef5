"""An editor at work on a project, through a real client and a real server."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.server.client import Editor, editor, offset, position

MAIN = '''from "shared.forge" import Doc, writer as pen

judge critic { temperature 0 }
list moods from "moods.jsonl"
rubric sound {
  clear "Easy to follow." in 1..5
  accept clear >= 3
}
struct Note { text: str  sort: "short" | "long" = "short"  score: int? = null }

node shorten {
  """Say it 🦊 in fewer words."""
  takes Doc
  gives Note
  pre   Doc.kind == "draft", words(Doc.text) >= 10
  post  words(Note.text) in 1..20
  draw  mood from moods
  ask pen { prompt "🦊🦊 {{ mood.name }}: {{ Doc.text | upper }}"  into Note.text }
  set Note.sort = "short"
}

node improve {
  takes Note
  gives Note
  pre   Note.sort == "short"
  post  Note.score >= 3
  ask pen { prompt file "prompts/improve.j2"  into Note.text }
  judge critic { rubric sound  score Note.score }
  set Note.sort = "long"
}

graph main {
  from  Doc where Doc.kind == "draft", words(Doc.text) >= 10
  to    Note where Note.sort == "long"
  nodes *
  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" }
}

example shorten {
  given Doc { text = "one two three four five six seven eight nine ten"  kind = "draft" }
  model pen says "Few."
  expect words(Note.text) == 1
}
'''
SHARED = """struct Doc { text: str  kind: "draft" | "final" = "draft" }
generator writer { temperature 0.5 }
"""
PROMPT = "Better, please:\n{{ Note.text }}\n{% if Note.score %}It had {{ Note.score }}.{% endif %}\n"

Story = Callable[[Editor, Path], Awaitable[None]]


@pytest.fixture
def files(project: Path) -> Path:
    project = project.resolve()
    (project / "main.forge").write_text(MAIN, encoding="utf-8")
    (project / "shared.forge").write_text(SHARED, encoding="utf-8")
    (project / "moods.jsonl").write_text(
        '{"name": "glad", "why": "spring"}\n{"name": "sad", "why": "rain"}\n'
    )
    (project / "prompts").mkdir()
    (project / "prompts/improve.j2").write_text(PROMPT, encoding="utf-8")
    return project


def told(files: Path, story: Story, *, name: str = "main.forge", options: object = None) -> None:
    """Tell a story with one file open."""

    async def whole() -> None:
        async with editor(files, options=options) as client:
            client.open(files / name)
            await client.diagnostics(files / name)
            await story(client, files / name)

    asyncio.run(whole())


def test_what_is_wrong_is_shown_while_it_is_typed_and_goes_when_it_is_mended(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        assert await client.diagnostics(main) == []
        client.replace(main, "takes Doc", "takes Dok")
        wrong = await client.diagnostics(main)
        assert [d.code for d in wrong] == ["F010"]
        start, end = wrong[0].range.start, wrong[0].range.end
        text = client.texts[main]
        assert text[offset(text, start) : offset(text, end)] == "Dok"
        client.replace(main, "takes Dok", "takes Doc {")
        assert [d.code for d in await client.diagnostics(main)] == ["F001"]
        client.replace(main, "takes Doc {", "takes Doc")
        assert await client.diagnostics(main) == []

    told(files, story)


def test_positions_are_utf16_where_the_text_has_emoji(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        client.replace(main, "Doc.text | upper", "Doc.txet | upper")
        (wrong,) = await client.diagnostics(main)
        line = client.texts[main].split("\n")[wrong.range.start.line]
        units = line.encode("utf-16-le")[2 * wrong.range.start.character : 2 * wrong.range.end.character]
        assert units.decode("utf-16-le") == "Doc.txet"
        # Both edits come after emoji in their lines: were they counted otherwise, the text would not compile.
        client.replace(main, "Doc.txet | upper", "Doc.text | lower")
        assert await client.diagnostics(main) == []
        assert "str" in await client.hover(main, "Doc.te|xt | lower")

    told(files, story)


def test_an_import_is_followed_into_unsaved_text(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        shared = files / "shared.forge"
        client.open(shared)
        await client.diagnostics(shared)
        client.replace(shared, "text: str  ", "")
        await client.diagnostics(shared)
        await client.until(lambda: bool(client.shown[main.as_uri()].diagnostics))
        assert {d.code for d in client.shown[main.as_uri()].diagnostics} >= {"F020", "F053"}

    told(files, story)


def test_a_broken_prompt_is_shown_in_the_prompts_own_file(files: Path) -> None:
    async def story(client: Editor, prompt: Path) -> None:
        client.replace(prompt, "Note.text", "Note.tekst")
        (wrong,) = await client.diagnostics(prompt)
        assert wrong.code == "F053"
        assert await client.labels(prompt, "Note.|tekst") == ["text", "sort", "score"]
        (action,) = await client.actions(prompt)
        assert action.edit is not None
        assert client.apply(action.edit) == {prompt: PROMPT}

    told(files, story, name="prompts/improve.j2")


def test_hover_tells_a_contract_and_where_it_leads(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        node = await client.hover(main, "node shor|ten")
        assert "takes Doc" in node
        assert "words(Note.text) in 1..20" in node
        assert "Say it 🦊 in fewer words." in node
        assert "comes after `source`" in node
        assert "leads to `improve`" in node
        assert '"long" | "short" = "short"' in await client.hover(main, "Note.so|rt ==")
        assert "generator writer" in await client.hover(main, "ask pe|n {")
        assert "draw mood from moods" in await client.hover(main, "{{ mo|od")
        assert "Easy to follow" in await client.hover(main, "rubric sou|nd {")
        assert "What the node guarantees" in await client.hover(main, "po|st  words")
        assert "how many words" in await client.hover(main, "wor|ds(Doc")

    told(files, story)


def test_hover_still_answers_where_the_file_is_broken(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        client.replace(main, "takes Note", "takes Note {{{")
        client.replace(main, "struct Note {", "struct Note")
        assert await client.diagnostics(main)
        assert "leads to `improve`" in await client.hover(main, "node shor|ten")
        assert "sort" in await client.labels(main, "Note.|sort ==")
        assert "takes Note" in await client.hover(main, "node imp|rove")

    told(files, story)


@pytest.mark.parametrize(
    ("old", "new", "wanted", "unwanted"),
    [
        ("takes Doc\n", "takes |\n", ["Doc", "Note"], ["pen", "takes"]),
        ("pre   Doc.kind ==", "pre   Doc.| ==", ["text", "kind"], ["Doc"]),
        (
            'Doc.kind == "draft", words(Doc.text) >= 10\n  post',
            "Doc.kind == |\n  post",
            ['"draft"', '"final"'],
            ["text"],
        ),
        ('Note.sort == "short"\n  post', 'Note.sort == "|"\n  post', ['"short"', '"long"'], ["Note"]),
        ("pre   Doc.kind", "pre   |, Doc.kind", ["Doc", "words", "matches", "has", "not"], ["takes", "pen"]),
        ("ask pen", "ask |", ["pen"], ["critic", "Doc"]),
        ("judge critic { rubric", "judge | { rubric", ["critic"], ["pen"]),
        ("{ rubric sound", "{ rubric |", ["sound"], ["Doc"]),
        ("mood from moods", "mood from |", ["moods"], ["sound"]),
        (
            '  set Note.sort = "short"',
            '  |\n  set Note.sort = "short"',
            ["keeps", "retry", "post"],
            ["struct", "from"],
        ),
        (
            "into Note.text }\n  set",
            "|into Note.text }\n  set",
            ["system", "temperature", "thinking"],
            ["takes", "rubric"],
        ),
        ("score Note.score }", "|score Note.score }", ["rounds", "score"], ["into"]),
        ("nodes *", "nodes |", ["shorten", "improve"], ["main", "Doc"]),
        ("nodes *\n", "nodes *\n  |\n", ["walk", "steps", "except"], ["takes"]),
        ("nodes *\n", "nodes *\n  walk |\n", ["uniform", "weighted", "cover"], ["steps"]),
        ("example shorten", "example |", ["shorten", "improve", "main"], ["Doc"]),
        ("given Doc {", "given Doc { |", ["text", "kind"], ["Note"]),
        ("model pen says", "model |", ["pen", "critic"], ["Doc"]),
        ('kind = "draft" }', "kind = | }", ['"draft"', '"final"'], ["text"]),
        ("accept clear", "accept |", ["clear", "score"], ["Doc"]),
        ("score: int?", "score: |", ["int", "str", "list", "Doc"], ["pen"]),
        ("import Doc,", "import |,", ["Doc", "writer"], ["shorten"]),
        ('from "shared', 'from schemas.text import |\nfrom "shared', ["Passage", "Answer"], ["Doc"]),
        ("{{ mood.name", "{{ |", ["mood", "Doc", "Note"], ["upper"]),
        ("{{ mood.name", "{{ mood.|", ["name", "why"], ["Doc"]),
        ("Doc.text | upper", "Doc.text | |", ["upper", "lower", "tojson"], ["Doc"]),
        ("🦊🦊 {{", "🦊🦊 {% | %}{{", ["if", "for", "endif"], ["Doc"]),
        ("\njudge critic {", "\n|\njudge critic {", ["node", "graph", "struct"], ["takes"]),
        ('file "prompts/improve.j2"', 'file "|"', ["prompts/improve.j2"], ["main.forge"]),
    ],
)
def test_completion_offers_what_may_stand_there(
    files: Path, old: str, new: str, wanted: list[str], unwanted: list[str]
) -> None:
    from dataforge.server.completion import complete
    from dataforge.server.workspace import Workspace

    main, workspace = files / "main.forge", Workspace()
    workspace.analyses[main] = workspace.analyser(main).analyse({})
    assert old in MAIN
    at = MAIN.index(old) + new.rindex("|")
    cut = new.rindex("|")
    workspace.open(main, MAIN.replace(old, new[:cut] + new[cut + 1 :], 1), 2)
    labels = [c.label for c in complete(workspace, main, at)]
    assert set(wanted) <= set(labels)
    assert not set(unwanted) & set(labels)
    # It is still so once the compiler has seen the broken text.
    workspace.analyses[main] = workspace.analyser(main).analyse(workspace.overlay)
    assert set(wanted) <= {c.label for c in complete(workspace, main, at)}


def test_completion_comes_through_the_protocol(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        assert await client.labels(main, "Doc.|kind") == ["text", "kind"]
        client.replace(main, "takes Doc\n", "takes Doc\n  po\n")
        found = await client.text_document_completion_async(
            types.CompletionParams(**client.at(main, "  po|\n"))
        )
        assert isinstance(found, list)
        assert "post" in [item.label for item in found]

    told(files, story)


def test_definitions_are_found_across_files(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        async def place(mark: str) -> tuple[str, str]:
            found = await client.text_document_definition_async(
                types.DefinitionParams(**client.at(main, mark))
            )
            assert isinstance(found, types.Location)
            path = files / found.uri.removeprefix(files.as_uri() + "/")
            text = path.read_text(encoding="utf-8")
            return path.name, text[offset(text, found.range.start) : offset(text, found.range.end)]

        assert await place("takes D|oc") == ("shared.forge", "Doc")
        assert await place("ask p|en {") == ("shared.forge", "writer")
        assert await place("words(Doc.te|xt)") == ("shared.forge", "text")
        assert await place("Note.sc|ore >=") == ("main.forge", "score")
        assert await place("rubric so|und  score") == ("main.forge", "sound")
        assert await place("{{ mo|od.name") == ("main.forge", "mood")
        assert await place('file "prompts/imp|rove') == ("improve.j2", "")
        assert await place("accept cle|ar") == ("main.forge", "clear")
        assert await place("example shor|ten") == ("main.forge", "shorten")

    told(files, story)


def test_an_imported_python_model_is_found_in_its_module(files: Path) -> None:
    (files / "shapes.py").write_text(
        "from pydantic import BaseModel\n\n\nclass Card(BaseModel):\n    title: str\n"
    )
    (files / "main.forge").write_text(
        "from shapes import Card\nnode a { takes Card  gives Card  keeps Card.title }\n"
    )

    async def story(client: Editor, main: Path) -> None:
        for mark, line, word in (("takes Ca|rd", 3, "Card"), ("Card.ti|tle", 4, "title")):
            found = await client.text_document_definition_async(
                types.DefinitionParams(**client.at(main, mark))
            )
            assert isinstance(found, types.Location)
            assert found.uri.endswith("/shapes.py")
            assert found.range.start.line == line
            with pytest.raises(JsonRpcException, match="Python model"):
                await client.text_document_rename_async(
                    types.RenameParams(**client.at(main, mark), new_name="new")
                )
            assert word

    told(files, story)


def test_references_are_found_in_every_file_and_prompt(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        async def count(mark: str, *, declaration: bool = True) -> dict[str, int]:
            found = await client.text_document_references_async(
                types.ReferenceParams(types.ReferenceContext(declaration), **client.at(main, mark))
            )
            names = [place.uri.rpartition("/")[2] for place in found or ()]
            return {name: names.count(name) for name in sorted(set(names))}

        notes = len(re.findall(r"\bNote\b", MAIN))
        assert await count("takes N|ote") == {"improve.j2": 3, "main.forge": notes}
        assert await count("Note.sc|ore >=") == {"improve.j2": 2, "main.forge": 3}
        assert await count("takes D|oc") == {"main.forge": 10, "shared.forge": 1}
        assert await count("ask p|en") == {"main.forge": 5, "shared.forge": 1}
        assert await count("node shor|ten") == {"main.forge": 2}
        assert await count("node shor|ten", declaration=False) == {"main.forge": 1}

    told(files, story)


def test_a_rename_changes_every_file_and_the_program_still_compiles(files: Path) -> None:
    from dataforge.plan.artifact import compile_program

    compile_program(files / "main.forge")

    async def story(client: Editor, main: Path) -> None:
        for mark, new in (
            ("takes N|ote", "Remark"),
            ("Note.sc|ore >=", "grade"),
            ("Doc.te|xt)", "body"),
            ("node shor|ten", "cut_down"),
            ("draw  mo|od", "feeling"),
            ("from mo|ods", "feelings"),
            ("rubric so|und {", "strict"),
            ('cle|ar "', "plain"),
            ("ask p|en {", "quill"),
        ):
            edit = await client.text_document_rename_async(
                types.RenameParams(**client.at(main, mark), new_name=new)
            )
            assert edit is not None
            before = {path: path.read_text(encoding="utf-8") for path in client.apply(edit)}
            for path, text in client.apply(edit).items():
                assert new in text
                path.write_text(text, encoding="utf-8")
            compile_program(main)
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")

    told(files, story)


@pytest.mark.parametrize(
    ("mark", "new", "why"),
    [
        ("node shor|ten", "two words", "no name"),
        ("node shor|ten", "improve", "already a name in main.forge"),
        ("node shor|ten", "node", "a word of the language"),
        ("Note.sc|ore >=", "text", "has a field `text` already"),
        ("ta|kes Doc", "gives", "no name here"),
    ],
)
def test_a_rename_that_cannot_be_is_refused_with_a_reason(files: Path, mark: str, new: str, why: str) -> None:
    async def story(client: Editor, main: Path) -> None:
        with pytest.raises(JsonRpcException, match=why):
            await client.text_document_rename_async(types.RenameParams(**client.at(main, mark), new_name=new))

    told(files, story)


def test_hints_say_what_is_known_after_each_node(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        text = client.texts[main]
        whole = types.Range(types.Position(0, 0), types.Position(text.count("\n"), 0))
        found = await client.text_document_inlay_hint_async(
            types.InlayHintParams(types.TextDocumentIdentifier(main.as_uri()), whole)
        )
        assert found is not None
        labels = {offset(text, hint.position): hint.label for hint in found}
        shorten = text.index("}\n\nnode improve") + 1
        assert labels[shorten] == '⊢ Note.sort == "short", has Doc, has Note'
        assert len(labels) == 2

    told(files, story)


def test_the_outline_and_the_folds_of_a_file(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        document = types.TextDocumentIdentifier(main.as_uri())
        found = await client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
        assert [(s.name, s.kind.name) for s in found or ()] == [
            ("critic", "Class"),
            ("moods", "Array"),
            ("sound", "Interface"),
            ("Note", "Struct"),
            ("shorten", "Method"),
            ("improve", "Method"),
            ("main", "Module"),
            ("shorten", "Event"),
        ]
        folds = await client.text_document_folding_range_async(types.FoldingRangeParams(document))
        lines = client.texts[main].split("\n")
        assert {lines[fold.start_line].split()[0] for fold in folds or ()} == {
            "rubric",
            "node",
            "graph",
            "example",
        }
        colours = await client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(document))
        assert colours is not None
        assert len(colours.data) % 5 == 0
        assert len(colours.data) > 500

    told(files, story)


def test_a_file_is_formatted_as_fmt_does_it(files: Path) -> None:
    formatter = pytest.importorskip("dataforge.lang.format")

    async def story(client: Editor, main: Path) -> None:
        client.replace(main, "  takes Doc\n", "      takes    Doc\n")
        params = types.DocumentFormattingParams(
            types.TextDocumentIdentifier(main.as_uri()), types.FormattingOptions(2, True)
        )
        edits = await client.text_document_formatting_async(params)
        assert edits
        edit = types.WorkspaceEdit(changes={main.as_uri(): list(edits)})
        assert client.apply(edit)[main] == formatter.format_text(client.texts[main])
        client.replace(main, "takes    Doc", "takes    Doc {")
        assert await client.text_document_formatting_async(params) is None

    told(files, story)


def test_python_stays_shut_where_the_client_says_so(files: Path) -> None:
    mark = files / "ran"
    (files / "shapes.py").write_text(
        f"from pathlib import Path\nfrom pydantic import BaseModel\nPath({str(mark)!r}).touch()\n"
        "class Card(BaseModel):\n    title: str\n"
    )
    (files / "main.forge").write_text(
        "from shapes import Card\nnode a { takes Card  gives Card  keeps Card.title }\n"
    )

    async def shut(client: Editor, main: Path) -> None:
        assert [d.code for d in await client.diagnostics(main)] == ["F015"]

    told(files, shut, options={"python": False})
    assert not mark.exists()

    async def open_(client: Editor, main: Path) -> None:
        assert await client.diagnostics(main) == []

    told(files, open_)
    assert mark.exists()


def test_a_python_model_is_read_anew_when_its_file_changes(files: Path) -> None:
    shapes = files / "shapes.py"
    shapes.write_text("from pydantic import BaseModel\nclass Card(BaseModel):\n    title: str\n")
    (files / "main.forge").write_text(
        "from shapes import Card\nnode a { takes Card  gives Card  keeps Card.name }\n"
    )

    async def story(client: Editor, main: Path) -> None:
        assert "F020" in {d.code for d in await client.diagnostics(main)}
        shapes.write_text(
            "from pydantic import BaseModel\nclass Card(BaseModel):\n    name: str\n    # longer\n"
        )
        client.shown.clear()
        client.workspace_did_change_watched_files(
            types.DidChangeWatchedFilesParams(
                [types.FileEvent(shapes.as_uri(), types.FileChangeType.Changed)]
            )
        )
        assert await client.diagnostics(main) == []

    told(files, story)


def test_a_project_file_that_is_wrong_is_said_in_the_editor(files: Path) -> None:
    (files / "dataforge.toml").write_text("[project\n")

    async def story(client: Editor, main: Path) -> None:
        (wrong,) = await client.diagnostics(main)
        assert wrong.code == "R001"

    told(files, story)


def test_a_file_that_is_closed_has_no_diagnostics(files: Path) -> None:
    async def story(client: Editor, main: Path) -> None:
        client.replace(main, "takes Doc", "takes Dok")
        assert await client.diagnostics(main)
        client.shown.clear()
        document = types.TextDocumentIdentifier(main.as_uri())
        client.text_document_did_close(types.DidCloseTextDocumentParams(document))
        await client.until(lambda: main.as_uri() in client.shown)
        assert client.shown[main.as_uri()].diagnostics in ([], ())

    told(files, story)


def test_a_storm_of_edits_and_questions_is_answered(files: Path) -> None:
    """Edits faster than analyses, with questions in between: all are answered, and in the end all is said."""
    dice = random.Random(5)

    async def story(client: Editor, main: Path) -> None:
        asked: list[Awaitable[object]] = []
        for _ in range(60):
            old = dice.choice(["takes", "Note", "{", "}", '"', "post", "node", "🦊", "{{", "draft"])
            if old in client.texts[main]:
                client.replace(main, old, dice.choice([old + old, "", old + "\n", '"""', "é🦊 "]))
            text = client.texts[main]
            place = position(text, dice.randrange(len(text)))
            document = types.TextDocumentIdentifier(main.as_uri())
            asked.append(client.text_document_hover_async(types.HoverParams(document, place)))
            asked.append(client.text_document_completion_async(types.CompletionParams(document, place)))
            asked.append(
                client.text_document_references_async(
                    types.ReferenceParams(types.ReferenceContext(True), document, place)
                )
            )
            await asyncio.sleep(dice.choice([0, 0.001, 0.05]))
        assert len(await asyncio.gather(*asked)) == 180
        assert await client.diagnostics(main)
        client.replace(main, client.texts[main], MAIN)
        assert await client.diagnostics(main) == []

    told(files, story)
