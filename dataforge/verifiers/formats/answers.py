"""Random answers of every kind, nasty on purpose: quotes, line ends, Unicode, look-alikes, LaTeX, code, marks of formats."""

from __future__ import annotations

import random

WORDS = [
    "the",
    "river",
    "bends",
    "north",
    "of",
    "the",
    "old",
    "mill",
    "while",
    "nine",
    "boats",
    "wait",
    "for",
    "rain",
    "and",
    "nobody",
    "counts",
    "them",
    "twice",
    "because",
    "evening",
    "light",
    "makes",
    "every",
    "number",
    "look",
    "larger",
    "than",
    "it",
    "was",
    "at",
    "noon",
]

ODD = (
    '"quoted"', "'single'", "it's", "back\\slash", "C:\\new\\table", "naïve café", "Ελλάδα", "Привет", "日本語の答え",
    "שלום עולם", "مرحبا", "👩‍🔬🧪", "1 < 2 && 3 > 2", "a & b", "50% off", "$5.00", "x_1^2", "#1", "(see above)", "[1]", "{k: v}",
    "**bold**", "*it*", "`code`", "~~no~~", "<b>x</b>", "</answer>", "key: value", "a = b", "a|b", "- item", "// note", "-- dash",
    "“curly”", "«guillemets»", "null", "true", "yes", "~", "No.", "3.10", "1e5", "0x1F", "&amp;", "\\n", "\\u0041", "{{x}}", "a,b;c",
    "Аnswer", "０１２", "e\u0301", "A\u00a0B", "?!", "...", "!important", "@you", "a\tb", "%d", "${HOME}", "$(ls)", "''", '""', "'''",
)  # fmt: skip

FORMULAS = (
    r"\frac{1}{2}", r"x^2 + y^2 = r^2", r"\sqrt{b^2 - 4ac}", r"\int_0^1 x\,dx", r"\{1, 2, 3\}", r"\left(\frac{a}{b}\right)^n",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}", r"\sum_{k=1}^{n} k", r"\alpha_{ij} \le \beta", r"\text{all real } x",
    r"[0, \infty)", r"3 \times 10^8\ \text{m/s}", r"\mathbb{R} \setminus \{0\}", r"f'(x) = 2x", "42", "-7", r"e^{i\pi} + 1 = 0",
    r"\boxed{3}", r"x < 3", r"50\%", r"\binom{n}{k}", r"\frac{\sqrt{2}}{2}", "a|b", "n!", r"\vec{v} \cdot \hat{n}", "(1, 2)",
)  # fmt: skip

CODE = (
    "def double(x):\n    return x * 2",
    "for i in range(3):\n    print(f\"{i}: {'#' * i}\")",
    "x = [n for n in range(10) if n % 2 == 0]\nprint(x)",
    "class Point:\n    def __init__(self, x, y):\n        self.x, self.y = x, y\n\n    def __repr__(self):\n        return f\"<{self.x}, {self.y}>\"",
    "import re\n\nprint(re.sub(r\"\\d+\", \"#\", 'a1b22'))",
    "print(\"it's\", 'a \"quote\"', '''three''')",
    "total = 0\nwhile total < 10 and not done:\n    total += 1  # count\n",
    "lines = text.split('\\n')\nprint(len(lines))",
    "path = 'C:\\\\temp'\nassert path",
    "result = {'a': [1, 2], \"b\": (3,)}",
    "print('<answer>&amp;</answer>')",
    "if x:\n\n    print('привет 🌍')",
)  # fmt: skip


def make_answer(kind: str, rng: random.Random) -> str:
    """A random answer of a kind, never with white space at its ends."""
    return _MAKERS[kind](rng).strip()


def _phrase(rng: random.Random) -> str:
    words = rng.choices(WORDS, k=rng.randint(1, 7))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        words.insert(rng.randint(0, len(words)), rng.choice(ODD))
    said = " ".join(words)
    return said[:1].upper() + said[1:] + rng.choice(("", "", ".", "!"))


def _text(rng: random.Random) -> str:
    way = rng.random()
    if way < 0.6:
        return _phrase(rng)
    if way < 0.9:
        return rng.choice(("\n", "\n", "\n\n")).join(_phrase(rng) for _ in range(rng.randint(2, 4)))
    return "".join(chr(_point(rng)) for _ in range(rng.randint(1, 20))).strip() or "x"


def _point(rng: random.Random) -> int:
    low, high = rng.choice(
        ((0x20, 0x7F), (0x20, 0x7F), (0xA1, 0x250), (0x370, 0x5F0), (0x3040, 0x30FF), (0x1F600, 0x1F64F))
    )
    return rng.randrange(low, high)


def _maths(rng: random.Random) -> str:
    joint = rng.choice((" ", " = ", " + ", ", ", r" \\ "))
    return joint.join(rng.choices(FORMULAS, k=rng.choice((1, 1, 1, 2, 3))))


def _code(rng: random.Random) -> str:
    return "\n\n".join(rng.sample(CODE, k=rng.choice((1, 1, 2))))


def _number(rng: random.Random) -> str:
    way = rng.random()
    if way < 0.5:
        return str(rng.randint(-(10**6), 10**6))
    if way < 0.9:
        return f"{rng.randint(-999, 999)}.{rng.randint(0, 9999):04d}"
    return f"{rng.randint(1, 9)}.{rng.randint(0, 99)}e{rng.randint(-20, 20)}"


def _letter(rng: random.Random) -> str:
    return rng.choice("ABCDEFGHIJ")


_MAKERS = {"text": _text, "maths": _maths, "code": _code, "number": _number, "letter": _letter}
