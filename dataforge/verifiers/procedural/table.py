"""Every task of the `reasoning-gym` package: how its answers are graded, or why it is left out.

`KEPT` and `LEFT_OUT` together name all of them, which a test holds to the installed version of the package. What is said
of a task's scorer was found by reading it and by running it over stored answers, other items' answers, refusals, echoes
and near misses; a task stays in where its questions and stored answers are sound, whatever its scorer does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dataforge.verifiers.procedural import grading
from dataforge.verifiers.procedural.grading import Grader, Scorer


@dataclass(frozen=True, slots=True)
class Manner:
    """How a task is graded and made.

    Attributes:
        grader: what is wrong with an answer.
        keep: the entries of the metadata that the grader needs.
        levels: how many levels of the package's curriculum are used; 0 where only the package's default settings are.
        lines: whether answers have several lines.
        note: what its scorer in the package gets wrong, where that is why it is graded here.
        stored: where in the metadata the answer stands, where the package stores none in its place.
        at_once: whether the package makes all items when it is asked for one, so that each gets an object of its own.
        free: whether different answers can be right.
    """

    grader: Grader
    keep: tuple[str, ...] = ()
    levels: int = 3
    lines: bool = False
    note: str = ""
    stored: str = ""
    at_once: bool = False
    free: bool = False


_STEPS = r"{0}(?:(?:[\s,→]|->)+{0})*"
"""An answer that is a list of steps, of which each looks so."""
_TEXT, _FOLDED, _NUMBER = Manner(grading.text), Manner(grading.folded), Manner(grading.number)
_TOKENS, _GRID = Manner(grading.tokens), Manner(grading.grid, lines=True)
_PART = "gives part marks to any text that holds the answer"
_RUNS = "runs the answer as Python"

KEPT: dict[str, Manner] = {
    "ab": _TOKENS,
    "acre": Manner(grading.folded, levels=0, note=_PART, at_once=True),
    "advanced_geometry": Manner(
        grading.measures, note="gives half marks to a radius to two places, and 0.01 to any text"
    ),
    "aiw": _NUMBER,
    "arc_1d": _TOKENS,
    "arc_agi": Manner(
        grading.grid, lines=True, levels=0, note="fails its stored answer once the metadata has been JSON"
    ),
    "base_conversion": _FOLDED,
    "basic_arithmetic": _NUMBER,
    "bf": Manner(grading.text, levels=2),
    "binary_alternation": _NUMBER,
    "binary_matrix": Manner(grading.grid, lines=True, note=_RUNS),
    "bitwise_arithmetic": Manner(grading.hexadecimal),
    "caesar_cipher": Manner(
        grading.folded, levels=2, note="its curriculum's third level is refused by its own settings"
    ),
    "calendar_arithmetic": Manner(
        grading.folded,
        note="gives a day count that is off by a little nearly full marks, and more than full for a negative one",
    ),
    "chain_sum": _NUMBER,
    "circuit_logic": _NUMBER,
    "coin_flip": Manner(grading.probability, note="takes 0 for every probability below 1 in 10,000"),
    "color_cube_rotation": Manner(grading.folded, note="gives 0.01 to any text"),
    "complex_arithmetic": Manner(Scorer(r"[0-9.+\-ij()\s]{1,100}", least=0.999), keep=("result",)),
    "count_bits": _NUMBER,
    "count_primes": _NUMBER,
    "countdown": Manner(grading.arithmetic, keep=("numbers", "target"), note=_RUNS, free=True, levels=2),
    "course_schedule": _FOLDED,
    "cryptarithm": Manner(
        # The look ahead: no letter may have two digits, of which the scorer takes the last.
        Scorer(
            r"(?=.{3,300}\Z)(?!.*([A-Z])\s*=.*\1\s*=)[A-Z]\s*=\s*\d(?:\s*[,\n]\s*[A-Z]\s*=\s*\d)*",
            spelled=lambda answer: re.sub(r"\s*[,\n]\s*", ",", answer),
        ),
        keep=("words_letters", "result_letters", "allow_leading_zero"),
        note="takes the last of several digits for a letter",
        free=True,
    ),
    "decimal_arithmetic": Manner(grading.near, note="takes an answer that is off by one in the sixth place"),
    "decimal_chain_sum": _NUMBER,
    "dice": Manner(grading.fraction),
    "emoji_mystery": Manner(grading.text, note="gives 0.01 to any text"),
    "family_relationships": _FOLDED,
    "figlet_font": Manner(
        grading.letters, note="gives full marks to ten letters in place, whatever the rest"
    ),
    "fraction_simplification": Manner(grading.fraction, note="gives 0.01 to no answer at all"),
    "futoshiki": Manner(
        grading.futoshiki,
        keep=("puzzle", "constraints"),
        lines=True,
        free=True,
        levels=1,
        note="may take minutes to make a board of nine",
    ),
    "game_of_life": Manner(
        grading.literal, note="does not look at rows and columns beyond the board", levels=2
    ),
    "game_of_life_halting": Manner(
        grading.folded, note="gives full marks to every text, `I do not know` too"
    ),
    "gcd": _NUMBER,
    "graph_color": Manner(
        grading.coloring,
        keep=("puzzle",),
        stored="possible_answer",
        note="stores no answer in its place; takes two colors for one vertex, and vertices that the graph has not",
        free=True,
    ),
    "group_anagrams": Manner(Scorer(r"\[.{1,20000}\]"), keep=("solution",)),
    "gsm_symbolic": Manner(grading.number, levels=0, at_once=True, note="takes the first number of any text"),
    "jugs": Manner(Scorer(r"\[.{1,5000}\]"), keep=("puzzle",), levels=0, free=True),
    "kakurasu": Manner(
        Scorer(r"[01\s\[\],|:+-]{1,2000}", spelled=grading.plain_grid),
        keep=("row_sums", "col_sums", "n_rows", "n_cols"),
        lines=True,
        free=True,
    ),
    "knights_knaves": Manner(
        Scorer(
            r"(?i:[a-z]{1,40} is an? [a-z]{1,40}(?:(?:,| and|, and) [a-z]{1,40} is an? [a-z]{1,40}){0,20}\s?\.?)"
        ),
        note="gives part marks to an echo of the question, and takes the right sentence inside a denial of it",
    ),
    "largest_island": _NUMBER,
    "lcm": _NUMBER,
    "leg_counting": _NUMBER,
    "letter_counting": _NUMBER,
    "mahjong_puzzle": _FOLDED,
    "manipulate_matrix": _GRID,
    "maze": _NUMBER,
    "mini_sudoku": Manner(
        grading.sudoku,
        keep=("puzzle",),
        lines=True,
        note="takes one of several solutions for the only one",
        free=True,
    ),
    "modulo_grid": Manner(
        grading.grid, lines=True, levels=0, note="its curriculum is refused by its own settings"
    ),
    "n_queens": Manner(grading.queens, keep=("puzzle",), lines=True, note=_RUNS, levels=3, free=True),
    "needle_haystack": Manner(grading.folded, levels=2),
    "number_filtering": Manner(grading.literal),
    "number_format": Manner(grading.number, note="takes every number within a hundredth"),
    "number_sorting": Manner(
        grading.literal, note="takes every sorted list whose numbers are off by up to 1"
    ),
    "palindrome_generation": Manner(Scorer(r"[A-Za-z]{1,500}"), keep=("letters",), free=True),
    "palindrome_partitioning": Manner(Scorer(r"\[.{1,200000}\]"), keep=("solution",), levels=0),
    "path_star": _TOKENS,
    "pool_matrix": Manner(grading.pooled, lines=True, note="takes entries that are off by a hundredth part"),
    "power_function": Manner(
        Scorer(r"[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,3})?"), note="gives 0.01 to any text"
    ),
    "prime_factorization": Manner(grading.factors, note="raises over text that is no number"),
    "products": _NUMBER,
    "puzzle24": Manner(
        grading.arithmetic,
        keep=("numbers",),
        note="takes any four numbers, not the given ones, and 24.9 for 24; " + _RUNS,
        free=True,
    ),
    "quantum_lock": Manner(
        Scorer(_STEPS.format("[A-Ca-c]")),
        keep=("target_value", "buttons", "initial_state", "initial_value"),
        note="picks every A, B and C out of any text",
        free=True,
    ),
    "rearc": Manner(
        grading.grid, lines=True, levels=0, note="fails its stored answer once the metadata has been JSON"
    ),
    "rectangle_count": Manner(grading.number, note="gives nearly full marks to a count that is off by one"),
    "rotate_matrix": Manner(
        grading.grid, lines=True, note="gives nearly full marks to an echo of the question"
    ),
    "rotten_oranges": _NUMBER,
    "rubiks_cube": Manner(
        Scorer(r"\s*[A-Za-z]'?(?:\s+[A-Za-z]'?){0,500}\s*"),
        keep=("cube_size", "scramble_moves"),
        stored="example_correct_answer",
        note="stores no answer in its place",
        levels=0,
        free=True,
    ),
    "self_reference": _NUMBER,
    "shortest_path": Manner(
        Scorer(
            _STEPS.format("[A-Za-z]+"),
            spelled=lambda answer: " ".join(re.findall(r"[a-z]+", answer.lower())),
        ),
        keep=("matrix",),
        free=True,
    ),
    "simple_equations": _NUMBER,
    "simple_geometry": _NUMBER,
    "simple_integration": Manner(
        grading.antiderivative, keep=("variable", "integrand"), note=_RUNS, free=True
    ),
    "sokoban": Manner(
        Scorer(
            # Not several words: two answers side by side would be walked one after the other.
            "[LDURldur]+|" + _STEPS.format("[LDURldur]"),
            spelled=lambda answer: "".join(re.findall(r"[LDUR]", answer.upper())),
        ),
        keep=("gamestr",),
        levels=0,
        note="takes letters out of any text: an echo of the question can solve it",
        free=True,
    ),
    "spell_backward": _FOLDED,
    "spiral_matrix": Manner(grading.tokens, note=_RUNS),
    "string_insertion": Manner(grading.text, note=_RUNS),
    "string_manipulation": _TEXT,
    "string_splitting": _TOKENS,
    "string_synthesis": _TOKENS,
    "sudoku": Manner(grading.sudoku, keep=("puzzle",), lines=True, free=True),
    "survo": Manner(
        grading.survo,
        keep=("puzzle", "candidate_numbers"),
        lines=True,
        levels=2,
        note="takes one of several solutions for the only one",
        free=True,
    ),
    "syllogism": _FOLDED,
    "tower_of_hanoi": Manner(
        grading.hanoi,
        keep=("num_disks", "num_pegs", "start_peg", "target_peg"),
        lines=True,
        levels=2,
        note="takes points off for more moves than need be, which the question does not forbid",
        free=True,
    ),
    "tsumego": Manner(grading.folded, levels=1),
    "word_sequence_reversal": Manner(grading.listed),
    "word_sorting": Manner(grading.listed, note="gives part marks to any order"),
    "zebra_puzzles": Manner(grading.folded, levels=2),
}

_HASH = "makes its items from the order of a set, so the same seed gives different questions under another hash seed"

LEFT_OUT: dict[str, str] = {
    "boxnet": "stores no answer, so nothing shows that its scorer takes a right one; it raises over a list of numbers",
    "codeio": "half of its questions ask for an input that gives an output, and of the many right ones it takes the stored one only",
    "composite": "is a mixture of the other tasks",
    "intermediate_integration": "stores the integral itself as the answer where it could not solve it, and gives full marks to "
    "every unsolved integral; runs the answer as Python",
    "isomorphic_strings": _HASH,
    "knight_swap": _HASH,
    "letter_jumble": "a word such as `was` has several unscramblings, and it takes the one of its text only",
    "list_functions": "makes its items from the global random state, so the same seed gives different questions",
    "number_sequence": "never ends making some of its items, and four numbers do not settle what the fifth is",
    "polynomial_equations": "an equation without real solutions wants the empty answer, and `I do not know` counts as empty",
    "polynomial_multiplication": _HASH,
    "propositional_logic": "stores no answer, and takes a premise said again, or a weaker one, for a conclusion",
    "ransom_note": _HASH,
    "rush_hour": "stores no answer, so nothing shows that its scorer takes a right one",
    "sentence_reordering": "several orders of the words are right, and it takes the one of its text only",
    "time_intervals": "makes its items from today's date, so the same seed gives different questions",
    "word_ladder": "finds its stored answer from the order of a set, so the same seed gives another under another hash seed; it "
    "knows four-letter words of its own list only",
}
