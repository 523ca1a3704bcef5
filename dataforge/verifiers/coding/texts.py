"""Exercises in which a function of texts is to be written; those of lists and numbers are in `functions`."""

from __future__ import annotations

import random
from typing import Any

from dataforge.verifiers.coding.exercise import WORDS, Exercise, written


def capitals(rng: random.Random) -> Exercise:
    every = rng.randint(2, 4)
    ordinal = {2: "second", 3: "third", 4: "fourth"}[every]
    inputs: list[list[Any]] = [["one two three four five six"], [""], ["single"]]
    inputs += [[" ".join(rng.choices(WORDS, k=rng.randint(3, 12)))] for _ in range(4)]
    return written(
        f"""It returns `sentence` with every {ordinal} word in capital letters (the {every}th, the {2 * every}th and so on, counted
        from 1) and the others unchanged. Words are separated by single spaces.""".replace(
            "2th", "2nd"
        ).replace("3th", "3rd"),
        f"""
        def shout(sentence):
            words = sentence.split(" ")
            for place in range({every} - 1, len(words), {every}):
                words[place] = words[place].upper()
            return " ".join(words)
        """,
        inputs,
        "shout(sentence)",
    )


def shift_letters(rng: random.Random) -> Exercise:
    by = rng.randint(1, 25)
    inputs: list[list[Any]] = [["Hello, World!"], [""], ["xyz XYZ"], ["Größe 12, naïve"]]
    inputs += [[" ".join(rng.choices(WORDS, k=4)).title()] for _ in range(3)]
    return written(
        f"""It returns `text` with each letter from a to z and A to Z moved {by} places on in the alphabet, past z on to a again. Capitals stay
        capitals; every other character, accented letters included, stays as it is.""",
        f"""
        def shift(text):
            moved = []
            for character in text:
                for first in ("a", "A"):
                    place = ord(character) - ord(first)
                    if 0 <= place < 26:
                        character = chr(ord(first) + (place + {by}) % 26)
                        break
                moved.append(character)
            return "".join(moved)
        """,
        inputs,
        "shift(text)",
    )


def balanced(rng: random.Random) -> Exercise:
    kinds = rng.sample(["()", "[]", "{}", "<>"], rng.randint(2, 3))
    listed = " and ".join(f"`{pair[0]}` with `{pair[1]}`" for pair in kinds)
    every = "".join(kinds)
    inputs: list[list[Any]] = [
        [every],
        [""],
        [kinds[0][0]],
        [kinds[0][1]],
        [kinds[0][0] + kinds[1][0] + kinds[0][1] + kinds[1][1]],
    ]
    inputs += [
        [f"a{kinds[0][0]}b{kinds[1][0]}c{kinds[1][1]}{kinds[0][1]}d"],
        ["".join(rng.choices(every, k=6))],
        ["no brackets"],
    ]
    return written(
        f"""It returns True if the brackets in `text` are balanced and properly nested, else False. The brackets are {listed}; all other
        characters are ignored.""",
        f"""
        def balanced(text):
            partner = {{pair[1]: pair[0] for pair in {kinds!r}}}
            openings = []
            for character in text:
                if character in partner.values():
                    openings.append(character)
                elif character in partner:
                    if not openings or openings.pop() != partner[character]:
                        return False
            return not openings
        """,
        inputs,
        "balanced(text)",
    )


def run_lengths(rng: random.Random) -> Exercise:
    least = rng.randint(1, 3)
    rule = "" if least == 1 else f" Runs shorter than {least} are left out."
    inputs: list[list[Any]] = [["aaabccd"], [""], ["z"], ["日日本"], ["aAaa  b"]]
    inputs += [["".join(rng.choices("abc", k=rng.randint(6, 20)))] for _ in range(3)]
    return written(
        f"""It returns the runs of equal characters in `text`, in order, each as a list `[character, length]`.{rule}""",
        f"""
        def runs(text):
            found = []
            for character in text:
                if found and found[-1][0] == character:
                    found[-1][1] += 1
                else:
                    found.append([character, 1])
            return [run for run in found if run[1] >= {least}]
        """,
        inputs,
        "runs(text)",
    )


def top_words(rng: random.Random) -> Exercise:
    k = rng.randint(1, 4)
    inputs: list[list[Any]] = [["the cat and the hat and the bat"], [""], ["b a b a c"], ["One one ONE two"]]
    inputs += [[" ".join(rng.choices(WORDS[:6], k=rng.randint(8, 20)))] for _ in range(3)]
    many = "the most frequent word" if k == 1 else f"the {k} most frequent words"
    return written(
        f"""It returns {many} of `text` as a list of lists `[word, count]`, the most frequent first and equally
        frequent ones in alphabetical order; all of them if there are fewer. Words are separated by white space and compared in lower case.""",
        f"""
        def top_words(text):
            counts = {{}}
            for word in text.lower().split():
                counts[word] = counts.get(word, 0) + 1
            ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            return [[word, count] for word, count in ranked[:{k}]]
        """,
        inputs,
        "top_words(text)",
    )


def palindrome(rng: random.Random) -> Exercise:
    strict = rng.random() < 0.4
    rule = (
        "Every character counts, and capitals differ from small letters."
        if strict
        else "Only letters and digits count, and capitals are the same as small letters."
    )
    prepare = "list(text)" if strict else "[character.lower() for character in text if character.isalnum()]"
    inputs: list[list[Any]] = [
        ["A man, a plan, a canal: Panama"],
        [""],
        ["ab"],
        ["aba"],
        ["Aba"],
        ["12 21"],
        ["a,b"],
    ]
    word = rng.choice(WORDS)
    inputs += [[word + word[::-1]], [word]]
    return written(
        f"It returns True if `text` reads the same forwards and backwards, else False. {rule}",
        f"""
        def is_palindrome(text):
            kept = {prepare}
            return kept == kept[::-1]
        """,
        inputs,
        "is_palindrome(text)",
    )


def to_roman(rng: random.Random) -> Exercise:
    top = rng.choice([399, 1999, 3999])
    inputs: list[list[Any]] = [[4], [1], [49], [top], [388], [94]]
    inputs += [[rng.randint(1, top)] for _ in range(3)]
    return written(
        f"It returns the whole number `number`, from 1 to {top}, as a Roman numeral in capitals, with the usual subtractive forms such as IV and XC.",
        """
        def to_roman(number):
            signs = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
                     (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
            numeral = ""
            for value, sign in signs:
                numeral += sign * (number // value)
                number %= value
            return numeral
        """,
        inputs,
        "to_roman(number)",
    )
