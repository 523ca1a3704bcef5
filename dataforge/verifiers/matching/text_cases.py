"""Generated cases for exact and fuzzy match: answers of every kind in many ways of saying them, and mutants that break one thing."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.matching.named import LOOK_ALIKES
from dataforge.verifiers.matching.questions import WORDS, question
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

MARKED = (
    "Answer: {A}",
    "**Answer:** {A}",
    "**Answer: {A}**",
    "Final answer: {A}",
    "The answer is {A}",
    "The answer is: **{A}**",
    "So the final answer is “{A}”",
    "\\boxed{{{A}}}",
    "$$\\boxed{{{A}}}$$",
    "The answer is $\\boxed{{{A}}}$.",
    "<answer>{A}</answer>",
    "<answer>\n{A}\n</answer>",
    "Antwort: {A}",
    "答案：{A}",
    "Answer:\n\n{A}",
    "Answer: {A}\n\nI hope this helps!",
    "Answer: {A}\n\nAnswer: {A}",
    "The answer is {A}\n\n\\boxed{{{A}}}",
    "Answer: {W}\n\nWait, that is a mistake.\n\nAnswer: {A}",
    "Some say the answer is {W}\n\nThe answer is {A}",
    "~~Answer: {W}~~\n\nAnswer: {A}",
    "If the answer is {W} then nothing fits.\n\nAnswer: {A}",
    "Answer: {A}. No doubt about it.",
    "At first I thought {W}, but the answer is {A}",
)
"""Ways of marking a final answer {A}; {W} is another one that is not meant."""

ALONE = (
    "{A}",
    " {A} ",
    "\n\n{A}\n",
    "**{A}**",
    "“{A}”",
    "Let me think about it.\n\n{A}",
    "I compared them all.\n\n**{A}**",
    "{LONG}\n\n{A}",
)
"""Ways that rely on the last line, or on there being no other."""

ANSWERS = (
    "naïve café",
    "它是蓝色的",
    "שלום עולם",
    "مرحبا بالعالم",
    "😀 👍🏽",
    "x^2 + 1",
    r"\frac{1}{2}",
    "print('hi')",
    "E = mc^2",
    "O(n log n)",
    "Straße",
    "Ångström",
    "New York City",
    "rock and roll",
    "12:30",
    "3.14",
    "-7",
    "1,000",
    "tab\tbetween",
    "isn't it",
    "C++",
    "a+b=c",
    "50%",
    "well-known",
    "Dr. No",
    "St. John's",
)

LONG = "First I read the question twice, and wrote down what is given. " * 6


@dataclass(frozen=True)
class Drawn:
    """A prompt, its answer, and another that is wrong."""

    prompt: str
    answer: str
    wrong: str


def drawn(rng: random.Random) -> Drawn:
    """Draw an answer: of a small question, of words, or of awkward characters."""
    kind = rng.random()
    if kind < 0.4:
        asked = question(rng)
        return Drawn(asked.text, asked.answer, rng.choice(asked.wrong))
    if kind < 0.7:
        answer = " ".join(rng.sample(WORDS, rng.randint(1, 5)))
        wrong = " ".join(rng.sample(WORDS, rng.randint(1, 5)))
        while set(wrong.split()) & set(answer.split()):
            wrong = " ".join(rng.sample(WORDS, rng.randint(1, 5)))
    else:
        answer, wrong = rng.sample(ANSWERS, 2)
    return Drawn("What is written on the card?", answer, wrong)


_ENDS = re.compile(r"\.\s")


def _say(rng: random.Random, answer: str, wrong: str) -> tuple[str, str]:
    """A way of saying, and the reply."""
    way = rng.choice(MARKED) if rng.random() < 0.7 else rng.choice(ALONE)
    # What ends a sentence inside an answer ends it for a reader too, unless a box or a line says how far it goes.
    if any(_ENDS.search(each) for each in (answer, wrong)) and ("{W}" in way or ". " in way):
        way = MARKED[0]
    if ("“" in way or "”" in way) and '"' in answer:
        way = MARKED[0]
    text = way.format(A=answer, W=wrong, LONG=LONG.strip())
    if "boxed" not in way and "<" not in way and rng.random() < 0.3 and way.endswith("{A}"):
        text += rng.choice((".", "  ", "\n"))
    return way, text


def _reply(rng: random.Random, text: str, other: str) -> Response:
    kind = rng.random()
    if kind < 0.15:
        return Response(f"<think>The answer is {other}.</think>\n{text}")
    if kind < 0.25:
        return Response(text, reasoning=f"Answer: {other}")
    return Response(text)


NOTHING = (
    "",
    "  \n",
    "I'm sorry, but I can't help with that.",
    "Answer:",
    "\\boxed{}",
    "<answer></answer>",
    "The answer depends.",
    "I do not know.",
)

Mutant = tuple[str, str | Response]


def _other(rng: random.Random, it: Drawn) -> Mutant:
    way, text = _say(rng, it.wrong, it.answer)
    return f"another answer, `{way}`", _reply(rng, text, it.answer)


def _more(rng: random.Random, it: Drawn) -> Mutant:
    pair = rng.sample((it.answer, it.wrong), 2)
    way = rng.choice(
        (
            "Answer: {0} or {1}",
            "Answer: {0}, {1}",
            "Answer: {0}\nAnswer: {1}",
            "\\boxed{{{0}}} \\boxed{{{1}}}",
            "<answer>{0}</answer>\n<answer>{1}</answer>",
            "<answer>{0}; {1}</answer>",
            "{0} and {1}",
            "The answer is {0}\n\n\\boxed{{{1}}}",
        )
    )
    return f"two answers, `{way}`", way.format(*pair)


def _unmeant(rng: random.Random, it: Drawn) -> Mutant:
    way = rng.choice(
        (
            "The answer is not {A}",
            "I don't think the answer is {A}",
            "If the answer is {A} then I am lost",
            "Some say the answer is {A}",
            "~~Answer: {A}~~",
            "<!-- Answer: {A} -->",
            "Answer: {A}\nWait, no.\nAnswer: {W}",
            "<think>Answer: {A}</think>",
            "<think>Answer: {A}",
            "<think>Answer: {A}</think>I hope this helps.",
            "The wrong answer is {A}",
        )
    )
    return f"not meant, `{way}`", way.format(A=it.answer, W=it.wrong)


def _nothing(rng: random.Random, it: Drawn) -> Mutant:
    return "no answer", rng.choice((*NOTHING, it.prompt))


def _cut(rng: random.Random, it: Drawn) -> Mutant:
    return "cut off", Response(f"Answer: {it.answer}", finish_reason="length")


def _look_alike(rng: random.Random, it: Drawn) -> Mutant:
    places = [i for i, char in enumerate(it.answer) if char in LOOK_ALIKES.values()]
    if not places:
        return _other(rng, it)
    at = rng.choice(places)
    fakes = [fake for fake, letter in LOOK_ALIKES.items() if letter == it.answer[at]]
    fake = rng.choice(fakes)
    text = it.answer[:at] + fake + it.answer[at + 1 :]
    return f"a look-alike, {unicodedata.name(fake)}", f"Answer: {text}"


def _edited(rng: random.Random, it: Drawn) -> Mutant:
    at = rng.randrange(len(it.answer))
    char = rng.choice("§qQ7")
    while char.lower() == it.answer[at].lower():
        char = rng.choice("§qQ7")
    text = it.answer[:at] + char + it.answer[at + 1 :]
    return "one character is another", f"\\boxed{{{text}}}"


def _longer(rng: random.Random, it: Drawn) -> Mutant:
    return "one word more", f"Answer: {it.answer} {rng.choice(WORDS)}q"


EXACT: tuple[Callable[[random.Random, Drawn], Mutant], ...] = (
    _other,
    _other,
    _more,
    _unmeant,
    _nothing,
    _cut,
    _look_alike,
    _edited,
    _longer,
)


def exact_cases(verifier: str, rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn."""
    while True:
        it, facts = drawn(rng), _options(rng)
        said, note = _varied(rng, it.answer, facts)
        way, text = _say(rng, said, it.wrong)
        facts["answers"] = rng.choice(
            ([it.answer], [it.answer, it.wrong + "x"], [it.answer.upper() + "y", it.answer])
        )
        yield Case(_task(it, facts, verifier), _reply(rng, text, it.wrong), True, f"says `{way}`{note}")
        it, facts = drawn(rng), _options(rng)
        facts["answers"] = [it.answer]
        if rng.random() < 0.05:
            facts = rng.choice(
                ({}, {"answers": []}, {"answers": [" "]}, {"answers": [it.answer], "wher": "x"})
            )
            yield Case(
                _task(it, facts, verifier), Response(it.answer), False, "facts that make no sense", "task"
            )
            continue
        if rng.random() < 0.15:
            yield Case(
                _task(it, facts | {"where": "whole", "ignore_punctuation": False}, verifier),
                *_not_whole(rng, it),
            )
            continue
        note, response = rng.choice(EXACT)(rng, it)
        yield Case(_task(it, facts, verifier), _response(response), False, note)


