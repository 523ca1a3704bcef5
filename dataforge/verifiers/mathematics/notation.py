"""One spelling for mathematics: LaTeX, Unicode and plain text are brought to the same short LaTeX before they are read.

`plain` removes what only sets type (`\\left`, `\\dfrac`, `\\text`, thin spaces, dollar signs) and writes symbols the same
way (`×`, `−`, `π`, `½`, `x²`). It never changes a value. `split` cuts at commas and the like outside of brackets.
"""

from __future__ import annotations

import functools
import re
import unicodedata

LONGEST = 2_000
"""Characters of an answer; what is longer is no answer but a text."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT = re.compile("[₀-₉]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_SYMBOLS = {
    "−": "-",
    "–": "-",
    "‐": "-",
    "‑": "-",
    "﹣": "-",
    "－": "-",
    "×": r" \times ",
    "✕": r" \times ",
    "⋅": r" \cdot ",
    "·": r" \cdot ",
    "÷": "/",
    "∕": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≅": r"\approx ",
    "∪": r"\cup ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "±": r"\pm ",
    "ℝ": r"\R ",
    "°": r"^\circ ",
    "º": r"^\circ ",
    "…": "...",
    "′": "'",
    "’": "'",
    "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ",
    "λ": r"\lambda ",
    "⟨": "(",
    "⟩": ")",
    "\u2061": "",
    "\u200b": "",
    "\u200e": "",
    "\u200f": "",
    "\ufeff": "",
}
_SYMBOL = re.compile("|".join(map(re.escape, _SYMBOLS)))
_SIMPLE = re.compile(r"[0-9A-Za-z+\-/., ]*")

_TEXT = re.compile(
    r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|mathit|mathsf|operatorname|mbox|rm|bf)\s*\*?\s*\{([^{}]*)\}"
)
_SETTING = re.compile(
    r"\\(?:left|right|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|big|Big|bigg|Bigg|displaystyle|textstyle|limits"
    r"|phantom\{[^{}]*\})(?![A-Za-z])\.?"
)
_SPACE = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad(?![A-Za-z])|~|\s+")
_NAMES = [
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\leq(?:slant)?(?![A-Za-z])"), r"\\le "),
    (re.compile(r"\\geq(?:slant)?(?![A-Za-z])"), r"\\ge "),
    (re.compile(r"<=|=<"), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!="), r"\\ne "),
    (re.compile(r"=="), "="),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne "),
    (re.compile(r"\\(?:simeq|approxeq|thickapprox)(?![A-Za-z])"), r"\\approx "),
    (re.compile(r"\\(?:mathbb|mathbf)\s*\{?R\}?"), r"\\R "),
    (re.compile(r"\\(?:varnothing|O)(?![A-Za-z])"), r"\\emptyset "),
    (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\\(?:ldots|dots|cdots|dotsc)(?![A-Za-z])"), "..."),
    (re.compile(r"\\(?:lbrace|\{)"), r"\\{"),
    (re.compile(r"\\(?:rbrace|\})"), r"\\}"),
    (re.compile(r"\\(?:lvert|rvert|vert)(?![A-Za-z])"), "|"),
    (re.compile(r"\\(?:lbrack)(?![A-Za-z])"), "["),
    (re.compile(r"\\(?:rbrack)(?![A-Za-z])"), "]"),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?"), r"^\\circ "),
    (re.compile(r"\\degree(?![A-Za-z])"), r"^\\circ "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\{\.\}"), "."),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\#"), "#"),
    (re.compile(r"\\&"), "&"),
]


@functools.lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The same mathematics in one spelling."""
    if _SIMPLE.fullmatch(text):
        return _ended(" ".join(text.split()))
    text = _unpaired(text)
    text = _VULGAR.sub(_vulgar, text)
    text = _SUPERSCRIPT.sub(lambda found: "^{" + found[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT.sub(lambda found: "_{" + found[0].translate(_SUBSCRIPTS) + "}", text)
    text = _SYMBOL.sub(lambda found: _SYMBOLS[found[0]], text)
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"√\s*\(", r"\\sqrt(", text)
    text = re.sub(r"√\s*([0-9]+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = _SETTING.sub(" ", text)
    for pattern, instead in _NAMES:
        text = pattern.sub(instead, text)
    # Twice, since `\text{\mathrm{cm}}` is seen.
    text = _TEXT.sub(r" \1 ", _TEXT.sub(r" \1 ", text))
    text = _SPACE.sub(" ", text)
    text = _bold(text.strip())
    return _ended(re.sub(r" {2,}", " ", text))


def _ended(text: str) -> str:
    """Without the full stop of a sentence; an ellipsis stays."""
    text = text.strip()
    return re.sub(r"(?<=\.\.\.)\.$", "", text) if text.endswith("...") else text.rstrip(".,;").strip()


def _unpaired(text: str) -> str:
    """Dollar signs: those that set mathematics go, those that mean money become a word."""
    text = text.strip().replace(r"\$", " USD ").replace("$$", " ")
    text = re.sub(r"(?<!\\)\\[\[\]()]", " ", text)
    if "$" in text:
        money = [bool(re.match(r"\$\s?[0-9.]", text[at:])) for at, sign in enumerate(text) if sign == "$"]
        text = text.replace(
            "$", " USD " if all(money) and (len(money) % 2 or not text.endswith("$")) else " "
        )
    return text


_MARKS_INSIDE = re.compile(r"(?<=[\w)}])\*\*(?=\s)|(?<=\s)\*\*(?=[\w\\$({-])")


def _bold(text: str) -> str:
    for mark in ("**", "__", "`", "*"):
        while len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    # `x = 7** and **x = 4`: what a blank parts from a word on one side is no sign of a power.
    return _MARKS_INSIDE.sub(" ", text)


def _vulgar(found: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", found[0]).partition("⁄")
    return f" \\frac{{{above}}}{{{below}}}" if below else found[0]


_OPENING, _CLOSING = "([{", ")]}"


def split(text: str, separators: str) -> list[str]:
    """The pieces of a text between separators that stand outside of all brackets; half-open ones count as brackets."""
    pieces, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        if sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        elif depth == 0 and sign in separators:
            pieces.append(text[start:at])
            start = at + 1
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces]


def unwrapped(text: str) -> str:
    """Without brackets around the whole, as in `(5)` or `{5}`."""
    while (
        len(text) >= 2
        and (text[0], text[-1]) in {("(", ")"), ("{", "}")}
        and closes_at(text, 0) == len(text) - 1
    ):
        text = text[1:-1].strip()
    return text


def closes_at(text: str, opening: int) -> int:
    """Where the bracket that opens there is closed; -1 where it is not. Any kind of bracket closes any other."""
    depth = 0
    for at in range(opening, len(text)):
        if text[at] in _OPENING:
            depth += 1
        elif text[at] in _CLOSING:
            depth -= 1
            if depth == 0:
                return at
    return -1
