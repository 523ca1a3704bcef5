"""How answers to procedural tasks are graded: one small function a manner of grading.

A grader takes an `Item` and the answer as text, and says what is wrong, or nothing. Only full marks pass. The package's own
scorer is one manner among others, used where many answers are right and it tells them apart; it is given nothing that is not
of the shape that its answers have, because some scorers pick letters or numbers out of any text.
"""

from __future__ import annotations

import ast
import decimal
import functools
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

WRONG = "the answer is wrong"
UNREADABLE = "the answer does not have the form that the question asks for"


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of one question, as JSON values.

    Attributes:
        task: the package's name of the task.
        answer: the stored answer.
        metadata: what the grader needs beyond that.
    """

    task: str
    answer: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


Grader = Callable[[Item, str], str]


# ---- the stored answer is the only right one


def text(item: Item, answer: str) -> str:
    """The same text; blanks at ends of lines do not count."""
    return "" if _lines(answer) == _lines(item.answer) else WRONG


def folded(item: Item, answer: str) -> str:
    """The same text, in capitals or not, with or without a full stop."""
    return "" if _fold(answer) == _fold(item.answer) else WRONG


def letters(item: Item, answer: str) -> str:
    """The same letters; neither blanks nor capitals count."""
    return "" if "".join(answer.split()).lower() == "".join(item.answer.split()).lower() else WRONG


def tokens(item: Item, answer: str) -> str:
    """The same tokens between blanks, or as a list writes them."""
    return "" if [cell for row in _rows(answer) for cell in row] == item.answer.split() else WRONG


def grid(item: Item, answer: str) -> str:
    """The same rows of tokens, between blanks or as a Markdown table or a nested list writes them."""
    return "" if _rows(answer) == _rows(item.answer) else WRONG


def listed(item: Item, answer: str) -> str:
    """The same items between commas."""
    return "" if listed_items(answer) == listed_items(item.answer) else WRONG


def literal(item: Item, answer: str) -> str:
    """The same list, as JSON or as Python writes it; numbers equal as numbers, also in quotes."""
    found = _literal(answer)
    if found is None:
        return UNREADABLE
    return "" if found == _literal(item.answer) else WRONG


def number(item: Item, answer: str) -> str:
    """The same number: `1,200.50` is `1200.5`."""
    found = exact(answer)
    if found is None:
        return UNREADABLE
    return "" if found == exact(item.answer) else WRONG


def near(item: Item, answer: str) -> str:
    """The same number to nine places, as a fraction or a decimal."""
    found, aim = exact(answer), exact(item.answer)
    if found is None or aim is None:
        return UNREADABLE
    return "" if abs(found - aim) <= abs(aim) / 10**9 else WRONG


def probability(item: Item, answer: str) -> str:
    """The same number to four places."""
    found, aim = exact(answer), exact(item.answer)
    if found is None or aim is None:
        return UNREADABLE
    return "" if abs(found - aim) <= abs(aim) / 10**4 else WRONG


def hexadecimal(item: Item, answer: str) -> str:
    """The same whole number, in hexadecimal or decimal digits."""
    if not re.fullmatch(r"-?(?:0[xX][0-9a-fA-F]{1,200}|0|[1-9]\d{0,200})", answer.strip()):
        return UNREADABLE
    return "" if int(answer.strip(), 0) == int(item.answer, 0) else WRONG


def fraction(item: Item, answer: str) -> str:
    """The same fraction in lowest terms."""
    found, aim = _fraction(answer), _fraction(item.answer)
    if found is None:
        return UNREADABLE
    return "" if found == aim else WRONG


def factors(item: Item, answer: str) -> str:
    """The same factors in any order."""
    pieces = [piece.strip() for piece in re.split(r"\\times|\\cdot|[×x*·]", answer)]
    if not all(re.fullmatch(r"\d{1,40}", piece) for piece in pieces):
        return UNREADABLE
    return "" if Counter(map(int, pieces)) == Counter(map(int, item.answer.split("×"))) else WRONG


def measures(item: Item, answer: str) -> str:
    """The same one or two numbers, to the places that are written, two or three; signs of degrees and brackets do not count."""
    found, aim = _measures(answer), _measures(item.answer)
    if found is None or aim is None:
        return UNREADABLE
    if len(found) != len(aim):
        return WRONG
    three = all(re.search(r"\.\d{3}", text) for text in (answer, item.answer))
    close = Fraction(51, 100_000 if three else 10_000)
    return "" if all(abs(a - b) <= close for a, b in zip(found, aim, strict=True)) else WRONG


def pooled(item: Item, answer: str) -> str:
    """The same rows of numbers, to two places."""
    rows = [[exact(cell) for cell in row] for row in _rows(answer)]
    aims = [[exact(cell) for cell in row] for row in _rows(item.answer)]
    if any(cell is None for row in rows for cell in row):
        return UNREADABLE
    if [len(row) for row in rows] != [len(row) for row in aims]:
        return WRONG
    close = Fraction(51, 10_000)
    pairs = [(a, b) for row, aim in zip(rows, aims, strict=True) for a, b in zip(row, aim, strict=True)]
    return "" if all(a is not None and b is not None and abs(a - b) <= close for a, b in pairs) else WRONG


# ---- many answers are right


def arithmetic(item: Item, answer: str) -> str:
    """An expression of the given numbers, each used once, that has the value of the target."""
    numbers = item.metadata["numbers"]
    aim = item.metadata.get("target", 24)
    if len(answer) > 500:
        return UNREADABLE
    worked = _worked(answer)
    if worked is None:
        return UNREADABLE
    value, used = worked
    if Counter(used) != Counter(numbers):
        return "it does not use each of the numbers once"
    return "" if value == aim else "it has another value"


def queens(item: Item, answer: str) -> str:
    """A board of queens of which none attacks another, with those of the puzzle in place."""
    board = _rows(answer)
    given = item.metadata["puzzle"]
    size = len(given)
    if len(board) != size or any(len(row) != size or not set(row) <= {"Q", "_"} for row in board):
        return UNREADABLE
    placed = [(row, column) for row in range(size) for column in range(size) if board[row][column] == "Q"]
    if len(placed) != size:
        return "it has the wrong number of queens"
    if any(
        given[row][column] == "Q" and board[row][column] != "Q"
        for row in range(size)
        for column in range(size)
    ):
        return "a queen of the puzzle is gone"
    lines = [
        [c for _, c in placed],
        [r for r, _ in placed],
        [r - c for r, c in placed],
        [r + c for r, c in placed],
    ]
    return "" if all(len(set(line)) == size for line in lines) else "two queens attack each other"


def sudoku(item: Item, answer: str) -> str:
    """A full grid that keeps the rules and the puzzle's numbers."""
    given = item.metadata["puzzle"]
    size = len(given)
    rows = _whole_rows(answer)
    if rows is None or [len(row) for row in rows] != [size] * size:
        return UNREADABLE
    if any(given[r][c] and given[r][c] != rows[r][c] for r in range(size) for c in range(size)):
        return "a number of the puzzle is changed"
    box = 3 if size == 9 else 2
    whole = set(range(1, size + 1))
    groups = [set(row) for row in rows] + [{row[c] for row in rows} for c in range(size)]
    groups += [
        {rows[r + i][c + j] for i in range(box) for j in range(box)}
        for r in range(0, size, box)
        for c in range(0, size, box)
    ]
    return "" if all(group == whole for group in groups) else "a row, column or box has a number twice"


