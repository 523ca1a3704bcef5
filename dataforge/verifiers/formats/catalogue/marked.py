"""Formats of markup: tags, XML, HTML, LaTeX, Markdown."""

from __future__ import annotations

from typing import Any

from dataforge.verifiers.formats.fences import Fence
from dataforge.verifiers.formats.form import Around, Form
from dataforge.verifiers.formats.format import Format
from dataforge.verifiers.formats.html_form import Html, HtmlComment
from dataforge.verifiers.formats.latex import LatexCommand, LatexEnvironment, LatexFormula, LatexLines
from dataforge.verifiers.formats.markdown import Block, CodeSpan, Inline
from dataforge.verifiers.formats.marks import Hole, Mark, Marks
from dataforge.verifiers.formats.markup import El, Slot
from dataforge.verifiers.formats.sections import Sections
from dataforge.verifiers.formats.xml_form import Xml

A = Slot()
PROSE = ("text", "maths")


def tags(*names: str, around: Around = "before") -> Marks:
    """The answer in tags, one within another."""
    opening = [Mark(f"<{name}>") for name in names]
    return Marks(*opening, Hole(), *[Mark(f"</{name}>") for name in reversed(names)], around=around)


def _tag(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(f"tags_{name}", "tags", says, form, **{"share": 0.9, **more})


TAGS = (
    _tag(
        "answer",
        "Put your final answer between the tags <answer> and </answer>, as it is, without any escapes.",
        tags("answer"),
    ),
    _tag(
        "solution",
        "Put your final answer between the tags <solution> and </solution>, as it is, without any escapes.",
        tags("solution"),
    ),
    _tag(
        "final_answer",
        "Put your final answer between the tags <final_answer> and </final_answer>; the reply consists of that alone.",
        tags("final_answer", around="nothing"),
    ),
    _tag(
        "output",
        "Put what you have found between the tags <output> and </output>, somewhere in your reply.",
        tags("output", around="anything"),
    ),
    _tag(
        "nested",
        "Put your final answer between <answer> and </answer>, and both of those tags between <response> and </response>, with nothing else in between.",
        tags("response", "answer"),
    ),
    _tag(
        "nested_deep",
        "Put your final answer in three tags one within another, <document>, <section> and <answer>, with nothing else in between.",
        tags("document", "section", "answer"),
    ),
    _tag(
        "attribute",
        'Put your final answer between <answer type="final"> and </answer>.',
        Marks(Mark('<answer type="final">'), Hole(), Mark("</answer>")),
    ),
    _tag(
        "square",
        "Put your final answer between [ANSWER] and [/ANSWER].",
        Marks(Mark("[ANSWER]"), Hole(), Mark("[/ANSWER]")),
    ),
    _tag(
        "special",
        "Put your final answer between <|answer|> and <|/answer|>.",
        Marks(Mark("<|answer|>"), Hole(), Mark("<|/answer|>")),
    ),
    _tag(
        "begin_end",
        "Put your final answer between <|begin_of_answer|> and <|end_of_answer|>.",
        Marks(Mark("<|begin_of_answer|>"), Hole(), Mark("<|end_of_answer|>"), around="nothing"),
    ),
    _tag(
        "curly",
        "Put your final answer between {answer} and {/answer}.",
        Marks(Mark("{answer}"), Hole(), Mark("{/answer}")),
    ),
    _tag(
        "template",
        "Put your final answer between {% answer %} and {% endanswer %}.",
        Marks(Mark("{% answer %}"), Hole(), Mark("{% endanswer %}")),
    ),
    _tag(
        "bbcode_quote",
        "Put your final answer between [quote=answer] and [/quote].",
        Marks(Mark("[quote=answer]"), Hole(), Mark("[/quote]")),
    ),
)


def _xml(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(
        f"xml_{name}",
        "XML",
        f"Reply with well-formed XML: {says} Escape `&` and `<` as XML asks.",
        form,
        **{"share": 0.95, **more},
    )


XML = (
    _xml(
        "document",
        "an XML declaration, then the element `response`, in which is the element `answer`.",
        Xml(El("response", (El("answer", A),)), declared=True),
    ),
    Format(
        "xml_cdata",
        "XML",
        "Reply with well-formed XML: the element `answer`, and its text, as it is, in one CDATA section.",
        Xml(El("answer", A, cdata=True)),
        share=0.95,
    ),
    _xml(
        "attribute",
        "one empty element `answer` whose attribute `value` is the answer.",
        Xml(El("answer", (), {"value": A})),
        suits=PROSE,
        share=0.4,
    ),
    _xml(
        "namespace",
        'the element `r:answer`, with the attribute xmlns:r="urn:response".',
        Xml(El("r:answer", A, {"xmlns:r": "urn:response"})),
    ),
    _xml(
        "items",
        "the element `answers` with exactly one element `item`, which holds the answer.",
        Xml(El("answers", (El("item", A),))),
    ),
    _xml(
        "confidence",
        "the element `response`, in which are the elements `answer` and `confidence` (a number from 0 to 1), in this order.",
        Xml(El("response", (El("answer", A), El("confidence", Slot("confidence", share=True))))),
    ),
    _xml(
        "confidence_attribute",
        "the element `answer` with the attribute `confidence` (a number from 0 to 1).",
        Xml(El("answer", A, {"confidence": Slot("confidence", share=True)})),
    ),
    _xml(
        "plist",
        "a property list: the element `plist` with a `dict` that has one `key`, which says answer, and one `string`, which is the answer.",
        Xml(El("plist", (El("dict", (El("key", ("answer",)), El("string", A))),))),
    ),
    _xml(
        "soap",
        "the element `Envelope`, in it the element `Body`, in it the element `Answer`.",
        Xml(El("Envelope", (El("Body", (El("Answer", A),)),))),
    ),
    Format(
        "xml_fenced",
        "XML",
        "Give your answer in a fenced code block of the language `xml` that holds the element `response`, in which is the element `answer`.",
        Fence("xml", Xml(El("response", (El("answer", A),)))),
        share=0.9,
    ),
)


def _html(name: str, says: str, pattern: El, **more: Any) -> Format:
    aside = "<em>Nothing</em> of this is it." if pattern.tag != "em" else "<i>Nothing</i> of this is it."
    return Format(
        f"html_{name}",
        "HTML",
        f"{says} Escape `&` and `<` as HTML asks, and close every tag.",
        Html(pattern, asides=(aside,)),
        **{"share": 0.95, **more},
    )


HTML = (
    _html("paragraph", "Put your final answer in an HTML paragraph, <p>.", El("p", A)),
    _html("bold", "Put your final answer in the HTML element <b>.", El("b", A)),
    _html("strong", "Put your final answer in the HTML element <strong>.", El("strong", A)),
    _html("emphasis", "Put your final answer in the HTML element <em>.", El("em", A)),
    _html("mark", "Highlight your final answer with the HTML element <mark>.", El("mark", A)),
    _html("code", "Put your final answer in the HTML element <code>.", El("code", A)),
    _html(
        "preformatted",
        "Put your final answer in the HTML elements <pre> and, within it, <samp>.",
        El("pre", (El("samp", A),)),
    ),
    _html("heading", "Put your final answer in an HTML heading of the first level, <h1>.", El("h1", A)),
    _html(
        "division",
        'Put your final answer in <div class="answer">, an HTML division.',
        El("div", A, {"class": "answer"}),
    ),
    _html("span_id", 'Put your final answer in <span id="answer">.', El("span", A, {"id": "answer"})),
    _html(
        "list", "Give your final answer as the only item of an unordered HTML list.", El("ul", (El("li", A),))
    ),
    _html(
        "ordered_list",
        "Give your final answer as the only item of an ordered HTML list.",
        El("ol", (El("li", A),)),
    ),
    _html(
        "definition_list",
        "Give an HTML definition list with one term, Answer, and one definition, which is your answer.",
        El("dl", (El("dt", ("Answer",)), El("dd", A))),
    ),
    _html(
        "table",
        "Give an HTML table of one row with two cells: a header cell, Answer, and a data cell with your answer.",
        El("table", (El("tr", (El("th", ("Answer",)), El("td", A))),)),
    ),
    _html(
        "details",
        "Give an HTML <details> element with the <summary> Answer and your answer in a paragraph.",
        El("details", (El("summary", ("Answer",)), El("p", A))),
    ),
    _html(
        "quotation",
        "Put your final answer in an HTML <blockquote> with one paragraph.",
        El("blockquote", (El("p", A),)),
    ),
    _html(
        "input",
        'Give an HTML input element with name="answer" and your answer as its value.',
        El("input", (), {"name": "answer", "value": A}),
        suits=PROSE,
        share=0.4,
    ),
    _html(
        "meta",
        'Give an HTML meta element with name="answer" and your answer as its content.',
        El("meta", (), {"name": "answer", "content": A}),
        suits=PROSE,
        share=0.4,
    ),
    _html(
        "article",
        "Give an HTML <article> with a heading <h2> that says Answer, and your answer in a paragraph.",
        El("article", (El("h2", ("Answer",)), El("p", A))),
    ),
    _html(
        "figure",
        "Give an HTML <figure> that holds your answer in <pre> and a <figcaption> that says Answer.",
        El("figure", (El("pre", A), El("figcaption", ("Answer",)))),
    ),
    _html("underline", "Put your final answer in the HTML element <u>.", El("u", A)),
    Format(
        "html_comment",
        "HTML",
        "Put your final answer in an HTML comment that begins with the word answer and a colon.",
        HtmlComment("answer:"),
        share=0.8,
    ),
)


def _latex(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(f"latex_{name}", "LaTeX", says, form, **{"suits": PROSE, "share": 0.6, **more})


def _maths(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(
        f"latex_{name}", "LaTeX mathematics", says, form, **{"suits": ("maths",), "share": 0.7, **more}
    )


LATEX = (
    _latex("bold", "Write your final answer in LaTeX as the argument of \\textbf.", LatexCommand("textbf")),
    _latex("emphasis", "Write your final answer in LaTeX as the argument of \\emph.", LatexCommand("emph")),
    _latex(
        "typewriter", "Write your final answer in LaTeX as the argument of \\texttt.", LatexCommand("texttt")
    ),
    _latex(
        "underline",
        "Write your final answer in LaTeX as the argument of \\underline.",
        LatexCommand("underline"),
    ),
    _latex("framebox", "Write your final answer in LaTeX as the argument of \\fbox.", LatexCommand("fbox")),
    _latex(
        "footnote",
        "Write your final answer in LaTeX as the argument of \\footnote.",
        LatexCommand("footnote"),
    ),
    _latex("title", "Write your final answer in LaTeX as the argument of \\title.", LatexCommand("title")),
    _latex(
        "answer_macro",
        "Write your final answer in LaTeX as the argument of \\answer.",
        LatexCommand("answer", around="before"),
    ),
    _latex(
        "new_command",
        "Give one LaTeX definition, \\newcommand{\\answer}{...}, whose second argument is your answer.",
        LatexLines("\\newcommand{\\answer}{", "}", "newcommand", around="nothing"),
    ),
    _latex(
        "def",
        "Give one TeX definition, \\def\\answer{...}, that holds your answer.",
        LatexLines("\\def\\answer{", "}", "def", around="nothing"),
    ),
    _latex(
        "section",
        "Give a LaTeX section, \\section*{Answer}, and your answer below it, up to a line \\bigskip.",
        LatexLines("\\section*{Answer}\n", "\n\\bigskip", "section*", argument=False),
    ),
    _latex(
        "document",
        "Give a whole LaTeX document of the class article whose body is your answer alone.",
        LatexLines(
            "\\documentclass{article}\n\\begin{document}\n",
            "\n\\end{document}",
            "documentclass",
            argument=False,
            around="nothing",
            opening=r"\\documentclass(?:\[[^\]\n]{0,80}\])?\{article\}\s*"
            r"(?:\\usepackage(?:\[[^\]\n]{0,80}\])?\{[^{}\n]{1,80}\}\s*){0,20}\\begin\{document\}",
        ),
    ),
    _latex(
        "itemize",
        "Give a LaTeX `itemize` environment with one \\item, your answer.",
        LatexEnvironment("itemize", item="\\item"),
    ),
    _latex(
        "enumerate",
        "Give a LaTeX `enumerate` environment with one \\item, your answer.",
        LatexEnvironment("enumerate", item="\\item"),
    ),
    _latex(
        "description",
        "Give a LaTeX `description` environment with one \\item[Answer], your answer.",
        LatexEnvironment("description", item="\\item[Answer]"),
    ),
    _latex("quote", "Put your final answer in a LaTeX `quote` environment.", LatexEnvironment("quote")),
    _latex("center", "Put your final answer in a LaTeX `center` environment.", LatexEnvironment("center")),
    _latex("theorem", "Put your final answer in a LaTeX `theorem` environment.", LatexEnvironment("theorem")),
    _latex(
        "tabular",
        "Give a LaTeX `tabular` of two columns, {ll}, with one row: Answer, then your answer, then \\\\.",
        LatexEnvironment("tabular", item="Answer &", end="\\\\", argument="{ll}"),
        share=0.4,
    ),
    _latex(
        "verbatim",
        "Put your final answer in a LaTeX `verbatim` environment.",
        LatexEnvironment("verbatim", "verbatim"),
        suits=("text", "maths", "code"),
        share=0.9,
    ),
    _latex(
        "listing",
        "Put your final answer in a LaTeX `lstlisting` environment.",
        LatexEnvironment("lstlisting", "verbatim"),
        suits=("code",),
        share=0.9,
    ),
    _maths("boxed", "Put your final answer in \\boxed{...}.", LatexCommand("boxed", "source"), suits=PROSE),
    _maths(
        "boxed_last",
        "End your reply with \\[ \\boxed{...} \\], a display formula in which the box with your answer stands alone.",
        LatexCommand("boxed", "source", "before", shift="\\["),
    ),
    _maths(
        "boxed_dollars",
        "End your reply with $$\\boxed{...}$$, a display formula in which the box with your answer stands alone.",
        LatexCommand("boxed", "source", "before", shift="$$"),
    ),
    _maths(
        "inline",
        "Write your answer as an inline formula between single dollar signs; write no other formula.",
        LatexFormula("$"),
    ),
    _maths(
        "display",
        "Write your answer as a display formula between double dollar signs; write no other formula.",
        LatexFormula("$$"),
    ),
    _maths(
        "parentheses",
        "Write your answer as an inline formula between \\( and \\); write no other formula.",
        LatexFormula("\\("),
    ),
    _maths(
        "brackets",
        "Write your answer as a display formula between \\[ and \\]; write no other formula.",
        LatexFormula("\\["),
    ),
    _maths(
        "therefore",
        "Write one inline formula between single dollar signs that begins with \\therefore and goes on with your answer; write no other formula.",
        LatexFormula("$", "\\therefore"),
    ),
    _maths(
        "equals_x",
        "Write one display formula between double dollar signs that begins with `x =` and goes on with your answer; write no other formula.",
        LatexFormula("$$", "x ="),
    ),
    _maths(
        "qed",
        "Write one display formula between \\[ and \\] that begins with your answer and ends with \\blacksquare; write no other formula.",
        LatexFormula("\\[", "", "\\blacksquare"),
    ),
    _maths(
        "equation",
        "Put your final answer in an `equation` environment.",
        LatexEnvironment("equation", "source"),
    ),
    _maths(
        "equation_star",
        "Put your final answer in an `equation*` environment, at the end of your reply.",
        LatexEnvironment("equation*", "source", around="before"),
    ),
    _maths(
        "align", "Put your final answer in an `align*` environment.", LatexEnvironment("align*", "source")
    ),
    _maths(
        "gather", "Put your final answer in a `gather*` environment.", LatexEnvironment("gather*", "source")
    ),
    _maths(
        "multline",
        "Put your final answer in a `multline*` environment.",
        LatexEnvironment("multline*", "source"),
    ),
    _maths(
        "displaymath",
        "Put your final answer in a `displaymath` environment.",
        LatexEnvironment("displaymath", "source"),
    ),
    _maths(
        "aligned_display",
        "Put your final answer in an `aligned` environment that fills a display formula between \\[ and \\].",
        LatexEnvironment("aligned", "source", wrap="\\["),
    ),
    _maths(
        "mathbf",
        "Put your final answer in \\mathbf{...}, alone in an inline formula between single dollar signs.",
        LatexCommand("mathbf", "source", shift="$"),
    ),
    _maths("ensuremath", "Put your final answer in \\ensuremath{...}.", LatexCommand("ensuremath", "source")),
)


def _md(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(f"markdown_{name}", "Markdown", says, form, **{"suits": PROSE, "share": 0.5, **more})


_P = ("paragraph_open", "inline")
_ITEM = ("list_item_open", *_P)

MARKDOWN = (
    _md(
        "bold",
        "Put your final answer in Markdown bold, between double asterisks, on one line; let nothing else be bold.",
        Inline("strong", "**"),
    ),
    _md(
        "italic",
        "Put your final answer in Markdown italics, between single asterisks, on one line; let nothing else be italic.",
        Inline("em", "*"),
    ),
    _md(
        "bold_italic",
        "Put your final answer in bold italics, between triple asterisks, on one line.",
        Inline("strong", "***", both=True),
    ),
    _md(
        "strike",
        "Put your final answer between double tildes (Markdown strikethrough), on one line.",
        Inline("s", "~~"),
    ),
    _md(
        "link",
        "Make your final answer the text of a Markdown link whose target is #answer.",
        Inline("link", "", target="#answer"),
    ),
    _md(
        "code",
        "Put your final answer in one Markdown code span (backticks), on one line; use no other.",
        CodeSpan(),
        suits=("text", "maths"),
    ),
    _md(
        "heading",
        "Make your final answer a Markdown heading of the first level (#).",
        Block("heading of the first level", "# ", "heading_open", ("inline",), tag="h1", markup="#"),
    ),
    _md(
        "heading_third",
        "Make your final answer a Markdown heading of the third level (###).",
        Block("heading of the third level", "### ", "heading_open", ("inline",), tag="h3", markup="###"),
    ),
    _md(
        "setext_heading",
        "Make your final answer a Markdown heading that is underlined with equals signs.",
        Block("heading underlined with `=`", "", "heading_open", ("inline",), tail="\n======", markup="="),
    ),
    _md(
        "section",
        "End your reply with the heading `## Answer` and your answer below it.",
        Sections({"answer": "Answer"}, around="before"),
        suits=("text", "maths", "code"),
        share=0.6,
    ),
    _md(
        "bullet_plus",
        "Give your final answer as the only item of a bulleted Markdown list (with a plus sign).",
        Block("list bulleted with `+`", "+ ", "bullet_list_open", _ITEM, markup="+", lines="  "),
    ),
    _md(
        "bullet_star",
        "Give your final answer as the only item of a bulleted Markdown list (with an asterisk), as your whole reply.",
        Block(
            "list bulleted with `*`",
            "* ",
            "bullet_list_open",
            _ITEM,
            markup="*",
            lines="  ",
            around="nothing",
        ),
    ),
    _md(
        "numbered",
        "Give your final answer as the only item of a numbered Markdown list.",
        Block("numbered list", "1. ", "ordered_list_open", _ITEM, markup=".", lines="   "),
    ),
    _md(
        "numbered_parenthesis",
        "Give your final answer as the only item of a Markdown list numbered with a parenthesis, as in 1).",
        Block("list numbered with `)`", "1) ", "ordered_list_open", _ITEM, markup=")", lines="   "),
    ),
    _md(
        "task",
        "Give your final answer as the only item of a Markdown task list, checked off with [x].",
        Block("task list", "- [x] ", "bullet_list_open", _ITEM, lead="[x] ", lines="  "),
    ),
    _md(
        "nested_list",
        "Give a bulleted Markdown list with one item, Answer, that has one item below it, your answer.",
        Block(
            "nested list",
            "- Answer\n  - ",
            "bullet_list_open",
            ("list_item_open", *_P, "bullet_list_open", *_ITEM),
            before=("Answer",),
            lines="    ",
        ),
    ),
    _md(
        "labelled_bullet",
        "Give a bulleted Markdown list with one item that begins with **Answer:** and goes on with your answer.",
        Block(
            "labelled item",
            "- **Answer:** ",
            "bullet_list_open",
            _ITEM,
            markup="-",
            lead="**Answer:** ",
            lines="  ",
        ),
    ),
    _md(
        "bold_label",
        "End your reply with a paragraph that begins with **Final Answer:** and goes on with your answer.",
        Marks(Mark("**Final Answer:**", "line"), Hole()),
        suits=("text", "maths", "code"),
        share=0.9,
    ),
    _md(
        "quote",
        "Put your final answer in a Markdown block quote.",
        Block("block quote", "> ", "blockquote_open", _P, lines="> "),
    ),
    _md(
        "quote_nested",
        "Put your final answer in a Markdown block quote within a block quote (> >).",
        Block(
            "block quote within a block quote",
            "> > ",
            "blockquote_open",
            ("blockquote_open", *_P),
            lines="> > ",
        ),
    ),
    _md(
        "alert",
        "Put your final answer in a Markdown alert: a block quote whose first line is [!IMPORTANT].",
        Block("alert", "> [!IMPORTANT]\n> ", "blockquote_open", _P, lead="[!IMPORTANT]\n", lines="> "),
    ),
    _md(
        "table",
        "Give a Markdown table with one column, headed Answer, and one row, your answer.",
        Block(
            "table",
            "| Answer |\n| --- |\n| ",
            "table_open",
            ("thead_open", "tr_open", "th_open", "inline", "tbody_open", "tr_open", "td_open", "inline"),
            tail=" |",
            before=("Answer",),
        ),
    ),
    _md(
        "table_pair",
        "Give a Markdown table with the columns Key and Value and one row: Answer, and your answer.",
        Block(
            "table",
            "| Key | Value |\n| --- | --- |\n| Answer | ",
            "table_open",
            (
                "thead_open",
                "tr_open",
                "th_open",
                "inline",
                "th_open",
                "inline",
                "tbody_open",
                "tr_open",
                "td_open",
                "inline",
                "td_open",
                "inline",
            ),
            tail=" |",
            before=("Key", "Value", "Answer"),
        ),
    ),
    _md(
        "fenced",
        "Put your final answer in a fenced code block that names no language.",
        Fence(),
        suits=("text", "maths", "code"),
        share=0.8,
    ),
    _md(
        "fenced_text",
        "Put your final answer in a fenced code block of the language `text`.",
        Fence("text"),
        suits=("text", "maths", "code"),
        share=0.8,
    ),
    _md(
        "fenced_answer",
        "Put your final answer in a fenced block of the language `answer`.",
        Fence("answer"),
        suits=("text", "maths", "code"),
        share=0.8,
    ),
    _md(
        "fenced_tilde",
        "Put your final answer in a code block that is fenced with tildes and names no language.",
        Fence(mark="~~~"),
        suits=("text", "maths", "code"),
        share=0.8,
    ),
    _md(
        "fenced_latex",
        "Put your final answer in a fenced code block of the language `latex`.",
        Fence("latex"),
        suits=("maths",),
        share=0.8,
    ),
)

FORMATS: tuple[Format, ...] = (*TAGS, *XML, *HTML, *LATEX, *MARKDOWN)
