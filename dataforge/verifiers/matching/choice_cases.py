"""Generated cases for multiple choice: a right answer in one of many ways of saying it, and mutants that break one thing."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataforge.verifiers.matching.named import LOOK_ALIKES
from dataforge.verifiers.matching.options import LETTERS
from dataforge.verifiers.matching.questions import laid_out, question
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

WAYS = (
    "Answer: {L}",
    "Answer: ({L})",
    "**Answer: {L}**",
    "**Answer:** {L}",
    "Answer: **{L}**",
    "Answer: {l}",
    "Final answer: {L}.",
    "The answer is {L}.",
    "The answer is ({L}).",
    "The answer is {L} because everything else leads to a contradiction.",
    "The correct answer is **{L}**, as shown above.",
    "So the correct answer is option {L}.",
    "The answer to this question is {L}",
    "Therefore, the best choice is ({L}) {T}.",
    "The right option is {L}: {T}.",
    "The answer is {L}) {T}",
    "I choose {L}.",
    "I'd go with ({L}).",
    "I would pick option {L}, since it fits best.",
    "My answer: {L}",
    "Option {L} is correct.",
    "({L}) is the correct answer.",
    "**{L}** is right.",
    "$\\boxed{{{L}}}$",
    "\\boxed{{\\text{{{L}}}}}",
    "The answer is $\\boxed{{\\text{{({L})}}}}$.",
    "\\boxed{{{L}. {T}}}",
    "<answer>{L}</answer>",
    "<answer>\n({L}) {T}\n</answer>",
    '{{"answer": "{L}"}}',
    '```json\n{{"reasoning": "short", "answer": "{L}"}}\n```',
    "## Answer\n\n{L}",
    "Antwort: {L}",
    "答案：{L}",
    "The answer is `{L}`.",
    'The answer is "{L}".',
    "The answer is {L}, not {W}.",
    "The answer is {W}. Wait, no: that overlooks a case. The answer is {L}.",
    "__Answer__: {L}",
    "Ans: {L}",
    "The right one is {L}.",
    "The correct letter is **{L}**.",
    "The answer's {L}",
    "正确答案是{L}。",
    "La respuesta correcta es {L}.",
    "At first I thought {W}, but the answer is {L}.",
    "{T} is the correct answer.",
    "Answer: {W}. Wait, it is {L}.",
    "Answer: {W}\n\nActually, let me reconsider. It has to be the other one.\n\nAnswer: {L}",
    "The answer is {T}.",
    "Answer: {T}",
    "**Answer:** {T}",
    "\\boxed{{{T}}}",
    "<answer>{T}</answer>",
)
"""Ways of giving an answer within a text: {L} its letter, {l} the same in lower case, {T} its text, {W} a wrong letter."""

ALONE = (
    "{L}",
    "({L})",
    "{L}.",
    "{L})",
    "**{L}**",
    "**({L})**",
    "`{L}`",
    "{L}) {T}",
    "**{L}) {T}**",
    "({L}) {T}",
    "Option {L}",
    "- {L}",
    "{T}",
    "**{T}**",
    '"{T}"',
    "“{T}”",
    "{T}.",
    "> {L}",
    "\\({L}\\)",
    "\\textbf{{{L}}}",
    "{L}!",
    "=> {L}",
)
"""Ways that need a line of their own at the end."""

WHOLE = (
    "{l}",
    "{L} because it is the only one that fits.",
    "It is {L}.",
    "It must be ({L}).",
    "Definitely **{L}**.",
    "({L}), without doubt",
    "{L}. The others do not fit.",
    "I'm sure it's ({L}).",
    "What was drawn is **{L}) {T}**.",
    "Just one of them fits (option {L}).",
    "{W} is wrong, so {L}.",
)
"""Ways that are the whole reply."""

BEFORE = (
    "",
    "",
    "",
    "Let me think about this step by step.",
    "A quick look at each of them helps. I think one can be found without much work.",
    "Plan B, vitamin C, the letter E, an A-frame and C++ have nothing to do with it.",
    "Is it ({W})? No: that one does not fit.",
    "({W}) is wrong, as one sees at once.",
    "It can't be {W}.",
    "The answer is not {W}.",
    "At first glance the answer is {W}, and that overlooks something.",
    "If the answer were {W}, nothing else would hold.",
    "Some people say the answer is {W}.",
    "The obvious answer is {W}, and it is a trap.",
    "~~Answer: {W}~~",
    "I thought that the answer was {W}, and did the sum again.",
    "Here are my thoughts:\n\n1. I read the question.\n2. I compared the options.\n3. I ruled out the rest.",
    "题目不难。Let us see… 🤔",
    "{LIST}",
    "The options are:\n{LIST}",
    "\u202bשאלה טובה\u202c",
)
AFTER = (
    "",
    "",
    "",
    "",
    "\n\nI hope this helps!",
    "\n",
    "\n\n({W}) is wrong because it leaves out a case.",
    "  \n\n",
    "\n\nLet me know if you would like more detail. 🙂",
)

TEXTS = (
    r"\frac{1}{2}",
    r"x^2 + 1",
    r"$\sqrt{2}$",
    "`x += 1`",
    "naïve café",
    "它是蓝色的",
    "שלום עולם",
    "مرحبا",
    "😀",
    "“so be it”",
    "3.5",
    "-5",
    "5",
    "0",
    "10%",
    "E = mc^2",
    "None of the above",
    "All of the above",
    "Both A and C",
    "It's the dog's",
    'a "quoted" word',
    "Straße",
    "an apple",
    "A tree",
    "print('hi')",
    "New York",
    "New York City",
    "1,000",
    "12:30",
    "x < y",
    "C#",
    "B12",
    "O(n log n)",
    "is it so?",
    "the answer",
    "H2O",
    "−7",
    "½",
    "a → b",
    "I",
    "yes",
    "no",
    "true",
    "false",
    "line one; line two",
    "<b>bold</b>",
    "ﬁnal",
    "Ångström",
)


@dataclass(frozen=True)
class Drawn:
    """A question with options, the right letter, and a wrong one."""

    task: Task
    right: str
    wrong: str
    texts: tuple[str, ...]

    def said(self, way: str, letter: str, other: str, rng: random.Random) -> str:
        """A way of saying, filled in for a letter."""
        text = self.texts[LETTERS.index(letter)]
        return way.format(L=letter, l=letter.lower(), T=text, W=other, LIST=laid_out(rng, self.texts))


def drawn(rng: random.Random, verifier: str) -> Drawn:
    """Draw a question; every other one has options of awkward texts."""
    count = rng.choice((2, 3, 4, 4, 4, 5, 6, 10))
    if count <= 4 and rng.random() < 0.5:
        asked = question(rng)
        texts = [asked.answer, *rng.sample(asked.wrong, min(count, len(asked.wrong)))]
        stem = asked.text
    else:
        texts = rng.sample(TEXTS, count)
        stem = "Which of these was drawn?"
    rng.shuffle(texts)
    right, wrong = rng.sample(range(len(texts)), 2)
    prompt = f"{stem}\n\n{laid_out(rng, tuple(texts))}\n\nReply with the letter of the right option."
    facts = {"answer": LETTERS[right], "options": texts}
    task = Task(prompt=prompt, facts=facts, verifier=verifier)
    return Drawn(task, LETTERS[right], LETTERS[wrong], tuple(texts))


def cases(verifier: str, rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn."""
    while True:
        it = drawn(rng, verifier)
        note, response = positive(it, it.right, it.wrong, rng)
        yield Case(it.task, response, True, note)
        it = drawn(rng, verifier)
        note, response, error = rng.choice(MUTANTS)(it, rng)
        yield Case(it.task, response, False, note, "task" if error else None)


