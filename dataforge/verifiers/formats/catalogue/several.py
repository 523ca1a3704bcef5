"""Composed formats: three to six parts, each exactly once and in order, in one container or in several kinds of it."""

from __future__ import annotations

from dataforge.verifiers.formats.composed import FrontMatter, Nest, PythonDict, TableRows
from dataforge.verifiers.formats.fences import Fence
from dataforge.verifiers.formats.form import Form
from dataforge.verifiers.formats.format import Format
from dataforge.verifiers.formats.html_form import Html
from dataforge.verifiers.formats.json_form import Json, JsonLines
from dataforge.verifiers.formats.latex import LatexCommand
from dataforge.verifiers.formats.marks import Hole, Mark, Marks
from dataforge.verifiers.formats.markup import El
from dataforge.verifiers.formats.markup import Slot as Text
from dataforge.verifiers.formats.python_code import PythonSource
from dataforge.verifiers.formats.records import Header, Ini, Table
from dataforge.verifiers.formats.sections import Sections
from dataforge.verifiers.formats.shape import Slot
from dataforge.verifiers.formats.toml_form import Toml
from dataforge.verifiers.formats.xml_form import Xml
from dataforge.verifiers.formats.yaml_form import Yaml

THEORY = ("theory", "answer", "explanation")
STEPS = ("problem", "steps", "answer")
PLAN = ("understanding", "plan", "solution", "answer")
SCRATCH = ("scratchpad", "draft", "review", "answer")
RESEARCH = ("question", "hypothesis", "evidence", "doubts", "answer")
DEBATE = ("claim", "arguments_for", "arguments_against", "weighing", "answer")
MATHS = ("given", "find", "method", "working", "check", "answer")
CODING = ("requirements", "design", "code", "tests", "complexity")
LABEL = ("rationale", "label", "confidence")
RATING = ("strengths", "weaknesses", "advice", "verdict")


_SUITS = {CODING: ("code",), MATHS: ("maths",), LABEL: ("text",), RATING: ("text",)}
"""Parts that make sense for some kinds of answers only."""


def title(part: str) -> str:
    """A part's name as a heading."""
    return part.replace("_", " ").capitalize()


def tags(parts: tuple[str, ...], root: str = "") -> Marks:
    """Each part in tags of its name, within a root where there is one."""
    items: list[Mark | Hole] = [Mark(f"<{root}>")] if root else []
    for part in parts:
        items += [Mark(f"<{part}>"), Hole(part), Mark(f"</{part}>")]
    return Marks(*items, *([Mark(f"</{root}>")] if root else []), around="nothing")


def labels(parts: tuple[str, ...], shape: str = "{}:") -> Marks:
    """Each part behind a label at the start of a line."""
    items: list[Mark | Hole] = []
    for part in parts:
        items += [Mark(shape.format(title(part)), "line"), Hole(part)]
    return Marks(*items, around="nothing")


def blocks(parts: tuple[str, ...], shape: str, end: str = "") -> Marks:
    """Each part below a line of its own."""
    items: list[Mark | Hole] = []
    for part in parts:
        items += [Mark(shape.format(part.upper(), title(part)), "alone"), Hole(part, block=True)]
    return Marks(*items, *([Mark(end, "alone")] if end else []), around="nothing")


def shape(parts: tuple[str, ...]) -> dict[str, Slot]:
    """A mapping with a key for each part."""
    return {part: Slot(part, "share" if part == "confidence" else "text") for part in parts}


def elements(parts: tuple[str, ...]) -> tuple[El, ...]:
    """An element for each part."""
    return tuple(El(part, Text(part, share=part == "confidence")) for part in parts)


def sections(parts: tuple[str, ...], level: int = 2, enclosed: tuple[str, ...] = ()) -> Sections:
    """A heading for each part."""
    return Sections({part: title(part) for part in parts}, level, enclosed=enclosed)


def _named(parts: tuple[str, ...]) -> str:
    return ", ".join(f"`{part}`" for part in parts)


def _titled(parts: tuple[str, ...]) -> str:
    return ", ".join(title(part) for part in parts)


def _of(
    name: str,
    says: str,
    form: Form,
    main: str = "answer",
    share: float = 0.8,
    suits: tuple[str, ...] = ("text", "maths", "code"),
) -> Format:
    suits = _SUITS.get(form.parts, suits)
    return Format(
        f"parts_{name}",
        "composed",
        f"{says} Every part must be there exactly once and must not be empty.",
        form,
        suits,
        main,
        share,
    )