def _not_whole(rng: random.Random, it: Drawn) -> tuple[Response, bool, str]:
    if rng.random() < 0.5:
        return Response(rng.choice(("{}", " {}\n", "\n\n{}")).format(it.answer)), True, "the whole reply"
    way = rng.choice(
        (
            "Answer: {}",
            "\\boxed{{{}}}",
            "Sure!\n\n{}",
            "{}\n\nI hope this helps!",
            "**{}**",
            "<answer>{}</answer>",
        )
    )
    return Response(way.format(it.answer)), False, f"more than the answer: `{way}`"


def _options(rng: random.Random) -> dict[str, Any]:
    return {key: rng.random() < 0.5 for key in ("ignore_case", "ignore_punctuation", "ignore_articles")}


def _varied(rng: random.Random, answer: str, facts: dict[str, Any]) -> tuple[str, str]:
    """The answer changed in what does not count, and a note of it."""
    kind = rng.random()
    if kind < 0.2 and " " in answer:
        return answer.replace(" ", rng.choice(("  ", "\u00a0", " \t")), 1), ", with other white space"
    if kind < 0.4:
        return unicodedata.normalize("NFD", answer), ", decomposed"
    if kind < 0.6 and facts["ignore_case"]:
        # Not every upper case leads back: that of ß is SS, and Greek has two small sigmas.
        upper = answer.upper()
        return (upper, ", in upper case") if upper.casefold() == answer.casefold() else (answer, "")
    if kind < 0.8 and facts["ignore_articles"] and answer.isascii() and answer[0].isalpha():
        return f"the {answer}", ", with an article"
    if kind < 0.9 and facts["ignore_punctuation"]:
        return f"({answer})", ", in brackets"
    return answer, ""


