"""The formats themselves: they round-trip what they carry, differ from one another, and never raise."""

from __future__ import annotations

import random

import pytest

from dataforge.errors import InputError
from dataforge.verifiers.formats import Format, find_format, formats
from dataforge.verifiers.formats.answers import make_answer
from dataforge.verifiers.formats.fences import fences
from dataforge.verifiers.formats.json_form import json_spans, loads_json
from dataforge.verifiers.formats.latex_source import escape, tokenize, unescape
from dataforge.verifiers.formats.structured import NotWellFormed

EVERY = formats()
SAMPLE = {"number": "12", "letter": "B", "code": "x = 1"}


def drawn(made: Format, rng: random.Random, n: int) -> list[dict[str, str]]:
    """Values of every part, all kinds that the format suits in turn."""
    found = []
    for index in range(n):
        kind = made.suits[index % len(made.suits)]
        found.append(
            {
                part: f"0.{rng.randint(1, 99):02d}"
                if part == "confidence"
                else make_answer(kind if part == made.main else "text", rng)
                for part in made.parts
            }
        )
    return found


def test_there_are_more_than_150_formats_of_every_family() -> None:
    assert len(EVERY) >= 300
    assert len({format.name for format in EVERY}) == len(EVERY)
    assert len({format.instruction for format in EVERY}) == len(EVERY)
    assert len({format.example for format in EVERY}) == len(EVERY)
    groups = {format.group for format in EVERY}
    assert groups >= {"JSON", "YAML", "TOML", "XML", "tags", "HTML", "LaTeX", "LaTeX mathematics", "Markdown", "Python", "brackets", "delimiters", "lead-in sentences", "line prefixes", "composed"}  # fmt: skip
    composed = [format for format in EVERY if format.composed]
    assert len(composed) >= 40
    assert {len(format.parts) for format in composed} == {3, 4, 5, 6}


@pytest.mark.parametrize("name", [format.name for format in EVERY])
def test_what_a_format_carries_is_read_again_exactly(name: str) -> None:
    made = find_format(name)
    rng = random.Random(name)
    carried = 0
    for values in drawn(made, rng, 200):
        answer = values[made.main]
        if not (refused := made.refuses(answer)):
            carried += 1
            assert made.read(made.render(answer)).parts[made.main].text == answer
        assert made.carries(answer) == (not refused)
        if made.refuses(values):
            continue
        plain = made.read(made.render(values))
        assert {part: found.text for part, found in plain.parts.items()} == values, plain.fault
        varied = made.read(made.render(values, rng))
        assert all(values[part] in (found.text, *found.also) for part, found in varied.parts.items()), varied
        assert varied.parts.keys() == values.keys(), varied.fault
    assert carried >= 200 * made.share, f"`{name}` carries {carried} of 200, and says {made.share}"
    assert made.share >= 0.35


@pytest.mark.parametrize("made", EVERY, ids=lambda made: made.name)
def test_a_format_reads_its_own_example_and_tells_a_model_what_to_do(made: Format) -> None:
    reading = made.read(made.example)
    assert {part: found.text for part, found in reading.parts.items()} == dict(made.placeholders)
    assert len(made.says) > 30
    assert made.says[0].isupper()
    assert made.says.endswith(".")
    assert "exactly once" in made.instruction or "Write nothing before it" in made.instruction


def test_no_two_formats_are_one_form() -> None:
    texts = {}
    for made in EVERY:
        kind = "text" if "text" in made.suits else made.suits[0]
        answers = [SAMPLE[kind]] if kind in SAMPLE else ["seven boats", "x = 1", "12", "B", "it's 5"]
        filled = {**dict.fromkeys(made.parts, "some words"), "confidence": "0.5"}
        texts[made.name] = [made.render({**filled, made.main: a}) for a in answers if made.carries(a)]
        assert texts[made.name]
    accepts = {
        (reader.name, writer.name)
        for reader in EVERY
        for writer in EVERY
        if reader is not writer and all(not reader.read(text).fault for text in texts[writer.name])
    }
    assert {frozenset(pair) for pair in accepts if pair[::-1] in accepts} == set()


