"""What is no reply at all (nothing, a refusal, the prompt again), and the readings of a reply that IFEval's loose score tries."""

from __future__ import annotations

import functools
import re

_REFUSALS = re.compile(
    r"""
    (?:(?:i['’]?\s?a?m|we\s+are)\s+(?:so\s+|very\s+|really\s+)?sorry|sorry|apologies|my\s+apologies|i\s+apologi[sz]e|unfortunately)?
    [\s,.:;–—-]*(?:but\s+|for\s+(?:the|any)\s+\w+[\s,.:;–—-]*(?:but\s+)?)?
    (?:as\s+an\s+(?:ai|artificial|assistant|language)[^.!?\n]{0,60}?[,\s]+)?
    i\s*(?:['’]?\s?a?m\s+(?:not\s+able|unable|not\s+allowed|not\s+comfortable)\s+(?:to\s+)?|can\s?no?t|can['’]t|won['’]t|will\s+not|do\s+not|don['’]t|must)\s*
    (?:be\s+able\s+to\s+|feel\s+comfortable\s+|decline\s+|to\s+|in\s+good\s+conscience\s+)*
    (?:help|assist|comply|fulfil+|provide|do|answer|write|writing|creat\w+|generat\w+|respond|continue|complete|produce|support|engage|satisfy|follow|this\s+request)
    | as\s+an\s+ai(?:\s+language)?\s+(?:model|assistant)[^.!?\n]{0,40}\bi\s+(?:can\s?no?t|can['’]t|am\s+unable|do\s+not|don['’]t|am\s+not)
    | i\s+(?:must\s+|have\s+to\s+|respectfully\s+)?(?:decline|refuse)\s+(?:to|this|that|your)
    | (?:lo\s+siento|je\s+suis\s+d[ée]sol[ée]e?|es\s+tut\s+mir\s+leid|mi\s+dispiace|sinto\s+muito|desculpe)[\s,.]+
      (?:pero\s+|mais\s+|aber\s+|ma\s+|mas\s+)?(?:no\s+puedo|je\s+ne\s+(?:peux|suis)|(?:ich\s+)?kann\s+(?:ich\s+)?|non\s+posso|n[ãa]o\s+posso)
    | (?:很?抱歉|对不起|對不起)[，,。\s]*我?(?:无法|無法|不能)
    | (?:申し訳(?:ありません|ございません)|すみません)が?[、,。\s]*.{0,20}(?:できません|お手伝いできません)
    | (?:извините|к\s+сожалению|простите)[\s,]+(?:но\s+)?я\s+не\s+могу
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LEAD = re.compile(r"[\s\"'“”‘’*_`>#\[{(<-]*")
MOST_WORDS = 80
"""A longer text that begins like a refusal is a story or a letter, or has an answer behind it."""


def refusal(text: str) -> bool:
    """Whether a reply is nothing but a refusal to answer."""
    start = _LEAD.match(text)
    assert start is not None
    return _REFUSALS.match(text, start.end()) is not None and len(text.split()) <= MOST_WORDS


def echo(text: str, prompt: str) -> bool:
    """Whether a reply is the prompt again, the whole of it or most, with nothing else."""
    said, asked = letters(text), letters(prompt)
    return bool(asked) and (
        said == asked or (len(said) >= 30 and 10 * len(said) >= 6 * len(asked) and said in asked)
    )


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
