"""Tasks in words: what a model is told, for documents to be made and documents to be mended.

Everything that a verdict turns on is said: the schema, the language and its traps, the container, the rules between
fields, and for edits what may change. Languages and containers take turns in blocks, and kinds of errors do too, so that
any long enough stretch of tasks is balanced; a task depends on the seed and its own number alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.structured.containers import Container
from dataforge.verifiers.structured.injection import KINDS, Unbreakable, inject_several
from dataforge.verifiers.structured.reading import OUTPUTS, Output, read
from dataforge.verifiers.structured.rules import read_rule
from dataforge.verifiers.structured.situations import Situation, situation
from dataforge.verifiers.structured.unreadable import Unreadable
from dataforge.verifiers.structured.validation import Compiled
from dataforge.verifiers.structured.values import MISSING, Path, leaf_count, pointer
from dataforge.verifiers.structured.writing import write
from schemas.task import Task

NAMES: dict[Output, str] = {"json": "JSON", "yaml": "YAML", "toml": "TOML", "xml": "XML"}

FORMS: tuple[tuple[Container, bool], ...] = (
    ("bare", False),
    ("fence", False),
    ("fence", True),
    ("tags", False),
    ("tags", True),
    ("any", False),
)
"""Containers, and whether nothing may stand around them."""

TAGS = ("output", "answer", "result", "document", "final")


def generation_tasks(seed: int, n: int) -> Iterator[Task]:
    """Documents to be made."""
    for number in range(n):
        rng = random.Random(f"schema {seed} {number}")
        output, container, alone = _form(f"schema {seed}", number)
        case = situation(rng)
        form = Form(output, container, alone, rng, case.root)
        prompt, system = _arranged(_generation_prompt(case, form, rng), form, case.compiled, rng)
        yield Task(
            prompt=prompt,
            system=system,
            facts={**form.facts(case.schema), "expected": expected_of(case.document), "exactly": True},
            verifier="schema",
            topic=f"{case.domain.name} in {output}",
            difficulty=_difficulty(case, form),
        )


def editing_tasks(seed: int, n: int) -> Iterator[Task]:
    """Documents to be mended."""
    for number in range(n):
        rng = random.Random(f"schema_edit {seed} {number}")
        output, container, alone = _form(f"schema_edit {seed}", number)
        kinds = list(KINDS)
        random.Random(f"schema_edit {seed} kinds {number // len(kinds)}").shuffle(kinds)
        kind = kinds[number % len(kinds)]
        while True:  # a situation that cannot be broken in this way is passed over for one that can
            case = situation(rng)
            form = Form(output, container, alone, rng, case.root)
            errors = [kind, *rng.choices(KINDS, k=rng.choice((0, 0, 1, 2)))]
            found = inject_several(
                case.compiled, case.document, errors, rng, accept_of(case.compiled, output, case.root)
            )
            if not isinstance(found, Unbreakable):
                break
        broken = found[-1].value
        prompt, system = _arranged(
            _editing_prompt(case, broken, form, len(found), rng), form, case.compiled, rng
        )
        yield Task(
            prompt=prompt,
            system=system,
            facts={**form.facts(case.schema), "broken": broken, "original": case.document},
            verifier="schema_edit",
            topic=kind,
            difficulty=min(1.0, 0.2 * len(found) + _difficulty(case, form) / 2),
        )


class Form:
    """The form that one task asks for."""

    def __init__(
        self, output: Output, container: Container, alone: bool, rng: random.Random, root: str
    ) -> None:
        self.output: Output = output
        self.container: Container = container
        self.alone = alone
        self.root = root if output == "xml" else ""
        self.tag = rng.choice([tag for tag in TAGS if tag != root])

    def facts(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The facts about form."""
        facts: dict[str, Any] = {"json_schema": schema, "output": self.output, "container": self.container}
        if self.container in ("tags", "any"):
            facts["tag"] = self.tag
        if self.alone:
            facts["alone"] = True
        if self.root:
            facts["root"] = self.root
        return facts

    def instruction(self, rng: random.Random) -> str:
        """Where the document must stand."""
        name = NAMES[self.output]
        if self.container == "bare":
            return rng.choice(
                (
                    f"Answer with the {name} document and nothing else: no explanation and no code fence.",
                    f"Your whole answer must be the {name} document itself, without a word or a code fence around it.",
                    f"Reply with raw {name} only.",
                )
            )
        if self.container == "fence":
            lead = rng.choice(
                (
                    f"Put the document into one fenced code block that opens with ```{self.output}.",
                    f"Give the {name} in a single code block marked `{self.output}` (that is, it begins with ```{self.output}).",
                )
            )
            tail = " Write nothing before or after the block." if self.alone else " Use no other code block."
            return lead + tail
        if self.container == "tags":
            lead = rng.choice(
                (
                    f"Put the {name} between <{self.tag}> and </{self.tag}>, once and without a code fence.",
                    f"Wrap the {name} document in one pair of <{self.tag}>…</{self.tag}> tags, with no code fence inside.",
                )
            )
            return lead + (" Write nothing outside the tags." if self.alone else "")
        return rng.choice(
            (
                f"Your answer must contain exactly one {name} document.",
                f"Give the {name} document once; a short remark beside it is fine.",
            )
        )


