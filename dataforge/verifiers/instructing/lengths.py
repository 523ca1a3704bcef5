"""How long: words, sentences, paragraphs, lines. What each of them is say `words`, `sentences` and `text`."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    Params,
    Range,
    Relation,
    asked,
    counted,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import LINE_WIDTH, Conflict, Draft
from dataforge.verifiers.instructing.keywords import ordinal
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import words_in


class Words(Params):
    """How many words."""

    num_words: int = Field(ge=0, description="the number to compare with")
    relation: Relation = Field(default="at least", description="how the count compares with the number")


class NumberWords(Constraint[Words]):
    """The reply has a certain number of words."""

    id = "length_constraints:number_words"
    params = Words
    origin = "IFEval"

    def phrases(self, params: Words) -> Sequence[str]:
        words = asked(params.relation, params.num_words, "word")
        return (f"Answer with {words}.", f"Your response should contain {words}.", f"Write {words} in total.")

    def check(self, text: Text, params: Words) -> Finding:
        return tally(len(text.words), params.relation, params.num_words, "words")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        relation = rng.choice(("at least", "less than", "at most", "around", "exactly", "at least"))
        low, high = (20, 140) if relation in ("at least", "around", "exactly") else (30, 160)
        return {"num_words": rng.randint(low, high), "relation": relation}

    def demand(self, params: Words, draft: Draft) -> None:
        draft.bar("loose words")
        draft.count_words(counted(params.relation, params.num_words))

    def spoil(self, rng: random.Random, text: str, params: Words) -> tuple[str, str]:
        allowed = counted(params.relation, params.num_words)
        words = words_in(text)
        if allowed.high is not None and (allowed.low <= 1 or rng.random() < 0.5):
            more = " ".join(rng.choice(lexicon.PLAIN) for _ in range(allowed.high + 1 - len(words)))
            return f"{text} {more}", "one word too many"
        return text[: words[allowed.low - 1].start].rstrip() or "-", "one word too few"


class Sentences(Params):
    """How many sentences."""

    num_sentences: int = Field(ge=0, description="the number to compare with")
    relation: Relation = Field(default="at least", description="how the count compares with the number")


class NumberSentences(Constraint[Sentences]):
    """The reply has a certain number of sentences."""

    id = "length_constraints:number_sentences"
    params = Sentences
    origin = "IFEval"

    def phrases(self, params: Sentences) -> Sequence[str]:
        sentences = asked(params.relation, params.num_sentences, "sentence")
        return (
            f"Use {sentences}.",
            f"Your response should contain {sentences}.",
            f"Write {sentences}, no list.",
        )

    def check(self, text: Text, params: Sentences) -> Finding:
        spans = text.sentences
        # `around` a small number of sentences: one more or less.
        return tally(len(spans), params.relation, params.num_sentences, "sentences", spans[-1:])

    def draw(self, rng: random.Random) -> dict[str, Any]:
        relation = rng.choice(("at least", "less than", "at most", "exactly", "around"))
        return {"num_sentences": rng.randint(3, 9), "relation": relation}

    def demand(self, params: Sentences, draft: Draft) -> None:
        draft.count_sentences(counted(params.relation, params.num_sentences))

    def spoil(self, rng: random.Random, text: str, params: Sentences) -> tuple[str, str]:
        allowed = counted(params.relation, params.num_sentences)
        found = Text(text)
        if allowed.high is not None and (allowed.low <= 1 or rng.random() < 0.5):
            more = " ".join("It ends." for _ in range(allowed.high + 1 - len(found.sentences)))
            return f"{text}\n\n{more}", "one sentence too many"
        return found.content[: found.sentences[allowed.low - 1][0]].rstrip() or "...", "one sentence too few"


DIVIDER = re.compile(r"(?:(?<=\s)|^)(?:\*\*\*|\* \* \*)(?=\s|$)")
"""The divider `***` (or `* * *`), set off by white space; `***bold***` is none, nor is `******`."""


class Paragraphs(Params):
    """How many paragraphs."""

    num_paragraphs: int = Field(ge=1, description="the exact number")


class NumberParagraphs(Constraint[Paragraphs]):
    """The reply has an exact number of paragraphs with the divider *** between them."""

    id = "length_constraints:number_paragraphs"
    params = Paragraphs
    origin = "IFEval"

    def phrases(self, params: Paragraphs) -> Sequence[str]:
        n = params.num_paragraphs
        return (
            f"There should be {plural(n, 'paragraph')}. Separate paragraphs with the markdown divider: ***",
            f"Write exactly {plural(n, 'paragraph')}, divided from each other by a line with ***",
        )

    def check(self, text: Text, params: Paragraphs) -> Finding:
        parts = DIVIDER.split(text.content)
        # A divider before the first or behind the last paragraph separates nothing.
        if len(parts) > 1 and not parts[0].strip():
            parts = parts[1:]
        if len(parts) > 1 and not parts[-1].strip():
            parts = parts[:-1]
        if not all(any(letter.isalnum() for letter in part) for part in parts):
            return Finding(False, "a paragraph between two dividers is empty")
        return tally(len(parts), "exactly", params.num_paragraphs, "paragraphs")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_paragraphs": rng.randint(2, 5)}

    def demand(self, params: Paragraphs, draft: Draft) -> None:
        draft.lay_out("stars", params.num_paragraphs)
        draft.has("divider")

    def spoil(self, rng: random.Random, text: str, params: Paragraphs) -> tuple[str, str]:
        match rng.randrange(3):
            case 0 if params.num_paragraphs > 1:
                return DIVIDER.sub("\n", text, count=1), "a divider left out"
            case 1 if params.num_paragraphs > 1:
                return DIVIDER.sub("---", text, count=1), "another divider"
            case _:
                return f"{text}\n\n***\n\nOne more.", "a paragraph too many"


class FirstWord(Params):
    """How many paragraphs, and how one of them begins."""

    num_paragraphs: int = Field(ge=1, description="the exact number")
    nth_paragraph: int = Field(ge=1, description="the paragraph meant, from 1")
    first_word: str = Field(min_length=1, description="its first word; case does not matter")

    @model_validator(mode="after")
    def _inside(self) -> FirstWord:
        if self.nth_paragraph > self.num_paragraphs:
            raise ValueError(f"there is no paragraph {self.nth_paragraph} of {self.num_paragraphs}")
        if not words_in(self.first_word):
            raise ValueError("the first word has no letter")
        return self


class NthParagraphFirstWord(Constraint[FirstWord]):
    """The reply has an exact number of paragraphs with blank lines between them, and one begins with a certain word."""

    id = "length_constraints:nth_paragraph_first_word"
    params = FirstWord
    origin = "IFEval"

    def phrases(self, params: FirstWord) -> Sequence[str]:
        n, i, word = params.num_paragraphs, params.nth_paragraph, params.first_word
        return (
            f"There should be exactly {plural(n, 'paragraph')}, with a blank line between any two. "
            f'Paragraph {i} must start with the word "{word}".',
            f'Write {plural(n, "paragraph")} separated by blank lines; the {ordinal(i)} one begins with "{word}".',
        )

    def check(self, text: Text, params: FirstWord) -> Finding:
        spans = text.paragraphs
        if len(spans) != params.num_paragraphs:
            return Finding(
                False, f"it has {plural(len(spans), 'paragraph')}, and should have {params.num_paragraphs}"
            )
        start, end = spans[params.nth_paragraph - 1]
        wanted = [word.text.casefold() for word in words_in(params.first_word)]
        there = [word for word in text.words if start <= word.start < end][: len(wanted)]
        if [word.text.casefold() for word in there] == wanted:
            return HOLDS
        spans_there = tuple((word.start, word.end) for word in there)
        return Finding(False, f"paragraph {params.nth_paragraph} begins with another word", spans_there)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        n = rng.randint(2, 5)
        word = rng.choice(("weekend", "summary", "president", *lexicon.KEYWORDS))
        return {"num_paragraphs": n, "nth_paragraph": rng.randint(1, n), "first_word": word}

    def demand(self, params: FirstWord, draft: Draft) -> None:
        draft.lay_out("blank", params.num_paragraphs)
        draft.claim("first word", (params.nth_paragraph, params.first_word))
        draft.claim("first words", "own")
        draft.claim("order of words", "own")
        draft.bar("extra", "starter")
        draft.fixed_place(params.first_word)
        if len(words_in(params.first_word)) != 1:
            draft.has("phrases")

    def spoil(self, rng: random.Random, text: str, params: FirstWord) -> tuple[str, str]:
        start = Text(text).paragraphs[params.nth_paragraph - 1][0]
        content = Text(text).content
        match rng.randrange(3):
            case 0:
                return f"{content}\n\nOne more.", "a paragraph too many"
            case 1:
                return f"{content[:start]}Nothing {content[start:].lstrip()}", "another first word"
            case _:
                at = content.casefold().index(params.first_word.casefold(), start) + len(params.first_word)
                return f"{content[:at]}xq{content[at:]}", "the first word only begins with it"


class SentenceLength(Params):
    """How long every sentence is."""

    num_words: int = Field(ge=1, description="the exact number of words of every sentence")


class SentenceWords(Constraint[SentenceLength]):
    """Every sentence has an exact number of words."""

    id = "sentences:exact_words"
    params = SentenceLength

    def phrases(self, params: SentenceLength) -> Sequence[str]:
        words = plural(params.num_words, "word")
        return (
            f"Every sentence must have exactly {words}.",
            f"Use only sentences of {words}, no more and no less.",
        )

    def check(self, text: Text, params: SentenceLength) -> Finding:
        if not text.sentences:
            return Finding(False, "it has no sentence")
        wrong = [
            s
            for s, words in zip(text.sentences, text.sentence_words, strict=True)
            if len(words) != params.num_words
        ]
        if not wrong:
            return HOLDS
        return Finding(
            False, f"{plural(len(wrong), 'sentence')} do not have {params.num_words} words", tuple(wrong[:5])
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_words": rng.randint(4, 10)}

    def demand(self, params: SentenceLength, draft: Draft) -> None:
        draft.bar("fragments", "fixed words", "phrases", "loose words")
        position = draft.slot("position")
        if draft.per_sentence not in (None, params.num_words) or (
            position and position[1] > params.num_words
        ):
            raise Conflict("the sentences are promised another length")
        draft.per_sentence = params.num_words

    def spoil(self, rng: random.Random, text: str, params: SentenceLength) -> tuple[str, str]:
        found = Text(text)
        content = found.content
        word = rng.choice(rng.choice(found.sentence_words))
        if rng.random() < 0.5 or params.num_words == 1:
            return f"{content[: word.start]}quite {content[word.start :]}", "a word too many in a sentence"
        return f"{content[: word.start]}{content[word.end :]}", "a word too few in a sentence"


class Lines(Params):
    """How many lines."""

    num_lines: int = Field(ge=1, description="the exact number of lines that are not blank")


class NumberLines(Constraint[Lines]):
    """The reply has an exact number of lines that are not blank."""

    id = "lines:count"
    params = Lines

    def phrases(self, params: Lines) -> Sequence[str]:
        lines = plural(params.num_lines, "line")
        return (
            f"Write exactly {lines} of text, not counting blank ones.",
            f"Your response should be {lines} long.",
        )

    def check(self, text: Text, params: Lines) -> Finding:
        return tally(len(text.lines), "exactly", params.num_lines, "lines")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_lines": rng.randint(2, 8)}

    def demand(self, params: Lines, draft: Draft) -> None:
        draft.lay_out("lines", params.num_lines)
        draft.bar("extra")

    def spoil(self, rng: random.Random, text: str, params: Lines) -> tuple[str, str]:
        if params.num_lines > 1 and rng.random() < 0.5:
            return text.replace("\n", " ", 1), "a line too few"
        return f"{text}\nOne more.", "a line too many"


class Width(Params):
    """How long a line may be."""

    max_chars: int = Field(ge=1, description="the most characters that a line may have")


class LineWidth(Constraint[Width]):
    """No line is longer than a number of characters."""

    id = "lines:max_length"
    params = Width

    def phrases(self, params: Width) -> Sequence[str]:
        return (
            f"No line may be longer than {params.max_chars} characters; break lines where you need to.",
            f"Keep every line to at most {params.max_chars} characters.",
        )

    def check(self, text: Text, params: Width) -> Finding:
        wrong = [(start, end) for start, end in text.lines if end - start > params.max_chars]
        return (
            Finding(False, f"{plural(len(wrong), 'line')} longer than that", tuple(wrong[:5]))
            if wrong
            else HOLDS
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"max_chars": rng.choice((LINE_WIDTH + 5, 50, 60, 72, 80))}

    def demand(self, params: Width, draft: Draft) -> None:
        draft.lay_out("lines")
        draft.claim("line width", params.max_chars)
        draft.bar("extra", "fixed words", "phrases", "marked words")
        indentation = draft.slot("indentation") or 0
        if params.max_chars < LINE_WIDTH + 2 + indentation * 12:
            raise Conflict("the lines are too short to write in")

    def spoil(self, rng: random.Random, text: str, params: Width) -> tuple[str, str]:
        return f"{text} {'very ' * (params.max_chars // 5 + 1)}long.", "a line too long"


class Stairs(Params):
    """How far each line stands in."""

    step: int = Field(ge=1, le=8, description="how many spaces more than the line before")


class Staircase(Constraint[Stairs]):
    """Every line is indented by a fixed number of spaces more than the line before."""

    id = "lines:staircase"
    params = Stairs

    def phrases(self, params: Stairs) -> Sequence[str]:
        spaces = plural(params.step, "space")
        return (
            f"Indent your lines like a staircase: the first not at all, and each one {spaces} more than the line before. "
            "Write at least two lines.",
            f"Write two or more lines; each begins with {spaces} more than the previous one, and the first with none.",
        )

    def check(self, text: Text, params: Stairs) -> Finding:
        if len(text.lines) < 2:
            return Finding(False, "it has fewer than two lines")
        for index, span in enumerate(text.lines):
            line = text.piece(span)
            if len(line) - len(line.lstrip(" ")) != index * params.step or line.lstrip(" ")[0].isspace():
                return Finding(
                    False, f"line {index + 1} is not indented by {index * params.step} spaces", (span,)
                )
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"step": rng.randint(1, 4)}

    def demand(self, params: Stairs, draft: Draft) -> None:
        draft.lay_out("lines")
        draft.claim("indentation", params.step)
        draft.bar("extra")
        if draft.sentences.high == 1 or draft.blocks == 1:
            raise Conflict("a staircase has two lines at least")
        draft.count_sentences(Range(2))
        width = draft.slot("line width")
        if width is not None and width < LINE_WIDTH + 2 + params.step * 12:
            raise Conflict("the lines are too short to write in")

    def spoil(self, rng: random.Random, text: str, params: Stairs) -> tuple[str, str]:
        lines = text.split("\n")
        at = rng.randrange(1, len(lines))
        if rng.random() < 0.5:
            lines[at] = f" {lines[at]}"
            return "\n".join(lines), "a line indented too far"
        lines[at] = lines[at][1:]
        return "\n".join(lines), "a line not indented enough"
