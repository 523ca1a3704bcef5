"""What models answer is data: no terminal, page, template, table or log takes it for anything else.

One whole run, whose models answer with whatever has been used to break out of somewhere; then every way to look at it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.commands import Done, dataforge
from tests.e2e.server import ModelServer

HOSTILE = {
    "markup": "[bold red]boom[/bold red] [link=http://127.0.0.1:9/x]click[/link] :smile: [/]",
    "template": "{{ 7*7 }} {% for x in y %} {{ Doc.text }} {# gone #} {0.__class__} %s %n ${HOME} `id`",
    "page": "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- --></textarea></style><svg onload=alert(3)>",
    "ansi": "\x1b[31mred\x1b[0m \x1b[2J\x1b[H \x1b]0;title\x07 \x1b]8;;http://127.0.0.1:9/\x1b\\link\x1b]8;;\x1b\\ \x9b31m \r overwritten\b\b",
    "bidi": "user\u202etxt.exe\u202c \u2066isolated\u2069 \u200f zero\u200bwidth \ufeffmark \u2028line\u2029paragraph \U000e0041tag",
    "nul": "before\x00after \x01\x02\x1f\x7f",
    "half": "half a pair \ud83d and \udfff, both alone",
    "table": "| a | b |\n|---|---|\n| `c` | **d** |\n\n# heading\n\n---\nlicense: evil\n---\n```\nfence\n```",
    "sql": "'); drop table calls; -- \" ; delete from outcomes",
    "path": "../../../etc/passwd\x00.txt /dev/null ~/.ssh",
    "yaml": "!!python/object/apply:os.system ['id']\n- &a *a\n%TAG",
    "csv": "=cmd|' /C calc'!A0 @SUM(1+1) +1 -1",
}
PROGRAM = """
struct Doc { text: str }
struct Note { text: str  again: str = ""  score: float? = null }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5  accept clear >= 2 }
node jot {
  takes Doc
  gives Note
  post  not matches(Note.text, "SQLITE")
  ask   writer { prompt "Write: {{ Doc.text }}"  into Note.text }
  ask   writer { system "Known: {{ Note.text }}"  prompt "Again: {{ Note.text }}"  into Note.again }
  judge critic { rubric good  score Note.score }
  retry 0
}
node refuse {
  takes Doc
  gives Note
  post  words(Note.text) >= 9000
  ask   writer { prompt "Write: {{ Doc.text }}"  into Note.text }
  retry 1
}
graph main {
  from Doc
  to Note
  nodes *
  seeds "seeds/*.jsonl"
  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" }
}
"""


class HostileServer(ModelServer):
    """Answers by the name that the prompt ends with; its verdicts are as hostile as its answers."""

    def completion(self, body: dict[str, object], text: str) -> dict[str, object]:
        document = super().completion(body, text)
        name = str(body["messages"][-1]["content"]).removeprefix("Write: ").strip()  # type: ignore[index]
        if name in HOSTILE:
            document["choices"][0]["message"]["content"] = HOSTILE[name]
            document["choices"][0]["message"]["reasoning_content"] = HOSTILE[name][::-1]
        elif '"criteria"' in text:
            reasons = [
                {
                    "criterion": "clear",
                    "reason": " ".join(a for n, a in HOSTILE.items() if n != "half"),
                    "score": 5,
                },
            ]
            document["choices"][0]["message"]["content"] = json.dumps({"criteria": reasons})
        document["model"] = HOSTILE["ansi"] + HOSTILE["markup"]
        return document


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "seeds").mkdir()
    seeds = folder / "seeds" / "a`b|c <img src=x onerror=alert(1)>.jsonl"
    seeds.write_text("".join(json.dumps({"text": name}) + "\n" for name in HOSTILE))
    (folder / "main.forge").write_text(PROGRAM)
    with HostileServer() as server:
        (folder / "dataforge.toml").write_text(
            '[project]\nname = "a|b [red]c[/red] <script>alert(0)</script> `d`"\n' + server.models_file()
        )
        done = dataforge("run", "main.forge", "--out", "out", "--walks", "4", cwd=folder)
        (folder / "run.txt").write_text(done.out + done.err)
        (folder / "prompts.json").write_text(json.dumps(list(server.prompts)))
        assert done.code in (0, 1), done.err
    yield folder


def assert_harmless(text: str) -> None:
    """Nothing in it moves a cursor, changes a colour, turns the reading order round or hides."""
    for char in text:
        assert char in "\n\t" or char.isprintable() or unicodedata.category(char) == "Zs", hex(ord(char))


def look(folder: Path, *arguments: str) -> Done:
    done = dataforge(*arguments, cwd=folder)
    assert done.code == 0, done.err
    assert_harmless(done.err)
    return done


def rows(folder: Path, *more: str) -> list[dict[str, object]]:
    done = look(folder, "show", "out", "--json", "--limit", "1000", *more)
    assert_harmless(done.out)
    return [json.loads(line) for line in done.out.split("\n") if line]


def as_stored(text: str) -> str:
    """An answer is stripped, and half a surrogate pair, which no file can hold, becomes U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text.strip())


