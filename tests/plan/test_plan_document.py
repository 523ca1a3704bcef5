"""The plan document: deterministic, hashed, runnable alone, and refused where it does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from dataforge.errors import PlanError
from dataforge.plan.artifact import compile_program, open_plan

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", ["quickstart", "grounded_qa"])
def test_the_same_bytes_in_every_process(name: str) -> None:
    found = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "dataforge", "compile", str(ROOT / "graphs" / f"{name}.forge"), "--json"],
            capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1
    document = json.loads(found.pop())
    assert set(document) >= {
        "forge_plan", "graph", "structs", "models", "nodes", "vertices", "linked", "edges", "paths", "cut", "hash"
    }  # fmt: skip
    node = document["nodes"]["question" if name == "grounded_qa" else "summarise"]
    assert set(node) >= {"takes", "gives", "pre", "post", "weight", "action"}
    ids = [v["id"] for v in document["vertices"]]
    assert len(set(ids)) == len(ids)
    assert {x for edge in document["linked"] for x in edge} == set(ids)
    assert document["edges"] == sorted(document["edges"])
    assert {"source", "target"} <= {x for edge in document["edges"] for x in edge}


def write(project: Path, text: str) -> Path:
    path = project / "main.forge"
    path.write_text(text)
    return path


PROGRAM = """
struct Doc { text: str  kind: "raw" | "clean" = "raw" }
list moods from "moods.jsonl"
generator writer
node tidy { takes Doc  gives Doc  pre Doc.kind == "raw"  draw mood from moods
  ask writer { prompt file "p.j2"  into Doc.text }  set Doc.kind = "clean" }
graph main { from Doc where Doc.kind == "raw"  to Doc where Doc.kind == "clean"  nodes *
  emit { user "?"  assistant "{{ Doc.text }}" } }
