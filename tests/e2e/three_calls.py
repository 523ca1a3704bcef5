"""A project of three calls a row (instruction, answer, judge), run as people run it: `dataforge run`, a process of its own.

The proofs of durability and the benchmark share it. Seeds are numbered, so no two rows ever ask the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from dataforge.run.journal import find_reply
from tests.e2e.storm_server import TOKEN

CALLS_A_ROW = 3

INSTRUCT = "Write one instruction that a reader of this passage can carry out.\n\n{text}"
ANSWER = "Carry out the instruction, with nothing but the passage to go by.\n\n{text}\n\nInstruction: {instruction}"

PROGRAM = """
struct Doc { text: str }
struct Instruction { text: str }
struct Answer { text: str  score: float? = null }

generator writer { temperature 0.7  max_tokens 200 }
judge critic

rubric sound {
  relevance "The answer does what the instruction asks." in 1..5
  grounding "What the answer says is in the passage." in 1..5
  accept relevance >= 3 and grounding >= 3
}

node instruct {
  takes Doc
  gives Instruction
  post  words(Instruction.text) >= 4
  ask writer { prompt PROMPT_1  into Instruction.text }
}

node respond {
  takes Doc, Instruction
  gives Answer
  post  words(Answer.text) >= 4
  ask writer { prompt PROMPT_2  into Answer.text }
  judge critic { rubric sound  score Answer.score  rounds 0 }
}

graph main {
  from Doc
  to Answer
  nodes *
  seeds "seeds.jsonl"
  emit { user "{{ Instruction.text }}"  assistant "{{ Answer.text }}" }
}
"""
PROGRAM = PROGRAM.replace("PROMPT_1", json.dumps(INSTRUCT.format(text="{{ Doc.text }}"))).replace(
    "PROMPT_2", json.dumps(ANSWER.format(text="{{ Doc.text }}", instruction="{{ Instruction.text }}"))
)
WORDS = ("salt", "road", "river", "market", "winter", "grain", "tower", "ferry", "copper", "harbour")  # fmt: skip


def passage(number: int) -> str:
    """Some sixty words that belong to one row."""
    return f"Passage {number}. {' '.join(random.Random(number).choices(WORDS, k=60))}."


def write_project(folder: Path, rows: int, url: str, **settings: Any) -> Path:
    """The project's files; `settings` go into both [models.*] tables. Returns the `.forge` file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataforge.toml").write_text('[project]\nname = "three-calls"\n')
    (folder / "main.forge").write_text(PROGRAM)
    with (folder / "seeds.jsonl").open("w") as seeds:
        seeds.writelines(json.dumps({"text": passage(i)}) + "\n" for i in range(rows))
    bind_models(folder, url, **settings)
    return folder / "main.forge"


def write_chain(folder: Path, nodes: int, url: str) -> Path:
    """Another program in the same project: one row, and so many calls one after another."""
    program = write_project(folder, 1, url)
    steps = "".join(
        f"node n{i} {{ takes Doc  gives Doc  pre Doc.step == {i}  post words(Doc.text) >= 1\n"
        f'  ask writer {{ prompt "Go on: {{{{ Doc.text }}}}"  into Doc.text }}  set Doc.step = {i + 1} }}\n'
        for i in range(nodes)
    )
    program.write_text(
        f"struct Doc {{ text: str  step: int = 0 }}\ngenerator writer\n{steps}"
        f"graph main {{ from Doc where Doc.step == 0  to Doc where Doc.step == {nodes}  nodes *\n"
        '  seeds "seeds.jsonl"  emit { user "?"  assistant "{{ Doc.text }}" } }\n'
    )
    return program


def bind_models(folder: Path, url: str, **settings: Any) -> None:
    """Write (anew) which models the project asks, and how."""
    told = "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())
    (folder / "models.toml").write_text(
        "".join(
            f'[models.{name}]\nbackend = "openai"\nbase_url = "{url}"\nmodel = "{model}"\n{told}\n'
            for name, model in (("generator", "writer-model"), ("judge", "judge-model"))
        )
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def command(program: Path, out: Path, *more: str) -> list[str]:
    folder = program.parent
    return [
        sys.executable, "-m", "dataforge", "run", str(program), "--models", str(folder / "models.toml"),
        "--out", str(out), "--json", *more,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """What the run sees: nothing that names a model or a proxy."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OPENAI_", "DATAFORGE_")) and not key.lower().endswith("_proxy")
    }


def databases(out: Path) -> list[Path]:
    """The journals of the shards under way, and the replies of whole shards."""
    return sorted([*out.glob("shards/*/journal.sqlite"), *out.glob("calls.sqlite")])


def outcomes(out: Path) -> int:
    """Rows whose end is in a journal, while the run goes on."""
    found = 0
    for path in databases(out):
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal,
        ):
            found += journal.execute("SELECT count(*) FROM outcomes").fetchone()[0]
    return found


def acknowledged(out: Path) -> set[str]:
    """Tokens of all answers that are on disk, of a run that is not running.

    Copies are read: whoever opens a database mends what a crash left, and that is for the run to do.
    """
    found: set[str] = set()
    for path in databases(out):
        with tempfile.TemporaryDirectory() as scratch:
            for file in path.parent.glob(f"{path.name}*"):
                if not file.name.endswith("-shm"):
                    shutil.copy(file, scratch)
            with contextlib.closing(sqlite3.connect(Path(scratch) / path.name)) as copy:
                if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
                    continue  # killed before the tables were there
                for (key,) in copy.execute("SELECT key FROM calls").fetchall():
                    reply = find_reply(copy, key.hex(), path)
                    assert reply is not None
                    found.update(TOKEN.findall(reply.text)[:1])
    return found
