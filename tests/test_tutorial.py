"""docs/tutorial.md: its steps are done in a fresh folder, in the order of the page, and print what it shows.

The page writes files, changes items of them, and runs commands. Here each is done for real: commands are processes, and
the files are those that a reader would have. Only the embedded models are not there, for the sake of speed: what they
said when the page was written is in `tutorial_recording.jsonl`, and the backend `replay` says it again. A row's walk and
draws hang on the name of the graph and its paths, so where those or a prompt change, the run is another one. Then

    python -m tests.test_tutorial

makes the recording anew with the embedded models (some minutes), and writes into the page what no longer agrees.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataforge.plan.artifact import compile_program
from dataforge.run.store import STORE_NAME, CallStore
from tests.cli.commands import Done, command, dataforge, environment

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
RECORDING = Path(__file__).parent / "tutorial_recording.jsonl"
BLOCK = re.compile(r"^<!-- (file|edit|run)(?:: (.*?))? -->\n```\w+\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```\w*$", re.MULTILINE)
ITEM = re.compile(
    r"^(?:(?:struct|generator|judge|list|rubric|predicate|node|example|graph) \w+|(?:from|forge) )",
    re.MULTILINE,
)
REPLAYED = """
[models.generator]
backend = "replay"
path = "recording.jsonl"
model = "smollm2-135m-instruct"

[models.judge]
backend = "replay"
path = "recording.jsonl"
model = "minilm-judge"
"""
VOLATILE = (
    (r"plan [0-9a-f]{32}", "plan …"),
    (r"(╭─ final) \w+ ─*╮", r"\1 … ─…╮"),
    (r"(\d+ model calls) .*", r"\1 …"),
    (r"(  node +calls) .*", r"\1 …"),
    (r"(  \w+(?: · judge)? +\d+) .* m?s .*", r"\1 …"),
    (r"(.*: [\w-]+ by) \w+, from .*", r"\1 …"),
    (r"\d+/\d+ rows · .*|\w+: [\w-]+ \(\w+\)", "…"),
)
"""What differs from machine to machine in what is printed, and how the page leaves it out."""


@dataclass(frozen=True)
class Block:
    """One marked block of the page, and where it stands."""

    line: int
    kind: str
    mark: str
    text: str

    @property
    def command(self) -> list[str]:
        assert self.text.startswith("$ dataforge "), self.text
        return shlex.split(self.text.splitlines()[0])[2:]

    @property
    def shown(self) -> list[str]:
        return self.text.splitlines()[1:]

    @property
    def exit_code(self) -> int:
        return int(self.mark.removeprefix("exit ")) if self.mark else 0


def line_of(block: re.Match[str]) -> int:
    """Where the block's fence stands."""
    return PAGE.count("\n", 0, block.start()) + 2


BLOCKS = [Block(line_of(found), found[1], found[2] or "", found[3]) for found in BLOCK.finditer(PAGE)]
COMMANDS = [block for block in BLOCKS if block.kind == "run"]


def grouped(text: str) -> dict[str, str]:
    """A file's items in order, by keyword and name; examples of one node stay together."""
    starts = [found.start() for found in ITEM.finditer(text)]
    assert not text[: starts[0]].strip(), "a block begins with an item"
    found: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end].strip()
        name = " ".join(re.findall(r"\w+", part)[:2])
        found[name] = f"{found[name]}\n\n{part}" if name in found else part
    return found


def edited(old: str, changes: str) -> str:
    """The file after a reader did as the page says: known items replaced, new ones put above the graph."""
    there, new = grouped(old), grouped(changes)
    whole = {**there, **new}  # keeps the places of what was there
    graph = {name: part for name, part in whole.items() if name.startswith("graph ")}
    others = {name: part for name, part in whole.items() if name not in graph}
    return "\n\n".join([*others.values(), *graph.values()]) + "\n"


