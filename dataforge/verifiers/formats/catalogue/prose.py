"""Formats of plain writing: lead-in sentences, labels, delimiters, brackets."""

from __future__ import annotations

from typing import Any

from dataforge.verifiers.formats.brackets import Bracketed
from dataforge.verifiers.formats.form import Around
from dataforge.verifiers.formats.format import Format
from dataforge.verifiers.formats.marks import Hole, Mark, Marks

PROSE = ("text", "maths")


def _sentence(name: str, lead: str) -> Format:
    form = Marks(
        Mark(lead, "line"),
        Hole(),
        lines=False,
        stop=True,
        asides=(
            "What we look for, the answer, has not been said yet.",
            f"Not that {lead[:1].lower()}{lead[1:]} so often said.",
        ),
    )
    return Format(
        f"sentence_{name}",
        "lead-in sentences",
        f"End your reply with a line of its own that begins with “{lead}”, goes on with your answer and ends with a full stop.",
        form,
        suits=PROSE,
        share=0.5,
    )


SENTENCES = (
    _sentence("the_answer_is", "The answer is"),
    _sentence("final_answer_is", "My final answer is"),
    _sentence("therefore", "Therefore, the answer is"),
    _sentence("in_conclusion", "In conclusion,"),
    _sentence("correct_answer", "The correct answer is"),
    _sentence("thus_we_get", "Thus we get"),
    _sentence("to_sum_up", "To sum up:"),
    _sentence("i_conclude", "I conclude that it is"),
    _sentence("result", "The result is"),
    _sentence("hence", "Hence it must be"),
    _sentence("short_answer", "In short,"),
    _sentence("after_all", "All things considered,"),
)


def _line(name: str, mark: str, says: str = "", around: Around = "before") -> Format:
    say = says or f"End your reply with one line that begins with `{mark}` and goes on with your answer."
    form = Marks(
        Mark(mark, "line"),
        Hole(),
        lines=False,
        around=around,
        asides=("The word answer alone is no label.", f"A mark such as {mark} within a line is none either."),
    )
    return Format(f"line_{name}", "line prefixes", say, form, suits=PROSE, share=0.5)


LINES = (
    _line("answer_colon", "Answer:"),
    _line("final_answer_upper", "FINAL ANSWER:"),
    _line("letter_a", "A:"),
    _line("result_equals", "RESULT ="),
    _line("arrow", "-->"),
    _line("double_arrow", "==>"),
    _line("unicode_arrow", "→"),
    _line(
        "four_hashes",
        "####",
        "End your reply with one line that begins with #### and goes on with your answer.",
    ),
    _line("therefore_sign", "∴"),
    _line("at_answer", "@answer"),
    _line("check_mark", "✅"),
    _line("bullet_dot", "•"),
    _line("square_label", "[Answer]"),
    _line("prompt", "$>"),
    _line("postscript", "P.S."),
    _line("double_colon", "answer ::"),
    _line(
        "whole_reply",
        "ANS>",
        "Reply with one single line that begins with `ANS>` and goes on with your answer.",
        "nothing",
    ),
    _line(
        "key_value", "answer=", "Reply with one single line: `answer=` and your answer behind it.", "nothing"
    ),
)


def _delimited(name: str, mark: str, closing: str = "", **more: Any) -> Format:
    end = closing or mark
    says = f"Put your final answer between {f'two marks {mark}' if not closing else f'{mark} and {closing}'}, and use these marks for nothing else."
    return Format(
        f"delimited_{name}",
        "delimiters",
        says,
        Marks(Mark(mark), Hole(), Mark(end)),
        **{"suits": PROSE, "share": 0.7, **more},
    )