def futoshiki(item: Item, answer: str) -> str:
    """A full grid that keeps the rules, the puzzle's numbers and its signs."""
    given = item.metadata["puzzle"]
    size = len(given)
    rows = _whole_rows(re.sub(r"[<>∧∨^v]", " ", answer))
    if rows is None or [len(row) for row in rows] != [size] * size:
        return UNREADABLE
    if any(given[r][c] and given[r][c] != rows[r][c] for r in range(size) for c in range(size)):
        return "a number of the puzzle is changed"
    whole = set(range(1, size + 1))
    if any(set(group) != whole for group in [*rows, *zip(*rows, strict=True)]):
        return "a row or column has a number twice"
    for r, c, other_r, other_c, sign in item.metadata["constraints"]:
        first, second = rows[r][c], rows[other_r][other_c]
        if not (first < second if sign == "<" else first > second):
            return "a sign is not kept"
    return ""


def survo(item: Item, answer: str) -> str:
    """A full grid whose rows and columns have their sums, with each of the offered numbers used once."""
    given, offered = item.metadata["puzzle"], item.metadata["candidate_numbers"]
    size = len(given)
    board = _whole_rows(answer)
    if board is None or [len(row) for row in board] != [size] * size:
        return UNREADABLE
    blanks = [(r, c) for r in range(size) for c in range(size) if given[r][c] == 0]
    if any(given[r][c] != board[r][c] for r in range(size) for c in range(size) if (r, c) not in set(blanks)):
        return "a number of the puzzle is changed"
    if Counter(board[r][c] for r, c in blanks) != Counter(offered):
        return "it does not use each of the numbers once"
    sums = [sum(row[:-1]) == row[-1] for row in board] + [
        sum(board[r][c] for r in range(size - 1)) == board[-1][c] for c in range(size)
    ]
    return "" if all(sums) else "a sum is wrong"


