"""Cases whose verdict is known beforehand: right documents in every dress, and the same with exactly one thing broken.

Half are drawn from realistic situations, half from random schemas over the whole subset with texts that are hard to
quote. A positive is right by construction: the value is valid, and what was written reads back as it. A mutant breaks one
thing, of the content (the injectors, a dictated value, a leaf that nobody asked to change) or of the form (two documents,
none, cut off, in the wrong place), and is made so that it cannot be right by accident.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.protocol import Case, Response
from dataforge.verifiers.structured.briefs import FORMS, accept_of, expected_of
from dataforge.verifiers.structured.containers import Container
from dataforge.verifiers.structured.injection import (
    KINDS,
    Injection,
    Unbreakable,
    inject,
    inject_several,
    places,
    where,
)
from dataforge.verifiers.structured.instances import instance, value_of
from dataforge.verifiers.structured.mending import Needs, needs_of
from dataforge.verifiers.structured.random_schemas import random_schema
from dataforge.verifiers.structured.reading import OUTPUTS, Output
from dataforge.verifiers.structured.situations import situation
from dataforge.verifiers.structured.validation import Compiled, compile_schema
from dataforge.verifiers.structured.values import MISSING, Path, at, means, put, same
from dataforge.verifiers.structured.writing import carried, write
from schemas.task import Task

LEADS = (
    "Here is the document:",
    "Sure! This is what you asked for.",
    "I took every value over as it was given.",
    "Voilà, le document demandé :",
    "好的,如下:",
    "Below is the result. Note that “quotes” and 'apostrophes' are kept.",
    "The set {x | x > 0} plays no part here; this does:",
)
TAILS = ("Let me know if anything is missing.", "I hope that helps!", "完了。", "(checked twice)")
THOUGHTS = (
    "Let me see which fields are required.",
    'Maybe {"a": 1}? No, that is not it.',
    "First draft:\n```json\n{}\n```\nNow the real one.",
    "The dates need care, and <output> tags too.",
)
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot produce this document without more information.",
    "As a language model I have no access to your orders.",
)


@dataclass(frozen=True)
class Ground:
    """What a case is made on: a valid document, its schema, and the form that is asked for."""

    compiled: Compiled
    document: dict[str, Any]
    output: Output
    container: Container
    alone: bool
    root: str
    tag: str
    prompt: str

    @property
    def element(self) -> str:
        """The root element that is written."""
        return self.root or "record"

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "json_schema": self.compiled.schema,
            "output": self.output,
            "container": self.container,
            "tag": self.tag,
        }
        if self.alone:
            facts["alone"] = True
        if self.root:
            facts["root"] = self.root
        return facts


def ground(rng: random.Random) -> Ground:
    """Draw what a case is made on."""
    while True:
        output = rng.choice(OUTPUTS)
        container, alone = rng.choice(FORMS)
        root = rng.choice(("record", "entry", "")) if output == "xml" else ""
        tag = rng.choice(("output", "answer", "result"))
        if rng.random() < 0.5:
            case = situation(rng)
            compiled, document, prompt = case.compiled, case.document, case.prose
        else:
            try:
                compiled = compile_schema(random_schema(rng))
                document = instance(compiled, rng, rng.choice((0.0, 0.3, 0.9)))
            except InputError:
                continue
            prompt = "Make any document that satisfies the schema."
        if not document or not carried(document, output, compiled, root or "record"):
            continue  # a document of nulls alone is the empty text in TOML
        prompt += f"\n\nThe JSON Schema:\n\n{json.dumps(compiled.schema, ensure_ascii=False)}\n\nAnswer in {output}."
        return Ground(compiled, document, output, container, alone, root, tag, prompt)


# ---- documents to be made


def generation_cases(rng: random.Random) -> Iterator[Case]:
    """Cases of `schema`."""
    for turn in (
        itertools.count()
    ):  # the turn is part of the seed, so that a generator that repeats itself ends nowhere
        yield from _generation_case(random.Random(f"{rng.getrandbits(64)} {turn}"))


def _generation_case(rng: random.Random) -> Iterator[Case]:
    """A case, or none where what was drawn cannot be had; on a generator of its own, since a case takes many draws."""
    on = ground(rng)
    facts = on.facts()
    stated = expected_of(on.document)
    if rng.random() < 0.6:
        kept = [place for place in stated if rng.random() < 0.7]
        facts["expected"] = {place: stated[place] for place in kept}
        if len(kept) == len(stated):
            facts["exactly"] = True
    task = Task(prompt=on.prompt, facts=facts, verifier="schema")
    if rng.random() < 0.5:
        yield Case(
            task, dressed(on, _written(on, on.document, rng), rng), True, f"{on.output}, {on.container}"
        )
        return
    if rng.random() < 0.5 and (mutant := _wrong_content(on, facts, rng)) is not None:
        document, note = mutant
        yield Case(task, dressed(on, _written(on, document, rng), rng), False, note)
    elif (broken := wrong_form(on, task, rng)) is not None:
        yield Case(task, broken[0], False, broken[1])


def _wrong_content(on: Ground, facts: dict[str, Any], rng: random.Random) -> tuple[Any, str] | None:
    """A document with one thing wrong, and what."""
    expected = facts.get("expected", {})
    pick = rng.random()
    if expected and pick < 0.35:
        for place in rng.sample(list(expected), len(expected)):
            path = _path_of(on.document, place)
            changed = another(on, path, rng, partial(_unmeant, expected[place]))
            if changed is not None:
                return changed, f"another value than the dictated one at {place}"
        return None
    if facts.get("exactly") and pick < 0.5:
        return _with_more(on, rng)
    accept = accept_of(on.compiled, on.output, on.element)
    found = inject(on.compiled, on.document, rng.choice(KINDS), rng, accept)
    return None if isinstance(found, Unbreakable) else (found.value, where(found))


def _path_of(document: Any, place: str) -> Path:
    path: Path = ()
    for raw in place.split("/")[1:]:
        step = raw.replace("~1", "/").replace("~0", "~")
        path = (*path, int(step) if isinstance(at(document, path), list) else step)
    return path


def _unmeant(old: Any, new: Any) -> bool:
    return not means(new, old)


def _unlike(values: tuple[Any, ...], new: Any) -> bool:
    return not any(same(new, value) for value in values)


def another(on: Ground, path: Path, rng: random.Random, differs: Callable[[Any], bool]) -> Any:
    """The valid document with another value at a place, or None where none was found."""
    node = on.compiled.node_at(on.compiled.root, on.document, path)
    for _ in range(12):
        try:
            new = value_of(on.compiled, node, rng)
        except InputError:
            return None
        changed = put(on.document, path, new)
        if differs(new) and _sound(on, changed):
            return changed
    return None


def _sound(on: Ground, document: Any) -> bool:
    """Whether a document is valid and can be written."""
    return (
        bool(document)
        and not on.compiled.problems(document)
        and bool(carried(document, on.output, on.compiled, on.element))
    )


def _with_more(on: Ground, rng: random.Random) -> tuple[Any, str] | None:
    """The document with a field that is allowed and was not asked for."""
    options = [
        (site.path, name, inner)
        for site in places(on.compiled, on.document)
        if isinstance(site.value, dict) and all(isinstance(step, str) for step in site.path)
        for name, inner in site.node.get("properties", {}).items()
        if name not in site.value
    ]
    for path, name, inner in rng.sample(options, len(options)):
        try:
            changed = put(on.document, (*path, name), value_of(on.compiled, inner, rng))
        except InputError:
            continue
        if _sound(on, changed):
            return changed, f"a field that nobody asked for: {name}"
    return None


# ---- documents to be mended


def editing_cases(rng: random.Random) -> Iterator[Case]:
    """Cases of `schema_edit`."""
    for turn in (
        itertools.count()
    ):  # the turn is part of the seed, so that a generator that repeats itself ends nowhere
        yield from _editing_case(random.Random(f"{rng.getrandbits(64)} {turn}"))


def _editing_case(rng: random.Random) -> Iterator[Case]:
    on = ground(rng)
    accept = accept_of(on.compiled, on.output, on.element)
    kinds = rng.choices(KINDS, k=rng.choice((1, 1, 1, 2, 3)))
    found = inject_several(on.compiled, on.document, kinds, rng, accept)
    if isinstance(found, Unbreakable):
        return
    broken = found[-1].value
    facts = {**on.facts(), "broken": broken}
    if rng.random() < 0.7:
        facts["original"] = on.document
    shown = write(broken, on.output, on.element)
    prompt = f"{on.prompt}\n\nMend this document:\n\n```{on.output}\n{shown}\n```"
    task = Task(prompt=prompt, facts=facts, verifier="schema_edit")
    note = "; ".join(map(where, found))
    if rng.random() < 0.5:
        mended = _mended(on, found, rng) if rng.random() < 0.4 else on.document
        yield Case(task, dressed(on, _written(on, mended, rng), rng), True, f"mended: {note}")
        return
    if rng.random() < 0.65:
        mutant = rng.choice(_EDITS)(on, found, rng)
        if mutant is not None:
            document, what = mutant
            yield Case(task, dressed(on, _written(on, document, rng), rng), False, what)
    elif (wrong := wrong_form(on, task, rng)) is not None:
        yield Case(task, wrong[0], False, wrong[1])


def _mended(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Any:
    """A repair with other values than the original's, where any valid value will do."""
    needs = needs_of(errors[-1].value, on.compiled)
    document = on.document
    free = [path for path, forms in needs.replaced.items() if not forms] + sorted(needs.added, key=str)
    for path in free:
        changed = another(replace(on, document=document), path, rng, lambda new: True)
        document = document if changed is None else changed
    return document