def notes_of(form: Form, compiled: Compiled) -> list[str]:
    """What a language's readers trip over, as far as it matters for the schema."""
    nullable = '"null"' in json.dumps(compiled.schema)
    if form.output == "yaml":
        return ["Mind YAML's typing: texts that look like numbers, booleans or null must be quoted."]
    if form.output == "toml":
        return ["TOML has no null: leave a field out where it would be null."] if nullable else []
    if form.output == "xml":
        notes = [
            f"The root element is <{form.root}>. Each field is a child element of the same name, and each entry of a list is "
            "an <item> element inside the list's element. Use no attributes"
            + (', but for null: that is an empty element with null="true".' if nullable else ".")
        ]
        return [*notes, "Booleans are true or false; texts are taken as they stand, blanks included."]
    return []


def rules_of(compiled: Compiled) -> list[str]:
    """The rules between the fields of the root, in words."""
    said = []
    for raw in compiled.root.get("x-rules", ()):
        rule = read_rule(raw)
        one, other = ("`" + "/".join(way) + "`" for way in rule.fields)
        said.append(
            {
                "le": f"{one} must not be greater (or later) than {other}",
                "lt": f"{one} must be less (or earlier) than {other}",
                "ne": f"{one} and {other} must differ",
                "sum": f"{other} must be the exact sum of {one}",
                "count": f"{other} must be the number of entries of {one}",
                "required_if": f"{one} is required where {other} is {json.dumps(rule.equals)}",
            }[rule.kind]
        )
    return said


def expected_of(document: dict[str, Any]) -> dict[str, Any]:
    """The values of a document by pointer: objects field by field, lists whole."""
    found: dict[str, Any] = {}

    def walk(value: Any, path: Path) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(item, (*path, key))
        else:
            found[pointer(path)] = value

    walk(document, ())
    return found


def accept_of(compiled: Compiled, output: Output, root: str) -> Any:
    """What becomes of a document that is written in a language and read again: what the model gets to see."""

    def accept(value: Any) -> Any:
        try:
            return read(write(value, output, root), output, compiled, root)
        except (Unreadable, InputError):
            return MISSING

    return accept


# ---- the prompts


def a(noun: str) -> str:
    """A noun with its indefinite article."""
    return f"{'an' if noun[0].lower() in 'aeiou' or noun == 'XML' else 'a'} {noun}"


def _form(seed: str, number: int) -> tuple[Output, Container, bool]:
    forms = [(output, *form) for output in OUTPUTS for form in FORMS]
    random.Random(f"{seed} forms {number // len(forms)}").shuffle(forms)
    return forms[number % len(forms)]


def _difficulty(case: Situation, form: Form) -> float:
    return round(min(1.0, leaf_count(case.document) / 40 + 0.1 * OUTPUTS.index(form.output)), 3)


def _schema_text(case: Situation, rng: random.Random) -> str:
    text = json.dumps(case.schema, ensure_ascii=False, indent=rng.choice((2, 2, None)))
    return rng.choice((f"```json\n{text}\n```", f"<schema>\n{text}\n</schema>"))


def _rules_text(compiled: Compiled) -> str:
    rules = rules_of(compiled)
    return f"Besides (`x-rules` in the schema): {'; '.join(rules)}." if rules else ""


def _generation_prompt(case: Situation, form: Form, rng: random.Random) -> list[str]:
    name = NAMES[form.output]
    ask = rng.choice(
        (
            f"Write this {case.domain.name} down as {a(name)} document that satisfies the JSON Schema below.",
            f"Turn this into {a(name)} document for the {case.domain.name}, valid under the following JSON Schema.",
            f"Record the {case.domain.name} in {name}. The JSON Schema that the record must satisfy:",
        )
    )
    care = rng.choice(
        (
            "Use the values as they are given, and leave out every optional field about which nothing is said.",
            "Take each value over exactly as stated. Optional fields that are not mentioned do not belong in the document.",
        )
    )
    dates = "Dates are written YYYY-MM-DD." if '"date"' in json.dumps(case.schema) else ""
    parts = [
        case.prose,
        ask,
        _schema_text(case, rng),
        _rules_text(case.compiled),
        " ".join(filter(None, [care, dates])),
    ]
    return parts if rng.random() < 0.6 else [*parts[1:4], parts[0], parts[4]]


def _editing_prompt(case: Situation, broken: Any, form: Form, errors: int, rng: random.Random) -> list[str]:
    name = NAMES[form.output]
    shown = write(broken, form.output, case.root)
    ask = rng.choice(
        (
            f"The following {name} document describes {a(case.domain.name)}, but it is not valid under its JSON Schema.",
            f"Our validator turns this {case.domain.name} away: the {name} does not satisfy the schema.",
            f"Something went wrong when this {case.domain.name} was saved as {name}: it no longer fits its JSON Schema.",
        )
    )
    number = "There is one error." if errors == 1 else f"There are {errors} errors."
    rule = (
        "Give the whole document, mended, and change nothing that is not wrong. Where the right value can be told from the "
        'wrong one by its form alone (42 from "42", or "open" from "opn"), use it; otherwise any valid value will do. Remove fields that '
        "the schema does not allow, and add required fields that are missing. If a list is too short, too long or repeats "
        "itself, add or remove no more entries than needed. If fields contradict each other, change only one of them."
    )
    return [
        f"{ask} {number}" if rng.random() < 0.5 else ask,
        f"The schema:\n\n{_schema_text(case, rng)}",
        _rules_text(case.compiled),
        f"The document:\n\n```{form.output}\n{shown}\n```",
        rule,
    ]


def _arranged(parts: list[str], form: Form, compiled: Compiled, rng: random.Random) -> tuple[str, str | None]:
    """The prompt and the system message: the form is asked for in the one or the other."""
    form_text = " ".join([form.instruction(rng), *notes_of(form, compiled)])
    if rng.random() < 0.35:
        return "\n\n".join(filter(None, parts)), form_text
    return "\n\n".join(filter(None, [*parts, form_text])), None