def antiderivative(item: Item, answer: str) -> str:
    """A polynomial whose derivative is the integrand, with or without the constant."""
    letter = str(item.metadata["variable"]).lower()
    found, aim = _polynomial(answer, letter), _polynomial(str(item.metadata["integrand"]), letter)
    if found is None or aim is None:
        return UNREADABLE
    derived = {power - 1: power * factor for power, factor in found.items() if power}
    return "" if derived == aim else WRONG


def coloring(item: Item, answer: str) -> str:
    """A color for each vertex and for nothing else, different ones at the ends of every edge."""
    puzzle = item.metadata["puzzle"]
    pairs = _pairs(answer)
    if pairs is None:
        return UNREADABLE
    colors = dict(pairs)
    if sorted(vertex for vertex, _ in pairs) != sorted(map(str, puzzle["vertices"])):
        return "it does not color each vertex once"
    if any(type(color) is not int or color not in puzzle["color_options"] for color in colors.values()):
        return "it uses a color that is not there"
    clash = any(colors[str(one)] == colors[str(other)] for one, other in puzzle["edges"])
    return "two neighbors have one color" if clash else ""


def hanoi(item: Item, answer: str) -> str:
    """Moves that keep the rules and take all disks to their peg, in any number."""
    known = item.metadata
    pegs: dict[int, list[int]] = {peg: [] for peg in range(1, known["num_pegs"] + 1)}
    pegs[known["start_peg"]] = whole = list(range(known["num_disks"], 0, -1))
    for line in filter(None, map(str.strip, answer.splitlines())):
        move = _MOVE.fullmatch(line)
        if move is None:
            return UNREADABLE
        disk, start, end = map(int, move.groups())
        if (
            not pegs.get(start)
            or end not in pegs
            or pegs[start][-1] != disk
            or min([*pegs[end], disk]) < disk
        ):
            return "a move breaks the rules"
        pegs[end] = [*pegs[end], pegs[start][-1]]
        pegs[start] = pegs[start][:-1]
    return "" if pegs[known["target_peg"]] == whole else "the disks do not all come to their peg"


@dataclass(frozen=True, slots=True)
class Scorer:
    """The package's own scorer.

    Attributes:
        shape: what an answer must look like as a whole to be shown to it.
        least: the score from which an answer is right; below 1 only where the scorer measures how near a number is.
        spelled: how the scorer wants an answer of that shape to be spelled; as it stands, unless said.
    """

    shape: str
    least: float = 1.0
    spelled: Callable[[str], str] = str

    def __call__(self, item: Item, answer: str) -> str:
        """Full marks, or what is wrong."""
        if not re.compile(self.shape, re.DOTALL).fullmatch(answer):
            return UNREADABLE
        answer = self.spelled(answer)
        # A copy: some scorers write into the entry.
        entry = {
            "question": "",
            "answer": item.answer,
            "metadata": json.loads(json.dumps(dict(item.metadata))),
        }
        try:
            with decimal.localcontext(decimal.Context()):
                score = _scoring(item.task).score_answer(answer, entry)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError):
            return UNREADABLE  # scorers raise over answers that they cannot read
        return "" if score >= self.least else WRONG