def _in_tags(name: str, parts: tuple[str, ...], main: str = "answer", root: str = "") -> Format:
    within = f", all of them between <{root}> and </{root}>" if root else ""
    return _of(
        name,
        f"Reply with {len(parts)} parts in this order, each between tags of its name, as in <{parts[0]}>…</{parts[0]}>: {_named(parts)}{within}.",
        tags(parts, root),
        main,
    )


def _in_json(name: str, parts: tuple[str, ...], main: str = "answer", under: str = "") -> Format:
    within = f" under the single key `{under}`" if under else ""
    inner = shape(parts)
    return _of(
        name,
        f"Reply with a JSON object that has exactly the keys {_named(parts)}{within}.",
        Json({under: inner} if under else inner),
        main,
        0.95,
    )


def _in_yaml(name: str, parts: tuple[str, ...], main: str = "answer", under: str = "") -> Format:
    within = f" under the single key `{under}`" if under else ""
    inner = shape(parts)
    return _of(
        name,
        f"Reply with YAML that has exactly the keys {_named(parts)}{within}.",
        Yaml({under: inner} if under else inner),
        main,
        0.95,
    )


def _in_toml(name: str, parts: tuple[str, ...], main: str = "answer", under: str = "") -> Format:
    within = f" in the table `[{under}]`" if under else ""
    inner = shape(parts)
    return _of(
        name,
        f"Reply with TOML that has exactly the keys {_named(parts)}{within}.",
        Toml({under: inner} if under else inner),
        main,
        0.95,
    )


def _in_sections(name: str, parts: tuple[str, ...], main: str = "answer", level: int = 2) -> Format:
    return _of(
        name,
        f"Reply in Markdown with exactly these headings of level {level} ({'#' * level}), in this order, each with text below it: {_titled(parts)}.",
        sections(parts, level),
        main,
        0.6,
    )


def _in_xml(name: str, root: str, parts: tuple[str, ...], main: str = "answer") -> Format:
    return _of(
        name,
        f"Reply with an XML document, with its XML declaration: the element `{root}` that holds exactly the elements {_named(parts)}, in this order. Escape `&` and `<` as XML asks.",
        Xml(El(root, elements(parts)), declared=True),
        main,
        0.95,
    )


