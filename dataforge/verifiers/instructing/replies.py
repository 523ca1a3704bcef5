"""What is no reply at all (nothing, a refusal, the prompt again), and the readings of a reply that IFEval's loose score tries."""

from __future__ import annotations

import functools
import re

from dataforge.verifiers.instructing.words import words_in

SORRY = r"(?:i['’]?\s?a?m|we\s+are)\s+(?:so\s+|very\s+|really\s+)?sorry|sorry|apologies|my\s+apologies|i\s+apologi[sz]e"
AS_AN_AI = r"(?:as\s+an\s+(?:ai|artificial|assistant|language)[^.!?\n]{0,60}?[,\s]+)?"
UNABLE = (
    r"i\s*(?:['’]?\s?a?m\s+(?:not\s+able|unable|not\s+allowed|not\s+comfortable)|can\s?no?t|can['’]t|won['’]t|will\s+not"
    r"|(?:do\s+not|don['’]t)\s+feel\s+comfortable)\s+(?:be\s+able\s+to\s+|to\s+|in\s+good\s+conscience\s+)*"
)
VERB = (
    r"(?:help|assist|comply|fulfil+|provide|do|answer|write|writing|creat\w+|generat\w+|respond|continue|complete|produce"
    r"|support|engage|satisfy|follow)"
)
OBJECT = (
    r"(?:\s+(?:with|to|on))?\s+(?:(?:that|this|these|those)\b(?=\s*(?:[.!?,;]|$|request|question|task|prompt|instruction|for\b))"
    r"|you\b|(?:your|the|such|any\s+such)\s+(?:request|question|task|prompt|instruction))"
)
"""What an apology, inability and its object look like; without an apology the object is needed: `I can't help but smile`."""

_REFUSALS = re.compile(
    rf"""
    (?:{SORRY})[\s,.:;–—-]*(?:but\s+|for\s+(?:the|any)\s+\w+[\s,.:;–—-]*(?:but\s+)?)?{AS_AN_AI}
      {UNABLE}{VERB}\b(?!\s+but\b)(?![^.!?\n]{{0,80}},\s+but\b)
    | (?:unfortunately[\s,]+|i['’]?\s?a?m\s+afraid\s+(?:that\s+)?)?{AS_AN_AI}{UNABLE}{VERB}\b(?:{OBJECT}|\s*(?:[.!?]|$))
    | i['’]?d\s+(?:really\s+)?(?:rather|prefer)\s+not\s+(?:to\s+)?{VERB}\b[^.!?,;:\n]{{0,60}}[.!?]*\W*$
    | as\s+an\s+ai(?:\s+language)?\s+(?:model|assistant)[^.!?\n]{{0,40}}\bi\s+(?:can\s?no?t|can['’]t|am\s+unable|do\s+not|don['’]t|am\s+not)
    | i\s+(?:must\s+|have\s+to\s+|respectfully\s+)?(?:decline|refuse)\s+(?:to|this|that|your)
    | (?:lo\s+siento|je\s+suis\s+d[ée]sol[ée]e?|es\s+tut\s+mir\s+leid|mi\s+dispiace|sinto\s+muito|desculpe)[\s,.]+
      (?:pero\s+|mais\s+|aber\s+|ma\s+|mas\s+)?(?:no\s+puedo|je\s+ne\s+(?:peux|suis)|(?:ich\s+)?kann\s+(?:ich\s+)?|non\s+posso|n[ãa]o\s+posso)
    | (?:很?抱歉|对不起|對不起)[，,。\s]*我?(?:无法|無法|不能)
    | (?:申し訳(?:ありません|ございません)|すみません)が?[、,。\s]*.{{0,20}}(?:できません|お手伝いできません)
    | (?:извините|к\s+сожалению|простите)[\s,]+(?:но\s+)?я\s+не\s+могу
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LEAD = re.compile(r"[\s\"'“”‘’*_`>#\[{(<-]*")
_SECOND = re.compile(rf"[.!?…]\s+(?=(?:{SORRY}|i['’]?\s?a?m\s+afraid)\b)", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"^\W*(?:sure|ok|okay|certainly|absolutely|of\s+course)?\W*(?:here(?:\s+is|['’]s)\s+(?:the|your)\s+\w+\s*:|(?:prompt|request|question)\s*:)?",
    re.IGNORECASE,
)
FEWEST_WORDS = 3
"""Fewer words beside the prompt are no answer to it."""

MOST_WORDS = 80
"""A longer text that begins like a refusal is a story or a letter, or has an answer behind it."""


def refusal(text: str) -> bool:
    """Whether a reply is nothing but a refusal to answer."""
    if len(text.split()) > MOST_WORDS:
        return False
    start = _LEAD.match(text)
    assert start is not None
    if _REFUSALS.match(text, start.end()):
        return True
    # In a second sentence, only with an apology: `You ask me to stop. I can't do that.` is a story.
    second = _SECOND.search(text)
    return second is not None and _REFUSALS.match(text, second.end()) is not None


def echo(text: str, prompt: str) -> bool:
    """Whether a reply is the prompt again, the whole of it or most, with nothing else or next to nothing around it."""
    said, asked = letters(text), letters(prompt)
    if not asked:
        return False
    if said == asked or (len(said) >= 30 and 10 * len(said) >= 6 * len(asked) and said in asked):
        return True
    return len(asked) >= 10 and asked in said and _beside(text, prompt) < FEWEST_WORDS


def _beside(text: str, prompt: str) -> int:
    """How many words a reply has beside the prompt and a preamble."""
    words = [word.text.casefold() for word in words_in(_PREAMBLE.sub("", text))]
    wanted = [word.text.casefold() for word in words_in(prompt)]
    rest: list[str] = []
    at = 0
    while at < len(words):
        if wanted and words[at] == wanted[0] and words[at : at + len(wanted)] == wanted:
            at += len(wanted)
        else:
            rest.append(words[at])
            at += 1
    return len(rest)


@functools.lru_cache(maxsize=1024)
def letters(text: str) -> str:
    """The letters and digits of a text, case folded."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def loose_readings(text: str) -> list[str]:
    """The text as IFEval's loose score tries it: without its first line, its last, both, and each without asterisks."""
    lines = text.split("\n")
    cut = [text, "\n".join(lines[1:]).strip(), "\n".join(lines[:-1]).strip(), "\n".join(lines[1:-1]).strip()]
    readings = [*cut, *(reading.replace("*", "") for reading in cut)]
    return [reading for reading in dict.fromkeys(readings) if any(letter.isalnum() for letter in reading)]