@functools.lru_cache(maxsize=256)
def _scoring(task: str) -> Any:
    """The package's object for a task, made once a process; none of the scorers used here reads its settings."""
    from reasoning_gym.factory import create_dataset

    return create_dataset(task, seed=0, size=1)


# ---- reading


_MOVE = re.compile(
    r"(?:\d{1,5}[.)] *|[-*] +)?Move disk (\d{1,9}) from peg (\d{1,9}) to peg (\d{1,9})\.?", re.IGNORECASE
)


def _lines(value: str) -> list[str]:
    return [line.rstrip() for line in value.strip().splitlines()]


def _fold(value: str) -> str:
    return " ".join(value.split()).strip(" .\"'`*").casefold()


_MARKS = str.maketrans("[],|", "    ")


def _rows(value: str) -> list[list[str]]:
    """The cells of a grid: between blanks, in a Markdown table or a nested list; lines that only divide are no rows."""
    lines = re.sub(r"\][\s,]*\[", "\n", value).splitlines()
    rows = [
        line.translate(_MARKS).split() for line in lines if not ("--" in line and not line.strip("|:+- "))
    ]
    return [row for row in rows if row]


def plain_grid(value: str) -> str:
    """A grid with its cells between blanks."""
    return "\n".join(map(" ".join, _rows(value)))


def _whole_rows(value: str) -> list[list[int]] | None:
    """The rows of a grid of whole numbers; None where a cell is none."""
    rows = _rows(value)
    if not all(re.fullmatch(r"-?\d{1,9}", cell) for row in rows for cell in row):
        return None
    return [[int(cell) for cell in row] for row in rows]


def _pairs(value: str) -> list[tuple[str, Any]] | None:
    """The entries of a flat JSON object, a key that comes twice kept twice; None where the text is none."""
    try:
        found = json.loads(value, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    return list(found) if isinstance(found, tuple) else None


def listed_items(value: str) -> list[str]:
    """The items between commas."""
    value = value.strip()
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    return [piece.strip().strip("\"'") for piece in value.split(",")]


def parsed_list(value: str) -> Any:
    """A list as JSON or as Python writes it; None where the text is none."""
    if len(value) > 20_000 or value.count("[") > 4_000:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return found if isinstance(found, list) else None


def _literal(value: str) -> Any:
    found = parsed_list(value)
    try:
        return None if found is None else _numeric(found)
    except RecursionError:
        return None


def _numeric(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_numeric(entry) for entry in value]
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int | float):
        return exact(repr(value))
    if isinstance(value, str):
        found = exact(value)
        return value if found is None else found
    return repr(value)


_DECIMAL = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,400})?(?:\.\d{0,400})?(?:[eE][+-]?\d{1,3})?")


def exact(value: str) -> Fraction | None:
    """A number written out, exactly; None where the text is none."""
    value = value.strip()
    parts = _fraction(value)
    if parts is not None:
        return Fraction(*parts) if parts[1] else None
    if not _DECIMAL.fullmatch(value) or not any(sign.isdigit() for sign in value):
        return None
    try:
        return Fraction(Decimal(value.replace(",", "")))
    except (InvalidOperation, ValueError):
        return None


_FRACTION = re.compile(
    r"([+-]?)\s*(?:\\[cdt]?frac\s*\{\s*(-?\d{1,200})\s*\}\s*\{\s*(\d{1,200})\s*\}|(\d{1,200})\s*/\s*(\d{1,200}))"
)


