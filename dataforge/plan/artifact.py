"""The plan: a compiled program, and the document that says all of it.

The document is deterministic: the same files give the same bytes, whatever the process and its hash seed. It carries
the texts of the `.forge` files and prompts, so that `run` can take a plan alone: it compiles those texts again and
compares the hashes. Lists and Python modules stay in the project; their content is covered by the hash.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import All, Expr, Term
from dataforge.domain.resolve import Program, load_program
from dataforge.domain.templates import Template
from dataforge.errors import PlanError
from dataforge.lang.collection import held_collection
from dataforge.lang.diagnostics import Diagnostic, Report, in_order
from dataforge.lang.syntax import LANGUAGE_VERSION
from dataforge.plan.link import link
from dataforge.plan.linked import Linked
from dataforge.project import Project, load_project

FORMAT_VERSION = 1
MAX_SAFE_INTEGER = 2**53


@dataclass(frozen=True, eq=False)
class Plan:
    """A compiled program: resolved, linked, ready to be counted, drawn and run.

    Attributes:
        program: the domain.
        linked: the linked main graph.
        project: the project around it.
        warnings: what the compiler had to say.
        path: the file that was compiled.
    """

    program: Program
    linked: Linked
    project: Project
    warnings: tuple[Diagnostic, ...]
    path: Path

    @property
    def graph(self) -> a.Graph:
        return self.program.graph

    @functools.cached_property
    def _content(self) -> dict[str, Any]:
        return _content(self)

    @functools.cached_property
    def _texts(self) -> dict[str, str]:
        return _key_texts(self._content)

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The plan document, its hash included."""
        return {**self._content, "hash": self.hash}

    @functools.cached_property
    def hash(self) -> str:
        """32 hex digits over everything that the document says."""
        return _hash_texts(self._texts)

    def json(self) -> str:
        """The document's bytes, as `compile -o` writes them: a line a key."""
        texts = {**self._texts, "hash": json.dumps(self.hash)}
        return "{\n" + ",\n".join(f'"{key}": {texts[key]}' for key in sorted(texts)) + "\n}\n"


def compile_program(
    path: Path, *, graph: str | None = None, python: bool = True, project: Project | None = None
) -> Plan:
    """Compile a `.forge` file.

    Args:
        path: the file.
        graph: which graph, where the file has several that no other uses.
        python: whether Python modules may be imported.
        project: the project, where it is known already; found from the path otherwise.

    Raises:
        CompileError: with every diagnostic, where anything is wrong.
        ProjectError: where `dataforge.toml` is.
    """
    return _compile(path, project or load_project(path), graph=graph, python=python)


def open_plan(path: Path, *, graph: str | None = None, python: bool = True) -> Plan:
    """Compile a `.forge` file, or read a plan document (`.json`) and compile the texts that it carries.

    Raises:
        CompileError, ProjectError: as `compile_program` does.
        PlanError: where the document is damaged, or the project around it has changed since.
    """
    if path.suffix != ".json":
        return compile_program(path, graph=graph, python=python)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_document(path, error) from error
    return open_document(document, path, graph=graph, python=python)