def positive(it: Drawn, letter: str, other: str, rng: random.Random) -> tuple[str, Response]:
    """A reply that chooses a letter, and rejects another on its way where it names one."""
    kind = rng.random()
    if kind < 0.15:
        way = rng.choice(WHOLE)
        if way == "{l}" and it.texts[LETTERS.index(other)].lower() == letter.lower():
            way = WHOLE[1]
        text = it.said(way, letter, other, rng)
    else:
        way = _fitting(it, letter, rng, ALONE if kind < 0.4 else WAYS)
        before = it.said(rng.choice(BEFORE), letter, other, rng)
        after = (
            it.said(rng.choice(AFTER), letter, other, rng) if kind >= 0.4 else rng.choice(("", "\n", "  "))
        )
        said = it.said(way, letter, other, rng)
        text = f"{before}\n\n{said}{after}" if before else said + after
    return _thinking(f"says `{way}`", text, other, rng)


def _fitting(it: Drawn, letter: str, rng: random.Random, ways: tuple[str, ...]) -> str:
    """A way that this option's text can be said in: one that is itself a letter, or would end a box, cannot."""
    text = it.texts[LETTERS.index(letter)]
    while True:
        way = rng.choice(ways)
        if "{T}" not in way:
            return way
        if len(text) == 1 and text.isascii() and text.isalpha():
            continue
        if "{L}" not in way and (text[-1] in "?!;:" or text[0] == "<" or text == "the answer"):
            continue
        if way[0] == '"' and '"' in text:
            continue
        return way