FORMATS: tuple[Format, ...] = (
    _in_tags("tags_theory", THEORY),
    _in_tags("tags_plan", PLAN),
    _in_tags("tags_scratchpad", SCRATCH),
    _in_tags("tags_research", RESEARCH),
    _in_tags("tags_maths", MATHS),
    _in_tags("tags_coding", CODING, "code"),
    _in_tags("tags_nested_debate", DEBATE, root="debate"),
    _in_tags("tags_nested_rating", RATING, "verdict", "evaluation"),
    _in_json("json_theory", THEORY),
    _in_json("json_plan", PLAN),
    _in_json("json_label", LABEL, "label"),
    _in_json("json_research", RESEARCH, under="research"),
    _in_json("json_maths", MATHS),
    _in_json("json_coding", CODING, "code", under="program"),
    _of(
        "json_lines_steps",
        f"Reply in JSON Lines with exactly three lines, each an object with one key: {_named(STEPS)}, in this order.",
        JsonLines(*({part: Slot(part)} for part in STEPS)),
        share=0.95,
    ),
    _of(
        "json_steps_array",
        "Reply with a JSON array of exactly three strings: the problem, the steps, the answer.",
        Json([Slot(part) for part in STEPS]),
        share=0.95,
    ),
    _in_yaml("yaml_theory", THEORY),
    _in_yaml("yaml_scratchpad", SCRATCH),
    _in_yaml("yaml_label", LABEL, "label"),
    _in_yaml("yaml_debate", DEBATE, under="debate"),
    _in_yaml("yaml_rating", RATING, "verdict"),
    _of(
        "yaml_list_steps",
        "Reply with a YAML list of exactly three items, mappings with one key each: `problem`, `steps`, `answer`, in this order.",
        Yaml([{part: Slot(part)} for part in STEPS]),
        share=0.95,
    ),
    _in_toml("toml_theory", THEORY),
    _in_toml("toml_label", LABEL, "label"),
    _in_toml("toml_maths", MATHS, under="solution"),
    _of(
        "toml_sections_plan",
        f"Reply with TOML that has exactly the tables {', '.join(f'[{p}]' for p in PLAN)}, each with the single key `text`.",
        Toml({part: {"text": Slot(part)} for part in PLAN}),
        share=0.95,
    ),
    _in_xml("xml_theory", "response", THEORY),
    _in_xml("xml_maths", "solution", MATHS),
    _in_xml("xml_label", "classification", LABEL, "label"),
    _in_sections("markdown_theory", THEORY),
    _in_sections("markdown_plan", PLAN),
    _in_sections("markdown_research", RESEARCH, level=3),
    _in_sections("markdown_maths", MATHS),
    _in_sections("markdown_rating", RATING, "verdict", level=1),
    _of(
        "markdown_table",
        "Give a Markdown table with the columns Part and Text and three rows, in this order: Problem, Steps, Answer.",
        TableRows(("Part", "Text"), {p: title(p) for p in STEPS}),
        suits=("text", "maths"),
        share=0.5,
    ),
    _of(
        "bold_labels_theory",
        f"Reply with these labels in bold, each at the start of a line with its text behind it, in this order: {_titled(THEORY)}, as in **Theory:**.",
        labels(THEORY, "**{}:**"),
    ),
    _of(
        "labels_plan",
        f"Reply with these labels, each at the start of a line with its text behind it, in this order: {_titled(PLAN)}, as in `Plan:`.",
        labels(PLAN),
    ),
    _of(
        "labels_square_steps",
        "Reply with these labels in square brackets, each at the start of a line with its text behind it, in this order: [Problem], [Steps], [Answer].",
        labels(STEPS, "[{}]"),
    ),
    _of(
        "question_answer_note",
        "Reply with three paragraphs that begin with `Q:`, `A:` and `Note:`, in this order: the question, your answer, a remark.",
        Marks(
            Mark("Q:", "line"),
            Hole("question"),
            Mark("A:", "line"),
            Hole(),
            Mark("Note:", "line"),
            Hole("note"),
            around="nothing",
        ),
    ),
    _of(
        "rulers_scratchpad",
        "Reply with four parts, each below a line of its own: `=== SCRATCHPAD ===`, `=== DRAFT ===`, `=== REVIEW ===`, `=== ANSWER ===`; end with a line `=== END ===`.",
        blocks(SCRATCH, "=== {0} ===", "=== END ==="),
    ),
    _of(
        "bars_debate",
        "Reply with five parts, each below a line of its own: "
        + ", ".join(f"`|| {title(p)} ||`" for p in DEBATE)
        + ".",
        blocks(DEBATE, "|| {1} ||"),
    ),
    _of(
        "latex_sections_steps",
        "Reply in LaTeX with exactly the lines \\section*{Problem}, \\section*{Steps} and \\section*{Answer}, in this order, each with text below it.",
        blocks(STEPS, "\\section*{{{1}}}"),
    ),
    _of(
        "special_tokens_steps",
        "Reply with three parts behind the tokens <|problem|>, <|steps|> and <|answer|>, in this order, and end with <|end|>.",
        Marks(
            Mark("<|problem|>"),
            Hole("problem"),
            Mark("<|steps|>"),
            Hole("steps"),
            Mark("<|answer|>"),
            Hole(),
            Mark("<|end|>"),
            around="nothing",
        ),
    ),
    _of(
        "html_definition_list",
        "Reply with an HTML definition list alone that has three terms, each with its definition, in this order: Theory, Answer, Explanation. Escape `&` and `<` as HTML asks, and close every tag.",
        Html(
            El("dl", tuple(el for p in THEORY for el in (El("dt", (title(p),)), El("dd", Text(p))))),
            "nothing",
        ),
        share=0.95,
    ),
    _of(
        "html_article",
        "Reply with an HTML <article> alone that has three sections, each with a heading <h2> and a paragraph, in this order: Problem, Steps, Answer. Escape `&` and `<` as HTML asks, and close every tag.",
        Html(
            El("article", tuple(El("section", (El("h2", (title(p),)), El("p", Text(p)))) for p in STEPS)),
            "nothing",
        ),
        share=0.95,
    ),
    _of(
        "csv_steps",
        "Reply with CSV alone: the header `part,text` and three rows: problem, steps, answer, each with its text, quoted where CSV asks for it.",
        Table([["part", "text"], *([p, f"{{{p}}}"] for p in STEPS)]),
        share=0.9,
    ),
    _of(
        "ini_theory",
        "Reply with an INI file alone: the section [response] with the keys `theory`, `answer` and `explanation`, each on one line.",
        Ini("response", {p: p for p in THEORY}),
        suits=("text", "maths"),
        share=0.5,
    ),
    _of(
        "mail",
        "Reply with a mail message alone: the headers Subject and X-Confidence (your confidence from 0 to 1), an empty line, and your answer as the body.",
        Header({"subject": "Subject", "confidence": "X-Confidence"}, "answer"),
        share=0.9,
    ),
    _of(
        "python_dict_theory",
        "Reply with a Python dictionary literal alone with exactly the keys 'theory', 'answer' and 'explanation'.",
        PythonDict(shape(THEORY)),
        share=0.95,
    ),
    _of(
        "front_matter",
        "Begin your reply with YAML front matter between two lines `---` that has the keys `label` and `confidence` (a number from 0 to 1), and write your rationale in prose below it.",
        FrontMatter(Yaml(shape(("label", "confidence"))), "rationale"),
        "label",
        0.95,
    ),
    _of(
        "tags_json",
        "Reply with <reasoning>…</reasoning>, then <result>…</result>; the result is a JSON object with exactly the keys `answer` and `confidence` (a number from 0 to 1).",
        Nest(tags(("reasoning", "result")), {"result": Json(shape(("answer", "confidence")))}),
        share=0.9,
    ),
    _of(
        "tags_yaml",
        "Reply with <reasoning>…</reasoning>, then <result>…</result>; the result is YAML with exactly the keys `answer` and `explanation`.",
        Nest(tags(("reasoning", "result")), {"result": Yaml(shape(("answer", "explanation")))}),
        share=0.9,
    ),
    _of(
        "tags_boxed",
        "Reply with <given>…</given>, <working>…</working> and <result>…</result>; the result is your answer in one \\boxed{...} and nothing else.",
        Nest(tags(("given", "working", "result")), {"result": LatexCommand("boxed", "source", "nothing")}),
        suits=("maths",),
        share=0.7,
    ),
    _of(
        "sections_boxed",
        "Reply in Markdown with the headings of level 2 Given, Working, Result, in this order; under Result stands your answer in one \\boxed{...} and nothing else.",
        Nest(
            sections(("given", "working", "result")), {"result": LatexCommand("boxed", "source", "nothing")}
        ),
        suits=("maths",),
        share=0.7,
    ),
    _of(
        "sections_json",
        "Reply in Markdown with the headings of level 2 Reasoning and Result; under Result stands one fenced code block of the language `json`, an object with exactly the keys `answer` and `confidence` (a number from 0 to 1).",
        Nest(
            sections(("reasoning", "result"), enclosed=("result",)),
            {"result": Fence("json", Json(shape(("answer", "confidence"))), around="nothing")},
        ),
        share=0.9,
    ),
    _of(
        "sections_code",
        "Reply in Markdown with the headings of level 2 Plan, Program, Tests, in this order; under Program stands your program in one fenced code block of the language `python`.",
        Nest(
            sections(("plan", "program", "tests"), enclosed=("program",)),
            {"program": Fence("python", PythonSource(), around="nothing")},
        ),
        main="answer",
        suits=("code",),
        share=0.8,
    ),
    _of(
        "json_tags",
        "Reply with a JSON object that has exactly the keys `reasoning` and `result`; the result is a string with your answer between <answer> and </answer> and a remark between <note> and </note>, in this order.",
        Nest(Json(shape(("reasoning", "result"))), {"result": tags(("answer", "note"))}),
        share=0.9,
    ),
    _of(
        "xml_json",
        "Reply with an XML element `response` that holds the elements `reasoning` and `result`, in this order; the result is a JSON object with the keys `answer` and `confidence` (a number from 0 to 1), escaped as XML asks.",
        Nest(
            Xml(El("response", (El("reasoning", Text("reasoning")), El("result", Text("result"))))),
            {"result": Json(shape(("answer", "confidence")))},
        ),
        share=0.9,
    ),
    _of(
        "tags_sections",
        "Reply with <thoughts>…</thoughts>, then <result>…</result>; the result is Markdown with the headings of level 2 Answer and Explanation, each with text below it.",
        Nest(tags(("thoughts", "result")), {"result": sections(("answer", "explanation"))}),
        share=0.6,
    ),
)
