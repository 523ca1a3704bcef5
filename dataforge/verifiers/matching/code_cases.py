"""Tasks and generated cases for code answers: small snippets, rewritten so that their tree stays, or changed in one place."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.matching.questions import WORDS
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

_OPERATORS = ("+", "-", "*", "//", "%")
_TEXTS = (
    "ok",
    "naïve café",
    "it's",
    'say "hi"',
    "a\\nb",
    "它是",
    "😀",
    "x = 1",
    "```",
    "# no comment",
    "שלום",
)


def python_snippet(rng: random.Random) -> str:
    """A small program, in the form that `ast.unparse` gives."""
    names = rng.sample(WORDS, 5)
    f, a, b, c, d = names
    kind = rng.randrange(5)
    number, other = rng.randint(0, 99), rng.randint(2, 9)
    text = rng.choice(_TEXTS)
    one, two = rng.choice(_OPERATORS), rng.choice(_OPERATORS)
    if kind == 0:
        code = f"def {f}({a}, {b}={number}):\n    {c} = {a} {one} {b} {two} {other}\n    return {c}"
    elif kind == 1:
        code = f"{a} = [{b} {one} {other} for {b} in range({number}) if {b} > {other}]\nprint({text!r}, {a})"
    elif kind == 2:
        code = f"class {f.title()}:\n\n    def {a}(self, {b}):\n        self.{c} = {b}\n        return {text!r} * {other}"
    elif kind == 3:
        code = f"for {a} in {b}:\n    if {a} > {number}:\n        {c}.append(({a}, {text!r}))\n    else:\n        {d} -= {other}"
    else:
        code = f"{a} = {{{text!r}: {number}, {b!r}: [{other}, {number}.5]}}\n{c} = {a}.get({b!r}, None)"
    return ast.unparse(ast.parse(code))


def json_value(rng: random.Random) -> Any:
    """A small record."""
    keys = rng.sample(WORDS, rng.randint(2, 5))
    values = [
        rng.choice(
            (
                rng.randint(-99, 99),
                rng.choice(_TEXTS),
                True,
                None,
                rng.random() * 10,
                [1, rng.choice(WORDS)],
                {"x": rng.randint(0, 9)},
            )
        )
        for _ in keys
    ]
    return dict(zip(keys, values, strict=True))


def code_task(rng: random.Random, verifier: str) -> Task:
    """A change of a snippet that has one right outcome, or a record to be written as JSON."""
    if rng.random() < 0.5:
        snippet = python_snippet(rng)
        old = rng.choice(sorted({word for word in WORDS if re.search(rf"\b{word}\b", snippet)} or {"self"}))
        new = rng.choice([word for word in WORDS if word not in snippet])
        prompt = (
            f"Replace every `{old}` in this Python code by `{new}`, in strings as well, and change nothing else. "
            f"Reply with the whole code in one block.\n\n````python\n{snippet}\n````"
        )
        expected = re.sub(rf"\b{old}\b", new, snippet)
        facts: dict[str, Any] = {"language": "python", "expected": [expected], "which": "only"}
        return Task(prompt=prompt, facts=facts, verifier=verifier, topic="renaming", difficulty=0.3)
    items = {word: rng.randint(1, 99) for word in rng.sample(WORDS, rng.randint(3, 6))}
    lines = "\n".join(f"- {count} × {word}" for word, count in items.items())
    prompt = (
        "Write this list as one JSON object, with the names as keys and the counts as numbers. "
        f"Reply with one `json` code block.\n\n{lines}"
    )
    facts = {"language": "json", "expected": [json.dumps(items)], "which": "only"}
    return Task(prompt=prompt, facts=facts, verifier=verifier, topic="JSON", difficulty=0.2)


@dataclass(frozen=True)
class Drawn:
    """A snippet in its language."""

    language: str
    code: str
    compare: str

    def fence(self, rng: random.Random) -> str:
        """A fence that the code does not hold."""
        fences = ["```", "````", "~~~", "`````"]
        return rng.choice([f for f in fences if f not in self.code])


def drawn(rng: random.Random) -> Drawn:
    """Draw a snippet."""
    kind = rng.random()
    if kind < 0.5:
        return Drawn("python", python_snippet(rng), "tree")
    if kind < 0.75:
        return Drawn(
            "json",
            json.dumps(json_value(rng), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 2))),
            "tree",
        )
    return Drawn(rng.choice(("bash", "rust", "python", "html")), python_snippet(rng), "text")


_TAGS = {
    "python": ("python", "py", "python3", "python3.11", "Python", 'python title="x.py"', ""),
    "json": ("json", "JSON", "jsonc", ""),
    "bash": ("bash", "sh", "shell", ""),
    "rust": ("rust", "rs", ""),
    "html": ("html", "HTML", ""),
}


def same(rng: random.Random, it: Drawn) -> str:
    """The same code in another form."""
    code = it.code
    if it.compare == "text":
        return rng.choice(
            (
                code,
                code + "\n\n",
                "\n".join(f"{line}  " for line in code.split("\n")),
                code.replace("\n", "\r\n"),
            )
        )
    if it.language == "json":
        value = json.loads(code)
        items = list(value.items())
        rng.shuffle(items)
        return json.dumps(dict(items), indent=rng.choice((None, 1, 4)), ensure_ascii=rng.random() < 0.5)
    forms: tuple[Callable[[str], str], ...] = (
        lambda c: c,
        lambda c: f"# what it does\n{c}  # so",
        lambda c: re.sub(r"\n(?=\S)", "\n\n\n", c),
        lambda c: re.sub(r"^( +)", r"\1\1", c, flags=re.MULTILINE),
        lambda c: re.sub(r"^def (.*):$", r'def \1:\n    """Say what."""', c, flags=re.MULTILINE),
        lambda c: re.sub(r" = (.+)$", r" = (\1)", c, count=1) if "for" not in c and "def" not in c else c,
        lambda c: c.replace(", ", ",") if not any(t in c for t in ("'", '"')) else c,
    )
    return rng.choice(forms)(code)


def different(rng: random.Random, it: Drawn) -> str:
    """The code changed in one place."""
    code = it.code
    if it.language == "json" and it.compare == "tree":
        value = json.loads(code)
        key = rng.choice(sorted(value))
        change = rng.randrange(4)
        if change == 0:
            del value[key]
        elif change == 1:
            value[key + "s"] = value.pop(key)
        elif change == 2:
            value["more"] = 1
        else:
            old = value[key]
            value[key] = float(old) if type(old) is int else int(old) if type(old) is bool else [old]
        return json.dumps(value)
    changes = [
        re.sub(r"\d+", lambda m: str(int(m[0]) + 1), code, count=1),
        code + f"\n{rng.choice(WORDS)}q = 1",
        "\n".join(code.split("\n")[:-1]) or "pass",
        re.sub(rf"\b({'|'.join(WORDS)})\b", r"\1_", code, count=1),
        code.replace(">", ">=", 1),
        code.replace("=", "+=", 1) if "def" not in code else code + "\npass",
    ]
    return rng.choice([c for c in changes if c != code])


def _said(rng: random.Random, it: Drawn, code: str, *, tag: str | None = None) -> str:
    fence = it.fence(rng)
    while fence in code:
        fence += fence[0]
    tag = rng.choice(_TAGS[it.language]) if tag is None else tag
    return f"{fence}{tag}\n{code}\n{fence}"


BEFORE = (
    "",
    "",
    "Here is the code:\n\n",
    "Sure! I read `x` as a name.\n\n",
    "First I looked at the input. 🙂\n\n",
)
AFTER = (
    "",
    "",
    "\n",
    "\n\nIt prints nothing.",
    "\n\nOutput:\n\n```text\n42\n```",
    "\n\n```console\n$ run\n```",
)


def _positive(rng: random.Random, it: Drawn) -> tuple[str, Response, dict[str, Any]]:
    code = same(rng, it)
    kind = rng.random()
    if kind < 0.12 and "`" not in code and "~~~" not in code:
        return "no fence", Response(code), {}
    text = rng.choice(BEFORE) + _said(rng, it, code) + rng.choice(AFTER)
    if kind < 0.3:
        wrong = _said(rng, it, different(rng, it), tag=_TAGS[it.language][0])
        code_block = _said(rng, it, code, tag=_TAGS[it.language][0])
        if rng.random() < 0.5:
            return "a wrong first try before it", Response(f"{wrong}\n\nBetter:\n\n{code_block}"), {}
        return "the first is the answer", Response(f"{code_block}\n\nNot:\n\n{wrong}"), {"which": "first"}
    if kind < 0.4:
        return (
            "after thinking",
            Response(f"<think>\n{_said(rng, it, different(rng, it))}\n</think>\n{text}"),
            {},
        )
    if kind < 0.5:
        return (
            "after reasoning apart",
            Response(text, reasoning=_said(rng, it, different(rng, it))),
            {"which": "only"},
        )
    if kind < 0.6:
        return (
            "in a list",
            Response("1. This:\n\n" + "\n".join(f"   {line}" for line in _said(rng, it, code).split("\n"))),
            {},
        )
    if kind < 0.65:
        text = f"{(fence := it.fence(rng))}{it.language}\n{code.rstrip()}{fence}"
        return "closed at the end of its last line", Response(text), {}
    return "a block", Response(text), {}


def _negative(rng: random.Random, it: Drawn) -> tuple[str, Response, dict[str, Any]]:
    right = _said(rng, it, it.code, tag=_TAGS[it.language][0])
    wrong = _said(rng, it, different(rng, it), tag=_TAGS[it.language][0])
    kind = rng.randrange(11)
    if kind < 3:
        return "changed in one place", Response(rng.choice(BEFORE) + wrong + rng.choice(AFTER)), {}
    if kind == 3:
        return "the right code is not the last", Response(f"{right}\n\nNo, rather:\n\n{wrong}"), {}
    if kind == 4:
        return "two blocks where one is asked for", Response(f"{right}\n\n{right}"), {"which": "only"}
    if kind == 5:
        return "never closed", Response(right[: right.rindex("\n")]), {}
    if kind == 6:
        return "another language", Response(_said(rng, it, it.code, tag="kotlin")), {}
    if kind == 7:
        text = rng.choice(
            (
                "",
                " \n",
                "I'm sorry, but I can't help with that.",
                "Here is the code:",
                "```\n```",
                "I would use `x` and `y`.",
            )
        )
        return "no code", Response(text), {}
    if kind == 8:
        return (
            "in the thinking only",
            Response(
                rng.choice((f"<think>{right}</think>", f"<think>{right}", f"<think>{right}</think>\nDone."))
            ),
            {},
        )
    if kind == 9 and it.compare == "tree":
        return (
            "does not parse",
            Response(_said(rng, it, it.code + rng.choice((" )", "\n  ]", " }{")), tag=_TAGS[it.language][0])),
            {},
        )
    return "the first is wrong", Response(f"{wrong}\n\n{right}"), {"which": "first"}


def cases(verifier: str, rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn."""
    while True:
        for right in (True, False):
            it = drawn(rng)
            facts: dict[str, Any] = {"language": it.language, "compare": it.compare, "expected": [it.code]}
            if not right and rng.random() < 0.05:
                bad: dict[str, Any] = rng.choice(
                    (
                        {"compare": "tree", "language": "cobol"},
                        {"expected": ["(", "x"], "compare": "tree", "language": "python"},
                        {"expected": []},
                    )
                )
                task = Task(prompt="Write it.", facts=facts | bad, verifier=verifier)
                yield Case(task, Response("```\nx\n```"), False, "facts that make no sense", "task")
                continue
            if it.compare == "tree" and rng.random() < 0.15:
                parses = {"language": it.language, "compare": "parses"}
                nothing = {"python": ("...", "# to do", "pass"), "json": ("# to do",)}[it.language]
                code = same(rng, it) if right else rng.choice((it.code + "\n)", *nothing))
                task = Task(prompt="Write it.", facts=parses, verifier=verifier)
                yield Case(task, Response(_said(rng, it, code)), right, "only has to parse")
                continue
            note, response, more = (_positive if right else _negative)(rng, it)
            yield Case(Task(prompt="Write it.", facts=facts | more, verifier=verifier), response, right, note)