def _task(it: Drawn, facts: dict[str, Any], verifier: str) -> Task:
    return Task(prompt=it.prompt, facts=facts, verifier=verifier)


def _response(said: str | Response) -> Response:
    return Response(said) if isinstance(said, str) else said


# ---- fuzzy


def fuzzy_cases(verifier: str, rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn, of the three metrics."""
    makers = (_by_words, _by_edits, _by_number)
    while True:
        for right in (True, False):
            if not right and rng.random() < 0.05:
                facts: dict[str, Any] = rng.choice(
                    (
                        {"answers": ["one"], "metric": "number"},
                        {"answers": []},
                        {"answers": ["x"], "threshold": 0},
                        {"answers": ["?"]},
                    )
                )
                task = Task(prompt="?", facts=facts, verifier=verifier)
                yield Case(task, Response("x"), False, "facts that make no sense", "task")
                continue
            yield rng.choice(makers)(verifier, rng, right)


def _by_words(verifier: str, rng: random.Random, right: bool) -> Case:
    """Words are dropped and added so that F1 is above the threshold or below it by count."""
    words = rng.sample(WORDS, rng.randint(5, 9))
    threshold = rng.choice((0.5, 0.7, 0.8, 0.9))
    extra = [word + "x" for word in rng.sample(WORDS, 12)]
    fitting = [
        (kept, more)
        for kept in range(len(words) + 1)
        for more in range(len(extra))
        if kept + more
        and ((2 * kept / (len(words) + kept + more)) >= threshold + 1e-9) == right
        and abs(2 * kept / (len(words) + kept + more) - threshold) > 1e-6
    ]
    kept, more = rng.choice(fitting)
    said = rng.sample(words, kept) + extra[:more]
    rng.shuffle(said)
    it = Drawn("Name the words.", " ".join(words), " ".join(f"{w}z" for w in words))
    facts = {"answers": [it.answer], "metric": "token_f1", "threshold": threshold}
    if not right and rng.random() < 0.3:
        note, response = rng.choice((_unmeant, _nothing, _cut))(rng, it)
        return Case(_task(it, facts, verifier), _response(response), False, note)
    way, text = _say(rng, " ".join(said), it.wrong)
    note = f"{kept} of {len(words)} words and {more} more, `{way}`"
    return Case(_task(it, facts, verifier), _reply(rng, text, it.wrong if right else it.answer), right, note)


def _by_edits(verifier: str, rng: random.Random, right: bool) -> Case:
    """So many characters are replaced by one that does not occur: the distance is their number."""
    answer = " ".join(rng.sample(WORDS, rng.randint(2, 5)))
    threshold = rng.choice((0.6, 0.75, 0.9))
    places = [i for i, char in enumerate(answer) if char != " "]
    fitting = [
        n
        for n in range(len(places))
        if (1 - n / len(answer) > threshold + 1e-9) == right and abs(1 - n / len(answer) - threshold) > 1e-6
    ]
    count = rng.choice(fitting)
    changed = set(rng.sample(places, count))
    said = "".join("ж" if i in changed else char for i, char in enumerate(answer))
    it = Drawn("What is written here?", answer, "zzz " * 8)
    facts = {"answers": [answer], "metric": "edit_ratio", "threshold": threshold}
    way, text = _say(rng, said, "q" * 40)
    return Case(_task(it, facts, verifier), _reply(rng, text, "q"), right, f"{count} edits, `{way}`")


def _by_number(verifier: str, rng: random.Random, right: bool) -> Case:
    """A number within the tolerance or out of it, in one of many ways of writing it."""
    digits = rng.randint(0, 3)
    value = round(rng.uniform(-5000, 5000), digits) if digits else rng.randint(-5000, 5000)
    value = value or 7
    absolute = rng.choice((0.0, 0.01, 1.0, 5.0))
    near = value + rng.choice((-1, 1)) * absolute * rng.uniform(0, 0.9)
    far = value + rng.choice((-1, 1)) * (absolute * rng.uniform(1.2, 9) + 0.1)
    said = f"{near if right else far:.6f}".rstrip("0").rstrip(".")
    if right and absolute == 0.0:
        said = str(value)
    facts: dict[str, Any] = {"answers": [str(value)], "metric": "number", "absolute": absolute}
    it = Drawn("How much is it?", str(value), "99999")
    if not right and rng.random() < 0.4:
        note, response = rng.choice((_unmeant, _nothing, _cut, _two_numbers, _scaled))(rng, it)
        return Case(_task(it, facts, verifier), _response(response), False, note)
    if said.startswith("-") and rng.random() < 0.5:
        said = "−" + said[1:]
    elif rng.random() < 0.5 and abs(float(said.replace("−", "-"))) >= 1000:
        whole, point, rest = said.partition(".")
        said = f"{int(whole):,}{point}{rest}"
    said = rng.choice(("{}", "{} kg", "about {}", "{} apples", "x = {}", "{} °C")).format(said)
    way, text = _say(rng, said, "99999")
    return Case(_task(it, facts, verifier), _reply(rng, text, "99999"), right, f"{said} of {value}, `{way}`")


def _two_numbers(rng: random.Random, it: Drawn) -> Mutant:
    way = rng.choice(("Answer: {} or 99999", "\\boxed{{{}, 99999}}", "between {} and 99999"))
    return f"two numbers, `{way}`", way.format(it.answer)


def _scaled(rng: random.Random, it: Drawn) -> Mutant:
    return (
        "a scale word behind it",
        f"Answer: {it.answer} {rng.choice(('thousand', 'million', '万', 'Millionen'))}",
    )
