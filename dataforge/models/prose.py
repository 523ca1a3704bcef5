"""Plain measurements on prose, without any model: sentences, content words, numbers, repetition, echo, endings.

Everything here is a pure function of text. It is written for English and degrades to silence elsewhere: what it does
not recognise counts neither for nor against a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+(?=[\"'“‘(]*[A-Z0-9])|\n+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CLOSED = re.compile(r"[.!?…:;)\]}\"'”’`*|]$")
_LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_SUFFIXES = tuple("ations ation ingly ings ing ness edly ed ers er ies es ly s e y".split())  # longest first  # noqa: SIM905
# Words that carry no claim of their own: function words, the verbs that any paraphrase may add, and
# the words with which a text speaks of a text.
_EMPTY_WORDS = frozenset(
    """
    a about above across after again against all almost along already also although always among an and another any are
    as at away back be became because become becomes been before began begin being below between both but by called
    came can come comes could did do does done down due during each either else enough even ever every few fewer first
    for found from further gave get gets give given gives go goes got had has have having he help helps her here hers
    him his how however if in into is it its itself just kept kind kinds known last least less let like made mainly
    make makes making many may me might more most mostly much must my near nearly need never no nor not now of off
    often on once one only onto or other others our out over own part parts people perhaps put quite rather really
    same say says see seen several shall she should show shows since so some something soon still such take taken
    takes than that the their them themselves then there therefore these they thing things this those though through
    thus to together too toward towards two under until up upon us use used uses using usually very was way ways we
    well went were what when where whether which while who whom whose why will with within without would yes yet you
    your

    according actually aspect aspects author certain context describe described describes describing detail details
    discuss discussed discusses discussing essentially example examples explain explained explains explaining fact
    feature features focus focuses general generally highlight highlights idea important importance include included
    includes including information instance involve involves involving key main mention mentioned mentions namely
    overall particular particularly passage piece play plays point points primarily primary process provide provided
    provides providing refer refers referring reference related role significant significantly simply specific
    specifically story subject suggest suggests text topic typically various
    """.split()  # noqa: SIM905 - a column of three hundred literals reads no better
)
_IMPERATIVES = frozenset(
    """
    analyse analyze argue calculate choose classify compare compose compute consider convert count create define derive
    describe design determine discuss draft draw edit estimate evaluate explain find give identify illustrate imagine
    interpret invent justify list name outline paraphrase plan predict prove provide quote rank recount rewrite say
    show sketch solve sort state suggest summarise summarize tell trace translate write
    """.split()  # noqa: SIM905
)
_POINTERS = re.compile(
    r"\b(?:(?:the|this|that|given|above) (?:passage|text|article|excerpt|author|paragraph|document|story|extract)"
    r"|according to (?:the|this) \w+|(?:mentioned|described|stated|discussed|given) (?:above|here|in)|as above"
    r"|the (?:above|following))\b",
    re.IGNORECASE,
)
_LOOSE_PRONOUN = re.compile(r"\b(?:he|she|they|it|his|her|their|its|them|him|these|those)\b", re.IGNORECASE)
_CHATTER = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|great|here(?:'s|’s| is| are)\b|as an ai|i'd (?:love|be happy)|i would be"
    r"|i'm sorry|i am sorry|i cannot|what an? (?:great|excellent|wonderful|fascinating|beautiful)|thank you|please |(?:what|how|would) (?:can|may|would|do)? ?(?:i|you) (?:help|like to)\b"
    r"|the answer (?:would be|to your)|let me know)",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The text cut at the ends of its sentences and lines."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece and _WORD.search(piece)]


def words(text: str) -> list[str]:
    """Lower-case words, with their apostrophes."""
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """The distinct words that claim something, in order."""
    kept = (word.split("'")[0] for word in words(text))
    return list(dict.fromkeys(word for word in kept if len(word) > 2 and word not in _EMPTY_WORDS))


def stem(word: str) -> str:
    """A word without its commonest ending; rough, but the same for `rise`, `rises` and `rising`."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def numbers(text: str) -> set[str]:
    """The numbers written in digits, without their thousands separators."""
    return {re.sub(r",(?=\d{3})", "", number).rstrip(".,") for number in _NUMBER.findall(text)}


def repetition(text: str) -> float:
    """Share of the text's three-word runs that occurred before: 0 for ordinary prose, near 1 for a stuck record."""
    told = words(text)
    runs = list(zip(told, told[1:], told[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if len(runs) >= 4 else 0.0


def copied(text: str, source: str) -> float:
    """Share of the text's three-word runs that stand in the source as well; of its words, where it has fewer than three."""
    told, given = words(text), words(source)
    width = min(3, len(told))
    if not width:
        return 0.0
    stock = {tuple(given[at : at + width]) for at in range(len(given) - width + 1)}
    runs = [tuple(told[at : at + width]) for at in range(len(told) - width + 1)]
    return sum(run in stock for run in runs) / len(runs)


def unfinished(text: str) -> bool:
    """Whether the text breaks off: its last line is a sentence of some length that nothing closes."""
    lines = text.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    return len(words(last)) > 6 and not _CLOSED.search(last) and not _LIST_ITEM.match(last)


def chatter(text: str) -> bool:
    """Whether the text opens by talking to the user about the task instead of doing it."""
    return _CHATTER.match(text) is not None


def asks(text: str) -> bool:
    """Whether the text asks or tells its reader to do something."""
    first = next(iter(words(text)), "")
    return "?" in text or first in _IMPERATIVES


def pointers(question: str) -> list[str]:
    """What in a question points to a text that its reader may not have: `the passage`, or a pronoun with no noun before."""
    found = [match[0] for match in _POINTERS.finditer(question)]
    pronoun = _LOOSE_PRONOUN.search(question)
    if pronoun is not None and not content_words(question[: pronoun.start()]):
        found.append(pronoun[0])
    return found


def foreign_share(text: str) -> float:
    """Share of letters outside the Latin script."""
    letters = [character for character in text if character.isalpha()]
    return sum(not _LATIN.match(letter) for letter in letters) / len(letters) if letters else 0.0


def supported(told: Sequence[str], given: Sequence[str]) -> list[str]:
    """Those content words of `told` that `given` has too, in whatever form."""
    stems = {stem(word) for word in given}
    return [word for word in told if stem(word) in stems]