def _untouched(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> list[Path]:
    """The places of leaves that have nothing to do with the errors, in any order."""
    broken = errors[-1].value
    needs = needs_of(broken, on.compiled)
    spots = [*needs.replaced, *needs.added, *needs.removed, *needs.resized]
    found = [
        site.path
        for site in places(on.compiled, on.document)
        if site.path
        and not isinstance(site.value, dict | list)
        and not any(_touching(site.path, spot) for spot in spots)
        and same(at(broken, site.path), site.value)
    ]
    return rng.sample(found, len(found))


def _touching(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


Mutant = tuple[Any, str] | None


def _echo(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    return errors[-1].value, "the broken document said back"


def _half(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    return (errors[-2].value, "some errors and not others are left out") if len(errors) > 1 else None


def _another_error(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    found = inject(
        on.compiled, on.document, rng.choice(KINDS), rng, accept_of(on.compiled, on.output, on.element)
    )
    return (
        None if isinstance(found, Unbreakable) else (found.value, f"mended and broken anew: {where(found)}")
    )


def _changed_leaf(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    for path in _untouched(on, errors, rng)[:4]:
        old = at(on.document, path)
        changed = another(on, path, rng, partial(_unlike, (old,)))
        if changed is not None:
            return changed, f"valid, and another value at {path}"
    return None


def _dropped(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    for path in _untouched(on, errors, rng):
        if isinstance(path[-1], str):
            changed = put(on.document, path, MISSING)
            if _sound(on, changed):
                return changed, f"valid, and the field {path} is gone"
    return None


def _minimal(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    """What a cheat sends: a small valid document, with the data thrown away."""
    kept: dict[str, Any] = {}
    for name in on.compiled.root.get("required", ()):
        if name in on.document:
            changed = another(on, (name,), rng, lambda new: True)
            kept[name] = on.document[name] if changed is None else changed[name]
    if not _sound(on, kept):
        return None
    lost = [path for path in _untouched(on, errors, rng) if not same(at(kept, path), at(on.document, path))]
    return (kept, "a minimal valid document, the data thrown away") if lost else None


def _put_in(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    found = _with_more(on, rng)
    if found is None:
        return None
    needs: Needs = needs_of(errors[-1].value, on.compiled)
    spots = [*needs.replaced, *needs.added, *needs.resized]
    before = {site.path for site in places(on.compiled, on.document)}
    new = [site.path for site in places(on.compiled, found[0]) if site.path not in before]
    # What lies within a place that may be anything is no mutant, nor is the field that an error took out.
    return None if any(_touching(path, spot) for path in new for spot in spots) else found


def _shuffled(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    needs = needs_of(errors[-1].value, on.compiled)
    spots = [*needs.replaced, *needs.added, *needs.removed, *needs.resized]
    for site in places(on.compiled, on.document):
        if (
            isinstance(site.value, list)
            and site.path
            and not any(_touching(site.path, spot) for spot in spots)
        ):
            turned = list(reversed(site.value))
            if not same(turned, site.value) and same(at(errors[-1].value, site.path), site.value):
                changed = put(on.document, site.path, turned)
                if _sound(on, changed):
                    return changed, f"valid, and the list {site.path} is turned round"
    return None


def _form_ignored(on: Ground, errors: tuple[Injection, ...], rng: random.Random) -> Mutant:
    """Another valid value where the right one follows from the wrong one's form."""
    needs = needs_of(errors[-1].value, on.compiled)
    for path, forms in needs.replaced.items():
        if forms:
            changed = another(on, path, rng, partial(_unlike, forms))
            if changed is not None:
                return changed, f"another value at {path} than the one that the form gives away"
    return None


_EDITS: tuple[Callable[[Ground, tuple[Injection, ...], random.Random], Mutant], ...] = (
    _echo,
    _half,
    _another_error,
    _changed_leaf,
    _dropped,
    _minimal,
    _put_in,
    _shuffled,
    _form_ignored,
)


# ---- the dress


def _written(on: Ground, document: Any, rng: random.Random) -> str:
    return write(document, on.output, on.element, rng)


def dressed(on: Ground, text: str, rng: random.Random) -> Response:
    """A document in the container that is asked for, with what may stand around it."""
    container = on.container
    loose = container == "any"
    if loose:
        container = rng.choice(("bare", "fence", "tags"))
    if container == "bare":
        answer = text
        if loose and on.output == "json" and rng.random() < 0.4:
            answer = f"{rng.choice(LEADS)}\n\n{text}\n\n{rng.choice(TAILS)}"
        elif rng.random() < 0.3:
            answer = f"\n{text}\n"
        return spoken_as(answer, rng)
    if container == "fence":
        info = rng.choice(
            (on.output, on.output, "yml" if on.output == "yaml" else on.output, "" if loose else on.output)
        )
        block = fenced(text, info, rng)
    else:
        gap = rng.choice(("\n", "\n", "" if on.output != "yaml" else "\n"))
        block = f"<{on.tag}>{gap}{text}{gap}</{on.tag}>"
    if not on.alone and rng.random() < 0.5:
        block = f"{rng.choice(LEADS)}\n\n{block}"
    if not on.alone and rng.random() < 0.3:
        block = f"{block}\n\n{rng.choice(TAILS)}"
    return spoken_as(block, rng)


def fenced(text: str, info: str, rng: random.Random) -> str:
    """A fenced block whose fence is longer than any run of its sign in the text."""
    sign = rng.choice("```~")
    longest = max((len(run) for run in re.findall(f"{sign}+", text)), default=0)
    mark = sign * max(3, longest + 1)
    return f"{mark}{info}\n{text}\n{mark}"


def spoken_as(answer: str, rng: random.Random) -> Response:
    """An answer with thinking before it, or apart from it, or without."""
    pick = rng.random()
    if pick < 0.25:
        return Response(f"<think>\n{rng.choice(THOUGHTS)}\n</think>\n{answer}")
    if pick < 0.45 and "</think>" not in answer:
        return Response(answer, reasoning=rng.choice(THOUGHTS))
    return Response(answer)


# ---- faults of form


def wrong_form(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    """A response whose document is right and whose form is not, or that has no document at all."""
    return rng.choice(_FORM_FAULTS)(on, task, rng)


def _nothing(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str]:
    return Response(rng.choice(("", " ", "\n\n", "<think>hm</think>"))), "nothing at all"


def _refusal(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str]:
    return spoken_as(rng.choice(REFUSALS), rng), "a refusal"


def _prompt_echo(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str]:
    return Response(task.prompt), "the prompt said back"


def _only_thought(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str]:
    text = dressed(on, _written(on, on.document, rng), random.Random(0)).text
    if rng.random() < 0.5 and "</think>" not in text:
        return Response("I wrote it down above.", reasoning=text), "the document in the reasoning only"
    return Response(f"<think>\n{text}"), "the thinking never ends"


def _twice(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    text = _written(on, on.document, rng)
    if on.container == "bare":
        if on.output == "toml":
            return None
        joint = "\n---\n" if on.output == "yaml" else "\n"
        return Response(f"{text}{joint}{text}"), "two documents"
    if on.container == "tags":
        block = f"<{on.tag}>\n{text}\n</{on.tag}>"
        return spoken_as(f"{block}\n\nor\n\n{block}", rng), "two pairs of tags"
    return spoken_as(
        f"{fenced(text, on.output, rng)}\n\nor\n\n{fenced(text, on.output, rng)}", rng
    ), "two blocks"


def _cut(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    text = write(on.document, on.output, on.element)
    if on.container in ("fence", "tags"):
        opening = f"```{on.output}" if on.container == "fence" else f"<{on.tag}>"
        if "```" in text:
            return None
        return Response(f"{opening}\n{text[: rng.randint(1, len(text))]}", finish_reason="length"), "cut off"
    if on.output in ("yaml", "toml"):
        return None  # what is left of these may well be a document
    return Response(text[: rng.randint(1, len(text) - 2)], finish_reason="length"), "cut off"


def _misplaced(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    text = _written(on, on.document, rng)
    if on.container == "bare":
        options = [fenced(text, on.output, rng), f"<{on.tag}>\n{text}\n</{on.tag}>"]
        if on.output in ("json", "xml", "toml"):
            options += [f"{rng.choice(LEADS)}\n{text}", f"{text}\n\n{rng.choice(TAILS)}"]
        return spoken_as(rng.choice(options), rng), "not bare"
    if on.container == "fence":
        if "```" in text or "~~~" in text:
            return None
        other = {"json": "xml", "xml": "toml", "toml": "yaml", "yaml": "json"}[on.output]
        options = [
            text,
            f"<{on.tag}>\n{text}\n</{on.tag}>",
            fenced(text, "python", rng),
            fenced(text, other, rng),
        ]
        return spoken_as(rng.choice(options), rng), "not in the block that is asked for"
    if on.container == "tags":
        if f"<{on.tag}>" in text:
            return None
        options = [
            text,
            fenced(text, on.output, rng),
            f"<reply>\n{text}\n</reply>",
            f"</{on.tag}>\n{text}\n<{on.tag}>",
        ]
        options.append(f"<{on.tag}>\n{fenced(text, on.output, rng)}\n</{on.tag}>")
        return spoken_as(rng.choice(options), rng), "not between the tags alone"
    return None


def _not_alone(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    if not on.alone:
        return None
    block = dressed(on, _written(on, on.document, rng), random.Random(0)).text.partition("</think>\n")
    text = block[2] or block[0]
    around = rng.choice((f"{rng.choice(LEADS)}\n\n{text}", f"{text}\n\n{rng.choice(TAILS)}"))
    return spoken_as(around, rng), "text where none may stand"


def _other_language(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    other = rng.choice([output for output in OUTPUTS if output != on.output])
    if other == "json" and on.output == "yaml":
        return None  # JSON is YAML
    if carried(on.document, other, on.compiled, on.element) is None or on.container == "any":
        return None
    text = write(on.document, other, on.element, rng)
    return dressed(on, text, rng), f"{other} where {on.output} is asked for"


def _key_twice(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    key = rng.choice(list(on.document))
    text, again = write(on.document, on.output, on.element), {key: on.document[key]}
    if on.output == "json":
        text = f"{{{json.dumps(key)}: {json.dumps(on.document[key])}, {text[1:]}"
    elif on.output == "yaml":
        text = f"{text}\n{write(again, 'yaml')}"
    elif on.output == "xml":
        inner = write(again, "xml", on.element).split("\n", 1)[1].rsplit("\n", 1)[0]
        text = text.replace(f"<{on.element}>\n", f"<{on.element}>\n{inner}\n", 1)
    elif isinstance(on.document[key], str | int | float):
        text = f"{write(again, 'toml')}\n{text}"
    else:
        return None
    return dressed(on, text, rng), "a key given twice"


def _wrapped(on: Ground, task: Task, rng: random.Random) -> tuple[Response, str] | None:
    """The document as a piece of something larger, which is not taken to pieces."""
    if on.output != "json" or not on.compiled.root.get("required"):
        return None
    text = write(on.document, "json")
    larger = rng.choice(
        (f"[{text}]", f'{{"record": {text}}}', f'{{"record": {text},}}', f'{{"record": {text}, "b": ')
    )
    if on.container == "any" and rng.random() < 0.5:
        return spoken_as(f"{rng.choice(LEADS)}\n\n{larger}", rng), "a piece of something larger"
    return dressed(replace(on, container="bare" if on.container == "any" else on.container), larger, rng), (
        "a piece of something larger"
    )


_FORM_FAULTS: tuple[Callable[[Ground, Task, random.Random], tuple[Response, str] | None], ...] = (
    _nothing,
    _refusal,
    _prompt_echo,
    _only_thought,
    _twice,
    _cut,
    _misplaced,
    _misplaced,
    _not_alone,
    _other_language,
    _key_twice,
    _wrapped,
)