def _fraction(value: str) -> tuple[int, int] | None:
    found = _FRACTION.fullmatch(value.strip().strip("$").strip())
    if found is None:
        return None
    above, below = int(found[2] or found[4]), int(found[3] or found[5])
    return (-above if found[1] == "-" else above), below


def _measures(value: str) -> list[Fraction] | None:
    bare = re.sub(r"[°()]|\^\\circ|\bdegrees?\b|\bradius\b", " ", value.strip().strip("$"))
    pieces = [piece.strip() for piece in bare.split(",")]
    found = [exact(piece) for piece in pieces]
    return None if any(entry is None for entry in found) else [entry for entry in found if entry is not None]


_MOST_POWER, _MOST_BITS = 60, 4_000


def _polynomial(expression: str, letter: str) -> dict[int, Fraction] | None:
    """The coefficients of a polynomial by power, a constant `c` left out; None where the text is no polynomial.

    Capitals do not count, and `2x` is `2*x`.
    """
    expression = expression.strip().lower()
    if len(expression) > 2_000 or not re.fullmatch(rf"[\d\s+\-*/().c{re.escape(letter)}^]*", expression):
        return None
    expression = re.sub(r"(?<=[\d)])\s*(?=[a-z(])", "*", expression).replace("^", "**")
    try:
        tree = ast.parse(expression, mode="eval")
        made = _coefficients(tree.body, letter)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError, KeyError):
        return None
    return {power: factor for power, factor in made.items() if factor}


def _coefficients(node: ast.expr, letter: str) -> dict[int, Fraction]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return {0: Fraction(str(node.value))}
    if isinstance(node, ast.Name) and node.id in (letter, "c"):
        return {1: Fraction(1)} if node.id == letter else {}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return {power: -factor for power, factor in _coefficients(node.operand, letter).items()}
    if not isinstance(node, ast.BinOp):
        raise ValueError
    if not isinstance(node.op, ast.Add | ast.Sub) and any(
        getattr(part, "id", "") == "c" for part in ast.walk(node)
    ):
        raise ValueError  # `c*x` is no constant
    left, right = _coefficients(node.left, letter), _coefficients(node.right, letter)
    if isinstance(node.op, ast.Add | ast.Sub):
        sign = 1 if isinstance(node.op, ast.Add) else -1
        return {
            p: left.get(p, Fraction(0)) + sign * right.get(p, Fraction(0)) for p in sorted({*left, *right})
        }
    if isinstance(node.op, ast.Mult):
        return _product(left, right)
    if isinstance(node.op, ast.Div) and set(right) == {0}:
        return {power: factor / right[0] for power, factor in left.items()}
    if (
        isinstance(node.op, ast.Pow)
        and set(right) == {0}
        and right[0].denominator == 1
        and 0 <= right[0] <= _MOST_POWER
    ):
        made = {0: Fraction(1)}
        for _ in range(int(right[0])):
            made = _product(made, left)
        return made
    raise ValueError


def _bits(number: Fraction) -> int:
    return number.numerator.bit_length() + number.denominator.bit_length()


def _product(left: Mapping[int, Fraction], right: Mapping[int, Fraction]) -> dict[int, Fraction]:
    made: dict[int, Fraction] = {}
    for p, first in left.items():
        for q, second in right.items():
            if p + q > 4 * _MOST_POWER or max(map(_bits, (first, second))) > _MOST_BITS:
                raise ValueError
            made[p + q] = made.get(p + q, Fraction(0)) + first * second
    return made


_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _worked(expression: str) -> tuple[Fraction, list[int]] | None:
    """The exact value of an expression of whole numbers and the four operations, and its numbers."""
    if not re.fullmatch(r"[\d\s+\-*/()×÷]*", expression) or "**" in expression or "//" in expression:
        return None
    try:
        tree = ast.parse(expression.strip().replace("×", "*").replace("÷", "/"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    used: list[int] = []

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            used.append(node.value)
            return Fraction(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left = value(node.left)
            return _OPERATIONS[type(node.op)](left, value(node.right))
        raise ValueError

    try:
        return value(tree.body), used
    except (ValueError, ZeroDivisionError, RecursionError):
        return None