def open_document(document: Any, near: Path, *, graph: str | None = None, python: bool = True) -> Plan:
    """Compile the texts that a plan document carries.

    Args:
        document: the document, as JSON values.
        near: a path in the project's folder: its Python modules and lists are there, and not in the document.
        graph: which graph, where the file has several; the document's own by default.
        python: whether Python modules may be imported.

    Raises:
        CompileError, ProjectError, PlanError: as for `open_plan`.
    """
    try:
        version, name, main, texts = (document[k] for k in ("forge_plan", "graph", "main", "sources"))
        stated = document["hash"]
        document = {key: value for key, value in document.items() if key != "hash"}
        good = (
            isinstance(main, str)
            and isinstance(texts, dict)
            and all(isinstance(t, str) for t in texts.values())
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _no_document(near, error) from error
    if version != FORMAT_VERSION:
        raise PlanError(
            f"{near} is a plan of format {version}, and this DataForge reads format {FORMAT_VERSION}",
            help="compile the `.forge` file again",
        )
    if not good or _hash_texts(_key_texts(document)) != stated:
        raise PlanError(
            f"{near} was changed after it was made: its hash does not fit",
            help="compile the `.forge` file again",
        )
    project = load_project(near)
    plan = _compile(project.root / main, project, graph=graph or name, python=python, overlay=texts)
    if graph in (None, name) and plan.hash != stated:
        changed = [key for key in sorted(document) if document[key] != plan.document.get(key)]
        raise PlanError(
            f"{near} does not fit this project any more: {', '.join(changed)} differ",
            help="its Python modules or lists have changed since; compile the `.forge` file again",
        )
    return plan


def _no_document(path: Path, error: Exception) -> PlanError:
    reason = error.strerror if isinstance(error, OSError) else "it is no plan document"
    return PlanError(
        f"{path} cannot be read: {reason}", help="make one with `dataforge compile FILE -o plan.json`"
    )


def _compile(
    path: Path,
    project: Project,
    *,
    graph: str | None,
    python: bool,
    overlay: Mapping[str, str] | None = None,
) -> Plan:
    report = Report()
    with held_collection():
        program = load_program(path, project, report, graph=graph, python=python, overlay=overlay)
        linked = link(program.graph, program.terms, program.structs, report) if program is not None else None
    report.raise_if_errors()
    assert program is not None
    assert linked is not None
    return Plan(program, linked, project, in_order(report.diagnostics), path)


def _key_texts(content: Mapping[str, Any]) -> dict[str, str]:
    """Each value of the document as canonical JSON, made once for the hash and for the file."""
    return {
        key: json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        for key, value in content.items()
    }


def _hash_texts(texts: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(texts):
        digest.update(f"{key}:{texts[key]}\n".encode())
    return digest.hexdigest()


# ---- the document


def _content(plan: Plan) -> dict[str, Any]:
    program, linked = plan.program, plan.linked
    prompts: dict[str, str] = {}
    nodes = {name: _node(node, prompts) for name, node in sorted(program.graph.nodes().items())}
    used = _structs_used(program)
    return {
        "forge_plan": FORMAT_VERSION,
        "language": LANGUAGE_VERSION,
        "main": program.main,
        "graph": program.graph.name,
        "structs": {name: program.structs[name].json_schema for name in sorted(used)},
        "models": {
            name: {"kind": model.kind, "settings": _plain(model.settings)}
            for name, model in program.models.items()
        },
        "lists": {name: {"entries": len(x.entries), "hash": x.digest} for name, x in program.lists.items()},
        "nodes": nodes,
        "graphs": {
            name: _graph(inner, prompts) | _linked(found)
            for name, inner, found in sorted(_inner(linked), key=lambda item: item[0])
        },
        "ends": _graph(program.graph, prompts),
        "prompts": dict(sorted(prompts.items())),
        "sources": dict(program.files),
        "modules": dict(program.modules),
        **_linked(linked),
    }


def _inner(linked: Linked, prefix: str = "") -> list[tuple[str, a.Graph, Linked]]:
    found = []
    for name, inner in linked.inner.items():
        found.append((prefix + name, inner.graph, inner))
        found.extend(_inner(inner, f"{prefix}{name}/"))
    return found


def _linked(linked: Linked) -> dict[str, Any]:
    known = {
        state: linked.known(state) for state in sorted({linked.source, *(v.state for v in linked.vertices)})
    }
    ends = {"source": {"id": "source", "node": None, "known": known[linked.source]}}
    return {
        "vertices": [
            ends["source"],
            *(
                {"id": v.id, "node": linked.actions[v.action].name, "known": known[v.state]}
                for v in linked.vertices
            ),
            {"id": "target", "node": None, "known": conjuncts(linked.graph.goal)},
        ],
        "linked": [list(edge) for edge in linked.edges()],
        "edges": [list(edge) for edge in linked.name_edges],
        "paths": linked.paths if linked.paths <= MAX_SAFE_INTEGER else str(linked.paths),
        "cut": dict(sorted(linked.cut.items())),
    }


def conjuncts(expr: Expr) -> list[str]:
    """A condition as a list of the conditions that its commas join."""
    items = expr.items if isinstance(expr, All) else (expr,)
    return [str(item) for item in items]


def _node(node: a.Node, prompts: dict[str, str]) -> dict[str, Any]:
    return {
        "doc": node.doc,
        "takes": list(node.takes),
        "gives": list(node.gives),
        "many": list(node.many) if node.many is not None else None,
        "pre": conjuncts(node.pre),
        "post": conjuncts(node.post),
        "keeps": [".".join(f) for f in node.keeps],
        "constants": {".".join(f): v for f, v in sorted(node.constants.items())},
        "branch": node.branch.term.text if node.branch is not None else None,
        "else_reject": node.branch.else_reject if node.branch is not None else None,
        "retry": node.retry,
        "weight": node.weight,
        "train": node.train,
        "action": [_step(step, prompts) for step in node.steps],
        **({} if node.rollouts is None else {"rollouts": _rollouts(node.rollouts)}),
    }


def _graph(graph: a.Graph, prompts: dict[str, str]) -> dict[str, Any]:
    return {
        "doc": graph.doc,
        "from": list(graph.sources),
        "where": conjuncts(graph.where),
        "to": list(graph.targets),
        "goal": conjuncts(graph.goal),
        "nodes": list(graph.members),
        "walk": graph.law,
        "steps": list(graph.steps) if graph.steps is not None else None,
        "seeds": list(graph.seeds),
        "emit": None
        if graph.emit is None
        else graph.emit.messages.text
        if graph.emit.messages is not None
        else [
            {
                "role": turn.role,
                "text": _prompt(turn.text, prompts),
                "reasoning": turn.reasoning.text if turn.reasoning is not None else None,
            }
            for turn in graph.emit.turns
        ],
    }


def _prompt(template: Template | None, prompts: dict[str, str]) -> str | None:
    if template is None:
        return None
    prompts[template.digest] = template.text
    return template.digest


def _step(step: a.Step, prompts: dict[str, str]) -> dict[str, Any]:
    match step:
        case a.Draw():
            return {"draw": step.name, "from": step.source.name}
        case a.Ask():
            return {
                "ask": step.model.name,
                "prompt": _prompt(step.prompt, prompts),
                "system": _prompt(step.system, prompts),
                "into": ".".join(step.into) if step.into is not None else None,
                "json": step.json.name if step.json is not None else None,
                "reasoning": ".".join(step.reasoning) if step.reasoning is not None else None,
                "thinking": step.thinking,
                "settings": _plain(step.settings),
            }
        case a.Call():
            return {"call": step.target}
        case a.Judge():
            return {
                "judge": step.model.name,
                "rubric": {
                    "name": step.rubric.name,
                    "doc": step.rubric.doc,
                    "criteria": [[c.name, c.text, c.low, c.high] for c in step.rubric.criteria],
                    "accept": str(step.rubric.accept) if step.rubric.accept is not None else None,
                },
                "score": ".".join(step.score) if step.score is not None else None,
                "rounds": step.rounds,
                "prompt": _prompt(step.instructions, prompts),
                "thinking": step.thinking,
                "settings": _plain(step.settings),
            }
        case a.Verify():
            return {
                "verify": step.verifier.name if step.verifier is not None else None,
                "version": step.verifier.version if step.verifier is not None else None,
                "task": step.task,
                "facts": {
                    name: {"of": value.text} if isinstance(value, Term) else value
                    for name, value in sorted(step.facts.items())
                },
            }
        case a.Assign():
            return {
                "set": ".".join(step.target),
                "to": step.term.text if step.term is not None else step.value,
            }


def _rollouts(rollouts: a.Rollouts) -> dict[str, Any]:
    return {
        "samples": rollouts.samples,
        "keep": rollouts.keep,
        "budget": rollouts.budget,
        "pass_rate": list(rollouts.pass_rate) if rollouts.pass_rate is not None else None,
        "score": ".".join(rollouts.score) if rollouts.score is not None else None,
        "rate": ".".join(rollouts.rate) if rollouts.rate is not None else None,
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(settings.items())}


def _structs_used(program: Program) -> set[str]:
    used = {*program.graph.sources, *program.graph.targets}
    for node in program.graph.nodes().values():
        used.update(node.takes, node.gives)
    for graph in program.graph.graphs().values():
        used.update(graph.sources, graph.targets)
    return used