def test_what_a_run_prints(folder: Path) -> None:
    assert_harmless((folder / "run.txt").read_text())


def test_answers_are_kept_as_they_came(folder: Path) -> None:
    found = {
        message["content"]  # type: ignore[index]
        for row in rows(folder, "--calls") + rows(folder, "--rejected")
        for message in row["messages"]  # type: ignore[attr-defined]
        if message["role"] == "assistant"
    }
    for name, answer in HOSTILE.items():
        assert as_stored(answer) in found, name


def test_answers_reach_other_prompts_as_text(folder: Path) -> None:
    prompts = [
        message["content"]
        for prompt in json.loads((folder / "prompts.json").read_text())
        for message in json.loads(prompt)
    ]
    assert f"Again: {HOSTILE['template']}" in prompts
    assert f"Known: {HOSTILE['template']}" in prompts
    assert not any("49" in prompt for prompt in prompts if prompt.startswith(("Again: ", "Known: ")))


@pytest.mark.parametrize("arguments", [[], ["--rejected"], ["--calls"]])
def test_show_steers_no_terminal_and_reads_no_markup(folder: Path, arguments: list[str]) -> None:
    done = look(folder, "show", "out", "--limit", "1000", *arguments)
    assert_harmless(done.out)
    if arguments == ["--rejected"]:
        return
    flat = "".join(done.out.replace("│", " ").split())
    assert "".join(HOSTILE["markup"].split()) in flat
    assert "\\x1b[31mred" in flat
    assert "\\u202e" in flat
    assert "{{7*7}}" in flat


def test_show_with_colours_forced(folder: Path) -> None:
    """Colours are ours alone: with them taken out, nothing of the sort is left."""
    done = dataforge(
        "show", "out", "--limit", "1000", cwd=folder, FORCE_COLOR="1", NO_COLOR="", TERM="xterm-256color"
    )
    assert_harmless(re.sub(r"\x1b\[[0-9;]*m", "", done.out))
    assert "\x1b]" not in done.out


class Page(HTMLParser):
    """What a page's markup really is: its tags, and attributes that would run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")
        ]


@pytest.mark.parametrize("format", ["html", "svg", "mermaid"])
def test_drawings(folder: Path, format: str) -> None:
    """A page of a run differs from that of none by what it tells, and by no tag."""
    out = f"drawing.{format}"
    look(folder, "graph", "main.forge", "--run", "out", "-f", format, "-o", out)
    text = (folder / out).read_text()
    assert "alert(" not in text.replace("alert(0)", "") or format == "html"
    if format in ("html", "svg"):
        look(folder, "graph", "main.forge", "-f", format, "-o", f"plain-{out}")
        page, plain = Page(text), Page((folder / f"plain-{out}").read_text())
        assert page.handlers == []
        assert set(page.tags) <= set(plain.tags) | {"title", "text", "tspan", "rect", "path", "g"}
        assert page.tags.count("script") == plain.tags.count("script")
        assert "img" not in page.tags
    if format == "html":
        assert "default-src 'none'" in text or "Content-Security-Policy" in text


def test_hostile_names_on_the_page(folder: Path) -> None:
    """The folder of a run, the file and its texts name themselves; none of them closes a script."""
    evil = "</script><script>alert(1)</script>"
    (folder / "evil.forge").write_text(
        PROGRAM.replace("Write: ", f"{evil} Write: ").replace(
            "graph main {", f'graph main {{\n  """{evil}"""'
        )
    )
    look(folder, "graph", "evil.forge", "-o", "evil.html")
    look(folder, "graph", "main.forge", "-o", "plain.html")
    evil_page, plain = Page((folder / "evil.html").read_text()), Page((folder / "plain.html").read_text())
    assert evil_page.tags.count("script") == plain.tags.count("script")
    assert evil_page.handlers == []


def test_the_card_is_markdown_of_ours(folder: Path) -> None:
    card = (folder / "out" / "README.md").read_text()
    assert_harmless(card)
    for answer in HOSTILE.values():
        assert answer not in card
    header = card.split("---\n")[1]
    assert "license: other" in header
    assert header.count("license") == 1
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("---\n", 2)[2]))
    assert {"h1", "table", "code"} <= set(page.tags)
    assert not {"script", "img", "svg", "a"} & set(page.tags)
    assert "tags:\n- synthetic\n- dataforge\n" in header


def test_logs_are_one_object_a_line(folder: Path) -> None:
    for log in (folder / "out").glob("*.jsonl"):
        for line in log.read_text().split("\n")[:-1]:
            assert json.loads(line)
            assert_harmless(line)


def test_the_store_is_whole(folder: Path) -> None:
    for file in (folder / "out").rglob("*.sqlite"):
        with sqlite3.connect(file) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        database.close()


def test_a_second_start_and_a_reuse_change_nothing(folder: Path) -> None:
    before = rows(folder, "--calls")
    again = dataforge("run", "main.forge", "--out", "out", "--walks", "4", cwd=folder)
    assert_harmless(again.out + again.err)
    assert rows(folder, "--calls") == before
