"""Write a text that keeps a draft's promises, by construction: nothing here asks a checker.

The text is a grid of cells, one word each, in sentences, in blocks. Cells that a constraint names are filled first (first
letters, every n-th word), then the pieces that must occur, then filler. Order and case are made at the end; titles,
headings, phrases and quotation marks are put around.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import unicodedata

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import Range
from dataforge.verifiers.instructing.drafting import LINE_WORDS, Conflict, Draft, Plan
from dataforge.verifiers.instructing.speech import SENTENCES


def write(draft: Draft, rng: random.Random) -> str:
    """The text of a draft.

    Raises:
        Conflict: what it promises does not fit together.
    """
    if draft.slot("choice") is not None:
        return _choice(draft, rng)
    if draft.slot("layout") == "json":
        return _json(draft, rng)
    if draft.slot("language") is not None:
        sentences = _spoken(draft, rng)
    else:
        sentences = _sentences(draft, draft.settle(), rng)
    return _around(draft, _laid_out(draft, sentences, rng), rng)


# ---- words and sentences


def _sentences(draft: Draft, plan: Plan, rng: random.Random) -> list[str]:
    count = rng.choice(plan.sentences[:6])
    grid = _empty_grid(draft, plan, count, rng)
    _fill_places(draft, plan, grid, rng)
    tokens = list(plan.tokens)
    emoji: list[str] = []
    for kind, number, drawn in plan.choices:
        (emoji if kind == "emoji" else tokens).extend(_drawn(rng, drawn, number, draft.unique))
    free = [
        (s, i)
        for s, row in enumerate(grid)
        for i, cell in enumerate(row)
        if not cell and not (i == 0 and draft.slot("first words") == "unique")
    ]
    rng.shuffle(free)
    for token, (s, i) in zip(tokens, free, strict=False):
        grid[s][i] = token
    _fill_rest(draft, plan, grid, tokens, rng)
    _order(draft, grid)
    for piece in emoji:
        row = rng.choice(grid)
        at = rng.randrange(len(row))
        row[at] = f"{row[at]} {piece}"
    _case(draft, grid)
    marks = _marks(draft, len(grid), rng)
    return [_sentence(draft, row, mark, rng) for row, mark in zip(grid, marks, strict=True)]


def _empty_grid(draft: Draft, plan: Plan, count: int, rng: random.Random) -> list[list[str]]:
    if draft.per_sentence is not None:
        return [[""] * draft.per_sentence for _ in range(count)]
    low = max(plan.needs[count], draft.words.low - plan.base)
    high = draft.words.high - plan.base if draft.words.high is not None else max(low, count * 8) + 6
    if draft.slot("line width") is not None:
        high = min(high, count * LINE_WORDS)
    if draft.unique:
        high = min(high, max(low, int(len(plan.pool) * 0.8)))
    cells = max(low, min(high, count * rng.randint(4, 9)))
    lengths = [draft.least_per_sentence] * count
    if (position := draft.slot("position")) is not None:
        lengths[position[0] - 1] = max(position[1], draft.least_per_sentence)
    widest = LINE_WORDS if draft.slot("line width") is not None else None
    for _ in range(cells - sum(lengths)):
        shortest = min(lengths)
        # Mostly even, so that no sentence is endless.
        open_rows = [
            s for s in range(count) if lengths[s] <= shortest + 4 and (widest is None or lengths[s] < widest)
        ]
        lengths[rng.choice(open_rows or list(range(count)))] += 1
    return [[""] * length for length in lengths]


def _fill_places(draft: Draft, plan: Plan, grid: list[list[str]], rng: random.Random) -> None:
    if (acrostic := draft.slot("acrostic")) is not None:
        left = list(plan.pool)
        for row, letter in zip(grid, acrostic, strict=True):
            row[0] = rng.choice(_starting(left, letter))
            if draft.unique:
                left.remove(row[0])
    if (position := draft.slot("position")) is not None:
        grid[position[0] - 1][position[1] - 1] = position[2]
    if (first := draft.slot("first word")) is not None:
        paragraph, word = first
        starts = _block_starts(len(grid), draft.blocks or 1)
        grid[starts[paragraph - 1]][0] = word
    if (every := draft.slot("every nth")) is not None:
        n, language, letter = every
        words = list(lexicon.FOREIGN[language]) if language else _starting(plan.pool, letter)
        flat = [(s, i) for s, row in enumerate(grid) for i in range(len(row))]
        for s, i in flat[n - 1 :: n]:
            grid[s][i] = rng.choice(words)
    if draft.slot("first words") == "unique":
        for row, word in zip(grid, rng.sample(plan.pool, len(grid)), strict=True):
            row[0] = word


def _starting(pool: list[str], letter: str) -> list[str]:
    found = [word for word in pool if word.startswith(letter)]
    if not found:
        raise Conflict(f'no word is left that starts with "{letter}"')
    return found


def _fill_rest(
    draft: Draft, plan: Plan, grid: list[list[str]], tokens: list[str], rng: random.Random
) -> None:
    pool = list(plan.pool)
    small = [] if draft.unique or draft.no_small else plan.small
    if draft.unique:
        used = {cell for row in grid for cell in row}
        pool = [word for word in pool if word not in used]
        rng.shuffle(pool)
    turn = 0
    for row in grid:
        for i, cell in enumerate(row):
            if cell:
                continue
            turn += 1
            if draft.unique:
                row[i] = pool.pop()
            elif small and turn % 2 == 1:
                row[i] = rng.choice(small)
            else:
                row[i] = rng.choice(pool)


def _drawn(rng: random.Random, pieces: list[str], number: int, unique: bool) -> list[str]:
    if unique:
        return rng.sample(pieces, number)
    return [rng.choice(pieces) for _ in range(number)]


def _bare(word: str) -> str:
    folded = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in folded if letter.isalnum())


def _order(draft: Draft, grid: list[list[str]]) -> None:
    order = draft.slot("order of words")
    for row in grid:
        if order == "alphabetical":
            row.sort(key=_bare)
        elif order == "lengths":
            row.sort(key=len)


def _case(draft: Draft, grid: list[list[str]]) -> None:
    case = draft.slot("case")
    if case == "alternating":
        at = 0
        for row in grid:
            for i, cell in enumerate(row):
                row[i] = cell.upper() if at % 2 == 0 else cell.lower()
                at += 1
    elif case == "title":
        for row in grid:
            row[:] = [titled(cell) for cell in row]
    elif case is None:
        for row in grid:
            row[0] = row[0][0].upper() + row[0][1:]


def titled(text: str) -> str:
    """Every word with a capital letter first."""
    return re.sub(r"(^|\s)([^\w\s]*)(\w)", lambda match: match[1] + match[2] + match[3].upper(), text)


def _marks(draft: Draft, count: int, rng: random.Random) -> list[str]:
    asked = -(-draft.questions * count // 100)
    plain = [mark for mark in draft.marks for _ in range(4 if mark == "." else 1)]
    marks = ["?"] * asked + [rng.choice(plain) for _ in range(count - asked)]
    rng.shuffle(marks)
    return marks


def _sentence(draft: Draft, row: list[str], mark: str, rng: random.Random) -> str:
    if "," not in draft.banned_marks and len(row) > 3 and rng.random() < 0.4:
        at = rng.randrange(1, len(row) - 1)
        row[at] += ","
    return " ".join(row) + mark


def _spoken(draft: Draft, rng: random.Random) -> list[str]:
    bank = SENTENCES[draft.slot("language")]
    low = max(draft.sentences.low, draft.blocks or 1, 2)
    if low not in draft.sentences:
        low = draft.sentences.low
    if low not in draft.sentences or low < (draft.blocks or 1):
        raise Conflict("the number of sentences leaves too few for the parts")
    if draft.words != Range(1):
        raise Conflict("the words of another language are not counted here")
    high = low + 2 if draft.sentences.high is None else min(low + 2, draft.sentences.high)
    sentences = [rng.choice(bank) for _ in range(rng.randint(low, high))]
    for _ in range(draft.counts.get("emoji", Range()).low):
        at = rng.randrange(len(sentences))
        sentences[at] += f" {rng.choice(lexicon.EMOJI)}"
    return sentences


# ---- blocks


def _block_starts(sentences: int, blocks: int) -> list[int]:
    return [index * sentences // blocks for index in range(blocks)]


def _laid_out(draft: Draft, sentences: list[str], rng: random.Random) -> str:
    layout = draft.slot("layout") or "prose"
    joint = "" if draft.slot("language") in ("zh", "ja") else " "
    blocks = draft.blocks
    if blocks is None:
        if layout in ("list", "lines"):
            blocks = len(sentences)
        else:
            blocks = rng.randint(1, min(3, len(sentences)))
    starts = [*_block_starts(len(sentences), blocks), len(sentences)]
    parts = [joint.join(sentences[a:b]) for a, b in itertools.pairwise(starts)]
    if layout == "two" and parts[0] == parts[1]:
        parts[1] += joint + sentences[0]
    ending = draft.slot("paragraph ending")
    if ending is not None:
        parts = [f"{part} {ending}" for part in parts]
    match layout:
        case "stars":
            return rng.choice(["\n\n***\n\n", "\n***\n", "\n\n* * *\n\n"]).join(parts)
        case "two":
            return rng.choice(["\n\n******\n\n", "\n******\n"]).join(parts)
        case "sections":
            splitter = draft.slot("splitter")
            forms = ["{} {}\n{}", "## {} {}\n{}", "**{} {}**\n{}", "**{} {}:**\n{}", "{} {}: {}"]
            form = rng.choice(
                [form for form in forms if not any(mark in form for mark in draft.banned_marks)]
            )
            return "\n\n".join(
                form.format(splitter, index, part) for index, part in enumerate(parts, start=1)
            )
        case "list":
            return _list(draft, parts, rng)
        case "lines":
            step = draft.slot("indentation") or 0
            return "\n".join(" " * (step * index) + part for index, part in enumerate(parts))
        case _:
            return "\n\n".join(parts)


def _list(draft: Draft, parts: list[str], rng: random.Random) -> str:
    items = [part.rstrip(".!?") for part in parts]
    if draft.slot("endings of items"):
        pool = [word for word in draft.settle().pool if len(word) > 3]
        rng.shuffle(pool)
        seen: set[str] = set()
        for index, item in enumerate(items):
            word = next(word for word in pool if word[-3:] not in seen)
            seen.add(word[-3:])
            items[index] = f"{item} {word}"
    if draft.slot("order of items"):
        items.sort(key=_sort_key)
    bullet = rng.choice(["-", "*", "+"])
    return "\n".join(f"{bullet} {item}" for item in items)


def _sort_key(item: str) -> list[str]:
    return [_bare(word) for word in item.split() if _bare(word)]


# ---- around


def _around(draft: Draft, body: str, rng: random.Random) -> str:
    if (starter := draft.slot("starter")) is not None:
        body = f"{starter} {body}"
    if (title := draft.slot("title")) is not None:
        body = f"<<{title}>>\n\n{body}"
    if (prompt := draft.slot("prompt")) is not None:
        body = f"{prompt}\n\n{body}"
    if (postscript := draft.slot("postscript")) is not None:
        body = f"{body}\n\n{postscript[0]} {postscript[1]}"
    if (ending := draft.slot("ending")) is not None:
        body = f"{body}{rng.choice([' ', chr(10) + chr(10)]) if 'extra' not in draft.barred else ' '}{ending}"
    match draft.slot("case"):
        case "upper":
            body = body.upper()
        case "lower":
            body = body.lower()
    if draft.slot("quotation"):
        left, right = rng.choice([('"', '"'), ('"', '"'), ("“", "”")])
        body = f"{left}{body}{right}"
    return body


def _choice(draft: Draft, rng: random.Random) -> str:
    options, exact = draft.slot("choice")
    option = str(rng.choice(options))
    if exact:
        bare = option.rstrip(".!")
        return rng.choice([option, option, f"{bare}.", bare, f"**{option}**", f'"{option}"', f"{option}\n"])
    return rng.choice(
        [option, f"{option} The facts point that way.", f"Thinking it over, here goes. {option}"]
    )


def _json(draft: Draft, rng: random.Random) -> str:
    plan = draft.settle()
    words = [*plan.tokens]
    for kind, number, drawn in plan.choices:
        words += _drawn(rng, drawn, number, kind == "capital")
    rng.shuffle(words)
    keys = rng.sample(plan.pool, 3)
    filler = [rng.choice(plan.pool) for _ in range(4)]
    value = {
        keys[0]: " ".join([filler[0], *words, filler[1]]),
        keys[1]: [filler[2], rng.choice([True, None, False])],
        keys[2]: {filler[3]: ['a "b"', "line\nbreak", "\\frac{x}{y}", "été"][rng.randrange(4)]},
    }
    body = json.dumps(
        rng.choice([value, [value]]),
        indent=rng.choice([None, 2]),
        ensure_ascii=not words and rng.random() < 0.3,
    )
    return rng.choice([body, body, f"```json\n{body}\n```", f"```\n{body}\n```"])