def test_nothing_that_a_model_writes_makes_a_form_raise() -> None:
    rng = random.Random(4)
    signs = list("\"'\\{}[]()<>|#$%&*_~`^:;=+-/\n\t\r .,a1\x00\x1b\u2028\ud800é日😀\ufeff")
    pool = [made.example for made in EVERY]
    for _ in range(8_000):
        made = rng.choice(EVERY)
        text = rng.choice(pool) if rng.random() < 0.3 else made.example
        for _ in range(rng.randint(1, 4)):
            a, b = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
            way = rng.random()
            if way < 0.3:
                text = text[:a] + rng.choice(signs) * rng.randint(1, 3) + text[a:]
            elif way < 0.5:
                text = text[:a] + text[min(b, a + 5) :]
            elif way < 0.7:
                text = text[:b] + text[a:]
            elif way < 0.8:
                text = text[:a] + rng.choice(pool) + text[a:]
            else:
                text = text[:a] + rng.choice(signs) + text[a + 1 :]
        reading = made.read(text)
        assert bool(reading.fault) != bool(reading.parts)


DEEP = (
    "[" * 20_000, '{"a":' * 20_000, "(" * 20_000, "<a>" * 4_000, "- " * 9_000, "> " * 2_000, "\\boxed{" * 9_000,
    "$" * 9_001, "<!--" * 5_000, "`" * 9_000, "-" * 20_000 + "1", "a: &a [b]\nc: *a", "x = " + "[" * 300 + "]" * 300,
)  # fmt: skip


@pytest.mark.parametrize("text", DEEP, ids=lambda text: text[:6])
def test_nesting_beyond_all_measure_is_a_fault_and_no_crash(text: str) -> None:
    for made in EVERY:
        if made.name.startswith(("json_", "yaml_", "toml_", "xml_", "html_list", "latex_boxed", "latex_inline", "python_", "markdown_quote", "markdown_code", "bracketed_", "code_lisp")):  # fmt: skip
            made.read(text)


def test_an_unknown_format_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        find_format("latex_box")
    assert caught.value.code == "V050"
    assert "latex_boxed" in str(caught.value.help)


# ---- the parsers of our own


def test_latex_tokens_know_comments_escapes_and_verbatim() -> None:
    source = tokenize(
        "a % \\boxed{1}\n\\% \\boxed{2} \\begin{verbatim}\\boxed{3} }\\end{verbatim} \\verb|\\boxed{4}|"
    )
    assert [(c.name, c.group is not None) for c in source.commands if c.name == "boxed"] == [("boxed", True)]
    assert [e.name for e in source.environments] == ["verbatim"]
    assert source.fault == ""


def test_latex_formulas_are_paired_by_their_own_marks() -> None:
    assert [f.shift for f in tokenize(r"$a$ $$b$$ \(c\) \[d\] \$5").formulas] == ["$", "$$", "\\(", "\\["]
    assert tokenize("$a$$").fault
    assert tokenize(r"\(a\]").fault


def test_latex_escapes_are_undone() -> None:
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choices("\\{}$&#%_~^ab n", k=rng.randint(1, 12)))
        assert unescape(escape(text)) == text


def test_fences_follow_commonmark() -> None:
    blocks, fault = fences("```python\na\n```\n\n~~~\n```\n~~~\n````x\n```\n````")
    assert [(block.info, block.mark[0]) for block in blocks] == [("python", "`"), ("", "~"), ("x", "`")]
    assert fault == ""
    assert fences("```\nopen")[1]
    assert fences("``` a`b\nno fence")[0] == []


def test_strict_json_keeps_the_spelling_of_numbers_and_their_place() -> None:
    text = '{"a": [1.50, "x\\"y"], "b": {"c": true}}'
    assert loads_json(text) == {"a": ["1.50", 'x"y'], "b": {"c": "true"}}
    spans = json_spans(text)
    assert {path: text[slice(*span)] for path, span in spans.items()} == {
        ("a", 0): "1.50",
        ("a", 1): 'x\\"y',
        ("b", "c"): "true",
    }
    for wrong in ('{"a": 1, "a": 2}', "[NaN]", "[1,]", "{'a': 1}", "[1] // no"):
        with pytest.raises(NotWellFormed):
            loads_json(wrong)