def _thinking(note: str, text: str, other: str, rng: random.Random) -> tuple[str, Response]:
    """The reply as it is, or behind thinking that says something else."""
    kind = rng.random()
    if kind < 0.15:
        return f"{note}, after thinking", Response(
            f"<think>\nPerhaps the answer is {other}.\n</think>\n\n{text}"
        )
    if kind < 0.25:
        return f"{note}, after reasoning apart", Response(text, reasoning=f"Answer: {other}")
    return note, Response(text)


Mutant = tuple[str, Response, bool]


def _wrong(it: Drawn, rng: random.Random) -> Mutant:
    note, response = positive(it, it.wrong, it.right, rng)
    return f"{note} of a wrong option", response, False


def _two(it: Drawn, rng: random.Random) -> Mutant:
    ways = [w for w in WAYS if "{W}" not in w]
    first, second = (_fitting(it, letter, rng, tuple(ways)) for letter in (it.right, it.wrong))
    said = [it.said(first, it.right, it.wrong, rng), it.said(second, it.wrong, it.right, rng)]
    rng.shuffle(said)
    return f"two answers: `{first}` and `{second}`", Response("\n\n".join(said)), False


def _hedged(it: Drawn, rng: random.Random) -> Mutant:
    pair = rng.sample((it.right, it.wrong), 2)
    way = rng.choice(
        (
            "The answer is {0} or {1}.",
            "Answer: {0}, {1}",
            "Answer: {0} and {1}",
            "Answer: {0}/{1}",
            "The answer is ({0}) or ({1}).",
            "\\boxed{{{0}, {1}}}",
            "<answer>{0} or {1}</answer>",
            "Both ({0}) and ({1}) look right.",
            "{0}\n{1}",
            "**{0}** or **{1}**",
            "It is {0} or {1}.",
            "Answer: {0} (or {1})",
            "Answer: {0}. Or perhaps {1}.",
            "Answer: {0}\n{1} is also correct.",
            "Answer: {0}.{1}",
            "<answer>{0}\n{1}</answer>",
        )
    )
    return f"hedged: `{way}`", Response(way.format(*pair)), False


def _not_meant(it: Drawn, rng: random.Random) -> Mutant:
    way = rng.choice(
        (
            "The answer is not {L}.",
            "It is not ({L}).",
            "I don't think the answer is {L}.",
            "If the answer is {L}, then the rest follows.",
            "Suppose the answer is {L}.",
            "Is the answer {L}?",
            "The answer is {L}?",
            "Some say the answer is {L}.",
            "Most people think that the answer is {L}.",
            "At first the answer is {L}.",
            "~~Answer: {L}~~",
            "<!-- Answer: {L} -->",
            "~~{L}~~",
            "({L}) is wrong.",
            "Rule out ({L}).",
            "The wrong answer is {L}.",
            "Your answer: {L}",
            "I can't decide, though ({L}) is tempting.",
            "Everything except **{L}**.",
        )
    )
    return f"not meant: `{way}`", Response(it.said(way, it.right, it.wrong, rng)), False