def follow(project: Path, run: Callable[[Block, Path], Done]) -> dict[int, Done]:
    """Do what the page says, in its order. What each command left, by its line."""
    done = {}
    for block in BLOCKS:
        if block.kind == "run":
            done[block.line] = run(block, project)
            continue
        path = project / block.mark
        path.parent.mkdir(parents=True, exist_ok=True)
        if block.kind == "edit":
            path.write_text(edited(path.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        else:
            path.write_text(block.text + "\n", encoding="utf-8")
    return done


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether output is what is shown: a line `…` is any number of lines, `…` in a line is any text."""
    if not shown:
        return not printed
    first, *rest = shown
    if first == "…":
        return any(agrees(rest, printed[n:]) for n in range(len(printed) + 1))
    pattern = ".*".join(re.escape(part) for part in first.rstrip().split("…"))
    return (
        bool(printed) and re.fullmatch(pattern, printed[0].rstrip()) is not None and agrees(rest, printed[1:])
    )


def masked(printed: list[str]) -> list[str]:
    """Output as the page would show it whole."""
    shown: list[str] = []
    for line in printed:
        for pattern, instead in VOLATILE:
            line = re.sub(f"^(?:{pattern})$", instead, line)
        if line != "…" or shown[-1:] != ["…"]:
            shown.append(line)
    return shown


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "dataforge.toml").write_text(REPLAYED)
    (folder / "recording.jsonl").write_bytes(RECORDING.read_bytes())
    return folder


@pytest.fixture(scope="module")
def done(project: Path) -> dict[int, Done]:
    return follow(project, lambda block, folder: dataforge(*block.command, cwd=folder))


def printed(done: Done) -> list[str]:
    return (done.err + done.out).rstrip().splitlines()


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: f"line{block.line}-{block.command[0]}")
def test_command_prints_what_the_page_shows(done: dict[int, Done], block: Block) -> None:
    found = done[block.line]
    assert found.code == block.exit_code, found.err + found.out
    assert agrees(block.shown, printed(found)), "\n".join(printed(found))


def test_what_is_masked_agrees_with_what_was_printed(done: dict[int, Done]) -> None:
    for found in done.values():
        assert agrees(masked(printed(found)), printed(found))


def test_no_command_is_shown_without_what_it_prints() -> None:
    for block in COMMANDS:
        assert any(line != "…" for line in block.shown), block.command


def test_every_block_is_marked_and_every_step_has_one() -> None:
    assert len(FENCE.findall(PAGE)) == 2 * len(BLOCKS)
    steps = re.split(r"^## \d+\. ", PAGE, flags=re.MULTILINE)[1:]
    assert len(steps) == 10
    assert all(BLOCK.search(step) for step in steps)


def test_the_finished_file_compiles_without_a_warning(project: Path, done: dict[int, Done]) -> None:
    assert done
    plan = compile_program(project / "qa.forge")
    assert not [warning.render() for warning in plan.warnings]
    assert str(plan.linked.paths) == "3"


def test_every_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings
    for name in re.findall(r"\]\(([\w./-]+\.md)", PAGE):
        assert (DOCS / name).is_file(), name


def test_the_index_lists_every_page_of_the_docs() -> None:
    listed = set(re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert listed == {name for name in pages if name != "README.md" and not name.startswith("decisions")}


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a …", "…", "z"], ["a b", "c", "d", "z"], True),
        (["…", "z"], ["z"], True),
        (["a"], ["a", "b"], False),
        (["a…c"], ["abcd"], False),
    ],
)
def test_an_ellipsis_leaves_out_what_the_page_says_it_does(
    shown: list[str], printed: list[str], same: bool
) -> None:
    assert agrees(shown, printed) is same


def record() -> None:
    """Follow the page with the embedded models, keep what they said, and bring the page up to date."""
    left: dict[int, Done] = {}

    def run(block: Block, folder: Path) -> Done:
        found = subprocess.run(
            command(*block.command),
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(found.returncode, found.stdout, found.stderr)

    def renewed(found: re.Match[str]) -> str:
        block = next(block for block in BLOCKS if block.line == line_of(found))
        if block.kind != "run" or agrees(block.shown, printed(left[block.line])):
            return found[0]
        new = [block.text.splitlines()[0], *masked(printed(left[block.line]))]
        return found[0].replace(block.text, "\n".join(new))

    with tempfile.TemporaryDirectory() as folder:
        left.update(follow(Path(folder), run))
        out = Path(folder) / "out"
        with contextlib.closing(sqlite3.connect(out / STORE_NAME)) as database:
            keys = sorted(key.hex() for (key,) in database.execute("SELECT key FROM calls"))
        with contextlib.closing(CallStore(out)) as store:
            replies = {key: store.reply(key) for key in keys}
    kept = ("text", "finish_reason", "prompt_tokens", "completion_tokens", "constrained")
    lines = [{"key": key, **{name: getattr(reply, name) for name in kept}} for key, reply in replies.items()]
    RECORDING.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (DOCS / "tutorial.md").write_text(BLOCK.sub(renewed, PAGE), encoding="utf-8")


if __name__ == "__main__":
    record()