DELIMITED = (
    _delimited("pipes", "|"),
    _delimited("hashes", "##"),
    _delimited("tilde", "~"),
    _delimited("underscores", "___"),
    _delimited("at_signs", "@@"),
    _delimited("percents", "%%"),
    _delimited("carets", "^^"),
    _delimited("equals", "==="),
    _delimited("colons", "::"),
    _delimited("pluses", "+++"),
    _delimited("section_signs", "§"),
    _delimited("triple_quotes", "'''"),
    _delimited("stars_line", "★"),
    _delimited("arrows", ">>>", "<<<"),
    _delimited("slashes", "/*!", "!*/"),
    _delimited("dashes", "--<", ">--"),
    Format(
        "block_pem",
        "delimiters",
        "Put your final answer between a line `-----BEGIN ANSWER-----` and a line `-----END ANSWER-----`.",
        Marks(
            Mark("-----BEGIN ANSWER-----", "alone"), Hole(block=True), Mark("-----END ANSWER-----", "alone")
        ),
        share=0.9,
    ),
    Format(
        "block_heredoc",
        "delimiters",
        "Put your final answer between a line `<<ANSWER` and a line `ANSWER`, as in a here-document.",
        Marks(Mark("<<ANSWER", "alone"), Hole(block=True), Mark("ANSWER", "alone")),
        share=0.9,
    ),
    Format(
        "block_rulers",
        "delimiters",
        "Put your final answer between two lines that consist of ten equals signs each.",
        Marks(Mark("==========", "alone"), Hole(block=True), Mark("==========", "alone")),
        share=0.9,
    ),
    Format(
        "block_scissors",
        "delimiters",
        "Put your final answer between a line `--- 8< ---` and a line `--- >8 ---`.",
        Marks(Mark("--- 8< ---", "alone"), Hole(block=True), Mark("--- >8 ---", "alone")),
        share=0.9,
    ),
    Format(
        "block_begin_end",
        "delimiters",
        "Put your final answer between a line `BEGIN` and a line `END`; the reply consists of that alone.",
        Marks(Mark("BEGIN", "alone"), Hole(block=True), Mark("END", "alone"), around="nothing"),
        share=0.9,
    ),
    Format(
        "block_label",
        "delimiters",
        "End your reply with a line that says `Answer:` and nothing else, and your answer on the lines below it.",
        Marks(Mark("Answer:", "alone"), Hole(block=True)),
        share=0.9,
    ),
    Format(
        "block_rst_title",
        "delimiters",
        "End your reply with the line `Answer`, underlined with a line of six asterisks, and your answer on the lines below.",
        Marks(Mark("Answer", "alone"), Mark("******", "alone"), Hole(block=True)),
        share=0.9,
    ),
    Format(
        "block_directive",
        "delimiters",
        "Put your final answer between a line `:::answer` and a line `:::`.",
        Marks(Mark(":::answer", "alone"), Hole(block=True), Mark(":::", "alone")),
        share=0.9,
    ),
    Format(
        "block_org",
        "delimiters",
        "Put your final answer between a line `#+BEGIN_EXAMPLE` and a line `#+END_EXAMPLE`, as in Org mode.",
        Marks(Mark("#+BEGIN_EXAMPLE", "alone"), Hole(block=True), Mark("#+END_EXAMPLE", "alone")),
        share=0.9,
    ),
    Format(
        "block_asciidoc",
        "delimiters",
        "Put your final answer below a line `[answer]`, between two lines that consist of four dots each.",
        Marks(Mark("[answer]", "alone"), Mark("....", "alone"), Hole(block=True), Mark("....", "alone")),
        share=0.9,
    ),
)


def _bracketed(name: str, opening: str, closing: str) -> Format:
    return Format(
        f"bracketed_{name}",
        "brackets",
        f"End your reply with your answer between {opening} and {closing}, on a line of its own.",
        Bracketed(opening, closing, f"{opening}…{closing} on a line of its own"),
        suits=PROSE,
        share=0.6,
    )


BRACKETED = (
    _bracketed("parentheses", "(", ")"),
    _bracketed("square", "[", "]"),
    _bracketed("curly", "{", "}"),
    _bracketed("angle", "<", ">"),
    _bracketed("double_square", "[[", "]]"),
    _bracketed("double_curly", "{{", "}}"),
    _bracketed("guillemets", "«", "»"),
    _bracketed("corner", "「", "」"),
    _bracketed("lenticular", "【", "】"),
    _bracketed("mathematical_angle", "⟨", "⟩"),
    _bracketed("curly_quotes", "“", "”"),
    _bracketed("low_quotes", "„", "“"),
)

CHOICES = (
    Format(
        "choice_parenthesis",
        "choices",
        "End your reply with the letter of your choice alone on a line, in parentheses.",
        Bracketed("(", ")", "letter in parentheses"),
        suits=("letter",),
        share=0.95,
    ),
    Format(
        "choice_option",
        "choices",
        "End your reply with a line that says Option and the letter of your choice.",
        Marks(Mark("Option", "line", r"[ \t]*\w?[ \t]*$"), Hole(), lines=False),
        suits=("letter",),
        share=0.95,
    ),
    Format(
        "choice_sentence",
        "choices",
        "End your reply with the line “I choose”, the letter of your choice and a full stop.",
        Marks(Mark("I choose", "line"), Hole(), lines=False, stop=True),
        suits=("letter",),
        share=0.95,
    ),
)

FORMATS: tuple[Format, ...] = (*SENTENCES, *LINES, *DELIMITED, *BRACKETED, *CHOICES)