"""


def test_a_plan_runs_without_its_forge_files(project: Path) -> None:
    (project / "moods.jsonl").write_text('"calm"\n')
    (project / "p.j2").write_text("{{ mood }}: {{ Doc.text }}\n")
    path = write(project, PROGRAM)
    plan = compile_program(path)
    (project / "plan.json").write_text(plan.json())
    path.unlink()
    (project / "p.j2").unlink()
    again = open_plan(project / "plan.json")
    assert again.hash == plan.hash
    assert again.json() == plan.json()


def test_a_plan_that_was_edited_or_whose_project_changed_is_refused(project: Path) -> None:
    (project / "moods.jsonl").write_text('"calm"\n')
    (project / "p.j2").write_text("{{ mood }}: {{ Doc.text }}\n")
    text = compile_program(write(project, PROGRAM)).json()
    (project / "plan.json").write_text(text.replace("clean", "cleam", 1))
    with pytest.raises(PlanError, match="changed after it was made") as caught:
        open_plan(project / "plan.json")
    assert caught.value.code == "R031"
    (project / "plan.json").write_text(text)
    (project / "moods.jsonl").write_text('"calm"\n"stern"\n')
    with pytest.raises(PlanError, match="lists differ"):
        open_plan(project / "plan.json")
    for broken in ("", "[]", "{}", '{"forge_plan": 1}'):
        (project / "plan.json").write_text(broken)
        with pytest.raises(PlanError):
            open_plan(project / "plan.json")


def test_a_plan_whose_python_module_changed_is_refused(project: Path) -> None:
    """What the plan says of a model comes from the module, and is compared with what the module says now."""
    path = write(
        project,
        "from schema import Doc\n"
        'node tidy { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "clean" }\n'
        'graph main { from Doc where Doc.kind == "raw"  to Doc where Doc.kind == "clean"  nodes *  emit { user "?"  assistant "{{ Doc.text }}" } }\n',
    )
    module = (
        "from typing import Literal\nfrom pydantic import BaseModel\n\n\n"
        'class Doc(BaseModel):\n    text: str\n    kind: Literal["raw", "clean"] = "raw"\n'
    )
    (project / "schema.py").write_text(module)
    make = "import sys; from pathlib import Path; from dataforge.plan.artifact import open_plan; p = open_plan(Path(sys.argv[1])); print(p.json(), end='')"
    done = subprocess.run([sys.executable, "-c", make, str(path)], capture_output=True, text=True, check=True)
    (project / "plan.json").write_text(done.stdout)
    again = subprocess.run(
        [sys.executable, "-c", make, str(project / "plan.json")], capture_output=True, text=True, check=True
    )
    assert again.stdout == done.stdout
    (project / "schema.py").write_text(module + "    stars: int = 0\n")
    changed = subprocess.run(
        [sys.executable, "-c", make, str(project / "plan.json")], capture_output=True, text=True, check=False
    )
    assert "PlanError" in changed.stderr
    assert "does not fit this project any more" in changed.stderr


def test_a_document_says_what_a_reader_needs_to_draw_it(project: Path) -> None:
    (project / "moods.jsonl").write_text('"calm"\n')
    (project / "p.j2").write_text("{{ mood }}: {{ Doc.text }}\n")
    plan = compile_program(write(project, PROGRAM))
    document = json.loads(plan.json())
    assert document == json.loads(json.dumps(plan.document))
    dag = nx.DiGraph([tuple(edge) for edge in document["linked"]])
    assert nx.is_isomorphic(dag, plan.linked.dag())
    assert set(dag) == {v["id"] for v in document["vertices"]}
    assert {v["node"] for v in document["vertices"]} == {None, "tidy"}
    assert document["vertices"][0] == {
        "id": "source",
        "node": None,
        "known": ["has Doc", 'Doc.kind == "raw"'],
    }
    assert document["vertices"][-1]["known"] == ['Doc.kind == "clean"']
    prompt = document["nodes"]["tidy"]["action"][1]["prompt"]
    assert document["prompts"][prompt] == "{{ mood }}: {{ Doc.text }}"
    assert document["nodes"]["tidy"]["constants"] == {"Doc.kind": "clean"}
    assert document["paths"] == 1
    assert document["hash"] == plan.hash


@pytest.mark.parametrize(("bits", "shown"), [(53, 2**53), (54, str(2**54))])
def test_counts_are_numbers_as_long_as_every_reader_can_hold_them(
    project: Path, bits: int, shown: object
) -> None:
    nodes = "\n".join(
        f"node n{i}_{k} {{ takes Doc  gives Doc  pre Doc.step == {i}  keeps Doc.text  set Doc.step = {i + 1} }}"
        for i in range(bits)
        for k in range(2)
    )
    plan = compile_program(
        write(
            project,
            f"struct Doc {{ text: str  step: int = 0 }}\n{nodes}\n"
            f'graph main {{ from Doc where Doc.step == 0  to Doc where Doc.step == {bits}  nodes *  emit {{ user "?"  assistant "{{{{ Doc.text }}}}" }} }}',
        )
    )
    assert plan.linked.paths == 2**bits
    assert plan.document["paths"] == shown


def test_a_changed_function_body_is_another_plan(project: Path) -> None:
    (project / "helpers.py").write_text("def shout(text):\n    return text.upper()\n")
    (project / "functions.py").write_text(
        "from helpers import shout\n\n\ndef tidy(doc):\n    return {'text': shout(doc.text)}\n"
    )
    path = write(
        project,
        "struct Doc { text: str }\nstruct Note { text: str }\n"
        'node tidy { takes Doc  gives Note  call "functions:tidy" }\n'
        'graph main { from Doc  to Note  nodes *  emit { user "?"  assistant "{{ Note.text }}" } }',
    )
    first = compile_program(path)
    assert set(first.document["modules"]) == {"functions.py", "helpers.py"}
    (project / "plan.json").write_text(first.json())
    assert open_plan(project / "plan.json").hash == first.hash
    (project / "helpers.py").write_text("def shout(text):\n    return text.lower()\n")
    assert compile_program(path).hash != first.hash
    with pytest.raises(PlanError, match="modules differ"):
        open_plan(project / "plan.json")
