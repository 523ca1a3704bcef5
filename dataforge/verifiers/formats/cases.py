"""Generated cases of every format: answers set down in it with prose and thinking around, and mutants that break one rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataforge.verifiers.formats import Format, formats
from dataforge.verifiers.formats.answers import make_answer
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

PROSE = (
    "Let me work this out step by step.",
    "First I look at what is given, and then at what is wanted.",
    "There are several ways to see this, and all of them lead to one end.",
    "One could object that this is too simple, but nothing else fits.",
    "The word answer may occur in prose, and so may the word result.",
    "It took a while to be sure of it.",
    "Nach einigem Überlegen ist es klar geworden, 本当に.",
    "I went through the cases one by one and left out those that do not fit.",
)

THOUGHTS = (
    "I should look at the question first.",
    "Is that right? Yes, I think so.",
    "The user wants a certain form, so I must be careful with it.",
)

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot answer this question.",
    "As a language model I have no opinion on this.",
)


@dataclass(frozen=True, slots=True)
class _Scene:
    """One format with values that it carries, and the facts of its task."""

    format: Format
    values: dict[str, str]
    answer: str | None
    rng: random.Random

    @property
    def text(self) -> str:
        return self.format.render(self.values, self.rng)

    def case(
        self, text: str, passes: bool, note: str, *, thinking: str = "allowed", reasoning: str | None = None,
        answer: str | None = None, finish: str | None = None,
    ) -> Case:  # fmt: skip
        facts = {"format": self.format.name, "answer": answer or self.answer, "thinking": thinking}
        task = Task(
            prompt=f"What is it?\n\n{self.format.instruction}\n\n{self.format.example}",
            facts={key: value for key, value in facts.items() if value is not None},
            verifier="answer_format",
            topic=self.format.group,
        )
        return Case(
            task, Response(text, reasoning, finish_reason=finish), passes, f"{self.format.name}: {note}"
        )


def make_cases(rng: random.Random) -> Iterator[Case]:
    """An endless stream; every format comes before any comes again."""
    while True:
        order = list(formats())
        rng.shuffle(order)
        for format in order:
            scene = _scene(format, rng)
            yield positive(scene)
            yield mutant(scene)


def _carried(format: Format, part: str, kind: str, rng: random.Random) -> str:
    for _ in range(60):
        text = make_answer(kind, rng)
        if format.carries({part: text} if part != format.main else text):
            return text
    return _PLAIN[kind]


_PLAIN = {"text": "the old mill", "maths": "x", "code": "print(1)", "number": "7", "letter": "B"}


def _scene(format: Format, rng: random.Random) -> _Scene:
    kind = rng.choice(format.suits)
    values = {}
    for part in format.parts:
        if part == "confidence":
            values[part] = f"0.{rng.randint(1, 99):02d}"
        else:
            values[part] = _carried(format, part, kind if part == format.main else "text", rng)
    if format.refuses(values):  # each part alone is carried; together they may still run into each other
        values = {part: _PLAIN[kind] if part == format.main else "the old mill" for part in format.parts}
        values.update({"confidence": "0.5"} if "confidence" in format.parts else {})
    return _Scene(format, values, values[format.main] if rng.random() < 0.6 else None, rng)


def _thoughts(scene: _Scene) -> str:
    """Thinking, in which the form may occur: what stands there is never an answer."""
    rng = scene.rng
    said = rng.sample(THOUGHTS, k=rng.randint(1, 3))
    if rng.random() < 0.4:
        said.append(scene.text)
    return "\n".join(said)


def positive(scene: _Scene) -> Case:
    """The form as it should be, in surroundings that it allows."""
    rng, form = scene.rng, scene.format.form
    text, notes = scene.text, ["as it should be"]
    if form.around != "nothing" and rng.random() < 0.7:
        before = rng.sample((*PROSE, *form.asides), k=rng.randint(1, 3))
        text = "\n\n".join((*before, text))
        notes.append("prose before it")
    if form.around == "anything" and rng.random() < 0.5:
        text = "\n\n".join((text, *rng.sample((*PROSE, *form.asides), k=rng.randint(1, 2))))
        notes.append("prose after it")
    if rng.random() < 0.2:
        text += rng.choice(("\n", "\n\n", " \n"))
    way = rng.randrange(5)
    if way == 0:
        return scene.case(
            f"<think>\n{_thoughts(scene)}\n</think>\n\n{text}",
            True,
            ", ".join((*notes, "thinking in tags")),
            thinking=rng.choice(("required", "allowed")),
        )
    if way == 1:
        return scene.case(
            text,
            True,
            ", ".join((*notes, "thinking split off")),
            reasoning=_thoughts(scene),
            thinking=rng.choice(("required", "allowed")),
        )
    if way == 2:
        return scene.case(
            f"{_thoughts(scene)}\n</think>\n{text}",
            True,
            ", ".join((*notes, "thinking opened in the prompt")),
        )
    return scene.case(
        text,
        True,
        ", ".join(notes),
        thinking=rng.choice(("forbidden", "allowed")),
        finish=rng.choice((None, "stop")),
    )


def mutant(scene: _Scene) -> Case:
    """The form with one thing broken."""
    ways = list(_MUTANTS)
    scene.rng.shuffle(ways)
    for way in ways:
        if (made := way(scene)) is not None:
            return made
    raise AssertionError("an empty reply is always a mutant")


def _spoiled(scene: _Scene) -> Case | None:
    found = list(scene.format.form.spoil(scene.values, scene.rng))
    if not found:
        return None
    note, text = scene.rng.choice(found)
    return scene.case(text, False, note)


def _twice(scene: _Scene) -> Case | None:
    if scene.format.form.repeats:
        return None
    again = _scene(scene.format, scene.rng)
    return scene.case(f"{scene.text}\n\n{again.text}", False, "two answers")


def _twice_alike(scene: _Scene) -> Case | None:
    if scene.format.form.repeats:
        return None
    return scene.case(f"{scene.text}\n\n{scene.text}", False, "the same answer twice")


def _text_after(scene: _Scene) -> Case | None:
    form = scene.format.form
    if form.around == "anything" or form.swallows:
        return None
    return scene.case(f"{scene.text}\n\n{scene.rng.choice(PROSE)}", False, "text after it")


def _text_before(scene: _Scene) -> Case | None:
    if scene.format.form.around != "nothing":
        return None
    return scene.case(f"{scene.rng.choice(PROSE)}\n\n{scene.text}", False, "text before it")


def _thinking_only(scene: _Scene) -> Case:
    if scene.rng.random() < 0.5:
        return scene.case("That is what I think.", False, "in the reasoning only", reasoning=scene.text)
    return scene.case(
        f"<think>\n{scene.text}\n</think>\nThat is what I think.", False, "in the thinking only"
    )


def _unclosed(scene: _Scene) -> Case:
    return scene.case(
        f"<think>\n{scene.rng.choice(THOUGHTS)}\n{scene.text}", False, "the thinking never ends"
    )


def _before_think(scene: _Scene) -> Case:
    return scene.case(
        f"Sure! <think>{_thoughts(scene)}</think>\n{scene.text}", False, "text before the thinking"
    )


def _second_think(scene: _Scene) -> Case:
    thought = scene.rng.choice(THOUGHTS)
    return scene.case(
        f"<think>{thought}</think>\n{scene.text}\n<think>{thought}</think>", False, "thinking again"
    )


def _no_thinking(scene: _Scene) -> Case:
    return scene.case(scene.text, False, "no thinking where it is required", thinking="required")


def _unwanted_thinking(scene: _Scene) -> Case:
    return scene.case(
        f"<think>{_thoughts(scene)}</think>\n{scene.text}",
        False,
        "thinking where it is forbidden",
        thinking="forbidden",
    )


def _wrong(scene: _Scene) -> Case | None:
    format = scene.format
    other = _carried(format, format.main, scene.rng.choice(format.suits), scene.rng)
    # Alike up to a full stop or the way it is spelled may be the same answer; that is not what is tried here.
    if _bare(other) == _bare(scene.values[format.main]) or (
        "number" in format.suits and float(other) == float(scene.values[format.main])
    ):
        return None
    return scene.case(scene.text, False, "a wrong answer", answer=other)


def _bare(text: str) -> str:
    return "".join(char for char in text if char.isalnum()).lower() or text


def _cut_off(scene: _Scene) -> Case:
    text = scene.text
    return scene.case(text[: scene.rng.randint(1, len(text))], False, "cut off", finish="length")


def _placeholder(scene: _Scene) -> Case | None:
    if "number" in scene.format.suits:
        return None
    return scene.case(scene.format.example, False, "the example given back")


def _echo(scene: _Scene) -> Case:
    made = scene.case("", False, "the prompt given back")
    return Case(made.task, Response(made.task.prompt), False, made.note)


def _empty(scene: _Scene) -> Case:
    return scene.case(scene.rng.choice(("", " ", "\n\n", "\u200b", "<think>Hm.</think>")), False, "nothing")


def _refusal(scene: _Scene) -> Case:
    return scene.case(scene.rng.choice(REFUSALS), False, "a refusal")


def _bare_answer(scene: _Scene) -> Case:
    return scene.case("seven boats on the river", False, "no form at all")


_MUTANTS: tuple[Callable[[_Scene], Case | None], ...] = (
    *(_spoiled,) * 8,
    *(_twice,) * 3,
    _twice_alike,
    *(_text_after,) * 2,
    *(_text_before,) * 2,
    _thinking_only,
    _unclosed,
    _before_think,
    _second_think,
    _no_thinking,
    _unwanted_thinking,
    *(_wrong,) * 2,
    _cut_off,
    _placeholder,
    _echo,
    _empty,
    _refusal,
    _bare_answer,
)