def _taken_back(it: Drawn, rng: random.Random) -> Mutant:
    way = rng.choice(
        (
            "The answer is {L}. Wait, I made a mistake. The answer is {W}.",
            "Answer: {L}. Actually, wait. It is {W}.",
            "{L}\n\nNo, {W}.",
        )
    )
    return f"taken back: `{way}`", Response(it.said(way, it.right, it.wrong, rng)), False


def _in_thinking_only(it: Drawn, rng: random.Random) -> Mutant:
    said = it.said(_fitting(it, it.right, rng, WAYS), it.right, it.wrong, rng)
    response = rng.choice(
        (
            Response(f"<think>{said}</think>"),
            Response(f"<think>{said}</think>\n\nI hope that this helps."),
            Response("", reasoning=said),
            Response(f"<think>{said}"),
            Response(f"<think>{said}</think>\n<think>again</think>\n\n{said}"),
        )
    )
    return "answer in the thinking only, or the thinking malformed", response, False


def _look_alike(it: Drawn, rng: random.Random) -> Mutant:
    fakes = [fake for fake, letter in LOOK_ALIKES.items() if letter == it.right]
    if not fakes:
        return _wrong(it, rng)
    fake = rng.choice(fakes)
    way = rng.choice(
        ("Answer: {}", "{}", "**{}**", "\\boxed{{{}}}", "The answer is ({}).", "<answer>{}</answer>")
    )
    return f"a look-alike, {unicodedata.name(fake)}", Response(way.format(fake)), False


def _nothing(it: Drawn, rng: random.Random) -> Mutant:
    text = rng.choice(
        (
            "",
            " \n\t",
            "I'm sorry, but I can't help with that.",
            "I cannot answer this question.",
            "As an AI, I don't have opinions.",
            it.task.prompt,
            it.task.prompt[: len(it.task.prompt) // 2 * 2],
            laid_out(rng, it.texts),
            "A good question. I do not know.",
            "The answer depends on many things.",
            "Answer:",
            "Answer: ",
            "\\boxed{}",
            "<answer></answer>",
            "The answer is C++.",
            "The answer is a matter of taste.",
            "Answer: I don't know",
            f"Answer: {it.right}x",
            f"Answer: {it.right}{it.right}",
            f"The answer is {it.right}\u0336.",
        )
    )
    return "no answer", Response(text), False


def _cut_off(it: Drawn, rng: random.Random) -> Mutant:
    way = rng.choice(("The answer is {L}", "**Answer: {L}", "Answer: {L}"))
    return (
        "cut off at the answer",
        Response(it.said(way, it.right, it.wrong, rng), finish_reason="length"),
        False,
    )


def _contradiction(it: Drawn, rng: random.Random) -> Mutant:
    text = it.texts[LETTERS.index(it.wrong)]
    if re.fullmatch(r"[A-Za-z]|.*[?!;:<>]+.*", text):
        return _wrong(it, rng)
    way = rng.choice(
        ("Answer: {L}) {T}", "The answer is ({L}) {T}.", "<answer>{L}: {T}</answer>", "{L}) {T}")
    )
    return "the letter of one and the text of another", Response(way.format(L=it.right, T=text)), False


def _no_such(it: Drawn, rng: random.Random) -> Mutant:
    letter = LETTERS[len(it.texts)]
    return "no such option", Response(f"Answer: {letter}"), False


def _bad_facts(it: Drawn, rng: random.Random) -> Mutant:
    facts = rng.choice(
        (
            {"answer": LETTERS[len(it.texts)], "options": list(it.texts)},
            {"answer": it.right},
            {"options": list(it.texts)},
            {"answer": "1", "options": list(it.texts)},
            {"answer": it.right, "options": list(it.texts), "extra": 1},
            {"answer": it.right, "options": [it.texts[0]]},
        )
    )
    it.task.facts.clear()
    it.task.facts.update(facts)
    return "facts that make no sense", Response(f"Answer: {it.right}"), True


MUTANTS: tuple[Callable[[Drawn, random.Random], Mutant], ...] = (
    _wrong,
    _wrong,
    _wrong,
    _two,
    _two,
    _hedged,
    _not_meant,
    _not_meant,
    _taken_back,
    _in_thinking_only,
    _look_alike,
    _nothing,
    _cut_off,
    _contradiction,
    _no_such,
    _bad_facts,
)
